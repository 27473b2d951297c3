//! Opens a database read-only: nothing is created, locked or migrated, so that anybody with read permission can look at
//! it, with or without a daemon.

use std::{path::Path, sync::Arc, time::Duration};

use rustix::fs::{Access, access};
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::sync::watch;

use super::{
    open::{FileIdentity, check_library},
    schema::{SCHEMA, schema},
    sidecar,
    wal::Log,
};
use crate::store::{
    OpenError, Store,
    executor::{Executor, Turn, Way},
    health::Health,
    read::illegal_rows::Scan,
    skipped_accounts::SkippedAccounts,
    write::writer::Writer,
};

/// Connections for reading: a page of figures asks one thing after the other.
const READERS: u32 = 2;

/// How long a statement waits for a file that somebody folds its log into.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens a database that is there, for reading alone: every write to it is refused.
    ///
    /// # Errors
    /// [`OpenError`]; also when the file is older than this program, because nothing here brings it up to date.
    pub async fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        let failed = |source: sqlx::Error| OpenError::Store { path: path.to_owned(), source: source.into() };
        let unusable = |source| OpenError::File { path: path.to_owned(), source };
        let path = &path.canonicalize().map_err(unusable)?;
        let options = options(path);
        let mut connection = options.connect().await.map_err(failed)?;
        check_library(&mut connection).await.map_err(failed)??;
        match schema(&mut connection, path).await? {
            SCHEMA => {}
            0 => return Err(OpenError::Foreign { path: path.clone(), reason: "it has no schema of ours".to_owned() }),
            version if version > SCHEMA => return Err(OpenError::Newer { path: path.clone(), version }),
            version if Self::is_driven(path).unwrap_or(false) => {
                return Err(OpenError::Older { path: path.clone(), version });
            }
            version => return Err(OpenError::Outdated { path: path.clone(), version }),
        }
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.clone());
        let place = FileIdentity::of(path).map_err(unusable)?;
        let (turn, health) = (Turn::default(), watch::Sender::new(Health::default()));
        Ok(Self {
            readers,
            executor: Executor::start(Way::to_read(path, BUSY_TIMEOUT), Arc::clone(&turn), health.clone())
                .map_err(unusable)?,
            writer: Writer::start(connection, options, turn, health),
            lock: None,
            place,
            is_unchecked: true,
            left_out: SkippedAccounts::default(),
            log: Log::default(),
            scan: Scan::default(),
        })
    }
}

/// How to read a file. After a clean stop there is no log beside it, and whoever may not write into the folder cannot make
/// one as `SQLite` would: then nobody writes, and the file alone is all there is.
fn options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let has_log = sidecar::name(path, "-wal").exists();
    let folder = path.parent().unwrap_or(path);
    let may_write = access(folder, Access::WRITE_OK).is_ok();
    options.immutable(!has_log && !may_write)
}
