//! Where a database is, and who opens it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::store::StoreError;

/// Where the database is and with which mode it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// Permission bits of a new file, as in 0o640.
    pub mode: u32,
}

/// Who opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one process that drives requests: takes the lock and checks the file.
    Daemon,
    /// A command beside it.
    Tool,
}

/// A connection of its own, for what must not share the pool: backups and whole-file checks.
pub async fn lone_reader(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// How long a statement waits for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
