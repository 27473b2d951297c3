//! `account check`: polls accounts now and prints the result, if a daemon is running.

use std::time::Duration;

use serde::Serialize;

use super::{
    Choice,
    change::{Act, agreed, tell},
};
use crate::{
    cli::{
        context::{Context, ExitStatus, Session, note},
        many::ACCOUNTS,
        output::Column,
        readers::stdout_is_abandoned,
        time_format,
    },
    config::parse_duration,
    domain::time::Time,
    shutdown::Shutdown,
    store::{
        read::{account_page::AccountFilter, views::AccountView},
        write::account_actions::Word,
    },
};

/// How long accounts that are named one by one are waited for: a token, a list and a moment of queueing.
const WAIT: Duration = Duration::from_secs(10);

/// How often the database is asked what came of it.
const EVERY: Duration = Duration::from_millis(250);

/// The most accounts that are waited for: each is read again at every asking.
const WAITED_MAX: usize = 1_000;

/// Check accounts now: read their lists and make the calls that are due
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd account check wx0123456789abcdef
  amplinkd account check --trouble token --dry-run
  amplinkd account check --suspended-by 61007 --yes --wait 1m

These polls go before all others. A running daemon notices within a second; without one they are made when it starts. \
For named accounts the command waits. RESULT is `read`; `failed`, with WHY; `no_list` if the poll was postponed or WeChat \
responded without a list; `nothing_open` if nothing of the account is tracked; `waiting` if the time ran out.

Exit codes: 0 success, 1 error, 2 usage error, 3 a list could not be read")]
pub struct Check {
    /// Which accounts, and how
    #[command(flatten)]
    pub choice: Choice,
    /// How long to wait for the result [default: 10s for named accounts, none with filters]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "no_wait", help_heading = "How long")]
    pub wait: Option<Duration>,
    /// Do not wait
    #[arg(long, help_heading = "How long")]
    pub no_wait: bool,
}

const TABLE: [Column; 6] = [
    Column::shown("account", "ACCOUNT"),
    Column::shown("result", "RESULT"),
    Column::shown("cause", "CAUSE"),
    Column::shown("open_requests", "OPEN"),
    Column::shown("next", "NEXT"),
    Column::shown("why", "WHY"),
];

const FIELDS: [Column; 9] = [
    Column::hidden("account"),
    Column::hidden("result"),
    Column::hidden("asked_at"),
    Column::hidden("last_read_at"),
    Column::hidden("cause"),
    Column::hidden("why"),
    Column::hidden("failures"),
    Column::hidden("next_check_at"),
    Column::hidden("open_requests"),
];

/// What came of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// Its list was read.
    Read,
    /// It could not be.
    Failed,
    /// A look was made, or put off, and no list came of it.
    NoList,
    /// Nothing of it is open or linked, so nothing is looked for.
    NothingOpen,
    /// Nobody has looked yet.
    Waiting,
}

