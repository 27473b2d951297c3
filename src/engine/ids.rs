//! Ids for new requests: `UUIDv7`, so that they sort by creation time, even within one millisecond.

use std::sync::{Mutex, PoisonError};

use crate::{
    clock::Clock,
    domain::id::{RequestId, timed, uuid_v7},
};

/// The names of one process.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// The last one's milliseconds and chance, as one number that only ever grows.
    last: Mutex<u128>,
}

impl Ids {
    /// The next name.
    pub(super) fn next(&self, clock: &dyn Clock) -> RequestId {
        let drawn = timed(clock.now(), u128::from(clock.random()) << u64::BITS | u128::from(clock.random()));
        let number = {
            // Nothing in here panics halfway through a change.
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = drawn.max(*last + 1);
            *last
        };
        uuid_v7(number).to_string().parse().unwrap_or_else(|_| unreachable!("a UUID is a request id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, domain::time::Time};

    #[test]
    fn names_ascend_also_when_the_calendar_is_stepped_back() {
        let clock = ManualClock::starting_at(Time::from_ms(1_773_100_800_000));
        let ids = Ids::default();
        let mut names = Vec::new();
        for step in [0, 0, 0, 1, -3_600_000, 0, 7_200_000] {
            clock.step(step);
            names.push(ids.next(&*clock).to_string());
        }
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert!(names[0].starts_with("019cd50b-1800-7"), "{names:?}");
        assert!(names.iter().all(|name| matches!(name.as_bytes()[19], b'8' | b'9' | b'a' | b'b')), "{names:?}");
    }
}
