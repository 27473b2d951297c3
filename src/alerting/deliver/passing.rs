//! Messages that later ones of the same key may overtake. One that its receiver cannot accept must not block its whole key;
//! one that fails because the service is down must keep its place. The difference is whether the service accepts the next
//! message of the key right after it. Pure.

use std::collections::{BTreeSet, HashMap};

/// Refusals in a row after which the next message of the key is tried as well,
pub(super) const REFUSALS: i64 = 3;

/// and failed tries of any kind: a service that fails at random must not reorder messages.
pub(super) const TRIES: i64 = 5;

/// Most messages that are passed at once; beyond that, keys wait.
pub(super) const PASSED_MAX: u32 = 1_000;

/// Failing messages of one channel.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// Messages, by sequence, that no longer block their key.
    passed: BTreeSet<i64>,
    /// All pending messages that have failed, by key.
    failing: HashMap<String, BTreeSet<i64>>,
    /// Key and sequence of messages behind which the next one is to be tried once.
    ahead: Vec<(String, i64)>,
}

impl Passing {
    /// Starts with the messages that an earlier process passed.
    pub(super) fn known(passed: BTreeSet<i64>) -> Self {
        Self { passed, ..Self::default() }
    }

    /// Messages, by sequence, that no longer block their key.
    pub(super) const fn passed(&self) -> &BTreeSet<i64> {
        &self.passed
    }

    /// A message failed and stays pending, after so many tries and refusals in a row.
    pub(super) fn failed(&mut self, key: &str, seq: i64, (tries, refusals): (i64, i64)) {
        self.failing.entry(key.to_owned()).or_default().insert(seq);
        let is_enough = tries >= TRIES || refusals >= REFUSALS;
        if is_enough && !self.passed.contains(&seq) {
            self.ahead.push((key.to_owned(), seq));
        }
    }

    /// A message was accepted. Returns the messages of its key that are passed from now on.
    pub(super) fn taken(&mut self, key: &str, seq: i64) -> Vec<i64> {
        self.over(key, seq);
        let before = self.failing.get(key).into_iter().flat_map(|failing| failing.range(..seq).copied());
        let news: Vec<i64> = before.filter(|before| !self.passed.contains(before)).collect();
        let room = usize::try_from(PASSED_MAX).unwrap_or(usize::MAX).saturating_sub(self.passed.len());
        self.passed.extend(news.iter().take(room));
        news
    }

    /// A message is no longer pending.
    pub(super) fn over(&mut self, key: &str, seq: i64) {
        self.passed.remove(&seq);
        if let Some(failing) = self.failing.get_mut(key) {
            failing.remove(&seq);
            if failing.is_empty() {
                self.failing.remove(key);
            }
        }
    }

    /// Takes the messages behind which the next one is to be tried now.
    pub(super) fn ahead(&mut self) -> Vec<(String, i64)> {
        std::mem::take(&mut self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_passed_once_a_later_one_of_its_key_was_taken() {
        let mut passing = Passing::default();
        passing.failed("a", 1, (TRIES - 1, REFUSALS - 1));
        assert!(passing.ahead().is_empty());
        passing.failed("a", 1, (TRIES, 0));
        assert_eq!(passing.ahead(), [("a".to_owned(), 1)]);
        assert_eq!(passing.taken("b", 9), Vec::<i64>::new(), "another key says nothing");
        passing.failed("a", 2, (1, 1));
        assert_eq!(passing.taken("a", 3), [1, 2]);
        assert_eq!(passing.passed(), &BTreeSet::from([1, 2]));
        passing.failed("a", 1, (TRIES + 1, REFUSALS));
        assert!(passing.ahead().is_empty(), "the others flow already");
        passing.over("a", 1);
        assert_eq!(passing.taken("a", 2), Vec::<i64>::new());
        assert!(passing.passed().is_empty() && passing.failing.is_empty());
    }
}
