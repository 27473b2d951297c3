//! Why a database cannot be opened, and what to do about it.

use std::{error::Error, io, path::PathBuf};

use super::{
    sidecar::Planted,
    whose::{unreadable, whose},
};
use crate::store::{StoreError, moved::Elsewhere};

/// Why it was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file, its folder or the lock beside it cannot be used.
    #[error("cannot open the database {}: {source}{}", path.display(), whose(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not even readable.
    #[error("cannot read the database {}: {source}{}", path.display(), unreadable(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the database said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A folder, a pipe or a device.
    #[error("cannot open the database {}: it is {what}, not a file: correct [database] url", path.display())]
    NotAFile {
        /// The name.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Its path is not a text.
    #[error(
        "cannot open {0:?}: its path holds bytes that are not UTF-8, and SQLite opens no such file: rename the folder or the \
         file, or name another path (of the database: [database] url)"
    )]
    NotUtf8(PathBuf),
    /// Its log was left behind, and nobody who only reads can read that.
    #[error(
        "cannot read the database {}: its log {}-wal holds changes that are not in the file yet, and reading it needs an index \
         beside it, which cannot be written here: copy both to a folder that you may write (`cp {} {}-wal DIR/`) and set \
         [database] url to the copy", .0.display(), .0.display(), .0.display(), .0.display()
    )]
    LogWithoutIndex(PathBuf),
    /// It was read as a file that nobody writes, and somebody did.
    #[error("{} was written to while it was being read, so the output may be inconsistent: run the command again", .0.display())]
    WrittenMeanwhile(PathBuf),
    /// A second daemon.
    #[error("another amplinkd is already running on {}: one database has one daemon (lock file: {}.lock)", .0.display(), .0.display())]
    Locked(PathBuf),
    /// Something else stands where a file of ours should.
    #[error(transparent)]
    Planted(#[from] Planted),
    /// Another process brings it up to date and does not come to its end.
    #[error("{} is being migrated by another amplinkd: try again when it has finished", .0.display())]
    Migrating(PathBuf),
    /// A daemon drives a file that had this name.
    #[error("the file that the daemon of {} works on was deleted or replaced: put it back, or restart the daemon", .0.display())]
    Gone(PathBuf),
    /// A second name leads to the file, and `SQLite` keeps a log by name.
    #[error(
        "{} has another name (a hard link), under which it has another log, and one log's changes destroy the other's: \
         keep one name (`find DIR -samefile {}` lists them)", .0.display(), .0.display()
    )]
    TwoNames(PathBuf),
    /// Made by a newer program.
    #[error("{} was made by a newer amplinkd (schema {version}): use that version, or restore a backup", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        version: i64,
    },
    /// Made by an older program that runs.
    #[error(
        "{} belongs to an older amplinkd that is running (schema {version}): restart the daemon with this version first",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        version: i64,
    },
    /// Made by an older program, and opened to read alone.
    #[error(
        "{} was made by an older amplinkd (schema {version}): start the daemon of this version, which brings it up to date",
        path.display()
    )]
    Outdated {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        version: i64,
    },
    /// A migration that is not ours.
    #[error("{} is not a database of amplinkd, or its schema was changed: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The check found damage.
    #[error("{} is damaged: {report}; keep a copy and restore a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check said first.
        report: String,
    },
    /// The library is one that can corrupt the file.
    #[error("this build carries SQLite {0}, which can corrupt a write-ahead log: build with 3.51.3 or newer")]
    OldSqlite(String),
    /// A server's database cannot be reached or used.
    #[error("cannot open the database {address}: {source}")]
    Server {
        /// Where it is.
        address: String,
        /// What the server or the driver said.
        source: Box<StoreError>,
    },
    /// A server that we do not know how to work with, or that may lose what it confirms.
    #[error("cannot work with the database {address}: {reason}")]
    UnfitServer {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
    },
    /// A second daemon of one name.
    #[error("another daemon that is called {other:?} works on {address}: give each its own [cluster] node")]
    Driven {
        /// Where it is.
        address: String,
        /// The other daemon's name.
        other: String,
    },
    /// The lock of a daemon's name is held.
    #[error(
        "another daemon is called {name:?} on this machine ({} is locked): give each its own [cluster] node",
        path.display()
    )]
    SameNode {
        /// The name.
        name: String,
        /// The lock.
        path: PathBuf,
    },
    /// The lock of a daemon's name cannot be taken.
    #[error("the lock {} cannot be taken: {source}; [cluster] state names its folder", path.display())]
    NodeLock {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server's database that is not ours.
    #[error("{address} is not a database of amplinkd: {reason}")]
    ForeignServer {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
    },
    /// Made by a newer program.
    #[error("{address} was made by a newer amplinkd (schema {version}): use that version")]
    NewerServer {
        /// Where it is.
        address: String,
        /// Its schema's version.
        version: i64,
    },
    /// Made by an older program, and opened to read alone.
    #[error(
        "{address} was made by an older amplinkd (schema {version}): start the daemon of this version, which brings it up to date"
    )]
    OutdatedServer {
        /// Where it is.
        address: String,
        /// Its schema's version.
        version: i64,
    },
    /// It was moved, or is being moved ([`crate::store::moving`]).
    #[error(transparent)]
    Moved(#[from] Elsewhere),
    /// The database would not work.
    #[error("cannot open the database {}: {source}{}", path.display(), whose(path))]
    Store {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: StoreError,
    },
}
