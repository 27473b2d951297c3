//! Counters and histograms that are recorded in passing: each takes an addition to an atomic or two, never a lock or an
//! allocation. They know numbers and no names; room `metrics` says what each is called outside.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts up, from 0 at the start of the process.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// At 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// At least so many: what somebody else counts.
    pub fn raise_to(&self, count: u64) {
        self.0.fetch_max(count, Ordering::Relaxed);
    }

    /// How many by now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Values by their size, in buckets with fixed bounds. Durations are in microseconds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// The largest value of each bucket, ascending.
    bounds: [u64; N],
    counts: [Counter; N],
    /// Values above the last bound.
    above: Counter,
    sum: Counter,
}

/// A histogram at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// Each bound, and the values up to it that are above the bound before it.
    pub buckets: Vec<(u64, u64)>,
    /// Values above the last bound.
    pub above: u64,
    /// All values together.
    pub sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// With these upper bounds, ascending.
    #[must_use]
    pub const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, counts: [const { Counter::new() }; N], above: Counter::new(), sum: Counter::new() }
    }

    /// One value.
    pub fn note(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        place.map_or(&self.above, |place| &self.counts[place]).add_one();
        self.sum.add(value);
    }

    /// One duration.
    pub fn note_duration(&self, took: Duration) {
        self.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was noted by now.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let counts = self.counts.iter().map(Counter::get);
        HistogramReading {
            buckets: self.bounds.into_iter().zip(counts).collect(),
            above: self.above.get(),
            sum: self.sum.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new([10, 100]);
        for value in [0, 10, 11, 100, 101] {
            histogram.note(value);
        }
        histogram.note_duration(Duration::from_micros(7));
        let read = histogram.read();
        assert_eq!(read, HistogramReading { buckets: vec![(10, 3), (100, 2)], above: 1, sum: 229 });
    }
}
