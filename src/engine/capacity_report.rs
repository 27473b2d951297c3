//! The plan for all accounts as a document, and what to change: demand, capacity, and how late each class will be.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{
    capacity::{CapacityPlan, ClassPlan, Supply},
    pace::Stretch,
};

/// The plan as one document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CapacityReport {
    /// Polls that all intervals ask for.
    pub demand_per_second: f64,
    /// The same of a day.
    pub demand_per_day: f64,
    /// Polls that are allowed.
    pub supply_per_second: f64,
    /// `[wechat] per_second`.
    pub per_second: u32,
    /// What it would have to be to keep every interval.
    pub per_second_needed: u64,
    /// `[polling] daily_budget`.
    pub daily_budget: u32,
    /// Polls that an unanswered request costs its account on its first day.
    pub looks_of_the_first_day: u64,
    /// Accounts with something open that were never looked at yet; they are of the class young.
    pub unseen: u64,
    /// How long their first looks and calls take when nothing else comes.
    pub first_looks_seconds: u64,
    /// By how much all intervals are stretched; 1 is as configured.
    pub stretch: f64,
    /// By how much the running daemon stretches them; null before the first.
    pub stretch_in_force: Option<f64>,
    /// Whether every interval is kept.
    pub is_met: bool,
    /// Most urgent first.
    pub classes: Vec<ClassReport>,
    /// What to change, in sentences.
    pub advice: Vec<String>,
}

/// A class of the plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClassReport {
    /// Its word.
    #[schema(value_type = String)]
    pub class: Cow<'static, str>,
    /// Accounts of the class.
    pub accounts: u64,
    /// Polls that all intervals ask for.
    pub demand_per_second: f64,
    /// The same of a day.
    pub demand_per_day: f64,
    /// Mean interval as configured, seconds; null without accounts.
    pub every_seconds: Option<u64>,
    /// The same as it is kept.
    pub stretched_seconds: Option<u64>,
    /// By how much they are polled later than configured.
    pub late_seconds: u64,
}

/// A stretch as a number; 1 is none.
#[must_use]
pub fn factor(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1_000.0
}

/// The plan and what to change. `stretch_in_force` is the running daemon's.
#[must_use]
pub fn report(plan: &CapacityPlan, supply: Supply, stretch_in_force: Option<f64>) -> CapacityReport {
    CapacityReport {
        demand_per_second: plan.demand_per_second,
        demand_per_day: plan.classes.iter().map(ClassPlan::demand_per_day).sum(),
        supply_per_second: plan.supply_per_second,
        per_second: supply.per_second,
        per_second_needed: plan.per_second_needed(),
        daily_budget: supply.daily_budget,
        looks_of_the_first_day: plan.first_day,
        unseen: plan.unseen,
        first_looks_seconds: plan.first_looks.as_secs(),
        stretch: factor(plan.stretch.thousandths()),
        stretch_in_force,
        is_met: plan.is_met(),
        classes: plan.classes.iter().map(row).collect(),
        advice: advice(plan, supply),
    }
}

fn row(class: &ClassPlan) -> ClassReport {
    ClassReport {
        class: class.class.as_str().into(),
        accounts: class.accounts,
        demand_per_second: class.demand_per_second,
        demand_per_day: class.demand_per_day(),
        every_seconds: class.every.map(|every| every.as_secs()),
        stretched_seconds: class.stretched.map(|every| every.as_secs()),
        late_seconds: class.late().as_secs(),
    }
}

/// Demand and supply, in two lines; also for `amplinkd status` and the start of the daemon.
#[must_use]
pub fn summary(plan: &CapacityPlan, supply: Supply) -> [String; 2] {
    summary_of(&report(plan, supply, None))
}

/// The same of a plan as a document.
#[must_use]
pub fn summary_of(plan: &CapacityReport) -> [String; 2] {
    let stretch = plan.stretch;
    let kept = if stretch > 1.0 {
        format!("every interval is stretched {stretch:.1} times")
    } else if plan.is_met {
        "every interval is as configured".to_owned()
    } else {
        "enough for every interval".to_owned()
    };
    [
        format!(
            "demand {:.1} polls/s, supply {:.1} polls/s ([wechat] per_second = {}): {kept}",
            plan.demand_per_second, plan.supply_per_second, plan.per_second
        ),
        format!(
            "an unanswered request costs its account {} polls on the first day; [polling] daily_budget = {}",
            plan.looks_of_the_first_day, plan.daily_budget
        ),
    ]
}

/// What to change, if anything.
#[must_use]
pub fn advice(plan: &CapacityPlan, supply: Supply) -> Vec<String> {
    let mut advice = Vec::new();
    if plan.stretch > Stretch::NONE {
        advice.push(format!(
            "to keep the intervals, set [wechat] per_second to {} or more, or lengthen the last steps of [polling] steps",
            plan.per_second_needed()
        ));
    }
    if plan.first_day > u64::from(supply.daily_budget) {
        advice.push(format!(
            "[polling] daily_budget = {} is used up before the end of the first day: raise it above {}, or lengthen the \
             first steps",
            supply.daily_budget, plan.first_day
        ));
    }
    advice
}