/// An account that was looked at.
#[derive(Debug, Serialize)]
struct Checked {
    account: String,
    result: Outcome,
    asked_at: String,
    last_read_at: Option<String>,
    /// The trouble, or the code with which `WeChat` refuses us.
    cause: Option<String>,
    why: Option<String>,
    failures: i64,
    next_check_at: Option<String>,
    open_requests: i64,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Makes accounts due, and waits for what comes of it.
pub(super) async fn run(context: &Context, check: Check) -> anyhow::Result<ExitStatus> {
    let shutdown = Shutdown::new();
    shutdown.listen()?;
    context.with_database(async |session| look(context, session, &check, &shutdown).await).await
}

async fn look(context: &Context, session: &Session, check: &Check, shutdown: &Shutdown) -> anyhow::Result<ExitStatus> {
    let act = Act { word: Word::Check, verb: "check" };
    let Some(meant) = agreed(context, session, &check.choice, act).await? else { return Ok(ExitStatus::Success) };
    let few = &meant.accounts[..meant.accounts.len().min(WAITED_MAX)];
    let before = session.store().accounts_named(few, &AccountFilter::default()).await?;
    let asked_at = session.now();
    let changed = tell(session, act, &meant.accounts, &check.choice.by()).await?;
    let is_driven = session.has_daemon().await;
    let wait = match (check.wait, check.choice.accounts.is_empty()) {
        _ if check.no_wait || !is_driven => Duration::ZERO,
        (Some(wait), _) => wait,
        (None, false) => WAIT,
        (None, true) => Duration::ZERO,
    };
    if !is_driven && !changed.is_empty() {
        note("no daemon is running: they are polled first when one starts");
    }
    if changed.len() > WAITED_MAX {
        note(format!("{} to be polled; the command waits for {WAITED_MAX} at most", ACCOUNTS.counted(changed.len())));
    }
    let mut ending = ExitStatus::Success;
    if changed.len() <= WAITED_MAX && (!changed.is_empty() || !context.is_table()) {
        let looked = outcomes(session, &before, asked_at, wait, shutdown).await?;
        if looked.iter().any(|one| one.result == Outcome::Failed) {
            ending = ExitStatus::ProblemsFound;
        }
        print(context, looked, session.now())?;
    }
    ACCOUNTS.fail(act.verb, &meant.failures)?;
    Ok(ending)
}

/// What came of each look within `wait`.
async fn outcomes(
    session: &Session,
    before: &[AccountView],
    asked_at: Time,
    wait: Duration,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Checked>> {
    let names: Vec<String> = before.iter().map(|row| row.account.clone()).collect();
    let until = asked_at + wait;
    loop {
        let unasked = session.store().accounts_unasked(&names).await?;
        let rows = session.store().accounts_named(&names, &AccountFilter::default()).await?;
        let looked = rows.into_iter().filter_map(|after| {
            let before = before.iter().find(|before| before.account == after.account)?;
            let outcome = outcome(before, &after, asked_at, unasked.contains(&after.account));
            Some(Checked::of(after, outcome, asked_at))
        });
        let looked: Vec<Checked> = looked.collect();
        let is_over = looked.iter().all(|one| one.result != Outcome::Waiting) || session.now() >= until;
        if is_over || stdout_is_abandoned() || shutdown.unless_asked(tokio::time::sleep(EVERY)).await.is_none() {
            return Ok(looked);
        }
    }
}

/// What an account's row says of a look that was asked for; `is_unasked` when the daemon has taken the wish away.
fn outcome(before: &AccountView, after: &AccountView, asked_at: Time, is_unasked: bool) -> Outcome {
    let is_read = after.last_read_at.as_deref().and_then(time_format::parse).is_some_and(|at| at >= asked_at);
    let is_newly_suspended = after.suspended_by.is_some() && before.suspended_by.is_none();
    match (is_read, is_unasked) {
        (true, _) => Outcome::Read,
        _ if after.failures > before.failures || is_newly_suspended => Outcome::Failed,
        _ if after.next_check_at.is_none() => Outcome::NothingOpen,
        (false, true) => Outcome::NoList,
        (false, false) => Outcome::Waiting,
    }
}

impl Checked {
    fn of(row: AccountView, result: Outcome, asked_at: Time) -> Self {
        let (cause, why) = match row.errcode {
            Some(code) => (Some(code.to_string()), row.errmsg),
            None => (row.trouble, row.last_error),
        };
        Self {
            account: row.account,
            result,
            asked_at: time_format::text(asked_at),
            last_read_at: row.last_read_at,
            cause,
            why,
            failures: row.failures,
            next_check_at: row.next_check_at,
            open_requests: row.open_requests,
            next: None,
        }
    }
}

fn print(context: &Context, mut looked: Vec<Checked>, now: Time) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_rows(&FIELDS, &looked);
    }
    for one in &mut looked {
        one.next = time_format::ahead(one.next_check_at.as_deref(), now);
    }
    context.print_rows(&TABLE, &looked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_came_of_a_look() {
        let at = |text: &str| Some(text.to_owned());
        let asked = time_format::parse("2026-03-01T12:00:00.000Z").unwrap();
        let before = AccountView {
            failures: 2,
            next_check_at: at("2026-03-01T12:00:00.000Z"),
            last_read_at: at("2026-03-01T11:00:00.000Z"),
            ..AccountView::default()
        };
        let read = AccountView { failures: 0, last_read_at: at("2026-03-01T12:00:00.400Z"), ..before.clone() };
        let failed = AccountView { failures: 3, ..before.clone() };
        let refused = AccountView { suspended_by: at("wechat"), ..before.clone() };
        let nothing = AccountView { next_check_at: None, ..before.clone() };
        let told = |after: &AccountView| outcome(&before, after, asked, false);
        assert_eq!(told(&before), Outcome::Waiting);
        assert_eq!(told(&read), Outcome::Read);
        assert_eq!(told(&failed), Outcome::Failed);
        assert_eq!(told(&refused), Outcome::Failed);
        assert_eq!(told(&nothing), Outcome::NothingOpen);
        assert_eq!(outcome(&before, &before, asked, true), Outcome::NoList);
    }
}
