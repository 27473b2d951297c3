//! The connection, as pieces of work see it.

use rusqlite::{CachedStatement, Connection};
use serde::Serialize;

use crate::store::{
    StoreError, bulk,
    server::session::Session,
    sql::{Arg, Args, CellError, RowRef},
};

/// The connection, as pieces of work see it. Every statement is kept ready after its first use; its parameters are `?1`,
/// `?2`, …: to `SQLite` a `$2` is a name, and the first one that it meets is the first.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Db<'c> {
    Sqlite(&'c Connection),
    Postgres(&'c Session),
}

impl Db<'_> {
    /// Runs a statement; the number of rows it changed.
    pub(in crate::store) fn execute<'q>(self, sql: &'static str, args: impl Args<'q>) -> Result<usize, StoreError> {
        match self {
            Self::Sqlite(connection) => Ok(bound(connection, sql, args.values().as_ref())?.raw_execute()?),
            Self::Postgres(session) => session.execute(sql, args.values().as_ref()),
        }
    }

    /// Runs a statement once for many rows, which it reads as JSON from `?1`; not at all where there is none.
    pub(in crate::store) fn bulk<T: Serialize>(self, sql: &'static str, rows: &[T]) -> Result<usize, StoreError> {
        if rows.is_empty() { Ok(0) } else { self.execute(sql, [bulk::json(rows)]) }
    }

    /// The first row, when there is one.
    pub(in crate::store) fn first<'q, T>(
        self,
        sql: &'static str,
        args: impl Args<'q>,
        read: impl FnOnce(RowRef<'_>) -> Result<T, CellError>,
    ) -> Result<Option<T>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, args.values().as_ref())?;
                let mut rows = statement.raw_query();
                Ok(rows.next()?.map(|row| read(RowRef::Sqlite(row))).transpose()?)
            }
            Self::Postgres(session) => {
                let rows = session.rows(sql, args.values().as_ref())?;
                Ok(rows.first().map(|row| read(RowRef::Postgres(row))).transpose()?)
            }
        }
    }

    /// Every row.
    pub(in crate::store) fn all<'q, T>(
        self,
        sql: &'static str,
        args: impl Args<'q>,
        mut read: impl FnMut(RowRef<'_>) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, args.values().as_ref())?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next()? {
                    found.push(read(RowRef::Sqlite(row)));
                }
            }
            Self::Postgres(session) => {
                let rows = session.rows(sql, args.values().as_ref())?;
                found.extend(rows.iter().map(|row| read(RowRef::Postgres(row))));
            }
        }
        Ok(found)
    }
}

/// A statement that is ready to run with these values.
fn bound<'c>(
    connection: &'c Connection,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<CachedStatement<'c>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    debug_assert!(
        (1..=statement.parameter_count())
            .all(|place| statement.parameter_name(place).is_none_or(|name| name.starts_with('?'))),
        "its parameters are names, and bound by the order in which they first appear: {sql}"
    );
    // A value that is forgotten would be NULL.
    if args.len() != statement.parameter_count() {
        return Err(rusqlite::Error::InvalidParameterCount(args.len(), statement.parameter_count()).into());
    }
    for (place, arg) in args.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, arg)?;
    }
    Ok(statement)
}
