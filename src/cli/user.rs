//! `amplinkd user`: people who may sign in over HTTP. The first one is made here, on the machine.

use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    actor,
    context::{Context, Database, ExitStatus, Session, Usage, note},
    output::Column,
    time_format,
};
use crate::{
    credential,
    domain::{
        action::ActionKind,
        identity::{Role, check_name},
        time::Time,
    },
    store::write::{
        action::Action,
        users::{UserChange, UserView},
    },
};

/// What can be done with users.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a user, who can sign in at once
    #[command(after_help = "\
Examples:
  amplinkd user add lena --role admin
  amplinkd user add ops --role operator --password-file ops.txt

The password is asked for on a terminal; otherwise one line of standard input is the password.
A viewer reads, an operator also acts, an admin also manages users, tokens and backups.")]
    Add {
        /// The name to sign in with
        #[arg(value_parser = name)]
        name: String,
        /// What the user may do
        #[arg(long, value_parser = role(), default_value = "viewer")]
        role: Role,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List users
    #[command(after_help = "Example:\n  amplinkd user list -o json")]
    List,
    /// Change what a user may do, or whether the user may sign in
    #[command(after_help = "\
Examples:
  amplinkd user change lena --role operator
  amplinkd user change lena --disable

A disabled user's sessions end, and the user's own API tokens are revoked.")]
    Change {
        /// The user's name
        name: String,
        /// What the user may do from now on
        #[arg(long, value_parser = role(), required_unless_present_any = ["disable", "enable"])]
        role: Option<Role>,
        /// The user may no longer sign in
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// The user may sign in again
        #[arg(long)]
        enable: bool,
    },
    /// Set a user's password; the user's sessions end, and the user's own API tokens are revoked
    #[command(after_help = "\
Examples:
  amplinkd user password lena
  amplinkd user password lena --password-file new.txt

The password is asked for on a terminal; otherwise one line of standard input is the password.")]
    Password {
        /// The user's name
        name: String,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user, with all sessions and the user's own API tokens
    #[command(after_help = "Example:\n  amplinkd user remove lena")]
    Remove {
        /// The user's name
        name: String,
    },
}

/// Reads the words of roles.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).map(|word| Role::from_word(&word).unwrap_or(Role::Viewer))
}

/// A new name, as the command line takes it.
pub(super) fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

const TABLE: [Column; 5] = [
    Column::shown("name", "NAME"),
    Column::shown("role", "ROLE"),
    Column::shown("added", "ADDED"),
    Column::shown("password", "PASSWORD"),
    Column::shown("sessions", "SESSIONS"),
];

const FIELDS: [Column; 6] = [
    Column::hidden("name"),
    Column::hidden("role"),
    Column::hidden("created_at"),
    Column::hidden("password_at"),
    Column::hidden("disabled_at"),
    Column::hidden("sessions"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    name: String,
    role: String,
    added: String,
    password: String,
    sessions: String,
}

impl TableRow {
    fn of(row: UserView, now: Time) -> Self {
        let ago = |at: &str| format!("{} ago", time_format::age(at, now));
        let sessions = if row.disabled_at.is_some() { "disabled".to_owned() } else { row.sessions.to_string() };
        Self { added: ago(&row.created_at), password: ago(&row.password_at), sessions, name: row.name, role: row.role }
    }
}

/// What was done to a user.
#[derive(Debug, Serialize)]
pub(super) struct Done<'d> {
    pub(super) user: &'d str,
    pub(super) done: &'static str,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Add { name, role, password_file } => {
            let hash = new_password(password_file.as_deref())?;
            let add = async |session: &Session| add(context, session, name.clone(), role, hash.clone()).await;
            context.with_session(Database::MadeIfMissing, add).await?;
        }
        Command::List => context.with_view(async |session| list(context, session).await).await?,
        Command::Change { name, role, disable, enable } => {
            let changes = [role.map(UserChange::Role), (disable || enable).then_some(UserChange::Disabled(disable))];
            let changes = changes.into_iter().flatten().collect();
            change(context, &name, changes, ActionKind::ChangeUser, "changed").await?;
        }
        Command::Password { name, password_file } => {
            let changes = vec![UserChange::Password(new_password(password_file.as_deref())?)];
            change(context, &name, changes, ActionKind::ChangePassword, "password changed").await?;
            note("sessions of this user ended, and the user's own API tokens are revoked");
        }
        Command::Remove { name } => {
            change(context, &name, vec![UserChange::Removed], ActionKind::RemoveUser, "removed").await?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn add(context: &Context, session: &Session, name: String, role: Role, hash: String) -> anyhow::Result<()> {
    let now = session.now();
    let by = actor::by().because(Some(format!("as {role}")));
    let action = Action::of(ActionKind::AddUser, &name, &by, now);
    let is_added = session.store().add_user(name.clone(), role, hash, action, now).await?;
    ensure!(is_added, "there is a user {name} already: `amplinkd user password {name}` sets another password");
    context.print_one(&Done { user: &name, done: "added" })
}

async fn change(
    context: &Context,
    name: &str,
    changes: Vec<UserChange>,
    kind: ActionKind,
    done: &'static str,
) -> anyhow::Result<()> {
    context
        .with_database(async |session| {
            for change in changes {
                let now = session.now();
                let what = match &change {
                    UserChange::Role(role) => Some(format!("role {role}")),
                    UserChange::Disabled(is_disabled) => Some(if *is_disabled { "disabled" } else { "enabled" }.into()),
                    UserChange::Password(_) | UserChange::Removed => None,
                };
                let action = Action::of(kind, name, &actor::by().because(what), now);
                let is_known = session.store().change_user(name.to_owned(), change, action, now).await?;
                ensure!(is_known, unknown(name));
            }
            context.print_one(&Done { user: name, done })
        })
        .await
}

async fn list(context: &Context, session: &Session) -> anyhow::Result<()> {
    let now = session.now();
    print(context, session.store().users(now).await?, now)
}

/// Prints users.
pub(super) fn print(context: &Context, users: Vec<UserView>, now: Time) -> anyhow::Result<()> {
    if !context.is_table() {
        return context.print_rows(&FIELDS, &users);
    }
    if users.is_empty() {
        note("there are no users; `amplinkd user add NAME --role admin` makes the first");
        return Ok(());
    }
    let rows: Vec<TableRow> = users.into_iter().map(|row| TableRow::of(row, now)).collect();
    context.print_rows(&TABLE, &rows)
}

/// That there is no such user.
pub(super) fn unknown(name: &str) -> String {
    format!("there is no user {name}; `amplinkd user list` shows them")
}

/// A new password's hash.
fn new_password(file: Option<&Path>) -> anyhow::Result<String> {
    Ok(credential::hash_password(&password(file)?)?)
}

/// A new password from a file, a terminal or standard input.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn password(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let password = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            let text = text.with_context(|| format!("cannot read the password from {}", path.display()))?;
            first_line(&text)
        }
        None if io::stdin().is_terminal() => typed()?,
        None => {
            let mut line = Zeroizing::new(String::new());
            io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
            first_line(&line)
        }
    };
    credential::check_password(password.expose_secret()).map_err(Usage)?;
    Ok(password)
}

fn first_line(text: &str) -> SecretString {
    SecretString::from(text.lines().next().unwrap_or_default())
}

/// A password from a terminal, twice.
fn typed() -> anyhow::Result<SecretString> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).context("cannot ask for the password");
    let (first, second) = (ask("password: ")?, ask("the same again: ")?);
    if *first != *second {
        bail!("the two passwords differ: nothing was changed");
    }
    Ok(SecretString::from(first.as_str()))
}
