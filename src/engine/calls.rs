//! Calls that a list has just allowed: each waits for its turn, and the account's state heeds what came of it.

use super::{
    Engine,
    poll::{Polled, warn_of_bad_row},
    submit::{Called, Unsent},
};
use crate::{
    domain::{
        account::{AccountState, Outcome},
        errcode::{Class, Refusal},
        id::AccountId,
        plan::{Action, next_action},
        policy::Policy,
        request::Request,
        time::Time,
    },
    store::{Record, StoreError, accounts::AccountUpdate, gates::Gate},
    wechat::TokenError,
};

/// An account whose list allows calls.
#[derive(Debug)]
pub struct Pending {
    account: AccountId,
    /// How it stands.
    pub(super) state: AccountState,
    requests: Vec<Request>,
    /// What its last refused call was, until that is written.
    call_error: Option<String>,
    /// The code by which it is suspended, until that is written.
    refusal: Option<Refusal>,
    /// Gates that closed, until that is written.
    gates: Vec<Gate>,
}

impl Pending {
    pub(super) const fn new(account: AccountId, state: AccountState, requests: Vec<Request>) -> Self {
        Self { account, state, requests, call_error: None, refusal: None, gates: Vec::new() }
    }

    /// Whether one of its calls may be made at this moment.
    pub(super) fn is_ready(&self, policy: &Policy, now: Time) -> bool {
        self.ready(policy, now).is_some()
    }

    /// The first request whose call may be made: the account's calls are not held, and its look is not too old.
    fn ready(&self, policy: &Policy, now: Time) -> Option<usize> {
        if self.state.calls.held_until(now).is_some() || self.state.is_suspended() {
            return None;
        }
        let is_ready =
            |request: &Request| next_action(request, policy, now).is_some_and(|step| step.action == Action::Call);
        self.requests.iter().position(is_ready)
    }
}

impl Engine {
    /// Makes one of the calls; the turn for it is taken.
    ///
    /// # Errors
    /// [`StoreError`]: the intent could not be written, so nothing was called.
    pub async fn call_next(&self, mut pending: Box<Pending>) -> Result<Polled, StoreError> {
        if let Some(index) = pending.ready(self.policy(), self.clock().now()) {
            let request = &mut pending.requests[index];
            match self.submit(request).await {
                Ok((after, called)) => {
                    *request = after;
                    // Its look is spent, whatever held it back.
                    request.looked_at = None;
                    self.heed(&mut pending, called);
                }
                Err(error) if error.is_of_one_row() => {
                    warn_of_bad_row(request, &error);
                    request.looked_at = None;
                }
                Err(error) => return Err(error),
            }
        }
        if pending.is_ready(self.policy(), self.clock().now()) {
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
        tracing::warn!(account = %pending.account, refused, error = why, "engine.call.refused");
        if pending.state.is_suspended() {
            tracing::error!(account = %pending.account, error = why, "account suspended: a person must act");
            pending.refusal = refusal;
        }
        pending.call_error = Some(why);
    }

    /// No call of this account is left to be made: when it is due.
    pub(super) async fn settle_calls(&self, pending: Pending) -> Result<Polled, StoreError> {
        let now = self.clock().now();
        let Pending { account, state, requests, call_error, refusal, gates } = pending;
        let plan = self.plan(&state, &requests, now);
        let state = self.after(&state, Outcome::Moved { plan }, now);
        let state = match self.gates.closed_until(now) {
            Some(until) if state.due.is_some_and(|due| due < until) => {
                self.after(&state, Outcome::HeldBack(until), now)
            }
            Some(_) | None => state,
        };
        let error = refusal.as_ref().map(ToString::to_string);
        let update = AccountUpdate { error, refusal, call_error, ..AccountUpdate::of(&account, &state, now) };
        self.recorder.write(Record { account: Some(update), gates, ..Record::default() }).await?;
        Ok(Polled::done(state))
    }
}
