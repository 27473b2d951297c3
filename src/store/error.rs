//! Database errors, by what to do next. They hold no value that was being written.

use std::{borrow::Cow, error::Error, sync::Arc};

use sqlx::postgres::PgDatabaseError;

/// What the driver said.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why nothing was written, or nothing could be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Someone else holds the database; try again.
    #[error("the database is busy: another process has been writing for too long ({0})")]
    Busy(Cause),
    /// No room; effects must stop until there is.
    #[error("the disk is full: nothing can be written until there is room ({0})")]
    Full(Cause),
    /// The file cannot be written; effects must stop until it can.
    #[error("the database cannot be written or read: check the disk, its mount and the file's mode ({0})")]
    Broken(Cause),
    /// The file is damaged.
    #[error("the database is damaged: stop, keep a copy, and restore a backup ({0})")]
    Corrupt(Cause),
    /// A row that no legal request has.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// The key stands for another request.
    #[error(
        "key {key:?} belongs to request {id}, which is for account {account} and program {program}: choose another key"
    )]
    KeyTaken {
        /// The key.
        key: String,
        /// Its request.
        id: String,
        /// That request's account.
        account: String,
        /// That request's program.
        program: String,
    },
    /// An import was silent for so long that others took it for dead.
    #[error("the import made no progress for too long and was abandoned: nothing of it was written; run it again")]
    ImportGone,
    /// A row holds a value of a type that we never write.
    #[error(
        "a row holds a value of another type than its column's, as somebody else must have written it: mend it, or restore a backup ({0})"
    )]
    Mistyped(Cause),
    /// A statement that should not fail.
    #[error("the database refused a statement, which is a defect of amplinkd: {0}")]
    Refused(Cause),
    /// Another daemon has taken over.
    #[error("this daemon was silent for too long and another one works in its place: nothing more is written here")]
    Fenced,
    /// Everything of the database is elsewhere, or on its way there.
    #[error("the database was moved to {0}, or is being moved there: nothing more is written here")]
    Moved(Arc<str>),
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
}

impl StoreError {
    /// Whether one row alone is the reason: it holds up itself, and nothing beside it.
    pub(crate) const fn is_of_one_row(&self) -> bool {
        matches!(self, Self::Row(_) | Self::Mistyped(_) | Self::Refused(_))
    }

    /// Whether the file, its disk or the server is the reason, so that no other write would have fared better.
    #[must_use]
    pub const fn is_of_disk(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_) | Self::Broken(_) | Self::Corrupt(_) | Self::Fenced)
    }

    /// A server that is not there, or does not answer.
    pub(super) fn broken(what: &'static str) -> Self {
        Self::Broken(Arc::from(Box::<dyn Error + Send + Sync>::from(what)))
    }

    /// A defect of ours, met at one row.
    pub(super) fn defect(what: &'static str) -> Self {
        Self::Refused(Arc::from(Box::<dyn Error + Send + Sync>::from(what)))
    }
}

/// A row that no legal value makes: where it stands and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table} {id}: {column} holds {value:?}, which is not valid; the row is left alone")]
pub struct BadRow {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub id: String,
    /// The column.
    pub column: Cow<'static, str>,
    /// What it holds.
    pub value: String,
}

/// A row would go on holding what its column does not take (<https://www.sqlite.org/rescode.html#constraint_datatype>): whatever
/// we write has the right type.
const DATATYPE: i32 = 3091;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Database(refused) if refused.try_downcast_ref::<PgDatabaseError>().is_some() => {
                let state = refused.code().unwrap_or_default().into_owned();
                return Self::of_state(&state, Arc::new(error));
            }
            sqlx::Error::Database(refused) => refused.code().and_then(|code| code.parse::<i32>().ok()),
            // What stands in one row and has another type than we ever write: somebody changed it.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => return Self::Mistyped(Arc::new(error)),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return Self::Closed,
            _ => None,
        };
        Self::of_code(code, Arc::new(error))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        let code = match &error {
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
                return Self::Mistyped(Arc::new(error));
            }
            other => other.sqlite_error().map(|refused| refused.extended_code),
        };
        Self::of_code(code, Arc::new(error))
    }
}

impl StoreError {
    /// By a code of PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn of_state(state: &str, error: Cause) -> Self {
        match state {
            // A lock that somebody holds for too long; two who hold each other up.
            "55P03" | "40P01" | "40001" => Self::Busy(error),
            "53100" => Self::Full(error),
            // No room for another connection, a server that goes or comes, or one that takes no writes any more.
            "53300" | "25006" | "57P01" | "57P02" | "57P03" => Self::Broken(error),
            _ => match state.get(..2) {
                Some("08" | "28" | "3D" | "58") => Self::Broken(error),
                Some("XX") => Self::Corrupt(error),
                _ => Self::Refused(error),
            },
        }
    }

    /// By an (extended) result code of `SQLite`; `None` where the driver itself failed.
    fn of_code(code: Option<i32>, error: Cause) -> Self {
        // Primary result codes, https://www.sqlite.org/rescode.html; the low byte of an extended one.
        if code == Some(DATATYPE) {
            return Self::Mistyped(error);
        }
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Busy(error),
            Some(13) => Self::Full(error),
            Some(3 | 8 | 10 | 14 | 23) => Self::Broken(error),
            Some(11 | 26) => Self::Corrupt(error),
            Some(_) => Self::Refused(error),
            None => Self::Broken(error),
        }
    }
}
