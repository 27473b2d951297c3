//! What goes into a poll and what comes out of it.

use crate::{
    domain::{
        account::AccountState,
        errcode::Refusal,
        id::AccountId,
        plan::{Action, next_action},
        policy::Policy,
        request::Request,
        time::Time,
    },
    store::write::gates::Gate,
};

/// What a look at an account, or a call for it, leaves behind.
#[derive(Debug)]
pub enum Polled {
    /// It is over.
    Done {
        /// How the account stands now.
        state: AccountState,
        /// When it is due.
        due: Due,
    },
    /// Its list allows calls, which wait for their turns.
    Calls(Box<Pending>),
}

/// When an account is due after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As it was reserved: nothing changed.
    AsReserved,
    /// At this time.
    At(Time),
    /// Never: nothing is open.
    Never,
}

impl Polled {
    /// It is over, and due when its state says so.
    pub(super) fn done(state: AccountState) -> Self {
        let due = state.due.map_or(Due::Never, Due::At);
        Self::Done { state, due }
    }
}

/// An account that is being looked at.
#[derive(Debug)]
pub(super) struct PollContext<'a> {
    pub(super) account: &'a AccountId,
    /// How it stood before.
    pub(super) state: AccountState,
    /// When the look was made; once there is an answer, when that came.
    pub(super) now: Time,
}

/// An account whose list allows calls.
#[derive(Debug)]
pub struct Pending {
    pub(super) account: AccountId,
    /// How it stands.
    pub(super) state: AccountState,
    pub(super) requests: Vec<Request>,
    /// What its last refused call was, until that is written.
    pub(super) call_error: Option<String>,
    /// The code by which it is suspended, until that is written.
    pub(super) refusal: Option<Refusal>,
    /// Gates that closed, until that is written.
    pub(super) gates: Vec<Gate>,
}

impl Pending {
    pub(super) const fn new(account: AccountId, state: AccountState, requests: Vec<Request>) -> Self {
        Self { account, state, requests, call_error: None, refusal: None, gates: Vec::new() }
    }

    /// A request as its call has left it. The look that allowed the call is spent, whatever held it back.
    pub(super) fn put(&mut self, index: usize, after: Request) {
        self.requests[index] = Request { looked_at: None, ..after };
    }

    /// Whether one of its calls may be made at this moment.
    pub(super) fn is_ready(&self, policy: &Policy, now: Time) -> bool {
        self.ready(policy, now).is_some()
    }

    /// The first request whose call may be made: the account's calls are not held, and its look is not too old.
    pub(super) fn ready(&self, policy: &Policy, now: Time) -> Option<usize> {
        if self.state.calls.held_until(now).is_some() || self.state.is_suspended() {
            return None;
        }
        let is_ready =
            |request: &Request| next_action(request, policy, now).is_some_and(|step| step.action == Action::Call);
        self.requests.iter().position(is_ready)
    }
}
