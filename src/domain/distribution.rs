//! Summarizes durations: nearest-rank percentiles and a histogram with familiar steps. Nothing is interpolated: every
//! figure was measured.

use std::time::Duration;

/// Characters of the longest bar.
const BAR: u64 = 32;

/// Where one bar of the histogram ends and the next begins: about four times as long each, at lengths people know.
const STEPS: [(u64, &str); 12] = [
    (60, "1m"),
    (5 * 60, "5m"),
    (15 * 60, "15m"),
    (3_600, "1h"),
    (4 * 3_600, "4h"),
    (12 * 3_600, "12h"),
    (86_400, "1d"),
    (2 * 86_400, "2d"),
    (4 * 86_400, "4d"),
    (7 * 86_400, "7d"),
    (14 * 86_400, "14d"),
    (30 * 86_400, "30d"),
];

/// Durations in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution(Vec<Duration>);

impl Distribution {
    /// Of these, in any order.
    #[must_use]
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The shortest that at least `percent` of 100 do not exceed; none of none.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let rank = (self.0.len() * usize::from(percent)).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied()
    }

    /// The middle one; of an even number, the shorter of the middle two.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        self.percentile(50)
    }

    /// How many do not exceed `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> usize {
        self.0.partition_point(|one| *one <= limit)
    }

    /// One bar for each step from the shortest to the longest, empty ones between them too.
    #[must_use]
    pub fn histogram(&self) -> Vec<Bar> {
        let mut counts = [0_u64; STEPS.len() + 1];
        for one in &self.0 {
            counts[STEPS.partition_point(|(seconds, _)| *seconds <= one.as_secs())] += 1;
        }
        let (Some(first), Some(last)) =
            (counts.iter().position(|count| *count > 0), counts.iter().rposition(|count| *count > 0))
        else {
            return Vec::new();
        };
        let most = counts.iter().copied().max().unwrap_or(1);
        (first..=last).map(|at| Bar { range: range(at), count: counts[at], drawn: drawn(counts[at], most) }).collect()
    }
}

/// One line of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// From, inclusive, and to, exclusive: "1h-4h".
    pub range: String,
    /// How many fall into it.
    pub count: u64,
    /// As long as they are many; something for anything.
    pub drawn: String,
}

fn range(at: usize) -> String {
    match (at.checked_sub(1).and_then(|before| STEPS.get(before)), STEPS.get(at)) {
        (None, Some((_, to))) => format!("under {to}"),
        (Some((_, from)), Some((_, to))) => format!("{from}-{to}"),
        (Some((_, from)), None) => format!("over {from}"),
        (None, None) => String::new(),
    }
}

/// In eighths of a character, so that the lengths are true.
fn drawn(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * BAR * 8).div_ceil(most.max(1));
    let (whole, rest) = (usize::try_from(eighths / 8).unwrap_or(0), usize::try_from(eighths % 8).unwrap_or(0));
    "█".repeat(whole) + EIGHTHS[rest]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(all: impl IntoIterator<Item = u64>) -> Distribution {
        Distribution::of(all.into_iter().map(Duration::from_hours).collect())
    }

    #[test]
    fn a_percentile_is_one_that_was_measured() {
        // The example of the nearest-rank method that every textbook has.
        let five = hours([50, 15, 40, 20, 35]);
        let at = [5, 30, 40, 50, 100].map(|percent| five.percentile(percent).map(|one| one.as_secs() / 3_600));
        assert_eq!(at, [Some(15), Some(20), Some(20), Some(35), Some(50)]);
        assert_eq!(five.percentile(0), five.percentile(1));
        assert_eq!(hours([]).median(), None);
        assert_eq!(hours([7]).percentile(95), Some(Duration::from_hours(7)));
        assert_eq!(hours(1..=100).percentile(95), Some(Duration::from_hours(95)));
        assert_eq!(hours(1..=100).within(Duration::from_hours(24)), 24);
    }

    #[test]
    fn a_histogram_begins_and_ends_where_there_is_something() {
        let bars = hours([1, 2, 2, 3, 30]).histogram();
        let lines: Vec<_> = bars.iter().map(|bar| (bar.range.as_str(), bar.count, bar.drawn.chars().count())).collect();
        assert_eq!(lines, [("1h-4h", 4, 32), ("4h-12h", 0, 0), ("12h-1d", 0, 0), ("1d-2d", 1, 8)]);
        assert_eq!(hours([]).histogram(), []);
        let ends = Distribution::of(vec![Duration::ZERO, Duration::from_hours(24 * 365)]).histogram();
        assert_eq!((ends[0].range.as_str(), ends[12].range.as_str()), ("under 1m", "over 30d"));
    }

    #[test]
    fn one_of_very_many_can_still_be_seen() {
        assert_eq!((drawn(1, 1_000_000).as_str(), drawn(0, 9).as_str()), ("▏", ""));
    }
}
