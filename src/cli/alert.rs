//! `amplinkd alert`: list, acknowledge, snooze and resolve alerts. Raising and sending them is the daemon's job.

pub(super) mod change;

mod filters;

use anyhow::bail;
use serde::Serialize;

pub use self::{
    change::{Ack, Resolve, Snooze},
    filters::Filters,
};
use super::{
    context::{Context, ExitStatus, Session, note},
    named::Named,
    output::Column,
    time_format,
};
use crate::{
    domain::time::Time,
    store::read::{
        alert_views::{AlertView, ToldAlert},
        id_suffix::Noun,
    },
};

/// Rows read at once.
const PAGE: u32 = 500;

/// Rows of a table when no limit is given: two screens; who wants more says so.
const TABLE_ROWS: u32 = 50;

/// What can be done with alerts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List alerts, newest first; only open ones unless --state says otherwise
    List(List),
    /// Show everything about one alert and its messages
    #[command(after_help = "Example:\n  amplinkd alert show 0197c2d6-2b3c-7d4e-9f50-6b7c8d9e0f1a")]
    Show {
        /// The alert's id, or its last 6 characters or more
        id: Named,
    },
    /// Acknowledge alerts: they stay open, without repeats or escalation
    Ack(Ack),
    /// Snooze alerts: no notifications until then
    Snooze(Snooze),
    /// Resolve alerts; one whose cause persists fires again only when the cause starts again
    Resolve(Resolve),
}

/// List alerts, newest first; only open ones unless --state says otherwise
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd alert list
  amplinkd alert list --rule stuck --account wx0123456789abcdef
  amplinkd alert list --state resolved -o csv > alerts.csv

In the table AGE is how long ago an alert fired. JSON and CSV have every column of the view v_alert.")]
pub struct List {
    /// Which alerts
    #[command(flatten)]
    pub filters: Filters,
    /// At most this many, 0 for all [default: 50 in a table, otherwise all]
    #[arg(long, value_name = "N", help_heading = "How many")]
    pub limit: Option<u32>,
}

const TABLE: [Column; 5] = [
    Column::shown("id", "ID"),
    Column::shown("rule", "RULE"),
    Column::shown("state", "STATE"),
    Column::shown("age", "AGE"),
    Column::shown("message", "WHAT"),
];

const FIELDS: [Column; 19] = [
    Column::hidden("id"),
    Column::hidden("key"),
    Column::hidden("rule"),
    Column::hidden("request_id"),
    Column::hidden("account"),
    Column::hidden("state"),
    Column::hidden("since"),
    Column::hidden("fired_at"),
    Column::hidden("acknowledged_at"),
    Column::hidden("snoozed_until"),
    Column::hidden("resolved_at"),
    Column::hidden("notified_at"),
    Column::hidden("notifications"),
    Column::hidden("message_en"),
    Column::hidden("message_zh"),
    Column::hidden("reason"),
    Column::hidden("program"),
    Column::hidden("resolution"),
    Column::hidden("notify_at"),
];

const DELIVERIES: [Column; 7] = [
    Column::shown("id", "MESSAGE"),
    Column::shown("event_type", "EVENT"),
    Column::shown("channel", "CHANNEL"),
    Column::shown("state", "STATE"),
    Column::shown("attempts", "TRIES"),
    Column::shown("delivered_at", "DELIVERED"),
    Column::shown("last_error", "LAST ERROR"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    id: String,
    rule: String,
    state: String,
    age: String,
    message: String,
}

impl TableRow {
    fn of(row: AlertView, now: Time) -> Self {
        let age = time_format::age(&row.fired_at, now);
        Self { id: row.id, rule: row.rule, state: row.state, age, message: row.message_en }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(wanted) => context.with_view(async |session| list(context, session, &wanted).await).await?,
        Command::Show { id } => context.with_view(async |session| show(context, session, &id).await).await?,
        Command::Ack(ack) => change::ack(context, ack).await?,
        Command::Snooze(snooze) => change::snooze(context, snooze).await?,
        Command::Resolve(resolve) => change::resolve(context, resolve).await?,
    }
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session, wanted: &List) -> anyhow::Result<()> {
    let filter = wanted.filters.for_store(session).await?;
    let next = async |last: Option<&AlertView>, limit| {
        session.store().alert_page(&filter, last.map(|last| last.id.as_str()), limit).await
    };
    print(context, wanted, session.now(), next).await
}

/// Rows at most, of which 0 is all.
pub(super) fn bound(context: &Context, limit: Option<u32>) -> u32 {
    match limit.unwrap_or(if context.is_table() { TABLE_ROWS } else { 0 }) {
        0 => u32::MAX,
        limit => limit,
    }
}

/// Prints the alerts that `next` has after one, at most so many at once.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    wanted: &List,
    now: Time,
    mut next: impl AsyncFnMut(Option<&AlertView>, u32) -> Result<Vec<AlertView>, E>,
) -> anyhow::Result<()> {
    let is_table = context.is_table();
    let mut left = bound(context, wanted.limit);
    let mut printer = context.printer(if is_table { &TABLE[..] } else { &FIELDS[..] });
    let (mut last, mut shown): (Option<AlertView>, usize) = (None, 0);
    while left > 0 && !printer.reader_gone() {
        let mut page = next(last.as_ref(), left.min(PAGE)).await.map_err(Into::into)?;
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        page.truncate(left as usize);
        shown += page.len();
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        for row in page {
            if is_table {
                printer.row(&TableRow::of(row, now))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    printer.finish()?;
    context.note_if_empty(shown, nothing(&wanted.filters));
    if is_table && left == 0 && !next(last.as_ref(), 1).await.map_err(Into::into)?.is_empty() {
        note("there are more; --limit 0 shows all");
    }
    Ok(())
}

/// Why there are no rows.
const fn nothing(filters: &Filters) -> &'static str {
    if filters.is_empty() {
        "no open alerts; `amplinkd alert list --state all` also lists resolved ones"
    } else {
        "no alert matches; `amplinkd alert list --state all` lists all"
    }
}

/// Prints rows for people, or whole for programs.
pub(super) fn glance(context: &Context, rows: Vec<AlertView>, now: Time) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_rows(&FIELDS, &rows);
    }
    let rows: Vec<TableRow> = rows.into_iter().map(|row| TableRow::of(row, now)).collect();
    context.print_rows(&TABLE, &rows)
}

async fn show(context: &Context, session: &Session, named: &Named) -> anyhow::Result<()> {
    let id = String::from(session.id_of(Noun::Alert, named).await?);
    let deliveries = session.store().deliveries_of_alert(&id).await?;
    let Some(row) = session.store().alert_views(std::slice::from_ref(&id)).await?.into_iter().next() else {
        bail!(unknown(&id));
    };
    print_one(context, &ToldAlert { row, deliveries })
}

/// Prints an alert and its messages.
pub(super) fn print_one(context: &Context, alert: &ToldAlert) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_one(alert);
    }
    context.print_one(&alert.row)?;
    if alert.deliveries.is_empty() {
        return Ok(());
    }
    context.print_beneath(&DELIVERIES, &alert.deliveries)
}

pub(super) fn unknown(id: &str) -> String {
    format!("there is no alert {id}; `amplinkd alert list --state all` lists them")
}
