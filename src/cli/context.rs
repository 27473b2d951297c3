//! What every command starts with: the configuration, the open database, where and how to print. Commands that only
//! read do not create a database: a typing error in its path would look like an empty one.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing::Level;

use super::{
    output::{self, Column, Format, Look, Printer},
    readers, time_format,
};
use crate::{
    clock::SystemClock,
    config::{Config, environment},
    daemon,
    domain::time::Time,
    engine::record::Recorder,
    store::{Location, Moved, OpenError, Role, Store, StoreError, may_write},
    telemetry,
};

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Exit code 0.
    Success,
    /// Exit code 3: it looked for problems and found some.
    ProblemsFound,
}

/// Arguments that are legal one by one and wrong together: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Whether a command may make the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// It must be there.
    Existing,
    /// It is made when it is not there.
    MadeIfMissing,
    /// It must be there and is only read: opened as every command does, so that an older file is brought up to date, or for
    /// reading alone where this process may not write it.
    Viewed,
}

impl Database {
    /// For a command that changes an existing one, unless it only shows what it would do.
    #[must_use]
    pub const fn unless_dry_run(dry_run: bool) -> Self {
        if dry_run { Self::Viewed } else { Self::Existing }
    }
}

/// What was said before the command's own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// `-c`.
    pub config: Option<PathBuf>,
    /// `-o`.
    pub format: Format,
    /// How tables look on this stdout.
    pub look: Look,
}

/// The open database with everything a command may ask of it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where wishes and decisions go.
    pub recorder: Arc<Recorder>,
    /// The configuration.
    pub config: Arc<Config>,
}

impl Context {
    /// The configuration, without its secrets: commands call nobody, so they must work for a person who may not read the
    /// daemon's.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn config(&self) -> anyhow::Result<Config> {
        let config = Config::without_secrets(self.config.as_deref(), environment()?)?;
        time_format::show_in(&config.alerts.zone);
        Ok(config)
    }

    /// The configuration with the secrets of its channels, for the command that sends something itself.
    ///
    /// # Errors
    /// As [`Context::config`], and when a secret's file cannot be read.
    pub fn config_with_channels(&self) -> anyhow::Result<Config> {
        let config = Config::without_tokens(self.config.as_deref(), environment()?)?;
        time_format::show_in(&config.alerts.zone);
        Ok(config)
    }

    /// Opens the database, lets `work` work with it, and closes it, whatever came of the work.
    pub async fn with_session<T>(
        &self,
        database: Database,
        work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = self.config()?;
        let location = config.database.location.clone();
        let store = match database {
            Database::MadeIfMissing => open_to_change(&location).await?,
            Database::Existing => {
                must_exist(&location)?;
                open_to_change(&location).await?
            }
            Database::Viewed => {
                must_exist(&location)?;
                open_to_view(&location).await?
            }
        };
        work_with(store, config, work).await
    }

    /// [`Context::with_session`] for a database that must be there.
    pub async fn with_database<T>(&self, work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.with_session(Database::Existing, work).await
    }

    /// Opens a database that must be there for reading alone, lets `work` look at it, and closes it: nothing is made, locked
    /// or brought up to date.
    pub async fn with_reader<T>(&self, work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let config = self.config()?;
        let location = config.database.location.clone();
        must_exist(&location)?;
        let store = Store::open_to_read(&location).await?;
        work_with(store, config, work).await
    }

    /// [`Context::with_session`] for a database that is only read.
    pub async fn with_view<T>(&self, work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.with_session(Database::Viewed, work).await
    }

    /// Prints one object.
    pub fn print_one<T: Serialize>(&self, object: &T) -> anyhow::Result<()> {
        Ok(output::one(&mut io::stdout().lock(), self.format, self.look, object)?)
    }

    /// Prints rows that are few.
    pub fn print_rows<T: Serialize>(&self, columns: &[Column], rows: &[T]) -> anyhow::Result<()> {
        Ok(output::print(&mut io::stdout().lock(), self.format, self.look, columns, rows)?)
    }

    /// Prints rows that are few below what was printed before, an empty line between.
    pub fn print_beneath<T: Serialize>(&self, columns: &[Column], rows: &[T]) -> anyhow::Result<()> {
        let mut text = b"\n".to_vec();
        output::print(&mut text, self.format, self.look, columns, rows)?;
        Ok(readers::to_stdout(&text)?)
    }

    /// Begins to print rows that may be many.
    #[must_use]
    pub fn printer<'c>(&self, columns: &'c [Column]) -> Printer<'c, BufWriter<StdoutLock<'static>>> {
        Printer::new(BufWriter::new(io::stdout().lock()), self.format, self.look, columns)
    }

    /// Says to a person what a table without rows would show; programs see that there are none.
    pub fn note_if_empty(&self, rows: usize, why: &str) {
        if rows == 0 && self.is_table() {
            note(why);
        }
    }

    /// Whether a person reads a table.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        matches!(self.format, Format::Table)
    }
}

