//! Capacity planning: polling demand of all accounts, supply, and the stretch of all intervals when supply is short.

use std::time::Duration;

use super::{
    pace::{Class, Pace, Stretch, YOUNG_UNTIL},
    policy::{LOOK_EVERY_MAX, Policy},
};

/// Of all calls per second, so much is planned for looks; the rest is for the calls that follow from them.
const LOOKS_PART: f64 = 0.9;

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

/// Accounts by what they wait for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Whose look somebody waits for.
    pub asked: u64,
    /// With something open, and never looked at yet, as an import leaves them.
    pub unseen: u64,
    /// The others with something open, by the step of `[polling] steps` that its age has come to.
    pub by_step: Vec<u64>,
    /// Whose requests wait for a time, as for a month's quota: looked at daily.
    pub waiting: u64,
    /// Suspended by `WeChat`: probed hourly.
    pub suspended: u64,
    /// With nothing but linked requests: looked at once a day.
    pub linked: u64,
}

impl Census {
    /// That of `all` parts, by one in which so many of them were counted: accounts lie evenly in them.
    #[must_use]
    pub fn of_part(self, counted: u32, all: u32) -> Self {
        let whole = |count: u64| count.saturating_mul(u64::from(all)) / u64::from(counted.max(1));
        Self {
            asked: whole(self.asked),
            unseen: whole(self.unseen),
            by_step: self.by_step.into_iter().map(whole).collect(),
            waiting: whole(self.waiting),
            suspended: whole(self.suspended),
            linked: self.linked,
        }
    }
}

/// What there is to meet the demand with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// `[wechat] per_second`: calls of any kind.
    pub per_second: u32,
    /// `[polling] daily_budget`: looks at one account and Beijing day.
    pub daily_budget: u32,
}

/// One class of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPlan {
    /// Which.
    pub class: Class,
    /// Its accounts.
    pub accounts: u64,
    /// Looks a second that the configured intervals ask for.
    pub demand_per_second: f64,
    /// The mean interval as configured; `None` without accounts.
    pub every: Option<Duration>,
    /// The mean interval as it is kept.
    pub stretched: Option<Duration>,
}

impl ClassPlan {
    /// Looks a day that the configured intervals ask for.
    #[must_use]
    pub fn demand_per_day(&self) -> f64 {
        self.demand_per_second * DAY_S
    }

    /// How much later than configured a look is made.
    #[must_use]
    pub fn late(&self) -> Duration {
        self.stretched.unwrap_or_default().saturating_sub(self.every.unwrap_or_default())
    }
}

/// What is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityPlan {
    /// Every class, the most urgent first.
    pub classes: [ClassPlan; Class::ALL.len()],
    /// Looks a second that all classes ask for together.
    pub demand_per_second: f64,
    /// Looks a second that can be made.
    pub supply_per_second: f64,
    /// By how much all intervals are stretched.
    pub stretch: Stretch,
    /// How late a look may be by this plan: while demand exceeds supply, one round of all accounts; until everybody has
    /// been looked at once, the time for that.
    pub late: Duration,
    /// Accounts that were never looked at yet.
    pub unseen: u64,
    /// How long their first looks and calls take.
    pub first_looks: Duration,
    /// Looks that an account costs on the first day of a request that nobody answers.
    pub first_day: u64,
}

/// A class before its plan: accounts and looks a second.
#[derive(Debug, Clone, Copy, Default)]
struct Asks {
    accounts: u64,
    per_second: f64,
}

impl Asks {
    fn add(&mut self, accounts: u64, every: Duration) {
        self.accounts += accounts;
        self.per_second += float(accounts) / every.as_secs_f64().max(f64::MIN_POSITIVE);
    }
}

impl CapacityPlan {
    /// The plan for these accounts.
    #[must_use]
    pub fn of(census: &Census, policy: &Policy, supply: Supply) -> Self {
        let Census { asked, unseen, by_step, waiting, suspended, linked } = census;
        let mut asks = [Asks::default(); Class::ALL.len()];
        // They are looked at once, now; as accounts with something open they are counted again from then on.
        asks[Class::Asked as usize].accounts = *asked;
        for (step, accounts) in policy.steps.iter().zip(by_step) {
            let class = if step.from < YOUNG_UNTIL { Class::Young } else { Class::Old };
            asks[class as usize].add(*accounts, step.every);
        }
        let drift = &mut asks[Class::Drift as usize];
        drift.add(*suspended, super::pace::PROBE_EVERY);
        drift.add(waiting + linked, LOOK_EVERY_MAX);

        let demand: f64 = asks.iter().map(|asks| asks.per_second).sum();
        let supply_per_second = f64::from(supply.per_second) * LOOKS_PART;
        let stretch = Stretch::of(demand, supply_per_second);
        let pace = Pace { policy, stretch };
        let class = |class: Class| {
            let Asks { accounts, per_second } = asks[class as usize];
            let every = (per_second > 0.0).then(|| Duration::from_secs_f64(float(accounts) / per_second));
            let stretched = every.map(|every| match rests(class, every, policy, supply.daily_budget) {
                Some(least) => pace.stretched(every).max(least),
                None => pace.stretched(every),
            });
            ClassPlan { class, accounts, demand_per_second: per_second, every, stretched }
        };
        let accounts: u64 = asks.iter().map(|asks| asks.accounts).sum();
        // A look and a call each, once: that stretches nothing, and nobody else waits for it.
        let first_looks = Duration::from_secs_f64(2.0 * float(*unseen) / f64::from(supply.per_second.max(1)));
        let round = Duration::from_secs_f64(float(accounts) / supply_per_second.max(f64::MIN_POSITIVE));
        let mut classes = Class::ALL.map(class);
        classes[Class::Young as usize].accounts += unseen;
        Self {
            classes,
            demand_per_second: demand,
            supply_per_second,
            stretch,
            late: if stretch > Stretch::NONE { round + first_looks } else { first_looks },
            unseen: *unseen,
            first_looks,
            first_day: looks_until(LOOK_EVERY_MAX, policy),
        }
    }

