//! `account suspend` and `account resume`: accounts by name, or all that match filters, after a confirmation.

use super::{Filters, filters::Pages, print_these, show};
use crate::{
    cli::{
        actor,
        context::{Context, Database, Session, agree, note, progress},
        many::{ACCOUNTS, Caution, Given, reason},
    },
    domain::{action::By, id::AccountId},
    engine::wish::AskError,
    store::{
        read::{account_page::AccountFilter, views::AccountView},
        write::account_actions::{ACCOUNTS_MAX, Word},
    },
};

/// Suspend accounts: no calls are made until they are resumed; their requests stay as they are
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd account suspend wx0123456789abcdef
  amplinkd account suspend --trouble token --dry-run
  amplinkd account suspend --label customer=0042 --yes

One appid prints that account alone, as `account show` does; otherwise it is a list.
Invitations already sent may still be answered; the answers are not seen until the accounts are resumed.")]
pub struct Suspend {
    /// Which accounts, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Resume accounts, whoever suspended them, and check them at once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd account resume wx0123456789abcdef
  amplinkd account resume --suspended-by 61007 --dry-run
  amplinkd account resume --suspended-by operator --yes

One appid prints that account alone, as `account show` does; otherwise it is a list.
An account that WeChat still refuses is suspended again by the first poll. Calls held back because WeChat refused them \
are made again, too.")]
pub struct Resume {
    /// Which accounts, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Some by name, or all that filters name.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Official accounts by appid; without any, filters select them
    #[arg(value_name = "APPID")]
    pub accounts: Vec<AccountId>,
    /// Which accounts
    #[command(flatten)]
    pub filters: Filters,
    /// Safety options
    #[command(flatten)]
    pub caution: Caution,
    /// Why, for the record: `v_action` keeps it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

impl Choice {
    /// On whose word it is, for the record.
    pub(super) fn by(&self) -> By {
        let by = actor::by().because(self.reason.clone());
        if self.accounts.is_empty() { by.of_all(self.filters.record()) } else { by }
    }
}

/// The word by which accounts are suspended.
pub(in crate::cli) const SUSPEND: Act = Act { word: Word::Suspend, verb: "suspend" };

/// The word by which they are resumed.
pub(in crate::cli) const RESUME: Act = Act { word: Word::Resume, verb: "resume" };

/// What is said of accounts, in words.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Act {
    pub(in crate::cli) word: Word,
    /// "suspend", "resume", "check".
    pub(in crate::cli) verb: &'static str,
}

impl Act {
    /// Why it changes nothing of an account; `None` when it does.
    pub(in crate::cli) fn is_idle_for(self, row: &AccountView) -> Option<&'static str> {
        match (self.word, row.suspended_by.as_deref()) {
            (Word::Suspend, Some("operator")) => Some("is already suspended by an operator: nothing was changed"),
            (Word::Resume, None) if row.calls_refused_since.is_none() => Some("is not suspended: nothing was changed"),
            (Word::Check, Some("operator")) => {
                Some("is suspended by an operator, so it is not polled: resume it first")
            }
            (Word::Suspend | Word::Resume | Word::Check, _) => None,
        }
    }
}

/// The accounts that are meant.
#[derive(Debug, Default)]
pub(super) struct Meant {
    /// Of those, the ones that will be changed.
    pub(super) accounts: Vec<String>,
    /// The others that were named one by one.
    pub(super) idle: Vec<String>,
    /// What is wrong with names.
    pub(super) failures: Vec<String>,
}

/// Suspends.
///
/// # Errors
/// When any account is not known; the others are suspended.
pub(super) async fn suspend(context: &Context, suspend: Suspend) -> anyhow::Result<()> {
    change(context, &suspend.choice, SUSPEND).await
}

/// Resumes.
pub(super) async fn resume(context: &Context, resume: Resume) -> anyhow::Result<()> {
    change(context, &resume.choice, RESUME).await
}

