//! `amplinkd account`: accounts as people see them, and the word that stops or resumes calls for one. It must never
//! call `WeChat`.

use serde::Serialize;

use super::{
    context::{Context, Desk, Ending, note},
    moment,
    output::Column,
};
use crate::{
    domain::{id::AccountId, time::Time},
    engine::accept::AskError,
    store::{accounts::Standing, views::AccountView},
};

/// Rows read at once.
const PAGE: u32 = 500;

/// What can be done with accounts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List accounts by name
    #[command(after_help = "Example:\n  amplinkd account list --state suspended")]
    List {
        /// Only these
        #[arg(long, value_parser = ["active", "suspended"])]
        state: Option<String>,
    },
    /// Show everything about one account
    #[command(after_help = "Example:\n  amplinkd account show wx0123456789abcdef")]
    Show {
        /// The official account's appid
        account: AccountId,
    },
    /// Make no calls for an account until it is resumed; its requests stay as they are
    #[command(after_help = "Example:\n  amplinkd account suspend wx0123456789abcdef")]
    Suspend {
        /// The official account's appid
        account: AccountId,
    },
    /// Make calls again, whoever suspended the account, and look at its list at once
    #[command(after_help = "Example:\n  amplinkd account resume wx0123456789abcdef")]
    Resume {
        /// The official account's appid
        account: AccountId,
    },
}

const TABLE: [Column; 9] = [
    Column::shown("account", "ACCOUNT"),
    Column::shown("state", "STATE"),
    Column::shown("for", "FOR"),
    Column::shown("suspended_by", "BY"),
    Column::shown("errcode", "CODE"),
    Column::shown("open_requests", "OPEN"),
    Column::shown("next", "NEXT"),
    Column::shown("checked", "CHECKED"),
    Column::shown("failures", "FAILED"),
];

const FIELDS: [Column; 13] = [
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
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct Glance {
    #[serde(flatten)]
    row: AccountView,
    r#for: String,
    next: Option<String>,
    checked: Option<String>,
}

impl Glance {
    fn of(row: AccountView, now: Time) -> Self {
        let r#for = moment::age(&row.since, now);
        let next = moment::ahead(row.next_check_at.as_deref(), now);
        let checked = row.checked_at.as_deref().map(|at| format!("{} ago", moment::age(at, now)));
        Self { row, r#for, next, checked }
    }
}

/// Does what the command says.
///
/// # Errors
/// When the account is not known or the database cannot be used.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<Ending> {
    context
        .at_desk(async |desk| match command {
            Command::List { state } => list(context, desk, state.as_deref()).await,
            Command::Show { account } => show(context, desk, &account).await,
            Command::Suspend { account } => {
                if view(desk, &account).await?.suspended_by.as_deref() == Some("operator") {
                    note("it is suspended by an operator already: nothing was changed");
                    return show(context, desk, &account).await;
                }
                desk.recorder.set_standing(&account, Standing::SuspendedByOperator).await?;
                note("no call is made for it until `amplinkd account resume`; what WeChat has already may still be answered");
                show(context, desk, &account).await
            }
            Command::Resume { account } => {
                if view(desk, &account).await?.suspended_by.is_none() {
                    note("it is not suspended: nothing was changed");
                } else {
                    desk.recorder.set_standing(&account, Standing::Active).await?;
                }
                show(context, desk, &account).await
            }
        })
        .await?;
    Ok(Ending::Well)
}

async fn list(context: &Context, desk: &Desk, state: Option<&str>) -> anyhow::Result<()> {
    let is_table = context.is_table();
    let mut printer = context.printer(if is_table { &TABLE[..] } else { &FIELDS[..] });
    let mut after = String::new();
    while !printer.reader_gone() {
        let page = desk.store().account_page(&after, state, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.account);
        for row in page {
            if is_table {
                printer.row(&Glance::of(row, desk.now()))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    Ok(printer.finish()?)
}

async fn show(context: &Context, desk: &Desk, account: &AccountId) -> anyhow::Result<()> {
    context.print_one(&view(desk, account).await?)
}

async fn view(desk: &Desk, account: &AccountId) -> anyhow::Result<AccountView> {
    let found = desk.store().account_views(Some(account.as_str()), None, 1).await?;
    found.into_iter().next().ok_or_else(|| AskError::NoAccount(account.clone()).into())
}
