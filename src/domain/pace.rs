//! How often an account is polled, and which goes first: classes of urgency, the intervals of the policy, and their
//! common stretch when demand exceeds supply.

use std::time::Duration;

use super::{
    policy::{LOOK_EVERY_MAX, Policy},
    time::Time,
};

/// Up to this age a request is young: its administrators were told a moment ago, and most who answer do so by then.
pub const YOUNG_UNTIL: Duration = Duration::from_hours(1);

/// How often a suspended account is asked whether it may be called again.
pub const PROBE_EVERY: Duration = Duration::from_hours(1);

/// How urgent an account's next look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody asked for it and waits.
    Asked,
    /// Something of it is in its first hour.
    Young,
    /// Everything that is open stands longer.
    Old,
    /// Nothing waits for its list: is what was linked still linked, may a suspended account be called again?
    Drift,
}

impl Class {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Asked, Self::Young, Self::Old, Self::Drift];

    /// The word in commands and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Young => "young",
            Self::Old => "old",
            Self::Drift => "drift",
        }
    }

    /// Of what age something is that waits since `pace_from`; drift when nothing waits.
    #[must_use]
    pub fn of_age(pace_from: Option<Time>, now: Time) -> Self {
        match pace_from {
            Some(from) if now.since(from) < YOUNG_UNTIL => Self::Young,
            Some(_) => Self::Old,
            None => Self::Drift,
        }
    }
}

/// By how much all intervals are stretched, in thousandths; never below 1000, which is as the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch(u32);

impl Stretch {
    /// As the configuration says.
    pub const NONE: Self = Self(1_000);

    /// These thousandths, at least 1000.
    #[must_use]
    pub const fn from_thousandths(thousandths: u32) -> Self {
        if thousandths < Self::NONE.0 { Self::NONE } else { Self(thousandths) }
    }

    /// Thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// A demand, in calls per second, that is met by a supply.
    #[must_use]
    pub fn of(demand: f64, supply: f64) -> Self {
        let needed = (demand / supply.max(f64::MIN_POSITIVE) * f64::from(Self::NONE.0)).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within its bounds, and no fraction"
        )]
        let thousandths = needed.clamp(f64::from(Self::NONE.0), f64::from(u32::MAX)) as u32;
        Self(thousandths)
    }

    /// An interval, stretched.
    #[must_use]
    pub fn apply(self, every: Duration) -> Duration {
        every.saturating_mul(self.0) / Self::NONE.0
    }
}

/// The policy's intervals as they are kept at the moment.
#[derive(Debug, Clone, Copy)]
pub struct Pace<'a> {
    /// What an operator set.
    pub policy: &'a Policy,
    /// By how much all of it is stretched.
    pub stretch: Stretch,
}

impl Pace<'_> {
    /// How long to wait between looks at a state of this age.
    #[must_use]
    pub fn every(&self, age: Duration) -> Duration {
        self.stretched(self.policy.steps.every(age))
    }

    /// An interval of the policy, stretched.
    #[must_use]
    pub fn stretched(&self, every: Duration) -> Duration {
        self.stretch.apply(every).min(LOOK_EVERY_MAX.max(every))
    }
}

/// Whoever may take a turn: calls that a list has just allowed, then the looks of each class.
const LANES: usize = 1 + Class::ALL.len();

/// Of 18 turns while everybody has something to do, so many go to each lane: calls first, since their list grows old, and
/// to whoever waits for an answer; none is ever left without.
const WEIGHTS: [i32; LANES] = [5, 5, 4, 3, 1];

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A call of `wxamplink` or `wxampunlink`.
    Call,
    /// A look at an account of this class.
    Look(Class),
}

/// Turns, dealt out by weight: a lane that has nothing to do leaves its turns to the others (smooth weighted round-robin).
#[derive(Debug, Clone, Default)]
pub struct Turns {
    credit: [i32; LANES],
}

impl Turns {
    /// Who goes next of those that have something to do; nobody when none has.
    pub fn next(&mut self, calls: bool, looks: impl Fn(Class) -> bool) -> Option<Turn> {
        let turn = |lane: usize| if lane == 0 { Turn::Call } else { Turn::Look(Class::ALL[lane - 1]) };
        let waits = |turn: Turn| match turn {
            Turn::Call => calls,
            Turn::Look(class) => looks(class),
        };
        let (mut total, mut best) = (0, None);
        for lane in (0..LANES).filter(|lane| waits(turn(*lane))) {
            self.credit[lane] += WEIGHTS[lane];
            total += WEIGHTS[lane];
            if best.is_none_or(|best: usize| self.credit[lane] > self.credit[best]) {
                best = Some(lane);
            }
        }
        let best = best?;
        self.credit[best] -= total;
        Some(turn(best))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_eighteen_turns_everybody_has_some() {
        let mut turns = Turns::default();
        let taken: Vec<Turn> = (0..18).filter_map(|_| turns.next(true, |_| true)).collect();
        let count = |turn| taken.iter().filter(|taken| **taken == turn).count();
        let looks = Class::ALL.map(|class| count(Turn::Look(class)));
        assert_eq!((count(Turn::Call), looks), (5, [5, 4, 3, 1]));
    }

    #[test]
    fn one_alone_has_every_turn_and_nobody_has_none() {
        let mut turns = Turns::default();
        assert!((0..100).all(|_| turns.next(false, |class| class == Class::Old) == Some(Turn::Look(Class::Old))));
        assert_eq!(turns.next(false, |_| false), None);
    }

    #[test]
    fn a_demand_of_three_times_the_supply_stretches_threefold() {
        assert_eq!(Stretch::of(600.0, 200.0).thousandths(), 3_000);
        assert_eq!(Stretch::of(1.0, 200.0), Stretch::NONE);
        assert_eq!(Stretch::of(0.0, 0.0), Stretch::NONE);
        assert_eq!(Stretch::of(600.0, 200.0).apply(Duration::from_secs(30)), Duration::from_secs(90));
    }

    #[test]
    fn no_stretch_makes_a_wait_of_more_than_a_day() {
        let policy = Policy::default();
        let pace = Pace { policy: &policy, stretch: Stretch::from_thousandths(u32::MAX) };
        assert_eq!(pace.every(Duration::ZERO), LOOK_EVERY_MAX);
    }

    proptest! {
        /// Whatever the others do, whoever waits gets its weight's part of the turns.
        #[test]
        fn nobody_starves(waiting in prop::collection::vec(prop::array::uniform4(any::<bool>()), 200..400), lane in 0..4_usize) {
            let mut turns = Turns::default();
            let mut taken = 0;
            for others in &waiting {
                let turn = turns.next(true, |class| class == Class::ALL[lane] || others[class as usize]);
                taken += usize::from(turn == Some(Turn::Look(Class::ALL[lane])));
            }
            let due = waiting.len() * usize::try_from(WEIGHTS[lane + 1]).unwrap() / 18;
            prop_assert!(taken + 2 >= due, "{taken} of {due}");
        }
    }
}
