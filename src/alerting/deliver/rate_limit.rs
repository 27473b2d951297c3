//! A sliding-window rate limit. Pure.

use std::{collections::VecDeque, time::Duration};

use crate::notify::Pace;

/// An address's last messages.
#[derive(Debug)]
pub(super) struct RateLimit {
    pace: Pace,
    /// When each of them leaves the window, on the stopwatch, the first one first.
    leaving: VecDeque<Duration>,
}

impl RateLimit {
    /// Nothing was begun yet.
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, leaving: VecDeque::new() }
    }

    /// How many may be begun now, `under_way` being so already.
    pub(super) fn room(&mut self, now: Duration, under_way: usize) -> usize {
        while self.leaving.front().is_some_and(|leaves| *leaves <= now) {
            self.leaving.pop_front();
        }
        let at_once = self.pace.at_once.max(1).saturating_sub(under_way);
        at_once.min(self.limit().map_or(usize::MAX, |limit| limit.saturating_sub(self.leaving.len())))
    }

    /// When one more may be begun, as far as the window is concerned.
    pub(super) fn next(&self) -> Duration {
        let over = self.limit().and_then(|limit| self.leaving.len().checked_sub(limit));
        over.and_then(|over| self.leaving.get(over)).copied().unwrap_or_default()
    }

    /// One is begun.
    pub(super) fn begin(&mut self, now: Duration) {
        self.begun(now, Duration::ZERO);
    }

    /// One was begun so long ago.
    pub(super) fn begun(&mut self, now: Duration, ago: Duration) {
        if let Some((_, within)) = self.pace.most {
            let leaves = now + within.saturating_sub(ago);
            let place = self.leaving.partition_point(|other| *other <= leaves);
            self.leaving.insert(place, leaves);
        }
    }

    fn limit(&self) -> Option<usize> {
        self.pace.most.map(|(most, _)| usize::try_from(most.max(1)).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_pace_in_any_window() {
        let minute = Duration::from_mins(1);
        let mut window = RateLimit::new(Pace { at_once: 7, most: Some((20, minute)) });
        let mut begun: Vec<Duration> = Vec::new();
        for tenth in 0..6_000 {
            let now = Duration::from_millis(tenth * 100);
            for _ in 0..window.room(now, 0) {
                window.begin(now);
                begun.push(now);
            }
            assert!(window.room(now, 0) > 0 || window.next() > now);
        }
        for (index, first) in begun.iter().enumerate() {
            let within = begun[index..].iter().filter(|at| **at < *first + minute).count();
            assert!(within <= 20, "{within} from {first:?} on");
        }
        assert_eq!(begun.len(), 200, "and never fewer than it allows");
    }
}
