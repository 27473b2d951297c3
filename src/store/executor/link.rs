//! The thread's connection, and how one is made.

use std::{path::PathBuf, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{Db, Piece};
use crate::store::{
    StoreError,
    moved::MOVED,
    server::{connect::Way as ServerWay, session::Session},
};

/// Statements kept ready: all that any piece of work runs.
const STATEMENTS: usize = 128;

/// How the thread reaches the database.
#[derive(Debug, Clone)]
pub(in crate::store) enum Way {
    File(FileWay),
    Server(ServerWay),
}

/// How the thread opens a file.
#[derive(Debug, Clone)]
pub(in crate::store) struct FileWay {
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) busy_timeout: Duration,
    /// As `PRAGMA cache_size` takes it.
    pub(in crate::store) cache: &'static str,
    pub(in crate::store) log_pages: &'static str,
    pub(in crate::store) log_limit: u64,
    pub(in crate::store) flags: OpenFlags,
}

impl FileWay {
    /// Of a database that is opened for reading alone, by the name that is given to `SQLite`: a path, or a URI.
    pub(in crate::store) fn to_read(name: PathBuf, busy_timeout: Duration) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Self { path: name, busy_timeout, cache: "-2000", log_pages: "1000", log_limit: 0, flags }
    }
}

/// A connection.
pub(super) enum Link {
    File(Connection),
    Server(Session),
}

impl Link {
    pub(super) fn open(way: &Way) -> Result<Self, StoreError> {
        Ok(match way {
            Way::File(way) => Self::File(open(way)?),
            Way::Server(way) => Self::Server(Session::open(way)?),
        })
    }

    pub(super) const fn db(&self) -> Db<'_> {
        match self {
            Self::File(connection) => Db::Sqlite(connection),
            Self::Server(session) => Db::Postgres(session),
        }
    }

    /// Whether no transaction is left open on it.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::File(connection) => connection.is_autocommit(),
            Self::Server(session) => session.is_idle(),
        }
    }

    /// Whether several pieces of work read from one moment: where each statement is a way to another machine, two more would
    /// cost as much as they spare.
    pub(super) const fn has_snapshots(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Writes these pieces, all or none.
    pub(super) fn transact(&mut self, pieces: &mut [Box<dyn Piece>]) -> Result<(), StoreError> {
        match self {
            Self::File(connection) => {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let moved = Db::Sqlite(&transaction).first(MOVED, (), |row| row.get::<String>(0))?;
                if let Some(other) = moved {
                    return Err(StoreError::Moved(other.into()));
                }
                for piece in pieces {
                    piece.run(Db::Sqlite(&transaction))?;
                }
                Ok(transaction.commit()?)
            }
            Self::Server(session) => {
                session.transact(|| pieces.iter_mut().try_for_each(|piece| piece.run(Db::Postgres(session))))
            }
        }
    }
}

fn open(way: &FileWay) -> Result<Connection, StoreError> {
    let FileWay { path, busy_timeout, cache, log_pages, log_limit, flags } = way;
    let connection = Connection::open_with_flags(path, *flags)?;
    connection.busy_timeout(*busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement whose plan a value might better is prepared anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = {cache};
         PRAGMA wal_autocheckpoint = {log_pages}; PRAGMA journal_size_limit = {log_limit};"
    ))?;
    Ok(connection)
}
