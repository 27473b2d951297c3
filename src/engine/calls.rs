//! Calls that a list has just allowed: each waits for a rate permit, and its result goes into the account's state.

use super::{
    Engine,
    bad_row::warn_of_bad_row,
    polled::{Pending, Polled},
    submit::{Called, Intended, Unsent},
};
use crate::{
    domain::{
        account::{AccountState, Outcome},
        errcode::Class,
        tenure::lease::Lease,
    },
    store::{Record, StoreError, account_row::AccountUpdate},
    wechat::TokenError,
};

impl Engine {
    /// Makes one of the calls; the turn for it is taken.
    ///
    /// # Errors
    /// [`StoreError`]: the intent could not be written, so nothing was called.
    pub async fn call_next(&self, mut pending: Box<Pending>) -> Result<Polled, StoreError> {
        if let Some(index) = pending.ready(&self.policy(), self.clock().now()) {
            match self.intend(&pending.requests[index]).await {
                Ok(Ok(intended)) => return self.make_call(pending, index, intended).await,
                Ok(Err((after, why))) => {
                    pending.put(index, after);
                    self.heed(&mut pending, Called::NotSent(why));
                }
                Err(error) if error.is_of_one_row() => {
                    warn_of_bad_row(&pending.requests[index].id, &error);
                    pending.requests[index].looked_at = None;
                }
                Err(error) => return Err(error),
            }
        }
        self.go_on(pending).await
    }

    /// Makes the call whose intent is on disk, and writes its answer; with it, when it was the account's last, what all of
    /// that makes of the account.
    async fn make_call(
        &self,
        mut pending: Box<Pending>,
        index: usize,
        intended: Intended,
    ) -> Result<Polled, StoreError> {
        let lease = Lease::of_row(pending.state.row);
        let (seen, called, mut more) = self.call(&intended, lease).await;
        let expected = self.recorder.expected(&intended.request, &seen);
        pending.put(index, expected.clone());
        self.heed(&mut pending, called);
        let is_last = !pending.is_ready(&self.policy(), self.clock().now());
        let settled = is_last.then(|| {
            let (state, record) = self.settled(&pending);
            more.account = record.account;
            more.gates.extend(record.gates);
            state
        });
        let answered = self.recorder.observe_until_written(&intended.request, &seen, more).await;
        let is_as_expected = (answered.state, answered.version) == (expected.state, expected.version);
        if let Some(state) = settled.filter(|_| is_as_expected) {
            return Ok(Polled::done(state));
        }
        pending.put(index, answered);
        self.go_on(pending).await
    }

    async fn go_on(&self, pending: Box<Pending>) -> Result<Polled, StoreError> {
        if pending.is_ready(&self.policy(), self.clock().now()) {
            return Ok(Polled::Calls(pending));
        }
        self.settle_calls(*pending).await
    }

    /// What a call came to, for the account.
    fn heed(&self, pending: &mut Pending, called: Called) {
        let now = self.clock().now();
        let (outcome, why, refusal) = match called {
            Called::Accepted => (Outcome::CallAccepted, None, None),
            Called::Lost => (Outcome::CallLost, None, None),
            Called::Refused(refusal) => {
                (Outcome::CallRefused(refusal.class()), Some(refusal.to_string()), Some(refusal))
            }
            Called::NotSent(Unsent::NoToken(TokenError::Refused(refusal))) => {
                if refusal.class() == Class::IpNotAllowed {
                    pending.gates.push(self.close_address(&refusal, now));
                }
                (Outcome::CallRefused(refusal.class()), Some(refusal.to_string()), Some(refusal))
            }
            Called::NotSent(Unsent::NoToken(error)) => (Outcome::CallNotSent, Some(error.to_string()), None),
            Called::NotSent(Unsent::Unreachable) => {
                (Outcome::CallNotSent, Some("WeChat could not be reached".to_owned()), None)
            }
            Called::NotSent(Unsent::HeldBack | Unsent::NotWanted | Unsent::NotAllowed) => return,
        };
        let before = pending.state.calls.refused;
        pending.state = self.after(&pending.state, outcome, now);
        let refused = pending.state.calls.refused;
        let Some(why) = why.filter(|_| refused > before) else { return };
        tracing::warn!(
            event = "engine.call.refused",
            account = %pending.account,
            refused,
            error = why,
            "call refused"
        );
        if pending.state.is_suspended() {
            tracing::error!(account = %pending.account, error = why, "account suspended: action needed");
            pending.refusal = refusal;
        }
        pending.call_error = Some(why);
    }

    /// No call of this account is left to be made: when it is due.
    pub(super) async fn settle_calls(&self, pending: Pending) -> Result<Polled, StoreError> {
        let (state, record) = self.settled(&pending);
        self.recorder.write(record).await?;
        Ok(Polled::done(state))
    }

    /// How the account stands once no call of it is left to be made, and what is to be written of that.
    fn settled(&self, pending: &Pending) -> (AccountState, Record) {
        let now = self.clock().now();
        let Pending { account, state, requests, call_error, refusal, gates } = pending;
        let plan = self.plan(state, requests, now);
        let state = self.after(state, Outcome::Moved { plan }, now);
        let state = match self.gates.closed_until(now) {
            Some(until) if state.due.is_some_and(|due| due < until) => {
                self.after(&state, Outcome::HeldBack(until), now)
            }
            Some(_) | None => state,
        };
        let (error, refusal) = (refusal.as_ref().map(ToString::to_string), refusal.clone());
        let update =
            AccountUpdate { error, refusal, call_error: call_error.clone(), ..AccountUpdate::of(account, &state, now) };
        let record = Record { account: Some(update), gates: gates.clone(), ..Record::default() };
        (state, record)
    }
}
