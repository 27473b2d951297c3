//! Where a database is, and who opens it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Connection as _, SqliteConnection};

use super::{
    frozen::{is_frozen, options, wal_len},
    sidecar::{folder_of, kind},
};
use crate::store::{OpenError, StoreError, server::address::ServerAddress};

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a file of `SQLite`.
    File {
        /// The file.
        path: PathBuf,
        /// Permission bits of a new file, as in 0o640.
        mode: u32,
    },
    /// At a server of PostgreSQL.
    Server(ServerAddress),
}

impl Location {
    /// A file, made with this mode.
    pub fn file(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::File { path: path.into(), mode }
    }

    /// The file, when it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Server(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => path.display().fmt(out),
            Self::Server(address) => address.fmt(out),
        }
    }
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
    // A log that was left behind is not passed over: without its index it is an error.
    let is_alone = is_frozen(path) && wal_len(path) == 0;
    Ok(SqliteConnection::connect_with(&options(path, is_alone).busy_timeout(BUSY_TIMEOUT)).await?)
}

/// The file that a name leads to, or will when it is made: the one that its log and its lock stand beside.
///
/// # Errors
/// [`OpenError`]: it leads nowhere, to something that is no file, or to a path that `SQLite` cannot open.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, OpenError> {
    let found = match (path.canonicalize(), path.file_name()) {
        (Err(missing), Some(name)) if missing.kind() == io::ErrorKind::NotFound => {
            folder_of(path).canonicalize().map(|folder| folder.join(name))
        }
        (found, _) => found,
    };
    let found = found.map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    check_encoding(&found)?;
    match found.metadata().ok().as_ref().and_then(kind) {
        None => Ok(found),
        Some(what) => Err(OpenError::NotAFile { path: found, what }),
    }
}

/// That `SQLite` can open a file of this name.
///
/// # Errors
/// [`OpenError::NotUtf8`].
pub fn check_encoding(path: &Path) -> Result<(), OpenError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(OpenError::NotUtf8(path.to_owned())),
    }
}

/// How long a statement waits for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