async fn change(context: &Context, choice: &Choice, act: Act) -> anyhow::Result<()> {
    context
        .with_session(Database::unless_dry_run(choice.caution.dry_run), async |session| {
            let Some(meant) = agreed(context, session, choice, act).await? else { return Ok(()) };
            let changed = tell(session, act, &meant.accounts, &choice.by()).await?;
            if !changed.is_empty() {
                session.note_without_daemon("it is recorded, and applies when one starts").await;
            }
            let mut shown: Vec<String> = changed.into_iter().chain(meant.idle).collect();
            shown.sort_unstable();
            if let ([only], [_]) = (&choice.accounts[..], &shown[..]) {
                return show(context, session, only).await;
            }
            if !shown.is_empty() || !context.is_table() {
                print_named(context, session, shown).await?;
            }
            ACCOUNTS.fail(act.verb, &meant.failures)
        })
        .await
}

/// The accounts that are meant, when they may be changed: asked for where filters name many, and only shown where that is
/// all that was wanted.
pub(super) async fn agreed(
    context: &Context,
    session: &Session,
    choice: &Choice,
    act: Act,
) -> anyhow::Result<Option<Meant>> {
    let given = Given { names: !choice.accounts.is_empty(), filters: !choice.filters.is_empty() };
    ACCOUNTS.must_choose(act.verb, given)?;
    let meant =
        if given.names { named(session, &choice.accounts, act).await? } else { filtered(session, choice, act).await? };
    if choice.caution.dry_run || (given.filters && meant.accounts.is_empty()) {
        note(format!("{} to {}; nothing was changed", ACCOUNTS.counted(meant.accounts.len()), act.verb));
        print_named(context, session, meant.accounts).await?;
        ACCOUNTS.fail(act.verb, &meant.failures)?;
        return Ok(None);
    }
    if given.filters {
        let what = format!("{} {}", act.verb, ACCOUNTS.counted(meant.accounts.len()));
        agree(&what, "which", choice.caution.yes)?;
    }
    Ok(Some(meant))
}

/// Everything that the filters name and that is changed by it. Names alone are kept: a million of them fit.
async fn filtered(session: &Session, choice: &Choice, act: Act) -> anyhow::Result<Meant> {
    let mut meant = Meant::default();
    let mut pages = Pages::begin(session, &choice.filters).await?;
    while let Some(page) = pages.next(session).await? {
        let changing = page.into_iter().filter(|row| act.is_idle_for(row).is_none());
        meant.accounts.extend(changing.map(|row| row.account));
    }
    Ok(meant)
}

async fn named(session: &Session, accounts: &[AccountId], act: Act) -> anyhow::Result<Meant> {
    let names: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let rows = session.store().accounts_named(&names, &AccountFilter::default()).await?;
    let mut meant = Meant::default();
    for account in accounts {
        match rows.iter().find(|row| row.account == account.as_str()) {
            None => meant.failures.push(AskError::NoAccount(account.clone()).to_string()),
            Some(row) => match act.is_idle_for(row) {
                None => meant.accounts.push(row.account.clone()),
                Some(why) if act.word == Word::Check => meant.failures.push(format!("account {account} {why}")),
                Some(why) => {
                    note(format!("{account} {why}"));
                    meant.idle.push(row.account.clone());
                }
            },
        }
    }
    Ok(meant)
}

/// Says the word, some accounts at a time. Answers which it changed.
pub(super) async fn tell(session: &Session, act: Act, accounts: &[String], by: &By) -> anyhow::Result<Vec<String>> {
    let bar = progress(accounts.len() as u64, act.verb);
    let mut changed = Vec::with_capacity(accounts.len());
    for some in accounts.chunks(ACCOUNTS_MAX) {
        changed.extend(session.store().tell_accounts(act.word, some.to_vec(), by.clone(), session.now()).await?);
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    Ok(changed)
}

async fn print_named(context: &Context, session: &Session, accounts: Vec<String>) -> anyhow::Result<()> {
    let count = accounts.len();
    let mut pages = Pages::of(accounts);
    print_these(context, session.now(), count, async || pages.next(session).await).await
}