    /// Whether everything is looked at as often as configured: by the calls of a second, and by the looks of a day.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.stretch == Stretch::NONE && self.classes.iter().all(|class| class.late().is_zero())
    }

    /// `[wechat] per_second` at which nothing would be stretched.
    #[must_use]
    pub fn per_second_needed(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "calls a second, rounded up")]
        let needed = (self.demand_per_second / LOOKS_PART).ceil() as u64;
        needed
    }
}

/// The mean interval that the looks of a day allow an account of a class, when it wants more of them: it rests until the
/// next day.
fn rests(class: Class, every: Duration, policy: &Policy, daily_budget: u32) -> Option<Duration> {
    let wanted = match class {
        Class::Young => looks_until(YOUNG_UNTIL, policy),
        Class::Asked | Class::Old | Class::Drift => looks(LOOK_EVERY_MAX, every),
    };
    (wanted > u64::from(daily_budget)).then(|| LOOK_EVERY_MAX / daily_budget.max(1))
}

/// Looks at an account until a request that nobody answers has come to this age.
fn looks_until(age: Duration, policy: &Policy) -> u64 {
    let spans =
        policy.steps.iter().map(|step| (step.until.unwrap_or(age).min(age).saturating_sub(step.from), step.every));
    spans.fold(0, |sum: u64, (span, every)| sum.saturating_add(looks(span, every)))
}

fn looks(span: Duration, every: Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(every.as_millis().max(1))).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a count of accounts, for a plan that is rounded anyway")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Supply = Supply { per_second: 200, daily_budget: 500 };

    fn plan(by_step: [u64; 4]) -> CapacityPlan {
        let census = Census { by_step: by_step.to_vec(), ..Census::default() };
        CapacityPlan::of(&census, &Policy::default(), DEFAULTS)
    }

    #[test]
    fn a_million_accounts_that_wait_for_weeks_want_more_than_the_defaults_give() {
        let plan = plan([0, 0, 0, 1_000_000]);
        let old = plan.classes[Class::Old as usize];
        assert_eq!(format!("{:.0}", plan.demand_per_second), "278");
        assert_eq!(plan.stretch.thousandths(), 1_544);
        assert_eq!((old.accounts, old.every), (1_000_000, Some(Duration::from_hours(1))));
        assert_eq!(old.late().as_secs(), 1_958);
        assert_eq!(plan.late.as_secs(), 5_555);
        assert_eq!(plan.per_second_needed(), 309);
    }

    #[test]
    fn first_looks_take_their_time_and_stretch_nothing() {
        let census = Census { unseen: 1_000_000, by_step: vec![0, 0, 0, 100], ..Census::default() };
        let plan = CapacityPlan::of(&census, &Policy::default(), DEFAULTS);
        assert_eq!(
            (plan.stretch, plan.first_looks, plan.late),
            (Stretch::NONE, Duration::from_secs(10_000), Duration::from_secs(10_000))
        );
        let young = plan.classes[Class::Young as usize];
        assert_eq!((young.accounts, young.every, plan.is_met()), (1_000_000, None, true));
    }

    #[test]
    fn what_is_met_is_not_stretched() {
        let plan = plan([100, 1_000, 10_000, 100_000]);
        assert!(plan.is_met() && plan.late.is_zero(), "{plan:?}");
        assert!(plan.classes.iter().all(|class| class.late().is_zero()));
    }

    #[test]
    fn whose_looks_of_a_day_are_too_few_is_late_however_many_there_are_a_second() {
        let census = Census { by_step: vec![10, 0, 0, 10], ..Census::default() };
        let with = |daily_budget| {
            let plan = CapacityPlan::of(&census, &Policy::default(), Supply { per_second: 200, daily_budget });
            let late = |class: Class| plan.classes[class as usize].late();
            (plan.is_met(), plan.stretch == Stretch::NONE, late(Class::Young), late(Class::Old))
        };
        assert_eq!(with(45), (true, true, Duration::ZERO, Duration::ZERO));
        assert_eq!(with(30), (false, true, Duration::from_secs(48 * 60 - 30), Duration::ZERO));
        assert_eq!(with(4), (false, true, Duration::from_secs(6 * 3_600 - 30), Duration::from_hours(5)));
    }

    #[test]
    fn the_first_day_costs_what_the_staircase_says() {
        // Ten minutes at 30 s, fifty at 2 m, twenty-three hours at 15 m.
        assert_eq!(plan([0; 4]).first_day, 20 + 25 + 92);
    }
}
