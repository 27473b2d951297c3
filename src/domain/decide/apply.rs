//! Applies a verdict to a request: its counters, what it keeps and remembers.

use super::{Decision, Verdict};
use crate::domain::{
    listing::Status,
    observation::Observation,
    request::{Baseline, Kind, Outcome, PendingConfirmation, Request, State},
    time::Time,
};

/// The request as it is after the verdict: the only place where its fields change.
pub(super) fn apply(request: &Request, seen: &Observation, verdict: Verdict, now: Time) -> Decision {
    let (to, conflict) = match verdict {
        Verdict::Stay | Verdict::PendingConfirmation(_) => (request.state, None),
        Verdict::Advance(to) => (to, None),
        Verdict::Conflict(kind, to) => (to, Some(kind)),
    };
    let mut next = request.clone();
    let moved = to.kind() != request.state.kind();
    next.state = to;
    if moved {
        next.since = now;
    }
    remember(&mut next, request, seen, verdict, now);
    count(&mut next, request, seen, now);
    keep_refusal(&mut next, request, seen, moved);
    next.looked_at = ready_to_call(request, &next, seen).then_some(now);
    let confirmed = next.memory.seen == Some(Status::Linked) && request.memory.seen != Some(Status::Linked);
    let settled = match to {
        State::Linked => confirmed,
        State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked => moved,
        State::Requested
        | State::Initiating(_)
        | State::Initiated
        | State::AwaitingAccountAdmin
        | State::AwaitingProgramAdmin
        | State::Deferred(_) => false,
    };
    Decision { next, conflict, settles: settled.then_some(to.kind()) }
}

fn remember(next: &mut Request, request: &Request, seen: &Observation, verdict: Verdict, now: Time) {
    // What this listing shows is what stands there before the next call, also when it is what allows that call.
    let is_before_call = |state| matches!(state, State::Requested | State::Deferred(_));
    let before_call = is_before_call(request.state) || is_before_call(next.state);
    let moved = next.state.kind() != request.state.kind();
    match seen {
        Observation::Listed(status) => {
            next.memory.seen = Some(*status);
            next.memory.baseline = match (status, before_call) {
                (Status::Rejected, true) => Baseline::Rejected,
                (Status::Rejected, false) => request.memory.baseline,
                (
                    Status::Linked | Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Other(_),
                    _,
                ) => Baseline::Clear,
            };
        }
        Observation::Absent | Observation::AbsentAsAsked if before_call => next.memory.baseline = Baseline::Clear,
        // One of the unnamed items may be an old rejection of this program, which is named only later; so may one that
        // this listing does not show.
        Observation::Unidentified | Observation::AbsentWithAll | Observation::Weak
            if before_call && request.attempt == 0 =>
        {
            next.memory.baseline = Baseline::Rejected;
        }
        Observation::AbsentBesideOld if before_call => next.memory.baseline = Baseline::Rejected,
        Observation::CallStarted if before_call => next.memory.seen = None,
        Observation::Restored { baseline, .. } if before_call && moved => {
            next.memory.seen = None;
            if *baseline == Baseline::Rejected {
                next.memory.baseline = Baseline::Rejected;
            }
        }
        Observation::Absent
        | Observation::AbsentAsAsked
        | Observation::AbsentBesideOld
        | Observation::AbsentWithAll
        | Observation::CallStarted
        | Observation::Unidentified
        | Observation::Weak
        | Observation::Unreadable
        | Observation::CallAccepted
        | Observation::CallRefused(_)
        | Observation::CallLost
        | Observation::CallNotSent
        | Observation::HeldBack { .. }
        | Observation::QuotaReset { .. }
        | Observation::DeadlinePassed
        | Observation::CancelAsked
        | Observation::Restored { .. } => {}
    }
    // Two listings that agree are no two in a row when nobody knows what was listed between them.
    let is_restored = matches!(seen, Observation::Restored { .. });
    next.memory.doubt = match verdict {
        Verdict::PendingConfirmation(sighting) => {
            let earlier = request.memory.doubt.filter(|doubt| doubt.sighting == sighting);
            Some(earlier.unwrap_or(PendingConfirmation { sighting, at: now }))
        }
        // Only a readable listing can take a doubt away.
        Verdict::Stay => request.memory.doubt.filter(|_| !is_readable(seen) && !is_restored),
        // The answer of a call does not change what was listed since it was made.
        Verdict::Advance(_) | Verdict::Conflict(..) if is_taken_by_answer(seen, next.state) => request.memory.doubt,
        // To be held back longer tells nothing of the list either.
        Verdict::Advance(_) | Verdict::Conflict(..) if !moved && matches!(seen, Observation::HeldBack { .. }) => {
            request.memory.doubt
        }
        Verdict::Advance(_) | Verdict::Conflict(..) => None,
    };
}

