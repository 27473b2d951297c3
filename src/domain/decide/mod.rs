//! What an observation means for a request: stay, doubt, advance, conflict. It must never look at a clock or do anything.
//!
//! Each state is one function, one row of the table; each names every observation, so that a new one cannot be
//! forgotten. `ARCHITECTURE.md` holds the whole table as it is computed from here.

mod answer;

pub use answer::after_the_month;
mod link;
mod restore;
mod unlink;

use super::{
    errcode::Class,
    listing::Status,
    observation::Observation,
    policy::Policy,
    request::{Baseline, Doubt, Kind, Outcome, Request, Sighting, State},
    time::Time,
};

/// What an observation means, before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing moves.
    Stay,
    /// Nothing moves before the next listing says the same.
    Doubt(Sighting),
    /// The request moves.
    Advance(State),
    /// The request moves, or stays where it is, and the world contradicts our record or was there first.
    Conflict(ConflictKind, State),
}

/// How the world contradicts our record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// 89010: an invitation was already out.
    InvitationAlreadyOut,
    /// 89035: the link was begun in the account's console.
    LinkingFromConsole,
    /// 89015: it was linked already.
    AlreadyLinked,
    /// 89018: an unlink was already out.
    UnlinkAlreadyOut,
    /// The list showed a pending link before our first call.
    Adopted,
    /// The list went back from the program's administrator to the account's.
    Backward,
    /// Linked by our record, gone from the list, and nobody asked us.
    Vanished,
}

impl ConflictKind {
    /// The word of `v_conflict.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvitationAlreadyOut => "invitation_already_out",
            Self::LinkingFromConsole => "linking_from_console",
            Self::AlreadyLinked => "already_linked",
            Self::UnlinkAlreadyOut => "unlink_already_out",
            Self::Adopted => "adopted",
            Self::Backward => "backward",
            Self::Vanished => "vanished",
        }
    }

    /// The status that the code itself claims.
    #[must_use]
    pub const fn claims(self) -> Option<Status> {
        match self {
            Self::LinkingFromConsole => Some(Status::AwaitingProgramAdmin),
            Self::AlreadyLinked => Some(Status::Linked),
            Self::InvitationAlreadyOut | Self::UnlinkAlreadyOut | Self::Adopted | Self::Backward | Self::Vanished => {
                None
            }
        }
    }
}

/// A decision, ready to be written: the request as it is from now on, and what is opened or closed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The request after it.
    pub next: Request,
    /// The conflict it opens.
    pub conflict: Option<ConflictKind>,
    /// How it resolves the request's open conflicts, when it does: the state that settled them.
    pub settles: Option<&'static str>,
}

impl Decision {
    /// Whether the request changed its state by word, which is a transition.
    #[must_use]
    pub fn moves(&self, from: &Request) -> bool {
        !self.next.state.is_same_word(from.state)
    }

    /// Whether anything must be written.
    #[must_use]
    pub fn changes(&self, from: &Request) -> bool {
        let stored = |request: &Request| Request { looked_at: None, ..request.clone() };
        self.conflict.is_some() || self.settles.is_some() || stored(&self.next) != stored(from)
    }
}

/// Decides. Total: every observation has an answer in every state.
#[must_use]
pub fn decide(request: &Request, seen: &Observation, policy: &Policy, now: Time) -> Decision {
    apply(request, seen, verdict(request, seen, policy, now), now)
}

/// What `seen` means for `request`, before it is applied.
#[must_use]
pub fn verdict(request: &Request, seen: &Observation, policy: &Policy, now: Time) -> Verdict {
    let case = Case { request, policy, now };
    if matches!(seen, Observation::DeadlinePassed) && !case.is_overdue() {
        return Verdict::Stay;
    }
    match (request.state, request.kind) {
        (State::Requested, Kind::Link(_)) => case.link_requested(seen),
        (State::Initiating(_), Kind::Link(_)) => case.link_initiating(seen),
        (State::Initiated, Kind::Link(_)) => case.link_initiated(seen),
        (State::AwaitingAccountAdmin, _) => case.awaiting_account_admin(seen),
        (State::AwaitingProgramAdmin, _) => case.awaiting_program_admin(seen),
        (State::Deferred(until), Kind::Link(_)) => case.link_deferred(until, seen),
        (State::Requested, Kind::Unlink) => case.unlink_requested(seen),
        (State::Initiating(_), Kind::Unlink) => case.unlink_initiating(seen),
        (State::Initiated, Kind::Unlink) => case.unlink_initiated(seen),
        (State::Deferred(until), Kind::Unlink) => case.unlink_deferred(until, seen),
        (State::Linked, _) => case.linked(seen),
        (State::Rejected | State::Failed(_) | State::Lapsed | State::Cancelled | State::Unlinked, _) => Verdict::Stay,
    }
}

/// A request before an observation, with everything a row of the table may ask.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    request: &'a Request,
    policy: &'a Policy,
    now: Time,
}

