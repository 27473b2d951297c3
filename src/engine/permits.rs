//! Rate permits: calls to `WeChat` per second, on the monotonic clock. Only the loop takes them, so there is no
//! thundering herd: it knows when the next permit comes and who gets it.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::{
    clock::SharedClock,
    domain::tenure::{bucket::Bucket, member::Calls},
};

/// The stopwatch, as the rate limiter reads it.
#[derive(Debug, Clone)]
struct Stopwatch(SharedClock);

impl Clock for Stopwatch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// This second's turns.
#[derive(Debug)]
pub(super) struct Permits(RateLimiter<NotKeyed, InMemoryState, Stopwatch, NoOpMiddleware<Duration>>);

impl Permits {
    /// So many a second, and at most as many at once.
    pub(super) fn new(per_second: NonZeroU32, clock: SharedClock) -> Self {
        Self(RateLimiter::direct_with_clock(Quota::per_second(per_second), Stopwatch(clock)))
    }

    /// Takes one; otherwise when the next one comes, on the stopwatch.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.0.check().map_err(|not_until| not_until.earliest_possible())
    }
}

/// The same where they are a share of what several daemons may call: it changes as they come and go.
#[derive(Debug, Default)]
pub(super) struct SharedPermits(Mutex<Option<Bucket>>);

/// How soon a share may have changed that allows nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl SharedPermits {
    /// Takes one of this share of `all`; otherwise when the next one comes, on the stopwatch.
    pub(super) fn take(&self, share: Calls, all: Calls, now: Duration) -> Result<(), Duration> {
        // Nothing in here panics halfway through a change.
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alone = share.per_second_milli >= all.per_second_milli;
        let begin = if is_alone { Bucket::full } else { Bucket::new };
        let bucket = bucket.get_or_insert_with(|| begin(share.per_second_milli, now));
        bucket.set_rate(share.per_second_milli, now);
        bucket.take(now).map_err(|next| next.unwrap_or(now + LOOK_AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, domain::time::Time};

    #[test]
    fn a_second_has_so_many_turns_and_the_next_one_is_known() {
        let clock = ManualClock::starting_at(Time::from_ms(0));
        let permits = Permits::new(NonZeroU32::new(2).unwrap(), clock.clone());
        assert_eq!((permits.take(), permits.take()), (Ok(()), Ok(())));
        let next = permits.take().unwrap_err();
        assert_eq!(next, Duration::from_millis(500));
        clock.advance(next);
        assert_eq!(permits.take(), Ok(()));
        assert!(permits.take().is_err());
    }
}
