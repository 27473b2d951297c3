//! `amplinkd plan`: polling demand of all accounts, capacity of the configuration, how late each class will be, and
//! what to change.

use std::{num::NonZeroU32, time::Duration};

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
};
use crate::{
    domain::{
        capacity::{CapacityPlan, Supply},
        text::format::duration,
    },
    engine::capacity_report::{CapacityReport, ClassReport, advice, factor, report, summary, summary_of},
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

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    class: String,
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
    print(context, &report(&plan, supply, in_force))
}

/// Prints a plan, and says by the exit code whether demand is met.
pub(super) fn print(context: &Context, plan: &CapacityReport) -> anyhow::Result<ExitStatus> {
    if context.is_table() {
        let rows: Vec<TableRow> = plan.classes.iter().map(glance).collect();
        context.print_rows(&COLUMNS[..7], &rows)?;
        for line in summary_of(plan).into_iter().chain(first_looks(plan)).chain(plan.advice.clone()) {
            note(line);
        }
    } else {
        context.print_one(plan)?;
    }
    Ok(if plan.is_met { ExitStatus::Success } else { ExitStatus::ProblemsFound })
}

/// Says when the accounts of the configured database need more looks than are allowed; nothing when there is none yet.
pub async fn warn_when_short(context: &Context) -> anyhow::Result<()> {
    if context.config()?.database.location.path().is_some_and(|path| !path.exists()) {
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

fn glance(class: &ClassReport) -> TableRow {
    let words = |seconds: u64| duration(Duration::from_secs(seconds));
    TableRow {
        class: class.class.to_string(),
        accounts: class.accounts,
        per_second: format!("{:.1}", class.demand_per_second),
        per_day: format!("{:.0}", class.demand_per_day),
        configured: class.every_seconds.map(words),
        stretched: class.stretched_seconds.map(words),
        late: class.every_seconds.map(|_| words(class.late_seconds)),
    }
}

/// How long those wait that nobody has looked at yet, where that is worth a word.
fn first_looks(plan: &CapacityReport) -> Option<String> {
    let (wait, accounts) = (Duration::from_secs(plan.first_looks_seconds), plan.unseen);
    (!wait.is_zero()).then(|| {
        format!(
            "{accounts} accounts wait for their first poll and call: at this rate all are done in {}",
            duration(wait)
        )
    })
}
