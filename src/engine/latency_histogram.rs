//! Histogram of how late polls start, readable at any time. Recording costs two additions.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::meters::HistogramReading;

/// Steps into which each doubling of the lateness is divided: a quantile is told to within an eighth.
const STEPS: usize = 8;

/// Doublings that are told apart, from a microsecond to more than an hour.
const DOUBLINGS: usize = 32;

/// Polls by how late they began.
#[derive(Debug)]
pub struct LatencyHistogram {
    counts: [AtomicU64; STEPS * DOUBLINGS],
    max_us: AtomicU64,
    sum_us: AtomicU64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; STEPS * DOUBLINGS],
            max_us: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl LatencyHistogram {
    /// A poll began this long after its time.
    pub(super) fn note(&self, late: Duration) {
        let us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(us)].fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Polls noted since the start or the last [`Self::reset`].
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The lateness that this part of the polls did not exceed, as 0.99; at most an eighth too much. Zero without polls. For benchmarks.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of polls, rounded to one"
        )]
        let wanted = (self.polls() as f64 * part.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper_end(place)).min(self.max());
            }
        }
        Duration::ZERO
    }

    /// Polls by these upper bounds, ascending, each told to within an eighth. For metrics.
    #[must_use]
    pub fn folded(&self, bounds: &[Duration]) -> HistogramReading {
        let mut buckets: Vec<(u64, u64)> =
            bounds.iter().map(|bound| (u64::try_from(bound.as_micros()).unwrap_or(u64::MAX), 0)).collect();
        let mut above = 0;
        for (place, count) in self.counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            // The last place holds whatever is later.
            let end = if place + 1 == self.counts.len() { u64::MAX } else { lower_end(place) };
            match buckets.iter_mut().find(|(bound, _)| end <= *bound) {
                Some((_, sum)) => *sum += count,
                None => above += count,
            }
        }
        HistogramReading { buckets, above, sum: self.sum_us.load(Ordering::Relaxed) }
    }

    /// The latest of all.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us.load(Ordering::Relaxed))
    }

    /// Forgets what was noted.
    pub fn reset(&self) {
        for count in &self.counts {
            count.store(0, Ordering::Relaxed);
        }
        self.max_us.store(0, Ordering::Relaxed);
        self.sum_us.store(0, Ordering::Relaxed);
    }
}

/// The first doublings are one by one, then each is divided evenly.
fn place(us: u64) -> usize {
    let steps = STEPS as u64;
    if us < steps {
        return usize::try_from(us).unwrap_or(0);
    }
    let doubling = us.ilog2() - STEPS.ilog2();
    let step = (us >> doubling) - steps;
    let place = u64::from(doubling + 1) * steps + step;
    usize::try_from(place).unwrap_or(usize::MAX).min(STEPS * DOUBLINGS - 1)
}

/// The smallest lateness that [`place`] puts here, in microseconds.
fn lower_end(place: usize) -> u64 {
    place.checked_sub(1).map_or(0, |before| upper_end(before) + 1)
}

/// The largest lateness that [`place`] puts here, in microseconds.
fn upper_end(place: usize) -> u64 {
    let (steps, place) = (STEPS as u64, place as u64);
    if place < steps {
        return place;
    }
    let (doubling, step) = (place / steps - 1, place % steps);
    ((steps + step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_into_few_buckets_no_poll_is_lost_and_none_is_far_from_its_own() {
        let lateness = LatencyHistogram::default();
        let bounds = [1, 10, 100].map(Duration::from_millis);
        let late = [0, 1_000, 1_200, 9_000, 10_000, 99_000, 150_000, 9_000_000_000];
        for us in late {
            lateness.note(Duration::from_micros(us));
        }
        let HistogramReading { buckets, above, sum } = lateness.folded(&bounds);
        assert_eq!(buckets, [(1_000, 2), (10_000, 3), (100_000, 1)]);
        assert_eq!((above, sum), (2, late.iter().sum()));
    }

    #[test]
    fn every_lateness_is_told_to_within_an_eighth() {
        for us in (0..2_000).chain((1..30).map(|doublings| (1 << doublings) + 7)) {
            let told = upper_end(place(us));
            assert!(told >= us && told - us <= us / 8, "{us} is told as {told}");
        }
    }

    #[test]
    fn a_quantile_is_what_that_part_of_the_polls_did_not_exceed() {
        let lateness = LatencyHistogram::default();
        assert_eq!(lateness.quantile(0.99), Duration::ZERO);
        for ms in 1..=100 {
            lateness.note(Duration::from_millis(ms));
        }
        let told = |part| lateness.quantile(part).as_millis();
        assert!((50..=56).contains(&told(0.5)) && (99..=100).contains(&told(0.99)), "{} {}", told(0.5), told(0.99));
        assert_eq!((lateness.polls(), lateness.max()), (100, Duration::from_millis(100)));
        lateness.reset();
        assert_eq!((lateness.polls(), lateness.max()), (0, Duration::ZERO));
    }
}
