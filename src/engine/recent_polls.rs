//! Which accounts were polled recently, to tell whether those that cannot be read are most of all.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long ago "lately" begins.
pub const LATELY: Duration = Duration::from_mins(10);

/// Accounts that are remembered: when so many are well, twice as many as `[alerts] crowd` may say, no minority of them is a
/// crowd by its share.
const KEPT_MAX: usize = 4_096;

/// Rows of accounts, each with its last good look on the stopwatch.
#[derive(Debug, Default)]
pub(super) struct RecentPolls(Mutex<HashMap<i64, Duration>>);

impl RecentPolls {
    /// An account was read.
    pub(super) fn note_read(&self, row: i64, now: Duration) {
        let mut looks = self.inner();
        if looks.len() < KEPT_MAX || looks.contains_key(&row) {
            looks.insert(row, now);
        }
    }

    /// How many accounts were read lately; at least so many when it is [`KEPT_MAX`].
    pub(super) fn read_lately(&self, now: Duration) -> u64 {
        let mut looks = self.inner();
        looks.retain(|_, at| now.saturating_sub(*at) < LATELY);
        looks.len() as u64
    }

    fn inner(&self) -> MutexGuard<'_, HashMap<i64, Duration>> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_counts_once_and_for_ten_minutes() {
        let (looks, minute) = (RecentPolls::default(), Duration::from_mins);
        for (row, at) in [(1, 0), (2, 0), (1, 6), (3, 7)] {
            looks.note_read(row, minute(at));
        }
        assert_eq!(
            [looks.read_lately(minute(9)), looks.read_lately(minute(10)), looks.read_lately(minute(17))],
            [3, 2, 0]
        );
    }

    #[test]
    fn however_many_there_are_no_more_are_remembered_than_matter() {
        let looks = RecentPolls::default();
        for row in 0..10_000 {
            looks.note_read(row, Duration::ZERO);
        }
        assert_eq!(looks.read_lately(Duration::ZERO), KEPT_MAX as u64);
    }
}
