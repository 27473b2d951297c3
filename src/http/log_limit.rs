//! Lines of the log that strangers can cause: the first of each minute are written, and the others counted, so that nobody
//! fills a disk from outside.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::SharedClock, shutdown::Shutdown};

/// Lines in a minute.
const LINES: u64 = 10;

const MINUTE: Duration = Duration::from_mins(1);

/// What was said of one thing in this minute. Cheap to clone; clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct LogLimit(Arc<Mutex<u64>>);

impl LogLimit {
    /// Counts one more; whether it may be said.
    pub(super) fn admits(&self) -> bool {
        let mut count = self.count();
        *count = count.saturating_add(1);
        *count <= LINES
    }

    /// Begins a new minute; how many of the last one were not said.
    fn begin(&self) -> u64 {
        std::mem::take(&mut *self.count()).saturating_sub(LINES)
    }

    /// Says every minute how many were not said in it, until the end is asked for.
    pub(super) async fn summarize(&self, clock: &SharedClock, shutdown: &Shutdown, say: impl Fn(u64)) {
        let mut next = clock.monotonic() + MINUTE;
        while shutdown.unless_asked(clock.sleep_until(next)).await.is_some() {
            next = clock.monotonic() + MINUTE;
            self.tell(&say);
        }
        self.tell(&say);
    }

    fn tell(&self, say: &impl Fn(u64)) {
        let unsaid = self.begin();
        if unsaid > 0 {
            say(unsaid);
        }
    }

    fn count(&self) -> std::sync::MutexGuard<'_, u64> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute_are_said_and_the_others_counted() {
        let limit = LogLimit::default();
        assert_eq!((0..50_000).filter(|_| limit.admits()).count(), 10);
        assert_eq!(limit.begin(), 49_990);
        assert!(limit.admits());
        assert_eq!((limit.begin(), limit.begin()), (0, 0));
    }
}
