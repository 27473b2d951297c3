//! What a listing still proves after a calendar step, while no age can be trusted.

use super::Status;
use crate::domain::{
    observation::Observation as O,
    request::{Baseline, Kind, Request, State},
};

/// `seen` without what counts only after a time: not to be listed, an old rejection that still stands, an unlink that has
/// not shown yet. Such an observation becomes [`O::Unidentified`], which is evidence of nothing; the others stay.
#[must_use]
pub fn regardless_of_age(request: &Request, seen: O) -> O {
    let depends_on_age = match (&seen, request.kind, request.state) {
        (O::Absent | O::AbsentAsAsked | O::AbsentBesideOld, ..) => true,
        (O::Listed(Status::Rejected), ..) => request.memory.baseline == Baseline::Rejected,
        (O::Listed(_), Kind::Unlink, State::Initiating(_)) => true,
        (
            O::Listed(_),
            Kind::Unlink,
            State::Requested
            | State::Initiated
            | State::AwaitingAccountAdmin
            | State::AwaitingProgramAdmin
            | State::Deferred(_)
            | State::Linked
            | State::Rejected
            | State::Failed(_)
            | State::Lapsed
            | State::Cancelled
            | State::Unlinked,
        )
        | (O::Listed(_), Kind::Link(_), _) => false,
        // Whoever reads the listings knows how long they have shown nothing, and holds that back.
        (O::AbsentWithAll, ..) => false,
        (
            O::Unidentified
            | O::Weak
            | O::Unreadable
            | O::CallStarted
            | O::CallAccepted
            | O::CallRefused(_)
            | O::CallLost
            | O::CallNotSent
            | O::HeldBack { .. }
            | O::QuotaReset { .. }
            | O::DeadlinePassed
            | O::CancelAsked
            | O::Restored { .. },
            ..,
        ) => false,
    };
    if depends_on_age { O::Unidentified } else { seen }
}
