//! `amplinkd program`: what `WeChat` listed for each account at its last poll.

use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session},
    output::Column,
    pages, time_format,
};
use crate::{
    domain::{
        id::{AccountId, ProgramId},
        time::Time,
    },
    store::read::views::ProgramView,
};

/// What can be done with programs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the mini programs that WeChat shows for accounts
    #[command(after_help = "\
Examples:
  amplinkd program list --account wx0123456789abcdef
  amplinkd program list --program wxfedcba9876543210 -o csv

Only accounts that ever had a request are known.")]
    List {
        /// Only programs of this official account
        #[arg(long)]
        account: Option<AccountId>,
        /// Only this mini program, on every account
        #[arg(long)]
        program: Option<ProgramId>,
    },
}

const TABLE: [Column; 7] = [
    Column::shown("account", "ACCOUNT"),
    Column::shown("program", "PROGRAM"),
    Column::shown("username", "USERNAME"),
    Column::shown("listed", "LISTED AS"),
    Column::shown("for", "FOR"),
    Column::shown("gone", "GONE"),
    Column::shown("nickname", "NAME"),
];

const FIELDS: [Column; 18] = [
    Column::hidden("account"),
    Column::hidden("program"),
    Column::hidden("username"),
    Column::hidden("status"),
    Column::hidden("nickname"),
    Column::hidden("headimg_url"),
    Column::hidden("email"),
    Column::hidden("source"),
    Column::hidden("selected"),
    Column::hidden("nearby_display_status"),
    Column::hidden("released"),
    Column::hidden("copy_verify_status"),
    Column::hidden("func_infos"),
    Column::hidden("first_seen_at"),
    Column::hidden("last_seen_at"),
    Column::hidden("gone_at"),
    Column::hidden("status_since"),
    Column::hidden("item"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    account: String,
    program: Option<String>,
    username: Option<String>,
    listed: String,
    r#for: String,
    gone: Option<String>,
    nickname: Option<String>,
}

impl TableRow {
    fn of(row: ProgramView, now: Time) -> Self {
        let listed = match row.status {
            1 => "1 linked".to_owned(),
            2 => "2 program_admin".to_owned(),
            3 => "3 rejected".to_owned(),
            12 => "12 account_admin".to_owned(),
            other => other.to_string(),
        };
        let r#for = time_format::age(&row.status_since, now);
        let gone = row.gone_at.as_deref().map(|at| format!("{} ago", time_format::age(at, now)));
        let ProgramView { account, program, username, nickname, .. } = row;
        Self { account, program, username, listed, r#for, gone, nickname }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    let Command::List { account, program } = command;
    context
        .with_view(async |session| {
            let (account, program) = (account.as_ref().map(AccountId::as_str), program.as_ref().map(ProgramId::as_str));
            list(context, session, account, program).await
        })
        .await?;
    Ok(ExitStatus::Success)
}

async fn list(
    context: &Context,
    session: &Session,
    account: Option<&str>,
    program: Option<&str>,
) -> anyhow::Result<()> {
    let next = async |last: Option<&ProgramView>| {
        session.store().program_page(last.map_or("", |last| &last.account), account, program).await
    };
    print(context, session.now(), account.is_some() || program.is_some(), next).await
}

/// Prints the programs that `next` has, page by page.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    now: Time,
    is_filtered: bool,
    next: impl AsyncFnMut(Option<&ProgramView>) -> Result<Vec<ProgramView>, E>,
) -> anyhow::Result<()> {
    let shown = pages::print(context, (&TABLE, &FIELDS), Some(0), next, |row| TableRow::of(row, now)).await?;
    let why = if is_filtered {
        "no program matches; `amplinkd program list` lists all"
    } else {
        "no programs are known; the daemon reads them with the lists of accounts that have requests"
    };
    context.note_if_empty(shown, why);
    Ok(())
}