impl Session {
    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.recorder.store()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.recorder.clock().now()
    }

    /// Whether a daemon works on this database; of what may not be looked at, one is expected.
    #[must_use]
    pub async fn has_daemon(&self) -> bool {
        self.store().has_daemon().await.unwrap_or(true)
    }

    /// Says that nobody does the work that was asked for, and what becomes of it; nothing while a daemon runs.
    pub async fn note_without_daemon(&self, then: &str) {
        if !self.has_daemon().await {
            note(format!("no daemon is running: {then}"));
        }
    }
}

/// Refuses a database that is not there.
///
/// # Errors
/// A sentence that says how one comes to be.
pub fn must_exist(location: &Location) -> anyhow::Result<()> {
    let Some(path) = location.path() else { return Ok(()) };
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => anyhow::bail!(
            "there is no database at {location} yet: `amplinkd request link` or `amplinkd run` creates it"
        ),
        Err(wrong) => Err(wrong).with_context(|| format!("cannot open the database {location}")),
    }
}

/// Asks before something large is done, unless `yes` was said; `shown` is what `--dry-run` would show.
///
/// # Errors
/// Nobody agreed, or nobody could be asked.
pub fn agree(what: &str, shown: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        anyhow::bail!("this would {what}: use --yes to do it, or --dry-run to see {shown}");
    }
    write!(io::stderr(), "{what}? [y/N] ").context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        anyhow::bail!("nothing was changed");
    }
    Ok(())
}

/// Says something beside the result, on stderr. A note that nobody can read is no failure.
pub fn note(text: impl Display) {
    telemetry::say(Level::INFO, &format!("note: {text}"));
}

/// Says on stderr what works and is probably not meant.
pub fn warning(text: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Opens the database; where an older one is brought up to date, with a bar that says how far that has come.
///
/// # Errors
/// [`OpenError`]: the file is as it was.
pub async fn open(location: &Location, role: Role) -> Result<Store, OpenError> {
    let bar = OnceLock::new();
    let tell = |Moved { done, total }| {
        bar.get_or_init(|| progress(total, "migrating the database")).set_position(done);
    };
    Store::open_telling(location, role, &tell).await
}

/// Opens a database for a command that changes it.
async fn open_to_change(location: &Location) -> anyhow::Result<Store> {
    let store = open(location, Role::Tool).await?;
    if let Err(elsewhere) = store.check_not_moved().await {
        store.close().await;
        return Err(elsewhere.into());
    }
    Ok(store)
}

/// Opens a database for a command that only reads it ([`Context::with_view`]).
///
/// # Errors
/// [`OpenError`]: the file is as it was.
pub async fn open_to_view(location: &Location) -> Result<Store, OpenError> {
    match location.path() {
        Some(path) if !may_write(path) => Store::open_to_read(location).await,
        Some(_) | None => open(location, Role::Tool).await,
    }
}

/// Lets `work` work with a database, and closes it, whatever came of the work.
async fn work_with<T>(
    store: Store,
    config: Config,
    work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let recorder = Arc::new(Recorder::new(store.clone(), Arc::new(SystemClock::new()), config.policy()));
    recorder.audit_by(daemon::deadlines(&daemon::alerting(&config)));
    let result = work(&Session { recorder, config: Arc::new(config) }).await;
    let is_whole = store.check_frozen();
    store.close().await;
    is_whole?;
    result
}

/// A bar for long work, on a terminal's stderr; elsewhere it draws nothing.
#[must_use]
pub fn progress(length: u64, doing: &'static str) -> ProgressBar {
    /// Redraws per second: smooth to the eye, nothing to the work.
    const PER_SECOND: u8 = 10;
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(PER_SECOND));
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(doing)
}

/// A damaged file is something that a check has found, not a failure of the check.
#[must_use]
pub const fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt(_) | StoreError::Mistyped(_))
}
