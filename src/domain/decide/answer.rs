//! What `WeChat`'s refusal of a call means for its request. By code alone: texts change without notice.

use super::{Case, Class, ConflictKind, Kind, State, Verdict};
use crate::domain::{errcode::Refusal, quota, request::Failure};

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
                let until = quota::deferred_until(&self.request.id, self.now, self.policy.rollover_grace);
                Verdict::Advance(State::Deferred(until))
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
