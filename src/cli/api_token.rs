//! `amplinkd api-token`: tokens of programs that use the HTTP API.

use std::time::Duration;

use anyhow::ensure;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::{
    actor,
    context::{Context, Database, ExitStatus, Session, Usage, note},
    output::Column,
    time_format, user,
};
use crate::{
    config::parse_duration,
    credential::{self, ApiToken},
    domain::{
        action::ActionKind,
        identity::{Role, Scope},
        time::Time,
    },
    store::write::{
        action::Action,
        api_tokens::{ApiTokenView, NewApiToken},
    },
};

/// What can be done with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token; it is shown once
    #[command(after_help = "\
Examples:
  amplinkd api-token new backend --role operator
  amplinkd api-token new prometheus --scope metrics --expires never
  TOKEN=$(amplinkd api-token new ci --scope read,events -o json | jq -r .token)

Programs send it as `Authorization: Bearer TOKEN`. Only its digest is kept. Without --scope it may do all that its role may: \
a viewer read, events and metrics; an operator also requests, accounts, alerts and channels; an admin also backup and users.")]
    New {
        /// The name of the program, for `v_action`
        #[arg(value_parser = user::name)]
        name: String,
        /// What it may do at most
        #[arg(long, value_parser = user::role(), default_value = "viewer")]
        role: Role,
        /// Only these of what the role may
        #[arg(long = "scope", value_name = "SCOPE,…", value_delimiter = ',', value_parser = scope())]
        scopes: Vec<Scope>,
        /// For how long, such as 365d or 12h, or never
        #[arg(long, value_name = "DURATION", value_parser = expiry, default_value = "365d")]
        expires: Expiry,
    },
    /// List tokens, without the tokens themselves
    #[command(after_help = "Example:\n  amplinkd api-token list")]
    List,
    /// Revoke a token; it stops working at once
    #[command(after_help = "Example:\n  amplinkd api-token revoke backend")]
    Revoke {
        /// Its name or its id
        name: String,
    },
}

/// For how long a token is good; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(Option<Duration>);

impl Expiry {
    /// As the API takes it.
    pub(super) fn written(self) -> String {
        self.0.map_or_else(|| "never".to_owned(), |lasts| format!("{}s", lasts.as_secs()))
    }
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry(None)),
        text => parse_duration(text).map(|wait| Expiry(Some(wait))).map_err(|wrong| format!("{wrong}, or never")),
    }
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).map(|word| Scope::from_word(&word).unwrap_or(Scope::Read))
}

const TABLE: [Column; 6] = [
    Column::shown("name", "NAME"),
    Column::shown("role", "ROLE"),
    Column::shown("scopes", "SCOPES"),
    Column::shown("user", "USER"),
    Column::shown("used", "LAST USED"),
    Column::shown("ends", "ENDS"),
];

const FIELDS: [Column; 10] = [
    Column::hidden("id"),
    Column::hidden("name"),
    Column::hidden("role"),
    Column::hidden("scopes"),
    Column::hidden("user"),
    Column::hidden("created_at"),
    Column::hidden("created_by"),
    Column::hidden("expires_at"),
    Column::hidden("used_at"),
    Column::hidden("revoked_at"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    name: String,
    role: String,
    scopes: String,
    user: Option<String>,
    used: String,
    ends: String,
}

impl TableRow {
    fn of(row: ApiTokenView, now: Time) -> Self {
        let is_whole = Role::from_word(&row.role).is_some_and(|role| role.scopes().len() == row.scopes.len());
        let scopes = if is_whole { "all of the role".to_owned() } else { row.scopes.join(" ") };
        let used = row.used_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", time_format::age(&at, now)));
        let ends = match (row.revoked_at, row.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, None) => "never".to_owned(),
            (None, Some(at)) => match time_format::ahead(Some(&at), now) {
                Some(left) if left != "due" => format!("in {left}"),
                _ => "expired".to_owned(),
            },
        };
        Self { name: row.name, role: row.role, scopes, user: row.user, used, ends }
    }
}

/// A token that was made.
#[derive(Serialize, Deserialize)]
pub(super) struct Made {
    id: String,
    name: String,
    role: String,
    scopes: Vec<String>,
    expires_at: Option<String>,
    token: String,
}