impl Case<'_> {
    /// Whether the invitation of the last call may still be on its way into the list.
    fn may_still_appear(self) -> bool {
        let asked = self.request.called_at.unwrap_or(self.request.since);
        self.now.since(asked) < self.policy.appear_within
    }

    /// Whether the policy's deadline has passed, whoever says so: a policy may change, and a clock may be stepped back.
    fn is_overdue(self) -> bool {
        self.policy.deadline.is_some_and(|after| self.now >= self.request.requested_at + after)
    }

    /// Whether another listing said the same. The same listing, told twice, confirms nothing; a listing that seems older
    /// is another one, read after the clock was stepped back.
    fn confirms(self, sighting: Sighting) -> bool {
        self.request.memory.doubt.is_some_and(|doubt| doubt.sighting == sighting && doubt.at != self.now)
    }

    /// Moves when two consecutive listings agree.
    fn once_confirmed(self, sighting: Sighting, verdict: Verdict) -> Verdict {
        if self.confirms(sighting) { verdict } else { Verdict::Doubt(sighting) }
    }

    /// The call left no trace: call again, as often as the policy allows, once its time to appear is over.
    fn untraced(self, sighting: Sighting) -> Verdict {
        if self.may_still_appear() {
            return Verdict::Doubt(sighting);
        }
        // Of a call that was perhaps never made nothing is left.
        let was_made = !matches!(self.request.state, State::Initiating(Outcome::Restored));
        let next = if self.request.attempt < self.policy.attempts || !was_made {
            State::Requested
        } else {
            State::Failed(super::request::Failure::Attempts)
        };
        self.once_confirmed(sighting, Verdict::Advance(next))
    }

    /// A rejection that was listed before the call and may simply not have been replaced yet.
    fn is_stale_rejection(self) -> bool {
        self.request.memory.baseline == Baseline::Rejected && self.may_still_appear()
    }
}

/// The request as it is after the verdict: the only place where its fields change.
fn apply(request: &Request, seen: &Observation, verdict: Verdict, now: Time) -> Decision {
    let (to, conflict) = match verdict {
        Verdict::Stay | Verdict::Doubt(_) => (request.state, None),
        Verdict::Advance(to) => (to, None),
        Verdict::Conflict(kind, to) => (to, Some(kind)),
    };
    let mut next = request.clone();
    let moved = !to.is_same_word(request.state);
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
    Decision { next, conflict, settles: settled.then_some(to.as_str()) }
}

fn remember(next: &mut Request, request: &Request, seen: &Observation, verdict: Verdict, now: Time) {
    let before_call = matches!(request.state, State::Requested | State::Deferred(_));
    let moved = !next.state.is_same_word(request.state);
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
        // One of the unnamed items may be an old rejection of this program, which is named only later.
        Observation::Unidentified if before_call && request.attempt == 0 => {
            next.memory.baseline = Baseline::Rejected;
        }
        Observation::CallStarted if before_call => next.memory.seen = None,
        Observation::Restored { baseline, .. } if before_call && moved => {
            next.memory.seen = None;
            if *baseline == Baseline::Rejected {
                next.memory.baseline = Baseline::Rejected;
            }
        }
        Observation::Absent
        | Observation::AbsentAsAsked
        | Observation::CallStarted
        | Observation::Unidentified
        | Observation::Unreadable
        | Observation::CallAccepted
        | Observation::CallRefused(_)
        | Observation::CallLost
        | Observation::CallNotSent
        | Observation::HeldBack { .. }
        | Observation::QuotaReset
        | Observation::DeadlinePassed
        | Observation::CancelAsked
        | Observation::Restored { .. } => {}
    }
    // Two listings that agree are no two in a row when nobody knows what was listed between them.
    let is_restored = matches!(seen, Observation::Restored { .. });
    next.memory.doubt = match verdict {
        Verdict::Doubt(sighting) => {
            let earlier = request.memory.doubt.filter(|doubt| doubt.sighting == sighting);
            Some(earlier.unwrap_or(Doubt { sighting, at: now }))
        }
        // Only a readable listing can take a doubt away.
        Verdict::Stay => request.memory.doubt.filter(|_| !is_readable(seen) && !is_restored),
        // The answer of a call does not change what was listed since it was made.
        Verdict::Advance(_) | Verdict::Conflict(..) if is_taken_by_answer(seen, next.state) => request.memory.doubt,
        Verdict::Advance(_) | Verdict::Conflict(..) => None,
    };
}

/// Whether an answer moved it there, and what was called for may be on its way.
const fn is_taken_by_answer(seen: &Observation, to: State) -> bool {
    matches!(seen, Observation::CallAccepted | Observation::CallRefused(_) | Observation::CallLost)
        && matches!(to, State::Initiating(_) | State::Initiated | State::AwaitingProgramAdmin)
}

const fn is_readable(seen: &Observation) -> bool {
    matches!(
        seen,
        Observation::Listed(_) | Observation::Absent | Observation::AbsentAsAsked | Observation::Unidentified
    )
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
        (Observation::Absent | Observation::AbsentAsAsked, Kind::Link(_)) => true,
        (Observation::Listed(Status::Rejected), Kind::Link(_)) => true,
        (Observation::Listed(Status::Rejected) | Observation::Absent | Observation::AbsentAsAsked, Kind::Unlink) => {
            false
        }
        (Observation::Listed(Status::Other(_)), Kind::Link(_)) => false,
        (Observation::Listed(_), _) => true,
        // A first call is safe even so: WeChat answers 89010 or 89015 when the item is ours. After a lost answer it
        // may be the very invitation we look for.
        (Observation::Unidentified, _) => request.attempt == 0,
        (
            Observation::Unreadable
            | Observation::CallStarted
            | Observation::CallAccepted
            | Observation::CallRefused(_)
            | Observation::CallLost
            | Observation::CallNotSent
            | Observation::HeldBack { .. }
            | Observation::QuotaReset
            | Observation::DeadlinePassed
            | Observation::CancelAsked
            | Observation::Restored { .. },
            _,
        ) => false,
    }
}
