//! `amplinkd account`: list accounts; check, suspend and resume them. The daemon makes the calls.

pub(super) mod change;

mod check;

mod filters;

use serde::Serialize;

use self::filters::Pages;
pub use self::{
    change::{Choice, Resume, Suspend},
    check::Check,
    filters::Filters,
};
use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
    time_format,
};
use crate::{
    domain::{id::AccountId, time::Time},
    engine::wish::AskError,
    store::read::views::AccountView,
};

/// Rows of a table when no limit is given: two screens; who wants more says so.
const TABLE_ROWS: usize = 50;

/// What can be done with accounts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List accounts by name
    List(List),
    /// Show everything about one account
    #[command(after_help = "Example:\n  amplinkd account show wx0123456789abcdef")]
    Show {
        /// The official account's appid
        account: AccountId,
    },
    /// Check accounts now: read their lists and make the calls that are due
    Check(Check),
    /// Suspend accounts: no calls are made until they are resumed; their requests stay as they are
    Suspend(Suspend),
    /// Resume accounts, whoever suspended them, and check them at once
    Resume(Resume),
}

/// List accounts by name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd account list --state suspended
  amplinkd account list --trouble token,unreachable
  amplinkd account list --suspended-by 61007 -o csv > refused.csv

In the table STATE can also be `unread`: the list cannot be read, for the reason in CAUSE. FOR is how long that has been \
so, READ how long ago the list was last read, NEXT when the account is polled next. \
JSON and CSV have every column of the view v_account.")]
pub struct List {
    /// Which accounts
    #[command(flatten)]
    pub filters: Filters,
    /// At most this many, 0 for all [default: 50 in a table, otherwise all]
    #[arg(long, value_name = "N", help_heading = "How many")]
    pub limit: Option<usize>,
}

const TABLE: [Column; 8] = [
    Column::shown("account", "ACCOUNT"),
    Column::shown("state", "STATE"),
    Column::shown("for", "FOR"),
    Column::shown("cause", "CAUSE"),
    Column::shown("open_requests", "OPEN"),
    Column::shown("next", "NEXT"),
    Column::shown("read", "READ"),
    Column::shown("why", "WHY"),
];

const FIELDS: [Column; 22] = [
    Column::hidden("account"),
    Column::hidden("state"),
    Column::hidden("since"),
    Column::hidden("suspended_by"),
    Column::hidden("errcode"),
    Column::hidden("errmsg"),
    Column::hidden("open_requests"),
    Column::hidden("next_check_at"),
    Column::hidden("checked_at"),
    Column::hidden("failures"),
    Column::hidden("last_error"),
    Column::hidden("budget_day"),
    Column::hidden("budget_used"),
    Column::hidden("last_read_at"),
    Column::hidden("trouble"),
    Column::hidden("unread_since"),
    Column::hidden("call_failures"),
    Column::hidden("calls_refused_since"),
    Column::hidden("next_call_at"),
    Column::hidden("call_error"),
    Column::hidden("emptied_since"),
    Column::hidden("overfull_since"),
];

/// A row of the table: what is wrong with it, or that nothing is.
#[derive(Debug, Serialize)]
struct TableRow {
    account: String,
    state: &'static str,
    r#for: String,
    cause: Option<String>,
    open_requests: i64,
    next: Option<String>,
    read: Option<String>,
    why: Option<String>,
}

impl TableRow {
    fn of(row: AccountView, now: Time) -> Self {
        let next = time_format::ahead(row.next_check_at.as_deref(), now);
        let read = row.last_read_at.as_deref().map(|at| format!("{} ago", time_format::age(at, now)));
        let (state, since, cause, why) = match (row.state.as_str(), &row.unread_since, &row.calls_refused_since) {
            ("suspended", ..) => {
                let code = row.errcode.map(|code| format!(" {code}")).unwrap_or_default();
                let cause = row.suspended_by.map(|by| by + code.as_str());
                ("suspended", &row.since, cause, row.errmsg)
            }
            (_, Some(unread), _) => ("unread", unread, row.trouble, row.last_error),
            (_, None, Some(refused)) => ("active", refused, Some("calls held back".to_owned()), row.call_error),
            (_, None, None) => ("active", &row.since, None, row.last_error),
        };
        let r#for = time_format::age(since, now);
        Self { account: row.account, state, r#for, cause, open_requests: row.open_requests, next, read, why }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(wanted) => context.with_view(async |session| list(context, session, &wanted).await).await?,
        Command::Show { account } => {
            context.with_view(async |session| show(context, session, &account).await).await?;
        }
        Command::Check(wanted) => return check::run(context, wanted).await,
        Command::Suspend(suspend) => change::suspend(context, suspend).await?,
        Command::Resume(resume) => change::resume(context, resume).await?,
    }
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session, wanted: &List) -> anyhow::Result<()> {
    let mut pages = Pages::begin(session, &wanted.filters).await?;
    print_list(context, wanted, session.now(), async || pages.next(session).await).await
}

/// Prints a list of accounts, which `next` has page by page until it has none.
pub(super) async fn print_list(
    context: &Context,
    wanted: &List,
    now: Time,
    next: impl AsyncFnMut() -> anyhow::Result<Option<Vec<AccountView>>>,
) -> anyhow::Result<()> {
    let is_table = context.is_table();
    let limit = match wanted.limit.unwrap_or(if is_table { TABLE_ROWS } else { 0 }) {
        0 => usize::MAX,
        limit => limit,
    };
    let (shown, there_are_more) = print(context, now, limit, next).await?;
    context.note_if_empty(shown, nothing(&wanted.filters));
    if is_table && there_are_more {
        note(format!("showing the first {limit}; --limit 0 shows all"));
    }
    Ok(())
}

/// Prints pages of accounts for people, or whole for programs, at most `limit`: how many there were, and whether
/// there are more.
async fn print(
    context: &Context,
    now: Time,
    limit: usize,
    mut next: impl AsyncFnMut() -> anyhow::Result<Option<Vec<AccountView>>>,
) -> anyhow::Result<(usize, bool)> {
    let is_table = context.is_table();
    let mut printer = context.printer(if is_table { &TABLE[..] } else { &FIELDS[..] });
    let mut rows = 0;
    while !printer.reader_gone() {
        let Some(page) = next().await? else { break };
        for row in page {
            if rows == limit {
                printer.finish()?;
                return Ok((rows, true));
            }
            rows += 1;
            if is_table {
                printer.row(&TableRow::of(row, now))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    printer.finish()?;
    Ok((rows, false))
}

/// Prints these accounts as they are now: a table of the first, all for programs.
pub(super) async fn print_these(
    context: &Context,
    now: Time,
    count: usize,
    next: impl AsyncFnMut() -> anyhow::Result<Option<Vec<AccountView>>>,
) -> anyhow::Result<()> {
    let limit = if context.is_table() { TABLE_ROWS } else { usize::MAX };
    print(context, now, limit, next).await?;
    if count > limit {
        note(format!("showing the first {limit} of {count}"));
    }
    Ok(())
}

/// Why there are no rows.
fn nothing(filters: &Filters) -> &'static str {
    if filters.is_empty() {
        "no accounts are known; `amplinkd request link` and `amplinkd request import` bring them"
    } else {
        "no account matches; `amplinkd account list` lists all"
    }
}

async fn show(context: &Context, session: &Session, account: &AccountId) -> anyhow::Result<()> {
    let found = session.store().account_views(Some(account.as_str()), None, 1).await?;
    context.print_one(&found.into_iter().next().ok_or_else(|| AskError::NoAccount(account.clone()))?)
}
