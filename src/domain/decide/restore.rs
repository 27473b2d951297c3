//! What a restored backup means for its requests. Whatever may have been called after the backup is not called again
//! before the list had time to show it: calling would invite twice.

use super::{Case, Outcome, State, Time, Verdict};
use crate::domain::observation::RestoredFate;

impl Case<'_> {
    /// Not called yet, as far as the copy knows, or its call was out.
    pub(super) const fn restored(self, since: RestoredFate) -> State {
        match (since, self.request.state) {
            (RestoredFate::Unknown, State::Initiating(Outcome::Pending | Outcome::Unknown))
            | (RestoredFate::Called, _) => State::Initiating(Outcome::Unknown),
            (RestoredFate::Unknown, _) => State::Initiating(Outcome::Restored),
            (RestoredFate::Taken, _) => State::Initiated,
            (RestoredFate::Cancelled, _) => State::Cancelled,
        }
    }

    /// Held back by a quota: before its time nobody has called for it.
    pub(super) fn restored_deferred(self, since: RestoredFate, until: Time) -> Verdict {
        match since {
            RestoredFate::Unknown if self.now < until => Verdict::Stay,
            RestoredFate::Unknown | RestoredFate::Called | RestoredFate::Taken | RestoredFate::Cancelled => {
                Verdict::Advance(self.restored(since))
            }
        }
    }

    /// `WeChat` had taken its call before the copy was made: the list tells how it went on.
    pub(super) const fn still_followed(since: RestoredFate) -> Verdict {
        match since {
            RestoredFate::Unknown | RestoredFate::Called | RestoredFate::Taken => Verdict::Stay,
            RestoredFate::Cancelled => Verdict::Advance(State::Cancelled),
        }
    }

    /// A call that will never be answered. Whether it was made at all is forgotten no more easily than its answer.
    pub(super) const fn unanswered(self) -> State {
        if matches!(self.request.state, State::Initiating(Outcome::Restored)) {
            self.request.state
        } else {
            State::Initiating(Outcome::Unknown)
        }
    }
}
