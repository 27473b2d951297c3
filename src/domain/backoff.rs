//! Backoff after consecutive failures: one value for every loop that retries.

use std::time::Duration;

/// Doublings after which a pause is as long as it ever gets: 2^16 of any first pause is beyond every cap.
const DOUBLINGS_MAX: u32 = 16;

/// A pause that doubles from the first to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// Pauses of `first`, twice `first`, and so on up to `max`; never longer than `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// The longest pause.
    #[must_use]
    pub const fn max(self) -> Duration {
        self.max
    }

    /// The pause after a failure that `before` failures in a row preceded.
    #[must_use]
    pub fn after(self, before: u32) -> Duration {
        self.first.saturating_mul(1 << before.min(DOUBLINGS_MAX)).min(self.max)
    }

    /// [`Self::after`], longer by up to as much again: what failed together must not be tried together. `chance` is any
    /// number; the same one gives the same pause.
    #[must_use]
    pub fn after_spread(self, before: u32, chance: u64) -> Duration {
        let pause = self.after(before);
        pause + part_of(pause, chance)
    }
}

/// The part of `span` that `chance` picks, evenly between nothing and all of it.
#[must_use]
pub fn part_of(span: Duration, chance: u64) -> Duration {
    let picked = (span.as_nanos() * u128::from(chance)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(picked).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(30));

    #[test]
    fn it_doubles_up_to_its_longest() {
        let minutes: Vec<f64> = [0, 1, 2, 5, 6, 40, u32::MAX].map(|n| BACKOFF.after(n).as_secs_f64() / 60.0).into();
        assert_eq!(minutes, [0.5, 1.0, 2.0, 16.0, 30.0, 30.0, 30.0]);
    }

    proptest! {
        #[test]
        fn a_spread_pause_is_at_most_twice_as_long(before in 0..100_u32, chance: u64) {
            let (pause, spread) = (BACKOFF.after(before), BACKOFF.after_spread(before, chance));
            prop_assert!(pause <= spread && spread <= pause * 2);
        }

        #[test]
        fn more_failures_never_wait_less(before in 0..100_u32) {
            prop_assert!(BACKOFF.after(before) <= BACKOFF.after(before + 1));
        }
    }
}
