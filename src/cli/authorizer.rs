//! `amplinkd authorizer`: accounts that authorized the platform, when the daemon keeps its tokens itself.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::{
    context::{Context, ExitStatus, Session, note},
    output::Column,
    pages, time_format,
};
use crate::{
    domain::{authorizer::AuthorizerState, id::AccountId, time::Time},
    store::{
        read::authorizers::AuthorizerView,
        write::token_task::{TaskDone, TokenTask},
    },
};

/// Rows read at once.
const PAGE: u32 = 500;

/// How long a command waits for the daemon, and how often it looks.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Reads the words of `v_authorizer.state`.
fn state() -> impl TypedValueParser<Value = AuthorizerState> {
    PossibleValuesParser::new(AuthorizerState::ALL.map(AuthorizerState::as_str))
        .map(|word| AuthorizerState::from_word(&word).unwrap_or(AuthorizerState::Unknown))
}

/// What can be done with authorizers.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List accounts that authorized the platform, or did
    #[command(after_help = "\
Examples:
  amplinkd authorizer list
  amplinkd authorizer list --state unauthorized -o csv

LINKS says whether the account granted permission set 33 (小程序关联管理), without which WeChat refuses link calls (61007); \
unknown while WeChat has not said: `authorizer sync` learns who authorized, not what was granted.")]
    List {
        /// Only authorizers in this state
        #[arg(long, value_parser = state())]
        state: Option<AuthorizerState>,
        /// At most this many, 0 for all [default: 50 in a table, otherwise all]
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Show one authorizer
    #[command(after_help = "Example:\n  amplinkd authorizer show wx0123456789abcdef")]
    Show {
        /// Its appid
        account: AccountId,
    },
    /// Have the daemon read the whole list of authorizers from WeChat
    #[command(after_help = "\
Example:
  amplinkd authorizer sync

An existing platform moves in with it: no account has to authorize again. The running daemon does it, 500 accounts a call; \
the command waits a minute for the result. The daemon makes at most 500 such calls a day and continues the next day.")]
    Sync,
    /// Have the daemon fetch an account's next access token
    #[command(after_help = "\
Example:
  amplinkd authorizer refresh wx0123456789abcdef

Only needed when a token died outside of WeChat's rules: the daemon refreshes in time by itself. At most once a minute.")]
    Refresh {
        /// Its appid
        account: AccountId,
    },
}

const TABLE: [Column; 6] = [
    Column::shown("appid", "APPID"),
    Column::shown("state", "STATE"),
    Column::shown("since", "FOR"),
    Column::shown("links", "LINKS"),
    Column::shown("token", "TOKEN"),
    Column::shown("name", "NAME"),
];

const FIELDS: [Column; 10] = [
    Column::hidden("appid"),
    Column::hidden("state"),
    Column::hidden("since"),
    Column::hidden("has_link_permission"),
    Column::hidden("links"),
    Column::hidden("token_until"),
    Column::hidden("username"),
    Column::hidden("nickname"),
    Column::hidden("errcode"),
    Column::hidden("errmsg"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    appid: String,
    state: String,
    since: String,
    links: String,
    token: String,
    name: Option<String>,
}

impl TableRow {
    fn of(row: AuthorizerView, now: Time) -> Self {
        let token = match (time_format::ahead(row.token_until.as_deref(), now), row.errcode) {
            (Some(left), _) if left != "due" => format!("ends in {left}"),
            (_, Some(errcode)) => format!("refused: {errcode}"),
            (_, None) => "when needed".to_owned(),
        };
        let since = time_format::age(&row.since, now);
        Self { appid: row.appid, state: row.state, since, links: row.links, token, name: row.nickname.or(row.username) }
    }
}

/// What came of a task, as JSON.
#[derive(Debug, Serialize)]
struct Said {
    result: String,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List { state, limit } => {
            context.with_view(async |session| list(context, session, state, limit).await).await?;
        }
        Command::Show { account } => {
            context.with_view(async |session| show(context, session, &account).await).await?;
        }
        Command::Sync => ask(context, TokenTask::Sync).await?,
        Command::Refresh { account } => ask(context, TokenTask::Refresh(account.to_string())).await?,
    }
    Ok(ExitStatus::Success)
}

async fn show(context: &Context, session: &Session, account: &AccountId) -> anyhow::Result<()> {
    match session.store().authorizer_view(account.as_str()).await? {
        Some(row) => context.print_one(&row),
        None => anyhow::bail!(unknown(account)),
    }
}

/// That there is no such authorizer.
pub(super) fn unknown(account: &AccountId) -> String {
    format!("{account} is not known as an authorizer; `amplinkd authorizer sync` reads WeChat's list of them")
}

async fn list(
    context: &Context,
    session: &Session,
    state: Option<AuthorizerState>,
    limit: Option<u32>,
) -> anyhow::Result<()> {
    let next = async |last: Option<&AuthorizerView>| {
        session.store().authorizer_page(state, last.map_or("", |last| &last.appid), PAGE).await
    };
    print(context, (state, limit), session.now(), next).await
}

/// Prints the authorizers that `next` has after one.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    (state, limit): (Option<AuthorizerState>, Option<u32>),
    now: Time,
    next: impl AsyncFnMut(Option<&AuthorizerView>) -> Result<Vec<AuthorizerView>, E>,
) -> anyhow::Result<()> {
    let glance = |row| TableRow::of(row, now);
    let shown = pages::print(context, (&TABLE, &FIELDS), limit, next, glance).await?;
    if shown == 0 {
        note(nothing(state));
    }
    Ok(())
}

/// Why there are no rows.
fn nothing(state: Option<AuthorizerState>) -> &'static str {
    match state {
        None => {
            "no authorizers are known; with [tokens] source = \"component\", `amplinkd authorizer sync` reads WeChat's list"
        }
        Some(_) => "no authorizer is in this state; `amplinkd authorizer list` lists all",
    }
}

/// Asks the running daemon, and waits for what came of it.
async fn ask(context: &Context, task: TokenTask) -> anyhow::Result<()> {
    let done = context
        .with_database(async |session| {
            anyhow::ensure!(
                session.has_daemon().await,
                "no daemon is running on this database, and only a daemon asks WeChat for tokens: start `amplinkd run`"
            );
            let id = session.store().ask_for_tokens(task, session.now()).await?;
            let began = std::time::Duration::ZERO;
            let mut waited = began;
            while waited < PATIENCE {
                if let Some(done) = session.store().token_task_result(id).await? {
                    return Ok(Some(done));
                }
                tokio::time::sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Ok(None)
        })
        .await?;
    match done {
        Some(TaskDone { is_well: true, said }) => context.print_one(&Said { result: said }),
        Some(TaskDone { said, .. }) => anyhow::bail!("{said}"),
        None => {
            note("the daemon is still at it; `amplinkd authorizer list` shows what it has found so far");
            Ok(())
        }
    }
}
