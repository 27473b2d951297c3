//! Responses that are doubtful as a whole: a 0 without a list, and a list that lost everything at once.

use super::{
    id::ProgramId,
    listing::Status,
    matching::Findings,
    observation::Observation,
    policy::Policy,
    request::{Kind, Request, Sighting, State},
    time::Time,
};

/// What stood alive in the account's list, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// Whether the listing still shows any of it.
    pub still_listed: bool,
    /// What it no longer shows, by program as far as that is known.
    pub vanished: Vec<Option<ProgramId>>,
}

/// Whether the times of now and before can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ages {
    /// They can.
    Known,
    /// The calendar was stepped just now.
    Doubtful,
}

/// How much of what stood in the list a listing lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Not all, or nothing that anybody waits for, or what we asked to remove.
    Partial,
    /// All at once. A token source that mixes accounts up, or a cache of `WeChat`'s, makes that too: it is not believed.
    Held {
        /// When the first such listing was read.
        since: Time,
    },
    /// All, for so long that it is believed: from here on what is absent is absent.
    Believed {
        /// When the first such listing was read.
        since: Time,
    },
}

/// Judges a listing as a whole. `emptied_at` is when the account's list was first seen to have lost everything, if the
/// last one had.
#[must_use]
pub fn loss(
    (findings, requests): (&Findings, &[Request]),
    before: &Before,
    emptied_at: Option<Time>,
    policy: &Policy,
    (ages, now): (Ages, Time),
) -> Loss {
    let seen = || requests.iter().zip(&findings.observations);
    let is_waited_for = seen().any(|(request, seen)| is_absent(seen) && needs_list(request));
    if !is_waited_for || !has_lost_everything(requests, findings, before, emptied_at) {
        return Loss::Partial;
    }
    // A time that lies ahead was noted before the clock was stepped back.
    let since = emptied_at.filter(|at| *at <= now).unwrap_or(now);
    if ages == Ages::Doubtful || now.since(since) < policy.appear_within {
        Loss::Held { since }
    } else {
        Loss::Believed { since }
    }
}

/// Whether something stood in the list, the listing shows nothing of it, and not all of that was asked for by us.
fn has_lost_everything(requests: &[Request], findings: &Findings, before: &Before, emptied_at: Option<Time>) -> bool {
    // What came since may be a stranger's: it does not vouch for a list that is in doubt.
    let is_older = |request: &Request| emptied_at.is_none_or(|at| request.since <= at);
    let standing = || {
        let seen = requests.iter().zip(&findings.observations);
        seen.filter(|(request, _)| stood_alive(request) && is_older(request))
    };
    if before.still_listed || standing().any(|(_, seen)| seen.status().is_some()) {
        return false;
    }
    let was_asked_for = |program: &ProgramId| {
        requests
            .iter()
            .zip(&findings.observations)
            .any(|(request, seen)| *seen == Observation::AbsentAsAsked && request.program == *program)
    };
    standing().any(|(_, seen)| matches!(seen, Observation::Absent | Observation::AbsentBesideOld))
        || before.vanished.iter().any(|program| !program.as_ref().is_some_and(was_asked_for))
}

/// Whether the listing before showed its item alive, or is not believed that it did not.
fn stood_alive(request: &Request) -> bool {
    let was_listed = request.memory.seen.is_some_and(|status| status != Status::Rejected);
    let is_gone = request.memory.doubt.is_some_and(|doubt| doubt.sighting == Sighting::Absent);
    needs_list(request) && was_listed && !is_gone
}

const fn is_absent(seen: &Observation) -> bool {
    match seen {
        Observation::Absent
        | Observation::AbsentAsAsked
        | Observation::AbsentBesideOld
        | Observation::AbsentWithAll => true,
        Observation::Listed(_)
        | Observation::Unidentified
        | Observation::Weak
        | Observation::Unreadable
        | Observation::CallStarted
        | Observation::CallAccepted
        | Observation::CallRefused(_)
        | Observation::CallLost
        | Observation::CallNotSent
        | Observation::HeldBack { .. }
        | Observation::QuotaReset { .. }
        | Observation::DeadlinePassed
        | Observation::CancelAsked
        | Observation::Restored { .. } => false,
    }
}

impl Findings {
    /// Takes back what the listing does not show: it lost everything at once.
    pub fn hold(&mut self) {
        for seen in self.observations.iter_mut().filter(|seen| is_absent(seen)) {
            *seen = Observation::AbsentWithAll;
        }
    }
}

/// Whether the next step of `request` depends on what the account's list shows. A link that was never called for does
/// not: `WeChat` itself answers 89010 or 89015 when it was begun before.
#[must_use]
pub const fn needs_list(request: &Request) -> bool {
    match (request.state, request.kind) {
        (State::Requested | State::Deferred(_), Kind::Link(_)) => request.attempt > 0,
        (State::Requested | State::Deferred(_), Kind::Unlink) => true,
        (
            State::Initiating(_)
            | State::Initiated
            | State::AwaitingAccountAdmin
            | State::AwaitingProgramAdmin
            | State::Linked,
            _,
        ) => true,
        (State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked, _) => false,
    }
}

/// Whether an answer 0 without a list tells all that these requests of one account need: the account never listed
/// anything, and each of them waits for its first call. Otherwise its list counts as unreadable.
#[must_use]
pub fn weak_is_enough(requests: &[Request], has_listed: bool) -> bool {
    !has_listed && !requests.iter().any(needs_list)
}
