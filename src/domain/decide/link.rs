//! The rows of the decision table for link requests. No wildcards: one would be a decision nobody made.

use super::{Case, ConflictKind, Outcome, State, Status, Time, Verdict};
use crate::domain::{
    observation::Observation as O,
    request::{Baseline, Failure, Sighting},
};

impl Case<'_> {
    pub(super) fn link_requested(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => self.adopted(State::AwaitingAccountAdmin),
            O::Listed(Status::AwaitingProgramAdmin) => self.adopted(State::AwaitingProgramAdmin),
            O::Listed(Status::Rejected) if self.is_answer_to_an_earlier_call() => Verdict::Advance(State::Rejected),
            O::Listed(Status::Rejected | Status::Other(_)) => Verdict::Stay,
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld | O::AbsentWithAll => Verdict::Stay,
            O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
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

    pub(super) fn link_initiating(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => Verdict::Advance(State::AwaitingAccountAdmin),
            O::Listed(Status::AwaitingProgramAdmin) => Verdict::Advance(State::AwaitingProgramAdmin),
            // The old rejection still stands and nobody knows whether the call was taken: as if nothing was listed.
            O::Listed(Status::Rejected) if self.request.memory.baseline == Baseline::Rejected => {
                self.untraced(Sighting::Listed(Status::Rejected))
            }
            O::Listed(Status::Rejected) => Verdict::Advance(State::Rejected),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.untraced(Sighting::Absent),
            O::AbsentWithAll => Self::held(),
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

    pub(super) fn link_initiated(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => Verdict::Advance(State::AwaitingAccountAdmin),
            O::Listed(Status::AwaitingProgramAdmin) => Verdict::Advance(State::AwaitingProgramAdmin),
            O::Listed(Status::Rejected) => self.rejected(),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.gone(State::Lapsed),
            O::AbsentWithAll => Self::held(),
            O::Listed(Status::Other(_)) | O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            // The call is answered; a second answer tells nothing new.
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { .. } | O::QuotaReset { .. } => Verdict::Stay,
            O::DeadlinePassed => Verdict::Advance(State::Lapsed),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Self::still_followed(*since),
        }
    }

    pub(super) fn awaiting_account_admin(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => Verdict::Stay,
            O::Listed(Status::AwaitingProgramAdmin) => Verdict::Advance(State::AwaitingProgramAdmin),
            O::Listed(Status::Rejected) => self.rejected(),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.gone(State::Lapsed),
            O::AbsentWithAll => Self::held(),
            O::Listed(Status::Other(_)) | O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { .. } | O::QuotaReset { .. } => Verdict::Stay,
            O::DeadlinePassed => Verdict::Advance(State::Lapsed),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Self::still_followed(*since),
        }
    }

    pub(super) fn awaiting_program_admin(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => self.once_confirmed(
                Sighting::Listed(Status::AwaitingAccountAdmin),
                Verdict::Conflict(ConflictKind::Backward, State::AwaitingAccountAdmin),
            ),
            O::Listed(Status::AwaitingProgramAdmin) => Verdict::Stay,
            O::Listed(Status::Rejected) => self.rejected(),
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld => self.gone(State::Lapsed),
            O::AbsentWithAll => Self::held(),
            O::Listed(Status::Other(_)) | O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { .. } | O::QuotaReset { .. } => Verdict::Stay,
            O::DeadlinePassed => Verdict::Advance(State::Lapsed),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => Self::still_followed(*since),
        }
    }

    pub(super) fn link_deferred(self, until: Time, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked) => Verdict::Advance(State::Linked),
            O::Listed(Status::AwaitingAccountAdmin) => self.adopted(State::AwaitingAccountAdmin),
            O::Listed(Status::AwaitingProgramAdmin) => self.adopted(State::AwaitingProgramAdmin),
            O::Listed(Status::Rejected) if self.is_answer_to_an_earlier_call() => Verdict::Advance(State::Rejected),
            O::Listed(Status::Rejected | Status::Other(_)) => Verdict::Stay,
            O::Absent | O::AbsentAsAsked | O::AbsentBesideOld | O::AbsentWithAll => Verdict::Stay,
            O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { until, .. } => Verdict::Advance(State::Deferred(*until)),
            O::QuotaReset { by } => self.reset(*by, until),
            O::DeadlinePassed => Verdict::Advance(State::Failed(Failure::Deadline)),
            O::CancelAsked => Verdict::Advance(State::Cancelled),
            O::Restored { since, .. } => self.restored_deferred(*since, until),
        }
    }

    /// The one finished state that may move: the link can be removed at any time, by anybody.
    pub(super) fn linked(self, seen: &O) -> Verdict {
        match seen {
            O::Listed(Status::Linked | Status::Other(_)) => Verdict::Stay,
            O::Listed(status @ (Status::AwaitingAccountAdmin | Status::AwaitingProgramAdmin | Status::Rejected)) => {
                self.unlinked(Sighting::Listed(*status), Verdict::Conflict(ConflictKind::Vanished, State::Unlinked))
            }
            O::Absent | O::AbsentBesideOld => {
                self.unlinked(Sighting::Absent, Verdict::Conflict(ConflictKind::Vanished, State::Unlinked))
            }
            O::AbsentAsAsked => self.unlinked(Sighting::Absent, Verdict::Advance(State::Unlinked)),
            O::AbsentWithAll => Self::held(),
            O::Unidentified | O::Weak | O::Unreadable => Verdict::Stay,
            O::CallStarted | O::CallAccepted | O::CallRefused(_) | O::CallLost | O::CallNotSent => Verdict::Stay,
            O::HeldBack { .. } | O::QuotaReset { .. } | O::DeadlinePassed | O::CancelAsked => Verdict::Stay,
            O::Restored { .. } => Verdict::Stay,
        }
    }

    /// Pending before our first call: someone else began it. After a call of ours it is that call, seen late.
    fn adopted(self, to: State) -> Verdict {
        if self.request.attempt == 0 { Verdict::Conflict(ConflictKind::Adopted, to) } else { Verdict::Advance(to) }
    }

    /// A rejection that was not there before an earlier call of this request.
    fn is_answer_to_an_earlier_call(self) -> bool {
        self.request.attempt > 0 && self.request.memory.baseline == Baseline::Clear
    }

    fn rejected(self) -> Verdict {
        if self.is_stale_rejection() { Verdict::Stay } else { Verdict::Advance(State::Rejected) }
    }

    /// Gone once it was listed, or never listed although its time to appear is over.
    fn gone(self, to: State) -> Verdict {
        let was_listed = self.request.memory.seen.is_some_and(|status| status != Status::Rejected);
        if !was_listed && self.may_still_appear() {
            return Verdict::PendingConfirmation(Sighting::Absent);
        }
        self.once_confirmed(Sighting::Absent, Verdict::Advance(to))
    }

    /// Linked by `WeChat`'s word (89015) but never listed so: it too gets its time to appear.
    fn unlinked(self, sighting: Sighting, verdict: Verdict) -> Verdict {
        if self.request.memory.seen != Some(Status::Linked) && self.may_still_appear() {
            return Verdict::PendingConfirmation(sighting);
        }
        self.once_confirmed(sighting, verdict)
    }
}
