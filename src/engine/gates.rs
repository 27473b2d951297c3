//! Gates: calls held back for more than one request, in memory: a program's month, an account's, one API's day, our IP
//! address. A gate is written with the decision that closed it, so that no restart forgets it.
//!
//! The gate of a month does not open by itself when its time comes: it lets one call through, which probes for all that
//! wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    domain::{
        address::{addresses, remember},
        errcode::{Class, Refusal},
        gate::GateKind,
        id::{AccountId, RequestId},
        quota::{self, Hold, PROBE_EVERY, Period},
        request::{Kind, Request},
        time::Time,
    },
    store::write::gates::{Gate, Opening},
};

/// How often one call finds out whether our address is allowed again.
const IP_PROBE_EVERY: Duration = Duration::from_mins(5);

/// How long the one whose turn it is to ask has for it: a look at its list and the wait for its call. After that somebody
/// else may.
const TURN: Duration = Duration::from_mins(2);

/// How soon the others look whether the one has been answered.
const WHILE_ASKED: Duration = Duration::from_mins(1);

/// How long a month's gate is remembered that nobody came to after its time.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(7 * 24);

/// Which gate: its kind and its subject.
pub(super) type Key = (GateKind, String);

/// The closed gates.
#[derive(Debug, Default)]
pub struct Gates {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    closed: HashMap<Key, Closed>,
    /// Whether the one call that probes a closed address gate is out.
    probing: bool,
    /// Our addresses that were refused since it closed.
    refused: Vec<IpAddr>,
}

#[derive(Debug)]
struct Closed {
    gate: Gate,
    /// Who asks for all, and until when it may.
    turn: Option<(RequestId, Time)>,
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

/// For how long a month's gate holds a request back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    from: Time,
    spread: Duration,
    /// What closed the gate.
    pub(super) refusal: Refusal,
}

impl Wait {
    /// When it is this request's turn to come back.
    pub(super) fn until(&self, id: &RequestId) -> Time {
        self.from + quota::moment(id, self.spread)
    }
}

impl Gates {
    /// Takes up what was closed before a restart.
    pub fn load(&self, gates: Vec<Gate>) {
        let mut inner = self.inner();
        inner.closed.extend(gates.into_iter().map(|gate| (key_of(&gate), Closed { gate, turn: None })));
    }

    /// Somebody outside has opened these. What was closed since is closed.
    pub fn heed(&self, openings: &[Opening]) {
        let mut inner = self.inner();
        for opening in openings {
            let key = (opening.kind, opening.subject.clone());
            if inner.closed.get(&key).is_some_and(|closed| closed.gate.at <= opening.at) {
                inner.closed.remove(&key);
            }
        }
    }

    /// Whether a poll may be made now.
    pub fn admit(&self, now: Time) -> Admission {
        let mut inner = self.inner();
        let Some(until) = inner.ip_until() else { return Admission::Open };
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
        let until = inner.ip_until()?;
        if is_ahead(until, now) { Some(until) } else { inner.probing.then(|| now + IP_PROBE_EVERY) }
    }

    /// `WeChat` said that our address is not allowed. Answers the gate to write, and whether that is news.
    pub fn close_ip(&self, refusal: &Refusal, now: Time) -> (Gate, bool) {
        let hold = Hold { until: now + IP_PROBE_EVERY, is_early: false };
        let gate = gate(ip_key(), hold, refusal, now);
        let mut inner = self.inner();
        inner.probing = false;
        remember(&mut inner.refused, addresses(&refusal.errmsg));
        let news = inner.closed.insert(ip_key(), Closed { gate: gate.clone(), turn: None }).is_none();
        (gate, news)
    }

    /// A call was answered as an allowed one is. Answers the kind and subject of the gate that this opens.
    pub fn open_ip(&self) -> Option<Key> {
        let mut inner = self.inner();
        inner.probing = false;
        inner.refused.clear();
        inner.closed.remove_entry(&ip_key()).map(|(key, _)| key)
    }

    /// Our addresses that were refused since this process saw the gate close.
    pub fn refused_addresses(&self) -> Vec<IpAddr> {
        self.inner().refused.clone()
    }

