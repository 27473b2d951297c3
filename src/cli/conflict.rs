//! `amplinkd conflict`: lists where `WeChat` contradicted our record or somebody else was first. Later listings resolve
//! conflicts; this command does not.

use anyhow::bail;
use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session},
    named::Named,
    output::Column,
    pages, time_format,
};
use crate::{
    domain::{id::AccountId, time::Time},
    store::read::{
        id_suffix::Noun,
        views::{ConflictFilter, ConflictView},
    },
};

/// Rows read at once.
const PAGE: u32 = 500;

/// What can be done with conflicts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List conflicts, newest first
    #[command(after_help = "Example:\n  amplinkd conflict list --open")]
    List(Filters),
    /// Show one conflict with both sides
    #[command(after_help = "Example:\n  amplinkd conflict show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b")]
    Show {
        /// The conflict's id, or its last 6 characters or more
        id: Named,
    },
}

/// Which conflicts.
#[derive(Debug, clap::Args)]
pub struct Filters {
    /// Only open conflicts
    #[arg(long, conflicts_with = "resolved")]
    pub(super) open: bool,
    /// Only resolved conflicts
    #[arg(long)]
    pub(super) resolved: bool,
    /// Only conflicts of this official account
    #[arg(long)]
    pub(super) account: Option<AccountId>,
    /// Only conflicts of this request
    #[arg(long, value_name = "ID")]
    pub(super) request: Option<Named>,
}

const TABLE: [Column; 5] = [
    Column::shown("id", "ID"),
    Column::shown("request_id", "REQUEST"),
    Column::shown("kind", "KIND"),
    Column::shown("age", "AGE"),
    Column::shown("resolution", "RESOLVED"),
];

const FIELDS: [Column; 12] = [
    Column::hidden("id"),
    Column::hidden("request_id"),
    Column::hidden("account"),
    Column::hidden("program"),
    Column::hidden("kind"),
    Column::hidden("errcode"),
    Column::hidden("at"),
    Column::hidden("our_state"),
    Column::hidden("their_status"),
    Column::hidden("resolved_at"),
    Column::hidden("resolution"),
    Column::hidden("errmsg"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    id: String,
    request_id: String,
    kind: String,
    age: String,
    resolution: Option<String>,
}

impl TableRow {
    fn of(row: ConflictView, now: Time) -> Self {
        let age = time_format::age(&row.at, now);
        Self { id: row.id, request_id: row.request_id, kind: row.kind, age, resolution: row.resolution }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    context
        .with_view(async |session| match command {
            Command::List(filters) => list(context, session, filters).await,
            Command::Show { id } => show(context, session, &id).await,
        })
        .await?;
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session, filters: Filters) -> anyhow::Result<()> {
    let open = (filters.open || filters.resolved).then_some(filters.open);
    let account = filters.account.map(String::from);
    let request = match &filters.request {
        Some(named) => Some(session.id_of(Noun::Request, named).await?.into()),
        None => None,
    };
    let filter = ConflictFilter { id: None, request, account, open };
    let next = async |last: Option<&ConflictView>| {
        session.store().conflict_page(&filter, last.map(|last| last.id.as_str()), PAGE).await
    };
    print(context, session.now(), filter != ConflictFilter::default(), next).await
}

/// Prints the conflicts that `next` has, page by page.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    now: Time,
    is_filtered: bool,
    next: impl AsyncFnMut(Option<&ConflictView>) -> Result<Vec<ConflictView>, E>,
) -> anyhow::Result<()> {
    let shown = pages::print(context, (&TABLE, &FIELDS), Some(0), next, |row| TableRow::of(row, now)).await?;
    context.note_if_empty(shown, nothing(is_filtered));
    Ok(())
}

/// Why there are no rows.
const fn nothing(is_filtered: bool) -> &'static str {
    if is_filtered {
        "no conflict matches; `amplinkd conflict list` lists all"
    } else {
        "no conflicts: WeChat has contradicted no record so far. The daemon records one when it does"
    }
}

async fn show(context: &Context, session: &Session, named: &Named) -> anyhow::Result<()> {
    let id = String::from(session.id_of(Noun::Conflict, named).await?);
    let filter = ConflictFilter { id: Some(id.clone()), ..ConflictFilter::default() };
    let found = session.store().conflict_page(&filter, None, 1).await?;
    let Some(row) = found.first() else {
        bail!(unknown(&id));
    };
    context.print_one(row)
}

/// That there is no such conflict.
pub(super) fn unknown(id: &str) -> String {
    format!("there is no conflict {id:?}; `amplinkd conflict list` lists them")
}
