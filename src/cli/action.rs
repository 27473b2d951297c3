//! `amplinkd action`: who did what, by which door, and why.

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
    pages, time_format,
};
use crate::{
    domain::{id::RequestId, time::Time},
    store::read::actions::{ActionFilter, ActionView},
};

/// Rows read at once.
const PAGE: u32 = 500;

/// What can be done with the record of actions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what people and their programs did, newest first
    #[command(after_help = "\
Examples:
  amplinkd action list --actor lena
  amplinkd action list --subject wx0123456789abcdef -o json")]
    List {
        /// Only what this user, program or user of the system did
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Only what was done to this: a request's or an alert's id, an appid, or a name
        #[arg(long, value_name = "ID|NAME")]
        subject: Option<String>,
        /// Only this kind, such as `cancel` or `sign_in`
        #[arg(long, value_name = "WORD")]
        action: Option<String>,
        /// At most this many, 0 for all [default: 50 in a table, otherwise all]
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Show one action, and how far it has come
    #[command(after_help = "Example:\n  amplinkd action show 0197c2d8-3c4d-7e5f-8061-7c8d9e0f1a2b")]
    Show {
        /// Its id
        id: RequestId,
    },
}

const TABLE: [Column; 6] = [
    Column::shown("age", "AGO"),
    Column::shown("actor", "WHO"),
    Column::shown("via", "VIA"),
    Column::shown("action", "ACTION"),
    Column::shown("subject", "SUBJECT"),
    Column::shown("reason", "REASON"),
];

const FIELDS: [Column; 18] = [
    Column::hidden("id"),
    Column::hidden("at"),
    Column::hidden("actor"),
    Column::hidden("via"),
    Column::hidden("token"),
    Column::hidden("address"),
    Column::hidden("action"),
    Column::hidden("subject_kind"),
    Column::hidden("subject"),
    Column::hidden("filter"),
    Column::hidden("count"),
    Column::hidden("reason"),
    Column::hidden("outcome"),
    Column::hidden("state"),
    Column::hidden("done"),
    Column::hidden("failed"),
    Column::hidden("left"),
    Column::hidden("finished_at"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    age: String,
    actor: String,
    via: String,
    action: String,
    subject: String,
    reason: Option<String>,
}

impl TableRow {
    fn of(row: ActionView, now: Time) -> Self {
        let subject = match (&row.subject, row.count) {
            (Some(subject), _) => subject.clone(),
            (None, Some(1)) => format!("1 {}", row.subject_kind),
            (None, Some(count)) => format!("{count} {}s", row.subject_kind),
            (None, None) => format!("{}s", row.subject_kind),
        };
        let age = time_format::age(&row.at, now);
        Self { age, actor: row.actor, via: row.via, action: row.action, subject, reason: row.reason }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    context
        .with_view(async |session| match command {
            Command::List { actor, subject, action, limit } => {
                let filter = ActionFilter { actor, subject, action, ..ActionFilter::default() };
                list(context, session, &filter, limit).await
            }
            Command::Show { id } => match session.store().action_view(id.as_str()).await? {
                Some(row) => context.print_one(&row),
                None => anyhow::bail!(unknown(&id)),
            },
        })
        .await?;
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session, filter: &ActionFilter, limit: Option<u32>) -> anyhow::Result<()> {
    let next = async |last: Option<&ActionView>| {
        session.store().action_page(filter, last.map(|last| last.id.as_str()), PAGE).await
    };
    print(context, limit, session.now(), next).await
}

/// Prints the actions that `next` has after one.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    limit: Option<u32>,
    now: Time,
    next: impl AsyncFnMut(Option<&ActionView>) -> Result<Vec<ActionView>, E>,
) -> anyhow::Result<()> {
    let shown = pages::print(context, (&TABLE, &FIELDS), limit, next, |row| TableRow::of(row, now)).await?;
    if shown == 0 {
        note("nobody has done anything of this kind yet");
    }
    Ok(())
}

/// That there is no such action.
pub(super) fn unknown(id: &RequestId) -> String {
    format!("there is no action {id}; `amplinkd action list` shows them")
}
