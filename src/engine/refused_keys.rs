//! Keys that a listener refused: so many within a minute are told of. It holds a few moments for each listener, however many
//! requests come, and nothing of who sent them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// So many refused keys within [`WITHIN`] are told of: a system with an old key, or somebody who guesses.
pub const MANY: usize = 20;

/// In how long a time they are counted.
pub const WITHIN: Duration = Duration::from_mins(1);

/// Refused keys by listener. Cheap to clone; clones share everything.
#[derive(Debug, Clone, Default)]
pub struct RefusedKeys(Arc<Mutex<BTreeMap<String, Lately>>>);

#[derive(Debug, Default)]
struct Lately {
    /// When the last of them were refused, on the stopwatch, at most [`MANY`].
    at: VecDeque<Duration>,
    /// When they were last many.
    many_at: Option<Duration>,
}

impl RefusedKeys {
    /// Counts one at this listener; whether they have become many with it, after a minute in which they were not.
    pub fn count(&self, listener: &str, now: Duration) -> bool {
        // Nothing in here panics halfway through a change.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = all.entry(listener.to_owned()).or_default();
        if lately.at.len() == MANY {
            lately.at.pop_front();
        }
        lately.at.push_back(now);
        let is_many = lately.at.len() == MANY && lately.at.front().is_some_and(|first| is_recent(*first, now));
        if !is_many {
            return false;
        }
        !lately.many_at.replace(now).is_some_and(|at| is_recent(at, now))
    }

    /// The listeners at which they were many within the last minute.
    #[must_use]
    pub fn many(&self, now: Duration) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_many = |lately: &Lately| lately.many_at.is_some_and(|at| is_recent(at, now));
        all.iter().filter(|(_, lately)| is_many(lately)).map(|(listener, _)| listener.clone()).collect()
    }
}

fn is_recent(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn twenty_within_a_minute_are_many_until_a_minute_after_the_last() {
        let keys = RefusedKeys::default();
        let told: Vec<bool> = (0..20).map(|second| keys.count("a", at(second))).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert_eq!(told.last(), Some(&true));
        assert_eq!(keys.many(at(78)), ["a"]);
        assert!(keys.many(at(79)).is_empty());
    }

    #[test]
    fn nineteen_in_any_minute_are_not() {
        let keys = RefusedKeys::default();
        for minute in 0..10 {
            for second in 0..19 {
                assert!(!keys.count("a", at(minute * 60 + second)), "{minute}:{second}");
            }
        }
        assert!(keys.many(at(9 * 60 + 19)).is_empty());
    }

    #[test]
    fn a_flood_is_told_once_and_held_in_a_few_moments_of_its_own_listener() {
        let keys = RefusedKeys::default();
        let told = (0..100_000).filter(|second| keys.count("a", at(second / 100))).count();
        assert_eq!(told, 1);
        assert!(!keys.count("b", at(999)));
        assert_eq!(keys.many(at(1_000)), ["a"]);
        assert!(keys.0.lock().unwrap().values().all(|lately| lately.at.len() <= MANY));
    }
}
