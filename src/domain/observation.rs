//! Everything that can be learned about a request, whatever the source. `decide` says what it means.

use super::{errcode::Refusal, listing::Status, request::Baseline, time::Time};

/// One thing learned about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A readable listing shows it with this status.
    Listed(Status),
    /// A readable listing does not show it, and every item is known to be something else.
    Absent,
    /// As [`Observation::Absent`], and a request of ours asked for just that.
    AbsentAsAsked,
    /// A readable listing does not show it. It holds items that name no program, but all of them stood there unchanged
    /// since before the call, so none is what the call brought about. One may be an old rejection of this program.
    AbsentBesideOld,
    /// A readable listing shows nothing of what stood there before, this request's item or others'. A list of another
    /// account or a cache that lost it looks like that, so for a while it is doubt, however often it comes.
    AbsentWithAll,
    /// A readable listing does not show it, but holds items that name no program.
    Unidentified,
    /// An answer 0 without a list, of an account that never listed anything: enough for a first call, and evidence of
    /// nothing else.
    Weak,
    /// A listing could not be read: no evidence of anything.
    Unreadable,
    /// The intent to call is about to be written.
    CallStarted,
    /// `errcode` 0.
    CallAccepted,
    /// Another `errcode`.
    CallRefused(Refusal),
    /// The answer was lost after the call was sent.
    CallLost,
    /// The call was surely not sent, or surely not looked at.
    CallNotSent,
    /// A monthly quota met elsewhere holds this request back until then, or holds it back longer.
    HeldBack {
        /// When it is asked next whether the quota has rolled over.
        until: Time,
        /// The answer that told of the quota.
        refusal: Refusal,
    },
    /// The quota that a deferred request waits for is there again.
    QuotaReset {
        /// By whom.
        by: ResetBy,
    },
    /// The policy's deadline has passed.
    DeadlinePassed,
    /// A person does not want it any more.
    CancelAsked,
    /// The database is a copy that was put back: whatever happened since it was made is not in it.
    Restored {
        /// What is known all the same.
        since: RestoredFate,
        /// Whether the copy knows of a rejection that is listed for the pair.
        baseline: Baseline,
    },
}

/// Who made a used-up quota whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetBy {
    /// The time has come that the request waits for.
    Calendar,
    /// A person says so, who has bought some.
    Operator,
}

/// What became of a request after the copy was made that it is now taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestoredFate {
    /// Nobody knows: it may have been called.
    Unknown,
    /// It was called, and nobody knows whether `WeChat` took the call.
    Called,
    /// `WeChat` took the call.
    Taken,
    /// A person stopped it.
    Cancelled,
}

/// Where a step of a request's history came from: the word of `v_transition.cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It was accepted.
    Accepted,
    /// The account's list.
    Listing,
    /// A call that was begun.
    Call,
    /// What became of a call.
    Answer,
    /// A quota that is used up, or whole again.
    Quota,
    /// The policy's deadline.
    Deadline,
    /// A person.
    Operator,
    /// A copy of the database that was put back.
    Restore,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Listing,
        Self::Call,
        Self::Answer,
        Self::Quota,
        Self::Deadline,
        Self::Operator,
        Self::Restore,
    ];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Listing => "listing",
            Self::Call => "call",
            Self::Answer => "answer",
            Self::Quota => "quota",
            Self::Deadline => "deadline",
            Self::Operator => "operator",
            Self::Restore => "restore",
        }
    }
}

impl Observation {
    /// Where it came from.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Listed(_)
            | Self::Absent
            | Self::AbsentAsAsked
            | Self::AbsentBesideOld
            | Self::AbsentWithAll
            | Self::Unidentified
            | Self::Weak
            | Self::Unreadable => Cause::Listing,
            Self::CallStarted => Cause::Call,
            Self::CallAccepted | Self::CallRefused(_) | Self::CallLost | Self::CallNotSent => Cause::Answer,
            Self::HeldBack { .. } | Self::QuotaReset { by: ResetBy::Calendar } => Cause::Quota,
            Self::DeadlinePassed => Cause::Deadline,
            Self::CancelAsked | Self::QuotaReset { by: ResetBy::Operator } => Cause::Operator,
            Self::Restored { .. } => Cause::Restore,
        }
    }

    /// The status it shows.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Listed(status) => Some(*status),
            Self::Absent
            | Self::AbsentAsAsked
            | Self::AbsentBesideOld
            | Self::AbsentWithAll
            | Self::Unidentified
            | Self::Weak
            | Self::Unreadable
            | Self::CallStarted
            | Self::CallAccepted
            | Self::CallRefused(_)
            | Self::CallLost
            | Self::CallNotSent
            | Self::HeldBack { .. }
            | Self::QuotaReset { .. }
            | Self::DeadlinePassed
            | Self::CancelAsked
            | Self::Restored { .. } => None,
        }
    }

    /// The refusal it brings.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::CallRefused(refusal) | Self::HeldBack { refusal, .. } => Some(refusal),
            Self::Listed(_)
            | Self::Absent
            | Self::AbsentAsAsked
            | Self::AbsentBesideOld
            | Self::AbsentWithAll
            | Self::Unidentified
            | Self::Weak
            | Self::Unreadable
            | Self::CallStarted
            | Self::CallAccepted
            | Self::CallLost
            | Self::CallNotSent
            | Self::QuotaReset { .. }
            | Self::DeadlinePassed
            | Self::CancelAsked
            | Self::Restored { .. } => None,
        }
    }
}
