//! What an observation means for a request: stay, doubt, advance, conflict. Pure: no clock, no effects.
//!
//! Each state is one function, one row of the table; each names every observation, so that a new one cannot be
//! forgotten. `ARCHITECTURE.md` has the whole table, generated from here.

mod ages;
mod answer;
mod apply;
mod deadline;
mod link;
mod restore;
mod unlink;

pub use ages::regardless_of_age;
pub use deadline::deadline_may_end;

use super::{
    errcode::Class,
    listing::Status,
    observation::{Observation, ResetBy},
    policy::Policy,
    request::{Baseline, Kind, Outcome, Request, Sighting, State, StateKind},
    time::Time,
};

/// What an observation means, before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing moves.
    Stay,
    /// Nothing moves before the next listing says the same.
    PendingConfirmation(Sighting),
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
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InvitationAlreadyOut,
        Self::LinkingFromConsole,
        Self::AlreadyLinked,
        Self::UnlinkAlreadyOut,
        Self::Adopted,
        Self::Backward,
        Self::Vanished,
    ];

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

    /// The conflict with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
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
    pub settles: Option<StateKind>,
}

impl Decision {
    /// Whether the request changed its state by word, which is a transition.
    #[must_use]
    pub fn moves(&self, from: &Request) -> bool {
        self.next.state.kind() != from.state.kind()
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
    apply::apply(request, seen, verdict(request, seen, policy, now), now)
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

    /// Everything is gone at once: nothing ends by such a listing, however many say the same. Whoever reads them believes
    /// it after a time, and says then that it is absent.
    const fn held() -> Verdict {
        Verdict::PendingConfirmation(Sighting::AbsentWithAll)
    }

    /// Whether another listing said the same. The same listing, told twice, confirms nothing; a listing that seems older
    /// is another one, read after the clock was stepped back.
    fn confirms(self, sighting: Sighting) -> bool {
        self.request.memory.doubt.is_some_and(|doubt| doubt.sighting == sighting && doubt.at != self.now)
    }

    /// Moves when two consecutive listings agree.
    fn once_confirmed(self, sighting: Sighting, verdict: Verdict) -> Verdict {
        if self.confirms(sighting) { verdict } else { Verdict::PendingConfirmation(sighting) }
    }

    /// The call left no trace: call again, as often as the policy allows, once its time to appear is over.
    fn untraced(self, sighting: Sighting) -> Verdict {
        if self.may_still_appear() {
            return Verdict::PendingConfirmation(sighting);
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

    /// A deferred request whose quota has rolled over, or was bought.
    fn reset(self, by: ResetBy, until: Time) -> Verdict {
        match by {
            ResetBy::Calendar if self.now < until => Verdict::Stay,
            ResetBy::Calendar | ResetBy::Operator => Verdict::Advance(State::Requested),
        }
    }

    /// A rejection that was listed before the call and may simply not have been replaced yet.
    fn is_stale_rejection(self) -> bool {
        self.request.memory.baseline == Baseline::Rejected && self.may_still_appear()
    }
}