    /// The probe is over. If it neither closed nor opened the gate, whatever became of it, the next one waits as long
    /// again.
    pub fn probe_over(&self, now: Time) {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.probing)
            && let Some(closed) = inner.closed.get_mut(&ip_key())
        {
            closed.gate.until = (now + IP_PROBE_EVERY).ms();
        }
    }

    /// A quota is used up, or has not rolled yet. Answers the gate to write.
    pub(super) fn close(&self, key: Key, hold: Hold, refusal: &Refusal, now: Time) -> Gate {
        let mut closing = gate(key.clone(), hold, refusal, now);
        let mut inner = self.inner();
        // Another one asks before this hold is over, or has just begun to.
        if let Some(Closed { gate, .. }) = inner.closed.get(&key)
            && hold.is_early
            && gate.early
            && gate.until > now.ms()
        {
            closing.until = gate.until.min(closing.until);
        }
        inner.closed.insert(key, Closed { gate: closing.clone(), turn: None });
        closing
    }

    /// The gate of an API's day, when it is closed.
    pub fn api(&self, account: &AccountId, api: &str, now: Time) -> Option<Gate> {
        let mut inner = self.inner();
        if inner.closed.is_empty() {
            return None;
        }
        let key = api_key(account, api);
        let gate = &inner.closed.get(&key)?.gate;
        if until(gate, now) <= now {
            inner.closed.remove(&key);
            return None;
        }
        Some(gate.clone())
    }

    /// Whether these gates of months let a request's call through now; how long they do not. Where one lets one call
    /// through that asks for all, it is this one's turn from now on.
    pub(super) fn ask(&self, keys: &[Key], id: &RequestId, now: Time) -> Result<(), Wait> {
        let mut inner = self.inner();
        inner.held(keys, id, now, Step::Ask)?;
        for key in keys {
            if let Some(closed) = inner.closed.get_mut(key) {
                closed.turn = Some((id.clone(), now + TURN));
            }
        }
        Ok(())
    }

    /// The same for a call that is about to be made. Answers the gates to write before it: should the process not live to
    /// see the answer, nobody else asks before it is time again.
    pub(super) fn go_through(&self, keys: &[Key], id: &RequestId, now: Time) -> Result<Vec<Gate>, Wait> {
        let mut inner = self.inner();
        inner.held(keys, id, now, Step::GoThrough)?;
        let mut asking = Vec::new();
        for key in keys {
            if let Some(closed) = inner.closed.get_mut(key) {
                closed.turn = Some((id.clone(), now + TURN));
                (closed.gate.until, closed.gate.early) = ((now + PROBE_EVERY).ms(), true);
                asking.push(closed.gate.clone());
            }
        }
        Ok(asking)
    }

    /// The call that asked was not made, or was not answered for its quota: somebody else may ask at once. Answers the
    /// gates to write.
    pub(super) fn give_back(&self, asking: &[Gate], now: Time) -> Vec<Gate> {
        let mut inner = self.inner();
        let mut given = Vec::new();
        for key in asking.iter().map(key_of) {
            if let Some(closed) = inner.closed.get_mut(&key) {
                closed.turn = None;
                closed.gate.until = now.ms();
                given.push(closed.gate.clone());
            }
        }
        given
    }

    /// Nobody knows what the call came to that asked, or it came to something else: the next one waits its time.
    pub(super) fn end_turn(&self, asking: &[Gate]) {
        let mut inner = self.inner();
        for key in asking.iter().map(key_of) {
            if let Some(closed) = inner.closed.get_mut(&key) {
                closed.turn = None;
            }
        }
    }

    /// The call that asked was taken: everybody may go through. Answers what opens.
    pub(super) fn open(&self, asking: &[Gate]) -> Vec<Key> {
        let mut inner = self.inner();
        let keys = asking.iter().map(key_of);
        keys.filter_map(|key| inner.closed.remove_entry(&key).map(|(key, _)| key)).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics halfway through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ip_until(&self) -> Option<Time> {
        self.closed.get(&ip_key()).map(|closed| Time::from_ms(closed.gate.until))
    }

    /// Whether one of these gates holds the request back.
    fn held(&mut self, keys: &[Key], id: &RequestId, now: Time, step: Step) -> Result<(), Wait> {
        if self.closed.is_empty() {
            return Ok(());
        }
        for key in keys {
            let Some(Closed { gate, turn }) = self.closed.get(key) else { continue };
            let until = until(gate, now);
            if now.since(until) > FORGOTTEN_AFTER {
                self.closed.remove(key);
                continue;
            }
            let asker = turn.as_ref().filter(|(_, until)| *until > now && now.until(*until) <= TURN);
            let is_anothers = asker.is_some_and(|(asker, _)| asker != id);
            let is_closed = until > now;
            let (from, spread) = match (is_closed, step) {
                // Its call is out.
                (true, _) if is_anothers => (now + WHILE_ASKED, WHILE_ASKED),
                (true, _) if asker.is_some() => continue,
                (true, _) if gate.early => (until, PROBE_EVERY),
                (true, _) => (until, quota::SPREAD),
                (false, Step::Ask) if is_anothers => (now + WHILE_ASKED, WHILE_ASKED),
                // Whoever has come as far as its call asks: nobody waits for one that may never come.
                (false, Step::Ask | Step::GoThrough) => continue,
            };
            let refusal = Refusal { errcode: gate.errcode, errmsg: gate.errmsg.clone() };
            return Err(Wait { from, spread, refusal });
        }
        Ok(())
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Its list is still to be read, or its turn is still to come.
    Ask,
    /// It is to be called now.
    GoThrough,
}

/// The gates of months that a request's call must go through.
pub(super) fn months_of(request: &Request) -> Vec<Key> {
    let mut keys = Vec::new();
    // The quota is one of links: an unlink is not held back by it.
    if request.is_link() {
        keys.push((GateKind::ProgramMonth, request.program.to_string()));
    }
    // What an account may still do this month is different for programs of different owners, and nobody tells us theirs:
    // a code holds back those that it was answered to.
    let met = request.refusal.as_ref().filter(|refusal| refusal.class() == Class::AccountMonth);
    keys.extend(met.map(|refusal| account_key(&request.account, refusal)));
    keys
}

/// The gate that a refusal closes for more than this request, and what its quota is counted by.
pub(super) fn closed_by(refusal: &Refusal, request: &Request) -> Option<(Key, Period)> {
    let class = refusal.class();
    let key = match (class, request.kind) {
        (Class::ProgramMonth, Kind::Link(_)) => (GateKind::ProgramMonth, request.program.to_string()),
        (Class::AccountMonth, _) => account_key(&request.account, refusal),
        (Class::DailyQuota, kind) => api_key(&request.account, api(kind)),
        _ => return None,
    };
    Period::of(class).map(|period| (key, period))
}

pub(super) fn api_key(account: &AccountId, api: &str) -> Key {
    (GateKind::ApiDay, format!("{account}/{api}"))
}

fn account_key(account: &AccountId, refusal: &Refusal) -> Key {
    (GateKind::AccountMonth, format!("{account}/{}", refusal.errcode))
}

/// The name of the call.
pub(super) const fn api(kind: Kind) -> &'static str {
    match kind {
        Kind::Link(_) => "wxamplink",
        Kind::Unlink => "wxampunlink",
    }
}

