//! What a used-up quota means for the calls behind it: whom it holds back and for how long, and what a probing call
//! opens or closes.

use super::{
    Engine,
    gates::{Wait, api_key, closed_by, key_of, months_of, until},
    poll::LISTING_API,
    submit::Called,
};
use crate::{
    domain::{
        errcode::{Class, Refusal},
        gate::GateKind,
        id::AccountId,
        observation::{Observation, ResetBy},
        quota::{self, Period},
        request::Request,
        time::Time,
    },
    store::{
        Record, StoreError,
        write::gates::{Gate, Opening},
    },
};

impl Engine {
    /// Takes up the gates as they are written down, at the start.
    pub(super) async fn load_gates(&self) -> Result<(), StoreError> {
        let (gates, now) = (self.store().gates().await?, self.clock().now());
        for gate in gates.iter().filter(|gate| gate.kind != GateKind::Ip) {
            let (said, believed) = (Time::from_ms(gate.until), until(gate, now));
            if believed < said {
                let Gate { kind, subject, .. } = gate;
                tracing::warn!(%kind, subject, %said, %believed, "a gate was closed while the clock was ahead");
            }
        }
        self.gates.load(gates);
        Ok(())
    }

    /// Forgets gates that somebody outside has opened. While nobody has, it is one look at an empty table.
    ///
    /// # Errors
    /// [`StoreError`]: it is done again.
    pub(super) async fn reload_gates(&self) -> Result<(), StoreError> {
        let openings = self.store().gate_openings().await?;
        let Some(last) = openings.last() else { return Ok(()) };
        for Opening { kind, subject, .. } in &openings {
            tracing::warn!(%kind, subject, "an operator opened a gate: calls resume");
        }
        self.gates.heed(&openings);
        self.store().heed_openings(last.seq).await
    }

    /// For how long the gate of a month holds the request's call back, if one does.
    pub(super) async fn held(&self, request: &Request) -> Result<Option<Wait>, StoreError> {
        let keys = months_of(request);
        if self.gates.ask(&keys, &request.id, self.clock().now()).is_ok() {
            return Ok(None);
        }
        // What was opened from outside a moment ago is not forgotten yet, and to wait for it in vain may cost a month.
        self.gates.heed(&self.store().gate_openings().await?);
        Ok(self.gates.ask(&keys, &request.id, self.clock().now()).err())
    }

    /// The gates that a call of the request, made now, asks for all that wait for them; how long they hold it back, if they do.
    pub(super) async fn go_through(&self, request: &Request) -> Result<Result<Vec<Gate>, Wait>, StoreError> {
        let keys = months_of(request);
        if let Ok(asking) = self.gates.go_through(&keys, &request.id, self.clock().now()) {
            return Ok(Ok(asking));
        }
        self.gates.heed(&self.store().gate_openings().await?);
        Ok(self.gates.go_through(&keys, &request.id, self.clock().now()))
    }

    /// The request as it is when a month's gate holds it back.
    pub(super) async fn hold_back(&self, request: &Request, wait: Wait) -> Result<Request, StoreError> {
        self.recorder.observe(request, &held_back(request, wait), Record::default()).await
    }

    /// What it means for a deferred request that its time has come: it goes on, or a gate holds it back longer.
    pub(super) async fn time_has_come(&self, request: &Request) -> Result<Observation, StoreError> {
        Ok(match self.held(request).await? {
            Some(wait) => held_back(request, wait),
            None => Observation::QuotaReset { by: ResetBy::Calendar },
        })
    }

    /// What a call came to means for the gates that it asked for all, and which one its refusal closes.
    pub(super) fn heed_call(&self, request: &Request, asking: &[Gate], called: &Called) -> Record {
        let now = self.clock().now();
        match called {
            Called::Accepted => Record { opened_gates: self.gates.open(asking), ..Record::default() },
            Called::Refused(refusal) => {
                Record { gates: self.heed_refusal(request, asking, refusal, now), ..Record::default() }
            }
            Called::NotSent(_) => Record { gates: self.gates.give_back(asking, now), ..Record::default() },
            Called::Lost => {
                self.gates.end_turn(asking);
                Record::default()
            }
        }
    }

    fn heed_refusal(&self, request: &Request, asking: &[Gate], refusal: &Refusal, now: Time) -> Vec<Gate> {
        let closing = closed_by(refusal, request);
        let is_other = |gate: &&Gate| closing.as_ref().is_none_or(|(key, _)| *key != key_of(gate));
        let others: Vec<Gate> = asking.iter().filter(is_other).cloned().collect();
        let mut gates = Vec::new();
        if says_nothing_of_others(refusal.class()) {
            gates = self.gates.give_back(&others, now);
        } else {
            self.gates.end_turn(&others);
        }
        gates.extend(closing.map(|(key, period)| {
            self.gates.close(key, period.refused(now, self.policy().rollover_grace), refusal, now)
        }));
        gates
    }

    /// `WeChat` gives an account no more lists today, or not yet. Answers the gate to write and when to ask again.
    pub(super) fn close_lists(&self, account: &AccountId, refusal: &Refusal, now: Time) -> (Gate, Time) {
        let hold = Period::Day.refused(now, self.policy().rollover_grace);
        let gate = self.gates.close(api_key(account, LISTING_API), hold, refusal, now);
        let due = self.day_goes_on(Some(&gate), now);
        (gate, due)
    }

    /// When an account is due whose lists of this day are used up, by `WeChat`'s word or our own budget.
    pub(super) fn day_goes_on(&self, gate: Option<&Gate>, now: Time) -> Time {
        match gate.filter(|gate| gate.early) {
            Some(gate) => self.jittered(now, Time::from_ms(gate.until)),
            None => Period::Day.begins_again(now, self.policy().rollover_grace) + self.spread(quota::SPREAD),
        }
    }
}

fn held_back(request: &Request, wait: Wait) -> Observation {
    Observation::HeldBack { until: wait.until(&request.id), refusal: wait.refusal }
}

/// Whether a refusal is about something that comes before the quota, so that somebody else may ask for it at once.
const fn says_nothing_of_others(class: Class) -> bool {
    match class {
        Class::TokenBad
        | Class::AuthorizationGone
        | Class::PermissionMissing
        | Class::AccountRestricted
        | Class::IpNotAllowed
        | Class::DailyQuota
        | Class::TooFast
        | Class::ProgramMonth
        | Class::AccountMonth => true,
        // It may have been taken, or would be refused to the next one as well.
        Class::Done
        | Class::InvitationOut
        | Class::ConsoleLink
        | Class::AlreadyLinked
        | Class::UnlinkOut
        | Class::Final
        | Class::Busy
        | Class::OurBug
        | Class::Unknown => false,
    }
}
