//! When an alert that may only be pausing is resolved: a source that fails three times in four is not fine in between.

use std::time::Duration;

use crate::domain::time::Time;

/// How long it must not have held, at every look around.
pub const CALM_FOR: Duration = Duration::from_mins(15);

/// Good looks in a row of the account that it was told of: one in four is not enough, and three by chance are rare.
const GOOD_LOOKS: u32 = 3;

/// After so long no more looks are waited for: some accounts are looked at once a day.
const CALM_UNSEEN: Duration = Duration::from_hours(6);

/// What must have been seen since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: there is nothing to look at.
    Nothing,
    /// Good looks at the account.
    GoodLooks,
}

/// Since when something that was told does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hysteresis {
    /// On the stopwatch.
    since: Duration,
    /// The last good look that was written down.
    read_at: Option<Time>,
    /// Good looks since, the first one among them.
    looks: u32,
}

impl Hysteresis {
    /// From now on, on the stopwatch.
    #[must_use]
    pub const fn from(now: Duration, read_at: Option<Time>) -> Self {
        Self { since: now, read_at, looks: 1 }
    }

    /// It still does not hold: the account was last read then.
    pub fn go_on(&mut self, read_at: Option<Time>) {
        if self.read_at != read_at {
            self.read_at = read_at;
            self.looks = self.looks.saturating_add(1);
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, need: Need, now: Duration) -> bool {
        let calm = now.saturating_sub(self.since);
        let is_seen = match need {
            Need::Nothing => true,
            Need::GoodLooks => self.looks >= GOOD_LOOKS || calm >= CALM_UNSEEN,
        };
        is_seen && calm >= CALM_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    fn read(minutes: u64) -> Time {
        Time::from_ms(0) + at(minutes)
    }

    #[test]
    fn it_is_over_after_a_while_and_some_good_looks() {
        let mut calm = Hysteresis::from(at(0), Some(read(0)));
        assert!(!calm.is_over(Need::Nothing, at(14)) && calm.is_over(Need::Nothing, at(15)));
        calm.go_on(Some(read(0)));
        calm.go_on(Some(read(2)));
        assert!(!calm.is_over(Need::GoodLooks, at(60)), "two looks");
        calm.go_on(Some(read(4)));
        assert!(!calm.is_over(Need::GoodLooks, at(14)) && calm.is_over(Need::GoodLooks, at(15)));
    }

    #[test]
    fn what_is_hardly_looked_at_does_not_stay_for_days() {
        let calm = Hysteresis::from(at(0), Some(read(0)));
        assert!(!calm.is_over(Need::GoodLooks, at(359)) && calm.is_over(Need::GoodLooks, at(360)));
    }
}
