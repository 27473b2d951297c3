//! Calls that a list has just allowed: each waits for its turn, and the account's state heeds what came of it.

use super::{
    Engine,
    poll::{Polled, warn_of_bad_row},
    submit::{Came, Submitted},
};
use crate::{
    domain::{
        account::{AccountState, Outcome},
        errcode::Refusal,
        id::AccountId,
        plan::{Action, next_action},
        policy::Policy,
        request::Request,
        time::Time,
    },
    store::{Record, StoreError, accounts::AccountUpdate},
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
}

impl Pending {
    pub(super) const fn new(account: AccountId, state: AccountState, requests: Vec<Request>) -> Self {
        Self { account, state, requests, call_error: None, refusal: None }
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
                Ok(Submitted { request: after, came }) => {
                    *request = after;
                    // Its look is spent, whatever held it back.
                    request.looked_at = None;
                    self.heed(&mut pending, came);
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
    fn heed(&self, pending: &mut Pending, came: Came) {
        let now = self.clock().now();
        let outcome = match &came {
            Came::NotCalled => return,
            Came::Accepted => Outcome::CallAccepted,
            Came::Lost => Outcome::CallLost,
            Came::NotSent(_) => Outcome::CallNotSent,
            Came::Refused(refusal) => Outcome::CallRefused(refusal.class()),
        };
        let before = pending.state.calls;
        pending.state = self.after(&pending.state, outcome, now);
        if pending.state.calls.refused > before.refused {
            let (why, refusal) = match came {
                Came::Refused(refusal) => (refusal.to_string(), Some(refusal)),
                Came::NotSent(why) => (why, None),
                Came::NotCalled | Came::Accepted | Came::Lost => return,
            };
            tracing::warn!(account = %pending.account, refused = pending.state.calls.refused, error = why, "engine.call.refused");
            if pending.state.is_suspended() {
                tracing::error!(account = %pending.account, error = why, "account suspended: a person must act");
                pending.refusal = refusal;
            }
            pending.call_error = Some(why);
        }
    }

    /// No call of this account is left to be made: when it is due.
    pub(super) async fn settle_calls(&self, pending: Pending) -> Result<Polled, StoreError> {
        let now = self.clock().now();
        let Pending { account, state, requests, call_error, refusal } = pending;
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
        self.recorder.write(Record { account: Some(update), ..Record::default() }).await?;
        Ok(Polled::done(state))
    }
}