/// Whether an answer moved it there, and what was called for may be on its way.
const fn is_taken_by_answer(seen: &Observation, to: State) -> bool {
    matches!(seen, Observation::CallAccepted | Observation::CallRefused(_) | Observation::CallLost)
        && matches!(to, State::Initiating(_) | State::Initiated | State::AwaitingProgramAdmin)
}

const fn is_readable(seen: &Observation) -> bool {
    match seen {
        Observation::Listed(_)
        | Observation::Absent
        | Observation::AbsentAsAsked
        | Observation::AbsentBesideOld
        | Observation::AbsentWithAll
        | Observation::Unidentified => true,
        Observation::Weak
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

/// Attempts are counted when the call begins, and given back when it surely had no effect.
fn count(next: &mut Request, request: &Request, seen: &Observation, now: Time) {
    let waited = matches!(request.state, State::Requested | State::Deferred(_));
    let is_restored = matches!(seen, Observation::Restored { .. });
    let is_out = matches!(next.state, State::Initiating(_)) || (is_restored && matches!(next.state, State::Initiated));
    // Whatever the copy lacks happened before this moment: the time to appear begins now.
    if is_out && (waited || (is_restored && matches!(request.state, State::Initiating(_)))) {
        next.called_at = Some(now);
    }
    if is_out && waited {
        next.attempt = request.attempt.saturating_add(1);
    }
    let was_perhaps_made = matches!(request.state, State::Initiating(Outcome::Restored));
    let without_effect = matches!(request.state, State::Initiating(_))
        && matches!(next.state, State::Requested | State::Deferred(_))
        && (was_perhaps_made || matches!(seen, Observation::CallNotSent | Observation::CallRefused(_)));
    if without_effect {
        next.attempt = request.attempt.saturating_sub(1);
    }
}

/// The last "no" is kept for as long as it explains where the request stands.
fn keep_refusal(next: &mut Request, request: &Request, seen: &Observation, moved: bool) {
    let answered = matches!(request.state, State::Requested | State::Initiating(_) | State::Deferred(_));
    let explains = moved || !matches!(seen, Observation::HeldBack { .. });
    if let Some(refusal) = seen.refusal() {
        if answered && explains {
            next.refusal = Some(refusal.clone());
        }
        return;
    }
    let overtaken = match next.state {
        State::Initiated => matches!(seen, Observation::CallAccepted),
        State::AwaitingAccountAdmin
        | State::AwaitingProgramAdmin
        | State::Linked
        | State::Rejected
        | State::Lapsed
        | State::Unlinked => moved,
        State::Requested | State::Initiating(_) | State::Deferred(_) | State::Failed(_) | State::Cancelled => false,
    };
    if overtaken {
        next.refusal = None;
    }
}

/// Whether this listing is the look that must precede a call.
fn ready_to_call(request: &Request, next: &Request, seen: &Observation) -> bool {
    if !matches!(next.state, State::Requested) {
        return false;
    }
    match (seen, next.kind) {
        (Observation::Absent | Observation::AbsentAsAsked | Observation::AbsentBesideOld, Kind::Link(_)) => true,
        (Observation::Listed(Status::Rejected), Kind::Link(_)) => true,
        (Observation::Listed(Status::Rejected), Kind::Unlink) => false,
        (
            Observation::Absent
            | Observation::AbsentAsAsked
            | Observation::AbsentBesideOld
            | Observation::AbsentWithAll
            | Observation::Weak,
            Kind::Unlink,
        ) => false,
        (Observation::Listed(Status::Other(_)), Kind::Link(_)) => false,
        (Observation::Listed(_), _) => true,
        // A first call is safe even so: WeChat answers 89010 or 89015 when the item is ours. After a lost answer it
        // may be the very invitation we look for.
        (Observation::Unidentified, _) => request.attempt == 0,
        (Observation::AbsentWithAll | Observation::Weak, Kind::Link(_)) => request.attempt == 0,
        (
            Observation::Unreadable
            | Observation::CallStarted
            | Observation::CallAccepted
            | Observation::CallRefused(_)
            | Observation::CallLost
            | Observation::CallNotSent
            | Observation::HeldBack { .. }
            | Observation::QuotaReset { .. }
            | Observation::DeadlinePassed
            | Observation::CancelAsked
            | Observation::Restored { .. },
            _,
        ) => false,
    }
}
