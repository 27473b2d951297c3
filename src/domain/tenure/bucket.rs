//! A share of the calls of a second as a token bucket whose rate changes: pure, on the stopwatch. Whoever waits is the
//! caller's matter.

use std::time::Duration;

/// One call, in what a bucket is measured in: a rate in thousandths, times milliseconds.
const CALL: u64 = 1_000_000;

/// Calls that may be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of a call a second.
    per_second_milli: u64,
    level: u64,
    at: Duration,
}

impl Bucket {
    /// An empty one: whoever was here before has perhaps just made its calls of this second.
    #[must_use]
    pub const fn new(per_second_milli: u64, now: Duration) -> Self {
        Self { per_second_milli, level: 0, at: now }
    }

    /// A full one, for whoever is alone: nobody else has made calls of this second.
    #[must_use]
    pub fn full(per_second_milli: u64, now: Duration) -> Self {
        let empty = Self::new(per_second_milli, now);
        Self { level: empty.room(), ..empty }
    }

    /// From now on it fills at another rate; what is in it stays, as far as there is room for it.
    pub fn set_rate(&mut self, per_second_milli: u64, now: Duration) {
        self.fill(now);
        self.per_second_milli = per_second_milli;
        self.level = self.level.min(self.room());
    }

    /// Takes one call; otherwise when the next one comes, on the stopwatch: never, without a share.
    pub fn take(&mut self, now: Duration) -> Result<(), Option<Duration>> {
        self.fill(now);
        match self.level.checked_sub(CALL) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None if self.per_second_milli == 0 => Err(None),
            None => {
                let wait = (CALL - self.level).div_ceil(self.per_second_milli);
                Err(Some(self.at + Duration::from_millis(wait)))
            }
        }
    }

    /// One second's share, and at least one call: it would never come otherwise.
    fn room(&self) -> u64 {
        self.per_second_milli.saturating_mul(1_000).max(CALL)
    }

    fn fill(&mut self, now: Duration) {
        let passed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(self.per_second_milli.saturating_mul(passed)).min(self.room());
        // What is less than a millisecond is not lost.
        self.at += Duration::from_millis(passed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn drain(bucket: &mut Bucket, now: Duration) -> u64 {
        std::iter::from_fn(|| bucket.take(now).ok()).map(|()| 1).sum()
    }

    #[test]
    fn it_begins_empty_and_never_holds_more_than_a_second() {
        let mut bucket = Bucket::new(2_000, ms(70));
        assert_eq!(bucket.take(ms(70)), Err(Some(ms(570))));
        assert_eq!((bucket.take(ms(570)), bucket.take(ms(570))), (Ok(()), Err(Some(ms(1_070)))));
        assert_eq!(drain(&mut bucket, ms(3_600_000)), 2);
    }

    #[test]
    fn whoever_is_alone_may_begin_with_a_second() {
        let mut bucket = Bucket::full(2_000, ms(70));
        assert_eq!((drain(&mut bucket, ms(70)), drain(&mut bucket, ms(570))), (2, 1));
    }

    #[test]
    fn a_third_of_a_call_a_second_is_a_call_every_three_seconds() {
        let mut bucket = Bucket::new(333, ms(0));
        assert_eq!(bucket.take(ms(0)), Err(Some(ms(3_004))));
        assert_eq!((drain(&mut bucket, ms(3_003)), drain(&mut bucket, ms(3_004))), (0, 1));
    }

    #[test]
    fn another_rate_keeps_the_level_as_far_as_there_is_room() {
        let mut bucket = Bucket::new(100_000, ms(0));
        bucket.set_rate(200_000, ms(400));
        assert_eq!(drain(&mut bucket.clone(), ms(400)), 40, "no gift of a full one");
        bucket.set_rate(30_000, ms(400));
        assert_eq!(drain(&mut bucket, ms(400)), 30);
    }

    #[test]
    fn without_a_share_there_is_no_next_call_until_it_changes() {
        let mut bucket = Bucket::new(0, ms(0));
        assert_eq!(bucket.take(ms(9_000)), Err(None));
        bucket.set_rate(1_000, ms(9_000));
        assert_eq!(bucket.take(ms(9_000)), Err(Some(ms(10_000))));
    }

    proptest! {
        /// Over any span: what its rates allow, and what it can hold at once.
        #[test]
        fn no_change_of_the_rate_makes_calls(steps in prop::collection::vec((0..50_000_u64, 0..2_000_u64), 1..60)) {
            let (mut bucket, mut now) = (Bucket::new(0, ms(0)), ms(0));
            let (mut allowed, mut taken, mut rate) = (0, 0, 0);
            for (next, wait) in steps {
                allowed += rate * wait;
                now += ms(wait);
                taken += drain(&mut bucket, now) * CALL;
                bucket.set_rate(next, now);
                rate = next;
                prop_assert!(taken <= allowed, "{taken} of {allowed}");
            }
        }
    }
}