/// Whether a probe must still wait. A time further ahead than any probe waits was written by a calendar that has been
/// stepped back since.
fn is_ahead(until: Time, now: Time) -> bool {
    until > now && now.until(until) <= IP_PROBE_EVERY
}

/// When a gate of a quota is over, as far as that can be believed.
pub(super) fn until(gate: &Gate, now: Time) -> Time {
    let period = gate.kind.period().unwrap_or(Period::Month);
    period.believed(Hold { until: Time::from_ms(gate.until), is_early: gate.early }, now)
}

fn ip_key() -> Key {
    (GateKind::Ip, GateKind::EVERYONE.to_owned())
}

pub(super) fn key_of(gate: &Gate) -> Key {
    (gate.kind, gate.subject.clone())
}

fn gate((kind, subject): Key, hold: Hold, refusal: &Refusal, now: Time) -> Gate {
    Gate {
        kind,
        subject,
        until: hold.until.ms(),
        errcode: refusal.errcode,
        errmsg: refusal.errmsg.clone(),
        at: now.ms(),
        early: hold.is_early,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Time {
        Time::from_ms(1_700_000_000_000) + Duration::from_mins(minutes)
    }

    fn id(number: u8) -> RequestId {
        format!("0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a{number:02x}").parse().unwrap()
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
        gates.close_ip(&Refusal { errmsg: "ip 203.0.113.9, not in whitelist".to_owned(), ..refusal.clone() }, at(0));
        gates.close_ip(&Refusal { errmsg: "ip 203.0.113.7, not in whitelist".to_owned(), ..refusal }, at(0));
        assert_eq!(gates.refused_addresses().len(), 2);
        assert!(gates.open_ip().is_some());
        assert!(gates.refused_addresses().is_empty());
        assert_eq!(gates.admit(at(10)), Admission::Open);
    }

    fn month() -> (Gates, Vec<Key>, Refusal) {
        let gates = Gates::default();
        let keys = vec![(GateKind::ProgramMonth, "wx00000000000000aa".to_owned())];
        let refusal = Refusal { errcode: 89_007, errmsg: "wxa quota limit".to_owned() };
        gates.close(keys[0].clone(), Hold { until: at(30), is_early: true }, &refusal, at(0));
        (gates, keys, refusal)
    }

    #[test]
    fn a_month_whose_time_has_come_lets_one_ask_for_all() {
        let (gates, keys, refusal) = month();
        let wait = gates.ask(&keys, &id(1), at(29)).unwrap_err();
        assert!(wait.until(&id(1)) >= at(30) && wait.until(&id(1)) < at(60), "spread over half an hour after it");
        assert_eq!(wait.refusal, refusal);
        assert!(gates.ask(&keys, &id(1), at(30)).is_ok());
        let others = gates.ask(&keys, &id(2), at(30)).unwrap_err();
        assert!(
            others.until(&id(2)) >= at(31) && others.until(&id(2)) < at(32),
            "they look soon whether it is answered"
        );
        let asking = gates.go_through(&keys, &id(1), at(31)).unwrap();
        assert_eq!((Time::from_ms(asking[0].until), asking[0].early), (at(61), true), "written before the call");
        assert!(gates.go_through(&keys, &id(2), at(31)).is_err());
        assert_eq!(gates.open(&asking), keys);
        assert!(gates.ask(&keys, &id(2), at(31)).is_ok());
    }

    #[test]
    fn who_does_not_ask_in_time_or_cannot_leaves_it_to_the_next() {
        let (gates, keys, refusal) = month();
        gates.ask(&keys, &id(1), at(30)).unwrap();
        assert!(gates.ask(&keys, &id(2), at(31)).is_err());
        assert!(gates.ask(&keys, &id(2), at(32)).is_ok(), "two minutes are enough");
        let asking = gates.go_through(&keys, &id(1), at(32)).unwrap();
        assert!(gates.go_through(&keys, &id(2), at(32)).is_err(), "who comes late and yet first asks");
        assert_eq!(gates.give_back(&asking, at(33))[0].until, at(33).ms());
        let asking = gates.go_through(&keys, &id(3), at(33)).unwrap();
        gates.end_turn(&asking);
        assert!(gates.go_through(&keys, &id(1), at(62)).is_err(), "whether it was taken, nobody knows");
        gates.go_through(&keys, &id(1), at(63)).unwrap();
        let closed = gates.close(keys[0].clone(), Hold { until: at(94), is_early: true }, &refusal, at(64));
        assert_eq!(Time::from_ms(closed.until), at(93), "half an hour after it was asked, not after it was answered");
    }

    #[test]
    fn what_was_closed_after_an_operator_opened_it_is_closed() {
        let (gates, keys, refusal) = month();
        let opened = |at: Time| {
            let (kind, subject) = keys[0].clone();
            gates.heed(&[Opening { seq: 1, kind, subject, at: at.ms() }]);
            gates.ask(&keys, &id(1), at).is_ok()
        };
        assert!(opened(at(1)));
        gates.close(keys[0].clone(), Hold { until: at(32), is_early: true }, &refusal, at(2));
        assert!(!opened(at(1)) && opened(at(2)));
    }

    #[test]
    fn a_gate_of_a_calendar_that_was_ahead_is_believed_no_longer_than_its_rule_allows() {
        let (gates, keys, _) = month();
        // Somebody steps the calendar back by a day.
        let back = at(0) - Duration::from_hours(24);
        let until = gates.ask(&keys, &id(0), back).unwrap_err().until(&id(0));
        assert!(until < back + Duration::from_hours(1), "{until}");
        assert!(gates.ask(&keys, &id(0), at(0) + FORGOTTEN_AFTER * 2).is_ok());
        assert!(gates.go_through(&keys, &id(0), at(0)).unwrap().is_empty(), "nobody came for a fortnight: forgotten");
    }
}
