//! How a database is read by somebody who may not write it, or from a read-only file system: with its log where the log and
//! its index are there, and without where nobody can be writing. A log that nobody can read is never passed over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use super::sidecar::{self, NEIGHBOURS};

/// How long a statement waits for a file that somebody folds its log into.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What a file was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct FileVersion {
    modified: SystemTime,
    bytes: u64,
}

impl FileVersion {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { modified: found.modified()?, bytes: found.len() })
    }
}

/// How to read a file. One that is frozen is read without its log, which is empty or missing.
pub(super) fn options(path: &Path, is_frozen: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(READ_TIMEOUT)
        .disable_statement_logging()
        .immutable(is_frozen)
}

/// The same as a name for `SQLite` (<https://www.sqlite.org/uri.html>).
pub(super) fn name(path: &Path, is_frozen: bool) -> PathBuf {
    if !is_frozen {
        return path.to_owned();
    }
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1").into()
}

/// Whether the log or its index is missing, and this process must not make them, or cannot: they would be its own, and a
/// daemon of another user could not write there. No daemon works on such a file; what is not in it is in a log that was left
/// behind.
pub(super) fn is_frozen(path: &Path) -> bool {
    let has_both = ["-wal", "-shm"].into_iter().all(|suffix| sidecar::name(path, suffix).exists());
    !has_both && !may_write(path)
}

/// Whether this process may write the file and what stands beside it.
#[must_use]
pub fn may_write(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let beside = NEIGHBOURS.map(|suffix| sidecar::name(&path, suffix));
    check(&sidecar::folder_of(&path), Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && std::iter::once(&path)
            .chain(beside.iter().filter(|file| file.exists()))
            .all(|file| check_writable(file).is_ok())
}

/// That this process may write a file. `SQLite` opens one that it may not write for reading, without a word.
pub(super) fn check_writable(file: &Path) -> io::Result<()> {
    check(file, Access::READ_OK | Access::WRITE_OK)
}

fn check(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Bytes in the log.
pub(super) fn wal_len(path: &Path) -> u64 {
    fs::metadata(sidecar::name(path, "-wal")).map_or(0, |found| found.len())
}
