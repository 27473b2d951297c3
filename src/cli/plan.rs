//! `amplinkd plan`: polling demand of all accounts, capacity of the configuration, how late each class will be, and
//! what to change.

use std::{num::NonZeroU32, time::Duration};

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
};
use crate::domain::{
    capacity::{CapacityPlan, ClassPlan, Supply},
    pace::Stretch,
    text::format::duration,
};

/// Show polling demand, capacity and expected delay by class; exit code 3 if demand exceeds supply
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd plan
  amplinkd plan --per-second 400          with another [wechat] per_second
  amplinkd plan -o json

Classes, most urgent first; each has a guaranteed share of the calls:
  asked   somebody asked for this poll (request link, account check) and waits
  young   an open request of the account is in its first hour
  old     all open requests are older
  drift   nothing is open: is what was linked still linked?

If demand exceeds supply, all intervals are stretched by the same factor. Exit codes: 0 demand is met, \
3 it is not, 1 error.")]
pub struct Plan {
    /// Plan with this many calls per second instead of the configured rate
    #[arg(long, value_name = "CALLS")]
    pub per_second: Option<NonZeroU32>,
}

const COLUMNS: [Column; 8] = [
    Column::shown("class", "CLASS"),
    Column::shown("accounts", "ACCOUNTS"),
    Column::shown("per_second", "LOOKS/S"),
    Column::shown("per_day", "LOOKS/DAY"),
    Column::shown("configured", "CONFIGURED"),
    Column::shown("stretched", "STRETCHED"),
    Column::shown("late", "LATER BY"),
    Column::hidden("share"),
];

/// The plan as one document.
#[derive(Debug, Serialize)]
struct Document {
    demand_per_second: f64,
    demand_per_day: f64,
    supply_per_second: f64,
    per_second: u32,
    per_second_needed: u64,
    daily_budget: u32,
    looks_of_the_first_day: u64,
    /// Accounts with something open that were never looked at yet; they are of the class young.
    unseen: u64,
    /// How long their first looks and calls take when nothing else comes.
    first_looks_seconds: u64,
    /// By how much all intervals are stretched; 1 is as configured.
    stretch: f64,
    /// By how much the running daemon stretches them; null before the first.
    stretch_in_force: Option<f64>,
    is_met: bool,
    classes: Vec<Row>,
    advice: Vec<String>,
}

/// A class of the plan.
#[derive(Debug, Serialize)]
struct Row {
    class: &'static str,
    accounts: u64,
    demand_per_second: f64,
    demand_per_day: f64,
    /// Mean interval as configured, seconds; null without accounts.
    every_seconds: Option<u64>,
    /// The same as it is kept.
    stretched_seconds: Option<u64>,
    late_seconds: u64,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    class: &'static str,
    accounts: u64,
    per_second: String,
    per_day: String,
    configured: Option<String>,
    stretched: Option<String>,
    late: Option<String>,
}

/// Makes the plan for the accounts as they are.
pub async fn run(context: &Context, plan: Plan) -> anyhow::Result<ExitStatus> {
    context.with_view(async |session| show(context, session, &plan).await).await
}

async fn show(context: &Context, session: &Session, asked: &Plan) -> anyhow::Result<ExitStatus> {
    let supply = Supply {
        per_second: asked.per_second.map_or(session.config.wechat.per_second, NonZeroU32::get),
        daily_budget: session.config.polling.daily_budget,
    };
    let policy = session.config.policy();
    let plan = CapacityPlan::of(&session.store().census(&policy, session.now()).await?, &policy, supply);
    let in_force = session.store().pace().await?.map(|row| factor(row.stretch().thousandths()));
    let advice = advice(&plan, supply);
    if context.is_table() {
        let rows: Vec<TableRow> = plan.classes.iter().map(glance).collect();
        context.print_rows(&COLUMNS[..7], &rows)?;
        for line in summary(&plan, supply).into_iter().chain(first_looks(&plan)).chain(advice) {
            note(line);
        }
    } else {
        context.print_one(&document(&plan, supply, in_force, advice))?;
    }
    Ok(if plan.is_met() { ExitStatus::Success } else { ExitStatus::ProblemsFound })
}

/// Says when the accounts of the configured database need more looks than are allowed; nothing when there is none yet.
pub async fn warn_when_short(context: &Context) -> anyhow::Result<()> {
    if !context.config()?.database.path.exists() {
        return Ok(());
    }
    let short = context
        .with_view(async |session| {
            let config = &session.config;
            let supply = Supply { per_second: config.wechat.per_second, daily_budget: config.polling.daily_budget };
            let policy = config.policy();
            let plan = CapacityPlan::of(&session.store().census(&policy, session.now()).await?, &policy, supply);
            let advice = advice(&plan, supply);
            Ok(if advice.is_empty() { None } else { Some((summary(&plan, supply), advice)) })
        })
        .await?;
    for line in short.into_iter().flat_map(|(summary, advice)| summary.into_iter().chain(advice)) {
        note(line);
    }
    Ok(())
}

fn factor(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1_000.0
}

fn document(plan: &CapacityPlan, supply: Supply, stretch_in_force: Option<f64>, advice: Vec<String>) -> Document {
    Document {
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
        advice,
    }
}

fn row(class: &ClassPlan) -> Row {
    Row {
        class: class.class.as_str(),
        accounts: class.accounts,
        demand_per_second: class.demand_per_second,
        demand_per_day: class.demand_per_day(),
        every_seconds: class.every.map(|every| every.as_secs()),
        stretched_seconds: class.stretched.map(|every| every.as_secs()),
        late_seconds: class.late().as_secs(),
    }
}

fn glance(class: &ClassPlan) -> TableRow {
    let words = |span: Duration| duration(Duration::from_secs(span.as_secs()));
    TableRow {
        class: class.class.as_str(),
        accounts: class.accounts,
        per_second: format!("{:.1}", class.demand_per_second),
        per_day: format!("{:.0}", class.demand_per_day()),
        configured: class.every.map(words),
        stretched: class.stretched.map(words),
        late: class.every.map(|_| words(class.late())),
    }
}

/// Demand and supply, in two lines; also for `amplinkd status` and the start of the daemon.
#[must_use]
pub fn summary(plan: &CapacityPlan, supply: Supply) -> [String; 2] {
    let stretch = factor(plan.stretch.thousandths());
    let kept = if plan.stretch > Stretch::NONE {
        format!("every interval is stretched {stretch:.1} times")
    } else if plan.is_met() {
        "every interval is as configured".to_owned()
    } else {
        "enough for every interval".to_owned()
    };
    [
        format!(
            "demand {:.1} polls/s, supply {:.1} polls/s ([wechat] per_second = {}): {kept}",
            plan.demand_per_second, plan.supply_per_second, supply.per_second
        ),
        format!(
            "an unanswered request costs its account {} polls on the first day; [polling] daily_budget = {}",
            plan.first_day, supply.daily_budget
        ),
    ]
}

/// How long those wait that nobody has looked at yet, where that is worth a word.
fn first_looks(plan: &CapacityPlan) -> Option<String> {
    let wait = Duration::from_secs(plan.first_looks.as_secs());
    let accounts = plan.unseen;
    (!wait.is_zero()).then(|| {
        format!(
            "{accounts} accounts wait for their first poll and call: at this rate all are done in {}",
            duration(wait)
        )
    })
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