/// What was done to a token.
#[derive(Debug, Serialize)]
pub(super) struct Done<'d> {
    pub(super) api_token: &'d str,
    pub(super) done: &'static str,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::New { name, role, scopes, expires } => {
            let scopes = allowed(role, scopes)?;
            let make =
                async |session: &Session| make(context, session, name.clone(), role, scopes.clone(), expires).await;
            context.with_session(Database::MadeIfMissing, make).await?;
        }
        Command::List => context.with_view(async |session| list(context, session).await).await?,
        Command::Revoke { name } => {
            context.with_database(async |session| revoke(context, session, &name).await).await?;
        }
    }
    Ok(ExitStatus::Success)
}

/// The scopes that are wanted, or all of the role.
pub(super) fn allowed(role: Role, mut scopes: Vec<Scope>) -> Result<Vec<Scope>, Usage> {
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Ok(role.scopes());
    }
    match scopes.iter().find(|scope| !role.includes(**scope)) {
        Some(scope) => {
            let least = scope.role();
            Err(Usage(format!("scope {scope} is more than the role {role} may: use --role {least}")))
        }
        None => Ok(scopes),
    }
}

async fn make(
    context: &Context,
    session: &Session,
    name: String,
    role: Role,
    scopes: Vec<Scope>,
    Expiry(lasts): Expiry,
) -> anyhow::Result<()> {
    let (now, by) = (session.now(), actor::by());
    let ApiToken { id, token } = ApiToken::generate();
    let expires_at = lasts.map(|lasts| now + lasts);
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let reason = format!("as {role}, for {}", words.join(" "));
    let action = Action::of(ActionKind::NewApiToken, &name, &by.clone().because(Some(reason)), now);
    let new = NewApiToken {
        id: id.clone(),
        name: name.clone(),
        role,
        scopes: scopes.clone(),
        digest: credential::digest(token.expose_secret()),
        user: None,
        by: by.actor.name,
        expires_at,
    };
    let is_made = session.store().add_api_token(new, action, now).await?;
    ensure!(is_made, "there is a token {name} already: `amplinkd api-token revoke {name}` ends it");
    let (token, expires_at) = (token.expose_secret().to_owned(), expires_at.map(time_format::text));
    let (role, scopes) = (role.to_string(), words.into_iter().map(str::to_owned).collect());
    print_made(context, &Made { id, name, role, scopes, expires_at, token })
}

/// Prints a token that was made, the only time.
pub(super) fn print_made(context: &Context, made: &Made) -> anyhow::Result<()> {
    context.print_one(made)?;
    if context.is_table() {
        note("the token is not kept: give it to the program now");
    }
    Ok(())
}

async fn list(context: &Context, session: &Session) -> anyhow::Result<()> {
    print(context, session.store().api_tokens(None).await?, session.now())
}

/// Prints tokens, without the tokens themselves.
pub(super) fn print(context: &Context, tokens: Vec<ApiTokenView>, now: Time) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_rows(&FIELDS, &tokens);
    }
    if tokens.is_empty() {
        note("there are no API tokens; `amplinkd api-token new NAME` makes one");
        return Ok(());
    }
    let rows: Vec<TableRow> = tokens.into_iter().map(|row| TableRow::of(row, now)).collect();
    context.print_rows(&TABLE, &rows)
}

async fn revoke(context: &Context, session: &Session, name: &str) -> anyhow::Result<()> {
    let now = session.now();
    let action = Action::of(ActionKind::RevokeApiToken, name, &actor::by(), now);
    let is_revoked = session.store().revoke_api_token(name.to_owned(), None, action, now).await?;
    ensure!(is_revoked, unknown(name));
    context.print_one(&Done { api_token: name, done: "revoked" })
}

/// That there is no such token.
pub(super) fn unknown(name: &str) -> String {
    format!("there is no token {name} that still works; `amplinkd api-token list` shows them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_do_no_more_than_its_role() {
        assert_eq!(allowed(Role::Viewer, vec![]).unwrap(), Role::Viewer.scopes());
        assert_eq!(
            allowed(Role::Admin, vec![Scope::Users, Scope::Read, Scope::Users]).unwrap(),
            [Scope::Read, Scope::Users]
        );
        let wrong = allowed(Role::Viewer, vec![Scope::Alerts]).unwrap_err().to_string();
        assert_eq!(wrong, "scope alerts is more than the role viewer may: use --role operator");
    }

    #[test]
    fn a_token_ends_after_a_time_or_never() {
        assert_eq!(expiry("never"), Ok(Expiry(None)));
        assert_eq!(expiry("3s"), Ok(Expiry(Some(Duration::from_secs(3)))));
        assert!(expiry("0s").is_err() && expiry("").is_err());
    }
}
