//! What to do next for a request, and when; and the same for an account with many.

use std::time::Duration;

use super::{
    listing::Status,
    pace::Pace,
    policy::Policy,
    request::{Kind, Request, State},
    time::Time,
};

/// How long the list that was read before a call may be old.
const LOOK_IS_FRESH: Duration = Duration::from_mins(1);

/// The next step of an open request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// When.
    pub due: Time,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read the account's list.
    Look,
    /// Make the call: the list was just read.
    Call,
    /// Take up what a monthly quota held back.
    Resume,
    /// End it: the policy's deadline.
    Expire,
}

/// What comes next for `request`. Every open request has a step; of the finished ones only a link that the list has
/// not confirmed.
#[must_use]
pub fn next_action(request: &Request, policy: &Policy, now: Time) -> Option<Step> {
    let age = if request.memory.doubt.is_some() { Duration::ZERO } else { now.since(request.since) };
    let look = Step { action: Action::Look, due: now + policy.steps.every(age) };
    let step = match request.state {
        State::Requested if request.looked_at.is_some_and(|at| at <= now && now.since(at) < LOOK_IS_FRESH) => {
            Step { action: Action::Call, due: now }
        }
        State::Requested
        | State::Initiating(_)
        | State::Initiated
        | State::AwaitingAccountAdmin
        | State::AwaitingProgramAdmin => look,
        State::Deferred(until) if request.memory.doubt.is_some() && look.due < until => look,
        State::Deferred(until) => Step { action: Action::Resume, due: until.max(now) },
        State::Linked if !shows(request, Status::Linked) => return Some(look),
        State::Linked | State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked => {
            return None;
        }
    };
    let deadline =
        policy.deadline.map(|after| Step { action: Action::Expire, due: (request.requested_at + after).max(now) });
    Some(deadline.filter(|deadline| deadline.due <= step.due).unwrap_or(step))
}

/// Whether a listing since the last call has shown this status and nothing puts it in doubt. What was listed before the
/// call does not count: the listing that must be read may equal that one.
fn shows(request: &Request, status: Status) -> bool {
    request.memory.seen == Some(status) && request.memory.doubt.is_none()
}

/// From when on a listing must be read for `request` although it equals the last one, if ever.
#[must_use]
pub fn reread_at(request: &Request, policy: &Policy, now: Time) -> Option<Time> {
    let deadline = policy.deadline.map(|after| request.requested_at + after);
    match (request.state, request.kind) {
        (State::AwaitingAccountAdmin, _) if shows(request, Status::AwaitingAccountAdmin) => deadline,
        (State::AwaitingProgramAdmin, _) if shows(request, Status::AwaitingProgramAdmin) => deadline,
        (State::Initiated, Kind::Unlink) if shows(request, Status::Linked) => deadline,
        // An unlink may reach its goal while it waits, and needs two listings for it.
        (State::Deferred(until), Kind::Link(_)) => Some(deadline.map_or(until, |deadline| deadline.min(until))),
        (State::Linked, _) if shows(request, Status::Linked) => None,
        (
            State::Requested
            | State::Initiating(_)
            | State::Initiated
            | State::AwaitingAccountAdmin
            | State::AwaitingProgramAdmin
            | State::Deferred(_)
            | State::Linked,
            _,
        ) => Some(now),
        (State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked, _) => None,
    }
}

/// What an account's requests need of it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountPlan {
    /// When something is next due; `None` when nothing is open.
    pub due: Option<Time>,
    /// Since when the youngest state that waits for the list stands; `None` when nothing waits for the list.
    pub pace_from: Option<Time>,
    /// From when on an unchanged listing must be read all the same.
    pub reread_at: Option<Time>,
}

/// One plan from all requests of one account. Before `calls_from` none of its calls is made: a request that waits for
/// nothing else waits for that.
#[must_use]
pub fn plan_account<'a>(
    requests: impl IntoIterator<Item = &'a Request>,
    pace: Pace<'_>,
    calls_from: Option<Time>,
    now: Time,
) -> AccountPlan {
    let mut plan = AccountPlan::default();
    for request in requests {
        let Some(step) = next_action(request, pace.policy, now) else { continue };
        let held = calls_from.filter(|from| *from > now && matches!(request.state, State::Requested));
        let due = match step.action {
            Action::Look => now + pace.stretched(now.until(step.due)),
            Action::Call | Action::Resume | Action::Expire => step.due,
        };
        if let Some(from) = held.filter(|_| step.action != Action::Expire) {
            plan.due = earlier(plan.due, Some(from));
            plan.reread_at = earlier(plan.reread_at, Some(from));
            continue;
        }
        plan.due = earlier(plan.due, Some(due));
        plan.reread_at = earlier(plan.reread_at, reread_at(request, pace.policy, now));
        if !matches!(request.state, State::Deferred(_)) {
            plan.pace_from = plan.pace_from.max(Some(request.since));
        }
    }
    plan
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
