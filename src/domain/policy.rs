//! The limits and deadlines that an operator sets.

use std::time::Duration;

/// The longest wait between two looks at an account with an open request. A due time further away than this
/// (as after a clock was stepped back by hours) is not believed.
pub const LOOK_EVERY_MAX: Duration = Duration::from_hours(24);

/// How patient we are with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long after a call its invitation must have appeared in the list.
    pub appear_within: Duration,
    /// Calls of `wxamplink` or `wxampunlink` that one request may cost, at least 1.
    pub attempts: u32,
    /// How long after it was asked for a request ends by itself; `None` is never.
    pub deadline: Option<Duration>,
    /// How long into a Beijing month or day what waited for it begins; at most [`GRACE_MAX`](super::quota::GRACE_MAX).
    pub rollover_grace: Duration,
    /// How often an account is looked at, by the age of its youngest open state.
    pub steps: Steps,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            appear_within: Duration::from_mins(10),
            attempts: 3,
            deadline: None,
            rollover_grace: Duration::from_mins(20),
            steps: Steps::default(),
        }
    }
}

/// A staircase of intervals: young states are looked at often, old ones seldom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// Ages up to which an interval holds, ascending.
    early: Vec<(Duration, Duration)>,
    /// The interval from the last age on.
    last: Duration,
}

/// Why a staircase cannot be climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSteps {
    /// Ages do not ascend.
    #[error("the `until` ages must ascend")]
    Order,
    /// An interval of zero would poll without a pause; a longer one than a day would look like a stall.
    #[error("every `every` must be between 10ms and 1d")]
    Interval,
}

impl Steps {
    /// `early` holds (until this age, look this often) pairs, ascending; `last` holds from there on.
    ///
    /// # Errors
    /// [`BadSteps`] when the ages do not ascend or an interval is outside 10 ms to 1 day.
    pub fn new(early: Vec<(Duration, Duration)>, last: Duration) -> Result<Self, BadSteps> {
        if !early.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(BadSteps::Order);
        }
        let legal = |every: Duration| every >= Duration::from_millis(10) && every <= LOOK_EVERY_MAX;
        if !legal(last) || !early.iter().all(|(_, every)| legal(*every)) {
            return Err(BadSteps::Interval);
        }
        Ok(Self { early, last })
    }

    /// How long to wait between looks at a state of this age.
    #[must_use]
    pub fn every(&self, age: Duration) -> Duration {
        self.early.iter().find(|(until, _)| age < *until).map_or(self.last, |(_, every)| *every)
    }
}

/// One step of the staircase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The age from which it holds.
    pub from: Duration,
    /// The age up to which it holds; `None`: from there on.
    pub until: Option<Duration>,
    /// How long to wait between looks.
    pub every: Duration,
}

impl Steps {
    /// Every step, the youngest first.
    pub fn iter(&self) -> impl Iterator<Item = Step> {
        let from = std::iter::once(Duration::ZERO).chain(self.early.iter().map(|(until, _)| *until));
        let steps = self.early.iter().map(|(until, every)| (Some(*until), *every)).chain([(None, self.last)]);
        from.zip(steps).map(|(from, (until, every))| Step { from, until, every })
    }

    /// The step that an age has come to, by its place.
    #[must_use]
    pub fn place(&self, age: Duration) -> usize {
        self.early.iter().position(|(until, _)| age < *until).unwrap_or(self.early.len())
    }
}

impl Default for Steps {
    fn default() -> Self {
        let (s, m, h, d) = (Duration::from_secs, Duration::from_mins, Duration::from_hours, Duration::from_hours(24));
        Self { early: vec![(m(10), s(30)), (h(1), m(2)), (d, m(15))], last: h(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_state_is_looked_at_seldom() {
        let steps = Steps::default();
        let every = |mins| steps.every(Duration::from_mins(mins)).as_secs();
        assert_eq!(
            [every(0), every(9), every(10), every(60), every(60 * 24), every(60 * 24 * 90)],
            [30, 30, 120, 900, 3_600, 3_600]
        );
    }

    #[test]
    fn a_staircase_that_cannot_be_climbed_is_refused() {
        let (s, d) = (Duration::from_secs, Duration::from_hours(24));
        assert_eq!(Steps::new(vec![(s(9), s(1)), (s(9), s(2))], s(3)), Err(BadSteps::Order));
        assert_eq!(Steps::new(vec![], Duration::ZERO), Err(BadSteps::Interval));
        assert_eq!(Steps::new(vec![], d * 2), Err(BadSteps::Interval));
    }
}
