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
    remote::{Failure, Query, Seen, seen::LOOKS_MAX},
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
            let seen = look(desk, account.as_str()).await?.ok_or(AskError::NoAccount(account))?;
            desk.context.print_one(&seen.row)?;
        }
        Command::Suspend(suspend) => return change(desk, suspend.choice, SUSPEND).await,
        Command::Resume(resume) => return change(desk, resume.choice, RESUME).await,
        Command::Check(_) => bail!("this works on this machine alone"),
    }
    Ok(ExitStatus::Success)
}

async fn look(desk: &Desk<'_>, account: &str) -> Result<Option<Seen<AccountView>>, Failure> {
    desk.server.look(&format!("/api/v1/accounts/{account}")).await
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
        let Some(seen) = look(desk, account.as_str()).await? else {
            failures.push(AskError::NoAccount(account.clone()).to_string());
            continue;
        };
        if idle(&seen, act) {
            rows.push(seen.row);
        } else {
            meant.push(seen);
        }
    }
    if choice.caution.dry_run {
        note(format!("{} to {}; nothing was changed", ACCOUNTS.counted(meant.len()), act.verb));
        print_rows(desk, meant.into_iter().map(|seen| seen.row).collect()).await?;
        ACCOUNTS.fail(act.verb, &failures)?;
        return Ok(ExitStatus::Success);
    }
    desk.name_server();
    for seen in meant {
        match one(desk, seen, choice.reason.as_deref(), act).await {
            Ok(row) => rows.push(row),
            Err(failure) => failures.push(of_one(failure)?),
        }
    }
    shown(desk, &choice.accounts, rows).await?;
    ACCOUNTS.fail(act.verb, &failures)?;
    Ok(ExitStatus::Success)
}

/// Whether nothing is to be done to this one; then it is said why.
fn idle(seen: &Seen<AccountView>, act: Act) -> bool {
    let why = act.is_idle_for(&seen.row);
    if let Some(why) = why {
        note(format!("{} {why}", seen.row.account));
    }
    why.is_some()
}

/// Says the word of one that was looked at; one that has changed since is looked at again.
async fn one(
    desk: &Desk<'_>,
    mut seen: Seen<AccountView>,
    reason: Option<&str>,
    act: Act,
) -> Result<AccountView, Failure> {
    let reason = Reason { reason: reason.or((act.verb == SUSPEND.verb).then_some(NO_REASON)) };
    let path = format!("/api/v1/accounts/{}/{}", seen.row.account, act.verb);
    let mut looks = 1;
    loop {
        match desk.server.post_as_seen(&path, &reason, &seen).await {
            Err(failure) if failure.is("changed") && looks < LOOKS_MAX => looks += 1,
            done => return done,
        }
        let Some(again) = look(desk, &seen.row.account).await? else { continue };
        seen = again;
        if idle(&seen, act) {
            return Ok(seen.row);
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
