//! Calls held back for more than one request: a program's month, one API's day, our address. It must never forget a gate
//! over a restart: what closes here is written with the decision that met it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    domain::{
        errcode::Refusal,
        id::{AccountId, ProgramId},
        time::Time,
    },
    store::gates::Gate,
};

/// How often one call finds out whether our address is allowed again.
const IP_PROBE_EVERY: Duration = Duration::from_mins(5);

/// The subject of the one gate that holds every account.
const EVERYONE: &str = "all";

/// The closed gates.
#[derive(Debug, Default)]
pub struct Gates {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    closed: HashMap<(String, String), Gate>,
    /// Whether the one call that probes a closed address gate is out.
    probing: bool,
}

/// Whether a poll may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Any.
    Open,
    /// This one, to find out; no other before it is back.
    Probe,
    /// None before this time.
    Closed(Time),
}

impl Gates {
    /// Takes up what was closed before a restart.
    pub fn load(&self, gates: Vec<Gate>) {
        let mut inner = self.inner();
        for gate in gates {
            inner.closed.insert((gate.kind.clone(), gate.subject.clone()), gate);
        }
    }

    /// Whether a poll may be made now.
    pub fn admit(&self, now: Time) -> Admission {
        let mut inner = self.inner();
        let Some(until) = inner.closed.get(&ip_key()).map(|gate| Time::from_ms(gate.until)) else {
            return Admission::Open;
        };
        if is_ahead(until, now) {
            return Admission::Closed(until);
        }
        if inner.probing {
            return Admission::Closed(now + IP_PROBE_EVERY);
        }
        inner.probing = true;
        Admission::Probe
    }

    /// Until when polls are held back, without letting a probe through.
    pub fn closed_until(&self, now: Time) -> Option<Time> {
        let inner = self.inner();
        let until = inner.closed.get(&ip_key()).map(|gate| Time::from_ms(gate.until))?;
        if is_ahead(until, now) { Some(until) } else { inner.probing.then(|| now + IP_PROBE_EVERY) }
    }

    /// `WeChat` said that our address is not allowed. Answers the gate to write, and whether that is news.
    pub fn close_ip(&self, refusal: &Refusal, now: Time) -> (Gate, bool) {
        let gate = gate("ip", EVERYONE.to_owned(), now + IP_PROBE_EVERY, refusal, now);
        let mut inner = self.inner();
        inner.probing = false;
        let news = inner.closed.insert(ip_key(), gate.clone()).is_none();
        (gate, news)
    }

    /// A call was answered as an allowed one is. Answers the kind and subject of the gate that this opens.
    pub fn open_ip(&self) -> Option<(String, String)> {
        let mut inner = self.inner();
        inner.probing = false;
        if inner.closed.is_empty() {
            return None;
        }
        inner.closed.remove(&ip_key()).map(|gate| (gate.kind, gate.subject))
    }

    /// The probe is over. If it neither closed nor opened the gate, whatever became of it, the next one waits as long
    /// again.
    pub fn probe_over(&self, now: Time) {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.probing)
            && let Some(gate) = inner.closed.get_mut(&ip_key())
        {
            gate.until = (now + IP_PROBE_EVERY).ms();
        }
    }

    /// A program's month is used up.
    pub fn close_program(&self, program: &ProgramId, refusal: &Refusal, now: Time) -> Gate {
        self.close(gate("program_month", program.to_string(), now.next_beijing_month(), refusal, now))
    }

    /// One API's day is used up for an account.
    pub fn close_api(&self, account: &AccountId, api: &str, refusal: &Refusal, now: Time) -> Gate {
        self.close(gate("api_day", format!("{account}/{api}"), now.next_beijing_day(), refusal, now))
    }

    /// The gate of a program's month, when it is closed.
    pub fn program(&self, program: &ProgramId, now: Time) -> Option<Gate> {
        self.closed("program_month", || program.to_string(), now)
    }

    /// The gate of an API's day, when it is closed.
    pub fn api(&self, account: &AccountId, api: &str, now: Time) -> Option<Gate> {
        self.closed("api_day", || format!("{account}/{api}"), now)
    }

    fn close(&self, gate: Gate) -> Gate {
        self.inner().closed.insert((gate.kind.clone(), gate.subject.clone()), gate.clone());
        gate
    }

    fn closed(&self, kind: &str, subject: impl FnOnce() -> String, now: Time) -> Option<Gate> {
        let mut inner = self.inner();
        if inner.closed.is_empty() {
            return None;
        }
        let key = (kind.to_owned(), subject());
        if inner.closed.get(&key).is_some_and(|gate| gate.until <= now.ms()) {
            inner.closed.remove(&key);
        }
        inner.closed.get(&key).cloned()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics halfway through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a probe must still wait. A time further ahead than any probe waits was written by a calendar that has been
/// stepped back since.
fn is_ahead(until: Time, now: Time) -> bool {
    until > now && now.until(until) <= IP_PROBE_EVERY
}

fn ip_key() -> (String, String) {
    ("ip".to_owned(), EVERYONE.to_owned())
}

fn gate(kind: &str, subject: String, until: Time, refusal: &Refusal, now: Time) -> Gate {
    Gate {
        kind: kind.to_owned(),
        subject,
        until: until.ms(),
        errcode: refusal.errcode,
        errmsg: refusal.errmsg.clone(),
        at: now.ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Time {
        Time::from_ms(1_700_000_000_000) + Duration::from_mins(minutes)
    }

    #[test]
    fn a_closed_address_lets_one_probe_through_at_a_time() {
        let gates = Gates::default();
        let refusal = Refusal { errcode: 61004, errmsg: String::new() };
        assert_eq!(gates.admit(at(0)), Admission::Open);
        assert!(gates.close_ip(&refusal, at(0)).1);
        assert!(!gates.close_ip(&refusal, at(0)).1, "told once");
        assert_eq!(gates.admit(at(1)), Admission::Closed(at(5)));
        assert_eq!(gates.admit(at(5)), Admission::Probe);
        assert!(matches!(gates.admit(at(5)), Admission::Closed(_)));
        gates.probe_over(at(5));
        assert_eq!(gates.admit(at(9)), Admission::Closed(at(10)));
        assert_eq!(gates.admit(at(10)), Admission::Probe);
        assert!(gates.open_ip().is_some());
        assert_eq!(gates.admit(at(10)), Admission::Open);
    }
}
