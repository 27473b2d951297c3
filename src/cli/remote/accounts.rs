//! Accounts: listed, shown, suspended, resumed.

use anyhow::bail;
use serde::Serialize;

use super::{
    bulk::{self, Asked, Came, Nouns},
    desk::{Desk, of_one},
};
use crate::{
    cli::{
        account::{
            self, Choice, Command,
            change::{Act, RESUME, SUSPEND},
        },
        context::{ExitStatus, note},
        many::{ACCOUNTS, Given},
    },
    domain::id::AccountId,
    engine::wish::AskError,
    remote::{Query, Repeat},
    store::read::views::AccountView,
};

/// What the API is told of a suspension that nobody gave a reason for.
const NO_REASON: &str = "from the command line";

#[derive(Debug, Serialize)]
struct Reason<'r> {
    reason: Option<&'r str>,
}

/// Does what a command says.
pub(super) async fn run(desk: &Desk<'_>, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(wanted) => list(desk, &wanted).await?,
        Command::Show { account } => {
            let row = find(desk, account.as_str()).await?.ok_or(AskError::NoAccount(account))?;
            desk.context.print_one(&row)?;
        }
        Command::Suspend(suspend) => return change(desk, suspend.choice, SUSPEND).await,
        Command::Resume(resume) => return change(desk, resume.choice, RESUME).await,
        Command::Check(_) => bail!("this works on this machine alone"),
    }
    Ok(ExitStatus::Success)
}

async fn find(desk: &Desk<'_>, account: &str) -> anyhow::Result<Option<AccountView>> {
    Ok(desk.server.find(&format!("/api/v1/accounts/{account}")).await?)
}

async fn list(desk: &Desk<'_>, wanted: &account::List) -> anyhow::Result<()> {
    let query = Query::of_filters(&bulk::filters(&wanted.filters.record()));
    let limit = wanted.limit.and_then(|limit| u32::try_from(limit).ok());
    let mut pages = desk.pages("/api/v1/accounts", query, crate::cli::pages::bound(desk.context, limit));
    let next = async || {
        let page: Vec<AccountView> = pages.next().await?;
        Ok((!page.is_empty()).then_some(page))
    };
    account::print_list(desk.context, wanted, desk.now(), next).await
}

async fn print_rows(desk: &Desk<'_>, rows: Vec<AccountView>) -> anyhow::Result<()> {
    let (count, mut rows) = (rows.len(), Some(rows));
    account::print_these(desk.context, desk.now(), count, async || Ok(rows.take().filter(|rows| !rows.is_empty())))
        .await
}

async fn change(desk: &Desk<'_>, choice: Choice, act: Act) -> anyhow::Result<ExitStatus> {
    let given = Given { names: !choice.accounts.is_empty(), filters: !choice.filters.is_empty() };
    ACCOUNTS.must_choose(act.verb, given)?;
    if given.filters {
        let filter = bulk::filters(&choice.filters.record());
        let asked = Asked { action: act.verb, filter, reason: choice.reason, ..Asked::default() };
        let nouns = Nouns {
            things: ACCOUNTS,
            word: act.verb,
            list: "accounts",
            all: None,
            name: |row: &AccountView| &row.account,
        };
        match bulk::run(desk, asked, nouns, choice.caution).await? {
            Came::Shown(rows) => print_rows(desk, rows).await?,
            Came::Changed(mut rows, failures) => {
                rows.sort_by(|a, b| a.account.cmp(&b.account));
                if !rows.is_empty() || !desk.context.is_table() {
                    print_rows(desk, rows).await?;
                }
                ACCOUNTS.fail(act.verb, &failures)?;
            }
        }
        return Ok(ExitStatus::Success);
    }
    let (mut rows, mut meant, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for account in &choice.accounts {
        let Some(row) = find(desk, account.as_str()).await? else {
            failures.push(AskError::NoAccount(account.clone()).to_string());
            continue;
        };
        match act.is_idle_for(&row) {
            None => meant.push(row),
            Some(why) => {
                note(format!("{account} {why}"));
                rows.push(row);
            }
        }
    }
    if choice.caution.dry_run {
        note(format!("{} to {}; nothing was changed", ACCOUNTS.counted(meant.len()), act.verb));
        print_rows(desk, meant).await?;
        ACCOUNTS.fail(act.verb, &failures)?;
        return Ok(ExitStatus::Success);
    }
    desk.name_server();
    for row in meant {
        rows.extend(one(desk, &row.account, choice.reason.as_deref(), act, &mut failures).await?);
    }
    shown(desk, &choice.accounts, rows).await?;
    ACCOUNTS.fail(act.verb, &failures)?;
    Ok(ExitStatus::Success)
}

/// Says the word of one.
async fn one(
    desk: &Desk<'_>,
    account: &str,
    reason: Option<&str>,
    act: Act,
    failures: &mut Vec<String>,
) -> anyhow::Result<Option<AccountView>> {
    let reason = Reason { reason: reason.or((act.verb == SUSPEND.verb).then_some(NO_REASON)) };
    match desk.server.post(&format!("/api/v1/accounts/{account}/{}", act.verb), &reason, Repeat::Once).await {
        Ok(row) => Ok(Some(row)),
        Err(failure) => {
            failures.push(of_one(failure)?);
            Ok(None)
        }
    }
}

/// One that was named alone is shown whole, more as a list.
async fn shown(desk: &Desk<'_>, named: &[AccountId], mut rows: Vec<AccountView>) -> anyhow::Result<()> {
    rows.sort_by(|a, b| a.account.cmp(&b.account));
    match (named, rows.as_slice()) {
        ([_], [only]) => desk.context.print_one(only),
        (_, []) if desk.context.is_table() => Ok(()),
        _ => print_rows(desk, rows).await,
    }
}
