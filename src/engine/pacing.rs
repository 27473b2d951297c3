//! The polling plan of the daemon: computed from the due queue, recorded for outside observers, and applied to every
//! interval.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::{Engine, drive::Driver};
use crate::{
    domain::{
        account::Status,
        capacity::{CapacityPlan, Census, Supply},
        pace::{Class, Stretch},
        tenure::lease::{Lease, SHARDS},
        time::Time,
    },
    store::write::pace::PaceRow,
};

/// How often the plan is made anew: counting a million accounts in memory takes some ten milliseconds.
const PLAN_EVERY: Duration = Duration::from_mins(1);

/// A stretch above which people are told when it stays.
const STRAINED: Stretch = Stretch::from_thousandths(2_000);

/// The stretch in force, and what it was counted from.
#[derive(Debug)]
pub(super) struct Pacing {
    thousandths: AtomicU32,
    /// Accounts with linked requests alone, as the last drift check found them.
    linked: AtomicU64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { thousandths: AtomicU32::new(Stretch::NONE.thousandths()), linked: AtomicU64::new(0) }
    }
}

impl Engine {
    /// By how much every wait is stretched.
    pub(super) fn stretch(&self) -> Stretch {
        Stretch::from_thousandths(self.pacing.thousandths.load(Ordering::Relaxed))
    }

    /// What there is to meet the demand with.
    #[must_use]
    pub fn supply(&self) -> Supply {
        let live = self.in_force();
        Supply { per_second: live.settings.per_second.get(), daily_budget: live.settings.daily_budget }
    }

    /// How long so many looks take when they have every turn.
    pub(super) fn time_for_looks(&self, looks: u64) -> Duration {
        Duration::from_millis(looks.saturating_mul(1_000) / u64::from(self.in_force().settings.per_second.get()))
    }

    /// The last drift check has found so many accounts.
    pub(super) fn note_linked(&self, accounts: u64) {
        self.pacing.linked.store(accounts, Ordering::Relaxed);
    }
}

impl Driver {
    /// Makes the plan anew when it is time to, and writes it down when it differs.
    pub(super) async fn plan_ahead(&mut self) {
        let (now, stopwatch) = (self.engine.clock().now(), self.engine.clock().monotonic());
        if self.planned_at.is_some_and(|at| stopwatch.saturating_sub(at) < PLAN_EVERY) {
            return;
        }
        self.planned_at = Some(stopwatch);
        let plan = CapacityPlan::of(&self.census(now), &self.engine.policy(), self.engine.supply());
        let before = self.engine.stretch();
        self.engine.pacing.thousandths.store(plan.stretch.thousandths(), Ordering::Relaxed);
        if (plan.stretch > STRAINED) != (before > STRAINED)
            || (plan.stretch == Stretch::NONE) != (before == Stretch::NONE)
        {
            tracing::warn!(
                event = "engine.plan.stretched",
                demand_per_second = plan.demand_per_second,
                supply_per_second = plan.supply_per_second,
                stretch = f64::from(plan.stretch.thousandths()) / 1_000.0,
                per_second_needed = plan.per_second_needed(),
                "polling intervals stretched by this factor; `amplinkd plan` says what to change"
            );
        }
        // One of several daemons writes down what holds for all.
        if !self.engine.ownership().open().contains(Lease::House) {
            return;
        }
        let row = PaceRow::of(&plan, plan.stretch > STRAINED, now);
        // It is made anew in a minute.
        if let Err(error) = self.engine.store().set_pace(row).await {
            tracing::debug!(event = "engine.plan.unwritten", error = %error, "the plan could not be written down");
        }
    }

    fn census(&self, now: Time) -> Census {
        let policy = self.engine.policy();
        let steps = &policy.steps;
        let linked = self.engine.pacing.linked.load(Ordering::Relaxed);
        let mut census = Census { by_step: vec![0; steps.iter().count()], linked, ..Census::default() };
        for state in self.agenda.states() {
            match (state.status, state.class(now), state.pace_from) {
                (Status::Suspended(_), ..) => census.suspended += 1,
                (_, Class::Asked, from) if from.is_none() || state.read_at.is_none() => census.asked += 1,
                (_, Class::Young | Class::Old, Some(_)) if state.read_at.is_none() => census.unseen += 1,
                (_, Class::Asked | Class::Young | Class::Old, Some(from)) => {
                    if let Some(count) = census.by_step.get_mut(steps.place(now.since(from))) {
                        *count += 1;
                    }
                }
                (_, Class::Asked | Class::Young | Class::Old | Class::Drift, None) | (_, Class::Drift, Some(_)) => {
                    census.waiting += 1;
                }
            }
        }
        census.of_part(self.owned.shards(), u32::from(SHARDS))
    }
}
