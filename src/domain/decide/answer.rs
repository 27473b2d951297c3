//! What `WeChat`'s "no" to a call means for the request that made it. It must never classify by text.

use std::time::Duration;

use super::{Case, Class, ConflictKind, Kind, State, Time, Verdict};
use crate::domain::{errcode::Refusal, id::RequestId, request::Failure};

/// Deferred requests come back spread over this time, so that a month does not begin with a storm.
const DEFER_SPREAD: Duration = Duration::from_hours(1);

impl Case<'_> {
    /// A code that answers the call this request made.
    pub(super) fn refused(self, refusal: &Refusal) -> Verdict {
        match (refusal.class(), self.request.kind) {
            (Class::InvitationOut, Kind::Link(_)) => {
                Verdict::Conflict(ConflictKind::InvitationAlreadyOut, State::Initiated)
            }
            (Class::ConsoleLink, Kind::Link(_)) => {
                Verdict::Conflict(ConflictKind::LinkingFromConsole, State::AwaitingProgramAdmin)
            }
            (Class::AlreadyLinked, Kind::Link(_)) => Verdict::Conflict(ConflictKind::AlreadyLinked, State::Linked),
            (Class::UnlinkOut, Kind::Unlink) => Verdict::Conflict(ConflictKind::UnlinkAlreadyOut, State::Initiated),
            (Class::ProgramMonth | Class::AccountMonth, _) => {
                Verdict::Advance(State::Deferred(after_the_month(&self.request.id, self.now)))
            }
            (Class::Final, _) => Verdict::Advance(State::Failed(Failure::Refused)),
            (Class::OurBug, _) => Verdict::Advance(State::Failed(Failure::OurBug)),
            (
                Class::TokenBad
                | Class::AuthorizationGone
                | Class::PermissionMissing
                | Class::AccountRestricted
                | Class::IpNotAllowed
                | Class::DailyQuota
                | Class::TooFast,
                _,
            ) => Verdict::Advance(State::Requested),
            // These tell no more than the lost answer that the list has already settled.
            (Class::Busy | Class::Unknown, _)
            | (Class::InvitationOut | Class::ConsoleLink | Class::AlreadyLinked, Kind::Unlink)
            | (Class::UnlinkOut, Kind::Link(_))
                if matches!(self.request.state, State::Requested) =>
            {
                Verdict::Stay
            }
            // Nobody knows whether these took effect: the list decides.
            (Class::Busy | Class::Unknown, _)
            | (Class::InvitationOut | Class::ConsoleLink | Class::AlreadyLinked, Kind::Unlink)
            | (Class::UnlinkOut, Kind::Link(_)) => Verdict::Advance(self.unanswered()),
            // A refusal never carries 0; if it did, the call was taken.
            (Class::Done, _) => Verdict::Advance(State::Initiated),
        }
    }
}

/// The first instant of the next Beijing month, plus a moment that differs from request to request and is always the
/// same for one.
#[must_use]
pub fn after_the_month(id: &RequestId, now: Time) -> Time {
    let hash = id.as_str().bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let spread_ms = u64::try_from(DEFER_SPREAD.as_millis()).unwrap_or(1).max(1);
    now.next_beijing_month() + Duration::from_millis(hash % spread_ms)
}
