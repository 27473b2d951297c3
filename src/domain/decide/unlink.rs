//! The rows of the decision table for unlink requests. No status shows that an unlink waits for the account's
//! administrator: it stays listed as 1 until it is gone. No wildcards, as in `link`.

use super::{Case, Outcome, State, Status, Time, Verdict};
use crate::domain::{
    observation::Observation as O,
    request::{Failure, Sighting},
};

impl Case<'_> {
    pub(super) fn unlink_requested(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Rejected) => self.no_longer_linked(Sighting::Listed(Status::Rejected)),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.no_longer_linked(Sighting::Absent),
            O::AbsentWithAll => Self::held(),
            O::Listed(
                Status::Linked | Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Other(_),
            )
            | O::Unidentified
            | O::Weak
            | O::Unreadable => Verdict::Stay,
            O::CallStarted => Verdict::Advance(State::Initiating(Outcome::Pending)),
            O::CallAccepted => Verdict::Advance(State::Initiated),
            O::CallRefused(refusal) => self.refused(refusal),
            O::CallLost | O::CallNotSent | O::QuotaReset { .. } => Verdict::Stay,
            O::HeldBack { until, .. } => Verdict::Advance(State::Deferred(*until)),
            O::DeadlinePassed => Verdict::Advance(State::Failed(Failure::Deadline)),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Verdict::Advance(self.restored(*since)),
        }
    }

    pub(super) fn unlink_initiating(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Rejected) => self.no_longer_linked(Sighting::Listed(Status::Rejected)),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.no_longer_linked(Sighting::Absent),
            O::AbsentWithAll => Self::held(),
            // Still listed: WeChat has the request or never got it, and only a second call can tell (89018).
            O::Listed(status @ (Status::Linked | Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin)) => {
                self.untraced(Sighting::Listed(*status))
            }
            O::Listed(Status::Other(_)) | O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted => Verdict::Stay,
            O::CallAccepted => Verdict::Advance(State::Initiated),
            O::CallRefused(refusal) => self.refused(refusal),
            O::CallLost => Verdict::Advance(self.unanswered()),
            O::CallNotSent => Verdict::Advance(State::Requested),
            O::HeldBack { .. } | O::QuotaReset { .. } => Verdict::Stay,
            O::DeadlinePassed => Verdict::Advance(State::Failed(Failure::Deadline)),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Verdict::Advance(self.restored(*since)),
        }
    }

    pub(super) fn unlink_initiated(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(status @ (Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Rejected)) => {
                self.no_longer_linked(Sighting::Listed(*status))
            }
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.no_longer_linked(Sighting::Absent),
            O::AbsentWithAll => Self::held(),
            O::Listed(Status::Linked | Status::Other(_)) | O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { .. } | O::QuotaReset { .. } => Verdict::Stay,
            O::DeadlinePassed => Verdict::Advance(State::Lapsed),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Self::still_followed(*since),
        }
    }

    pub(super) fn unlink_deferred(self, until: Time, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Rejected) => self.no_longer_linked(Sighting::Listed(Status::Rejected)),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.no_longer_linked(Sighting::Absent),
            O::AbsentWithAll => Self::held(),
            O::Listed(
                Status::Linked | Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Other(_),
            )
            | O::Unidentified
            | O::Weak
            | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { until, .. } => Verdict::Advance(State::Deferred(*until)),
            O::QuotaReset { by } => self.reset(*by, until),
            O::DeadlinePassed => Verdict::Advance(State::Failed(Failure::Deadline)),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => self.restored_deferred(*since, until),
        }
    }

    /// The goal, once two consecutive listings agree.
    fn no_longer_linked(self, sighting: Sighting) -> Verdict {
        self.once_confirmed(sighting, Verdict::Advance(State::Unlinked))
    }
}
