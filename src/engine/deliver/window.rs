//! So many messages in so long a time: a window that slides. It must never read a clock.

use std::{collections::VecDeque, time::Duration};

use crate::notify::Pace;

/// When a channel's last messages were begun, on the stopwatch.
#[derive(Debug)]
pub(super) struct Window {
    pace: Pace,
    /// No more than the pace allows in one window; the oldest first.
    begun: VecDeque<Duration>,
}

impl Window {
    /// Nothing was begun yet.
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, begun: VecDeque::new() }
    }

    /// How long the window is, where there is one.
    pub(super) fn length(&self) -> Option<Duration> {
        self.pace.most.map(|(_, within)| within)
    }

    /// How many may be begun now, `under_way` being so already.
    pub(super) fn room(&mut self, now: Duration, under_way: usize) -> usize {
        let at_once = self.pace.at_once.max(1).saturating_sub(under_way);
        let Some((most, within)) = self.pace.most else { return at_once };
        while self.begun.front().is_some_and(|begun| *begun + within <= now) {
            self.begun.pop_front();
        }
        at_once.min(usize::try_from(most.max(1)).unwrap_or(usize::MAX).saturating_sub(self.begun.len()))
    }

    /// When one more may be begun, as far as the window is concerned.
    pub(super) fn next(&self) -> Duration {
        match self.pace.most {
            Some((most, within)) if self.begun.len() >= usize::try_from(most.max(1)).unwrap_or(usize::MAX) => {
                self.begun.front().map_or(Duration::ZERO, |begun| *begun + within)
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    /// One is begun.
    pub(super) fn begin(&mut self, now: Duration) {
        if self.pace.most.is_some() {
            self.begun.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_pace_in_any_window() {
        let minute = Duration::from_mins(1);
        let mut window = Window::new(Pace { at_once: 7, most: Some((20, minute)) });
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
