//! `request list`: requests, a page at a time, so that a million of them need no memory (except as a table).

use serde::Serialize;

use super::{FIELDS, filters::Filters};
use crate::{
    cli::{
        context::{Context, ExitStatus, Session, note},
        output::Column,
        time_format,
    },
    domain::time::Time,
    store::read::views::RequestView,
};

/// Rows read at once.
const PAGE: u32 = 1_000;

/// Rows of a table when no limit is given: two screens; who wants more says so.
const TABLE_ROWS: u32 = 50;

/// List requests, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request list --open
  amplinkd request list --state failed,lapsed --label shop=12
  amplinkd request list --state rejected --since 24h
  amplinkd request list --account wx0123456789abcdef -o csv > requests.csv

In the table AGE is how long a request has been in its state, NEXT when its account is polled next. \
JSON and CSV have every column of the view v_request.")]
pub struct List {
    /// Which requests
    #[command(flatten)]
    pub filters: Filters,
    /// At most this many, 0 for all [default: 50 in a table, otherwise all]
    #[arg(long, value_name = "N", help_heading = "How many")]
    pub limit: Option<u32>,
}

const TABLE: [Column; 6] = [
    Column::shown("id", "ID"),
    Column::shown("state", "STATE"),
    Column::shown("age", "AGE"),
    Column::shown("next", "NEXT"),
    Column::shown("account", "ACCOUNT"),
    Column::shown("program", "PROGRAM"),
];

/// The same with a column that is of interest only when it differs: a line has room for 120 characters.
const TABLE_WITH_KIND: [Column; 7] = [
    Column::shown("id", "ID"),
    Column::shown("kind", "KIND"),
    Column::shown("state", "STATE"),
    Column::shown("age", "AGE"),
    Column::shown("next", "NEXT"),
    Column::shown("account", "ACCOUNT"),
    Column::shown("program", "PROGRAM"),
];

/// A row of the table. Who is waited for is in the name of the state.
#[derive(Debug, Serialize)]
struct TableRow {
    id: String,
    kind: String,
    state: String,
    age: String,
    next: Option<String>,
    account: String,
    program: String,
}

impl TableRow {
    fn of(row: RequestView, now: Time) -> Self {
        let age = time_format::age(&row.since, now);
        let next = time_format::ahead(row.next_check_at.as_deref(), now);
        let RequestView { id, kind, state, account, program, .. } = row;
        Self { id, kind, state, age, next, account, program }
    }
}

/// Prints the requests that are meant.
pub(super) async fn run(context: &Context, list: List) -> anyhow::Result<ExitStatus> {
    context
        .with_view(async |session| {
            if context.is_table() {
                table(context, session, &list).await
            } else {
                stream(context, session, &list).await
            }
        })
        .await?;
    Ok(ExitStatus::Success)
}

async fn table(context: &Context, session: &Session, list: &List) -> anyhow::Result<()> {
    let limit = bound(list.limit.unwrap_or(TABLE_ROWS)).saturating_add(1);
    let rows = session.store().list_requests(&list.filters.for_store(session.now()), limit).await?;
    print_table(context, list, rows, session.now())
}

/// Prints a table of these rows, of which there may be more than it shows.
pub(in crate::cli) fn print_table(
    context: &Context,
    list: &List,
    mut rows: Vec<RequestView>,
    now: Time,
) -> anyhow::Result<()> {
    let limit = bound(list.limit.unwrap_or(TABLE_ROWS));
    let there_are_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let shown = rows.len();
    glance(context, rows, now)?;
    context.note_if_empty(shown, nothing(&list.filters));
    if there_are_more {
        note(format!("showing the first {limit}; --limit 0 shows all"));
    }
    Ok(())
}

/// Why there are no rows.
fn nothing(filters: &Filters) -> &'static str {
    if filters.is_empty() {
        "no requests yet; `amplinkd request link` or `amplinkd request import` makes them"
    } else {
        "no request matches; `amplinkd request list` lists all"
    }
}

/// Prints rows for people, or whole for programs.
pub(in crate::cli) fn glance(context: &Context, rows: Vec<RequestView>, now: Time) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_rows(&FIELDS, &rows);
    }
    let columns = if rows.iter().any(|row| row.kind != "link") { &TABLE_WITH_KIND[..] } else { &TABLE[..] };
    let rows: Vec<TableRow> = rows.into_iter().map(|row| TableRow::of(row, now)).collect();
    context.print_rows(columns, &rows)
}

async fn stream(context: &Context, session: &Session, wanted: &List) -> anyhow::Result<()> {
    let mut filter = wanted.filters.for_store(session.now());
    print_rows(context, wanted, async |last, limit| {
        filter.after = last.map(|last: &RequestView| last.id.clone());
        session.store().list_requests(&filter, limit).await
    })
    .await
}

/// Prints every row that `next` has after one, at most so many at once.
pub(in crate::cli) async fn print_rows<E: Into<anyhow::Error>>(
    context: &Context,
    wanted: &List,
    mut next: impl AsyncFnMut(Option<&RequestView>, u32) -> Result<Vec<RequestView>, E>,
) -> anyhow::Result<()> {
    let mut left = bound(wanted.limit.unwrap_or(0));
    let mut printer = context.printer(&FIELDS);
    let mut last: Option<RequestView> = None;
    while left > 0 && !printer.reader_gone() {
        let mut page = next(last.as_ref(), left.min(PAGE)).await.map_err(Into::into)?;
        page.truncate(left as usize);
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        for row in &page {
            printer.row(row)?;
        }
    }
    Ok(printer.finish()?)
}

/// Rows of a table at most.
pub(in crate::cli) fn rows_of_table(wanted: &List) -> usize {
    bound(wanted.limit.unwrap_or(TABLE_ROWS)) as usize
}

/// Zero means all.
const fn bound(limit: u32) -> u32 {
    if limit == 0 { u32::MAX } else { limit }
}
