//! Opens a database: created with its mode, migrated, checked, locked.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use rusqlite::OpenFlags;
use sqlx::{
    ConnectOptions, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

use super::{
    check,
    frozen::check_writable,
    identity::FileIdentity,
    location::{BUSY_TIMEOUT, resolved},
    lock::{Purpose, lock_soon},
    migrate::{migrate, migrate_alone, shrink},
    move_to_log::Tell,
    sidecar,
    wal::{FOLD_ABOVE, Log},
    whose,
};
use crate::store::{
    Location, OpenError, Role, Store,
    executor::{Executor, FileWay, Turn, Way},
    health::Health,
    meters::CommitMeters,
    moved,
    place::{Hold, Place},
    read::illegal_rows::Scan,
    skipped_accounts::SkippedAccounts,
    sql::{Pool, Tx},
    write::writer::{self, Link, Writer},
};

/// The same for the daemon. Its loop may wait for two groups of the writer, one under way and its own: together they must
/// stay below what counts as a standstill, and far below the 30 s of systemd's watchdog.
const DAEMON_BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// How far apart and how often opening is tried while somebody else makes the file: as long as a statement waits.
const OPEN_PAUSE: Duration = Duration::from_millis(20);
const OPEN_TRIES: u32 = 1_500;

/// Pages the writer keeps in memory, as `SQLite` counts them: negative is KiB. A group of decisions touches a few pages of
/// every table for each request; with `SQLite`'s 2 MiB they were read again and again.
const CACHE_KIB: &str = "-32768";

/// The same for a command: the pages of an import of a million lines come back to the same pages of several tables and
/// indexes. It takes no more than it needs.
const TOOL_CACHE_KIB: &str = "-262144";

/// Pages of log before they are folded into the file. With `SQLite`'s 1,000 a busy writer folded after every group.
const LOG_PAGES: &str = "8000";

/// Connections for reading: two cores' worth of queries and a slow one beside them.
const READERS: u32 = 4;

/// The same for the door ([`Store::for_door`]): what it reads at once, a report, and what event streams are fed from.
const DOOR_READERS: u32 = 4;

/// The first `SQLite` without the WAL-reset corruption (<https://www.sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

impl Store {
    /// Opens the database, making it when it is not there.
    ///
    /// # Errors
    /// [`OpenError`]: the file is as it was.
    pub async fn open(location: &Location, role: Role) -> Result<Self, OpenError> {
        Self::open_telling(location, role, &|_| {}).await
    }

    /// [`Self::open`], with word of how far it has come where an older file is brought up to date.
    pub async fn open_telling(location: &Location, role: Role, tell: Tell<'_>) -> Result<Self, OpenError> {
        match location {
            Location::File { path, mode } => Self::open_file(path, *mode, role, tell).await,
            Location::Server(address) => Self::open_server(address, role).await,
        }
    }

    async fn open_file(path: &Path, mode: u32, role: Role, tell: Tell<'_>) -> Result<Self, OpenError> {
        let purpose = if role == Role::Daemon { Some(Purpose::Drive) } else { None };
        let Opened { path, lock, options, mut connection } = opened((path, mode), purpose, tell).await?;
        let path = &path;
        let unusable = |source| OpenError::File { path: path.clone(), source };
        let (tx, place) = (&mut Tx::Sqlite(&mut connection), &path.display());
        match role {
            Role::Daemon => moved::check_in_use(tx, place).await,
            Role::Tool => moved::check_whole(tx, place).await,
        }
        .map_err(|source| OpenError::Store { path: path.clone(), source })??;
        let is_unchecked = role == Role::Daemon && !check::is_first(path);
        if role == Role::Daemon && !is_unchecked {
            check::first(path).await?;
        }
        let to_read = options.clone().read_only(true).pragma("cache_size", "-2000").pragma("query_only", "1");
        let pool = |most| SqlitePoolOptions::new().max_connections(most).test_before_acquire(false);
        let readers = Pool::Sqlite(pool(READERS).connect_lazy_with(to_read.clone()));
        let door = Pool::Sqlite(pool(DOOR_READERS).connect_lazy_with(to_read));
        let place = FileIdentity::of(path).map_err(|source| OpenError::File { path: path.clone(), source })?;
        let (turn, health) = (Turn::default(), watch::Sender::new(Health::default()));
        let meters = Arc::<CommitMeters>::default();
        let way = FileWay {
            path: path.clone(),
            busy_timeout: if role == Role::Daemon { DAEMON_BUSY_TIMEOUT } else { BUSY_TIMEOUT },
            cache: CACHE_KIB,
            log_pages: LOG_PAGES,
            log_limit: FOLD_ABOVE,
            flags: OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        };
        Ok(Self {
            readers,
            door,
            executor: Executor::start(Way::File(way), Arc::clone(&turn), health.clone(), Arc::clone(&meters))
                .map_err(unusable)?,
            writer: Writer::start(
                Link::File(connection),
                writer::Way::File(options.into()),
                turn,
                health,
                Arc::clone(&meters),
            ),
            meters,
            hold: lock.map(|file| Hold::Lock { _file: Arc::new(file) }),
            place: Place::File(place),
            is_unchecked,
            frozen: None,
            log: Log::default(),
            left_out: SkippedAccounts::default(),
            scan: Scan::default(),
        })
    }
}

/// A file that is ready to be worked with.
pub(in crate::store) struct Opened {
    /// Of all names that lead to it, one.
    pub(in crate::store) path: PathBuf,
    /// Held for whoever works on it alone.
    pub(in crate::store) lock: Option<File>,
    options: SqliteConnectOptions,
    pub(in crate::store) connection: SqliteConnection,
}

/// Makes the file where it is missing, takes its lock for a `purpose`, connects and brings it up to date.
pub(in crate::store) async fn opened(
    (path, mode): (&Path, u32),
    purpose: Option<Purpose>,
    tell: Tell<'_>,
) -> Result<Opened, OpenError> {
    let failed = |source: sqlx::Error| OpenError::Store { path: path.to_owned(), source: source.into() };
    let unusable = |source| OpenError::File { path: path.to_owned(), source };
    resolved(path)?;
    create(path, mode).map_err(unusable)?;
    // Of all names that lead to the file, one: the lock stands beside it.
    let path = path.canonicalize().map_err(unusable)?;
    check_writable(&path).map_err(unusable)?;
    sidecar::check_neighbours(&path)?;
    if path.metadata().map_err(unusable)?.nlink() > 1 {
        return Err(OpenError::TwoNames(path));
    }
    whose::check(&path).map_err(unusable)?;
    let lock = match purpose {
        Some(purpose) => Some(lock_soon(&path, purpose).await?),
        None => None,
    };
    let options = options(&path, if purpose == Some(Purpose::Drive) { Role::Daemon } else { Role::Tool });
    let mut connection = connect_soon(&options).await.map_err(failed)?;
    check_library(&mut connection).await.map_err(failed)??;
    match purpose {
        Some(_) => {
            migrate(&mut connection, &path, tell).await?;
            shrink(&mut connection).await;
        }
        None => migrate_alone(&mut connection, &path, tell).await?,
    }
    Ok(Opened { path, lock, options, connection })
}

/// How a connection that writes is made.
fn options(path: &Path, role: Role) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(if role == Role::Daemon { DAEMON_BUSY_TIMEOUT } else { BUSY_TIMEOUT })
        .pragma("cache_size", if role == Role::Daemon { CACHE_KIB } else { TOOL_CACHE_KIB })
        .pragma("wal_autocheckpoint", LOG_PAGES)
        .pragma("journal_size_limit", FOLD_ABOVE.to_string())
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// Makes the file with its mode. The log beside it inherits the mode from it.
fn create(path: &Path, mode: u32) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        // The process's umask may have taken bits away that the operator asked for.
        Ok(file) => {
            sidecar::belongs_to_its_folder(&file, path);
            file.set_permissions(PermissionsExt::from_mode(mode))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Connects. Whoever is first makes a write-ahead log of a new file, for which nobody else may look at it; `SQLite` does
/// not wait for that by itself (<https://www.sqlite.org/wal.html#busy>), so that two who come at one moment would fail.
async fn connect_soon(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    for _ in 0..OPEN_TRIES {
        match options.connect().await {
            Err(busy) if is_busy(&busy) => tokio::time::sleep(OPEN_PAUSE).await,
            other => return other,
        }
    }
    options.connect().await
}

fn is_busy(error: &sqlx::Error) -> bool {
    // "database is locked" and its extended codes, which have it in their low byte.
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

pub(super) async fn check_library(connection: &mut SqliteConnection) -> Result<Result<(), OpenError>, sqlx::Error> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    let mut parts = version.split('.').map(|part| u32::from_str(part).unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let ours = (next(), next(), next());
    Ok(if ours < OLDEST_SQLITE { Err(OpenError::OldSqlite(version)) } else { Ok(()) })
}
