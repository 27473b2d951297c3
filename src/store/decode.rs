//! Decodes rows one at a time: a row that somebody edited past us is reported and left out, and delays no other.
//!
//! `query_as(…).fetch_all(…)` fails as a whole if one row of the page cannot be read. So the daemon's loops fetch raw
//! rows, with [`sqlx::query`](fn@sqlx::query), and decode them here. (A null reads as zero or as an empty string where
//! neither is optional: sqlx asks no more of it. The audit's search for invalid rows reports those.)

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use rusqlite::types::{FromSql, ValueRef};
use sqlx::{Column, Decode, FromRow, Row, Sqlite, Type, TypeInfo, ValueRef as _, sqlite::SqliteRow};

use super::{BadRow, StoreError};

/// Characters of a value that an error shows: enough to find it, however long it is.
const SHOWN_MAX: usize = 80;

/// Columns of sealed values. What somebody else wrote there may be a secret in the clear: it is shown to nobody.
pub(super) const SEALED: [&str; 5] = ["key_check", "ticket", "token", "refresh", "code"];

/// What is shown of a value that should be sealed.
const NOT_SEALED: &str = "something that is not sealed";

/// Bad rows that are remembered as told; beyond them all are told again, which only costs lines of the log.
const TOLD_MAX: usize = 1_000;

/// A table, as errors name it, and the columns that tell its rows apart. A statement whose rows are to be named selects
/// these columns under these names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
}

/// Every row as a value, in their order; or which of its columns holds what it must not.
pub(super) fn rows<T>(rows: &[SqliteRow], table: Table) -> Vec<Result<T, BadRow>>
where
    T: for<'r> FromRow<'r, SqliteRow>,
{
    rows.iter().map(|row| one(row, table)).collect()
}

/// The rows that can be read. The others are told, each once.
pub(super) fn legible<T>(rows: &[SqliteRow], table: Table) -> Vec<T>
where
    T: for<'r> FromRow<'r, SqliteRow>,
{
    rows.iter().filter_map(|row| one(row, table).inspect_err(tell).ok()).collect()
}

/// A row as a value, or what is wrong with it.
pub(super) fn one<T>(row: &SqliteRow, table: Table) -> Result<T, BadRow>
where
    T: for<'r> FromRow<'r, SqliteRow>,
{
    T::from_row(row).map_err(|error| {
        let column = column_of(&error, row);
        let value = column.as_deref().map_or_else(|| error.to_string(), |column| shown(row, column));
        BadRow { table: table.name, id: key_of(row, table), column: column.unwrap_or_default().into(), value }
    })
}

/// One column of a row whose other columns may hold anything; `None` when it holds something else, or nothing: read
/// alone, NULL would be an empty text or 0.
pub(super) fn column<'r, T>(row: &'r SqliteRow, name: &str) -> Option<T>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get::<Option<T>, _>(name).ok().flatten()
}

/// Tells of a bad row, once until something else is wrong with it.
pub(super) fn tell(bad: &BadRow) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Nothing in here panics halfway through a change.
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() >= TOLD_MAX {
        told.clear();
    }
    if told.insert(bad.to_string()) {
        tracing::error!(
            event = "db.bad_row",
            table = bad.table,
            id = bad.id,
            column = %bad.column,
            error = %bad,
            "invalid row skipped; other rows are not affected"
        );
    }
}

/// What a piece of work wrote of one row beside others: what the database refuses because of that row holds up no other.
/// Answers whether it is written.
pub(super) fn apart<T>(
    table: &'static str,
    row: impl std::fmt::Display,
    written: Result<T, StoreError>,
) -> Result<bool, StoreError> {
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.is_of_one_row() => {
            tracing::error!(
                event = "db.bad_row",
                table,
                id = %row,
                error = %error,
                "invalid row skipped; other rows are not affected"
            );
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The columns of a row of the database thread, one after the other, in the order of the statement.
pub(super) struct Cells<'r, 's> {
    row: &'r rusqlite::Row<'s>,
    place: usize,
}

impl Cells<'_, '_> {
    /// The next one.
    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let place = self.place;
        self.place += 1;
        self.row.get(place)
    }

    /// Leaves some out.
    pub(super) fn skip(&mut self, columns: usize) {
        self.place += columns;
    }
}

/// A row of the database thread as a value, or which of its columns holds what it must not. The columns of the table's key
/// come first.
pub(super) fn cells<T>(
    row: &rusqlite::Row<'_>,
    table: Table,
    read: impl FnOnce(&mut Cells<'_, '_>) -> rusqlite::Result<T>,
) -> Result<T, BadRow> {
    read(&mut Cells { row, place: 0 }).map_err(|error| {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        let id = (0..table.key.len()).map(|place| cell(row, place)).collect::<Vec<_>>().join("/");
        let (column, value) = match &error {
            FromSqlConversionFailure(place, ..) | IntegralValueOutOfRange(place, _) | InvalidColumnType(place, ..) => {
                (row.as_ref().column_name(*place).unwrap_or_default().to_owned(), cell(row, *place))
            }
            _ => (String::new(), error.to_string()),
        };
        BadRow { table: table.name, id, column: column.into(), value }
    })
}

/// The rows of the database thread that can be read. The others are told, each once.
pub(super) fn legible_cells<T>(rows: Vec<Result<T, BadRow>>) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.inspect_err(tell).ok()).collect()
}

fn cell(row: &rusqlite::Row<'_>, place: usize) -> String {
    if row.as_ref().column_name(place).is_ok_and(|name| SEALED.contains(&name)) {
        return NOT_SEALED.to_owned();
    }
    let text = match row.get_ref(place) {
        Err(_) | Ok(ValueRef::Null) => "nothing".to_owned(),
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Real(number)) => number.to_string(),
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
    };
    shortened(text)
}

/// The name of a row as its key tells it.
fn key_of(row: &SqliteRow, table: Table) -> String {
    table.key.iter().map(|column| shown(row, column)).collect::<Vec<_>>().join("/")
}

/// Which column an error is about; tuples know columns by their place alone.
fn column_of(error: &sqlx::Error, row: &SqliteRow) -> Option<String> {
    let (sqlx::Error::ColumnDecode { index, .. } | sqlx::Error::ColumnNotFound(index)) = error else { return None };
    let name = index.trim_matches('"');
    match name.parse::<usize>() {
        Ok(place) => row.columns().get(place).map(|column| column.name().to_owned()),
        Err(_) => Some(name.to_owned()),
    }
}

/// What a column holds, whatever that is.
fn shown(row: &SqliteRow, column: &str) -> String {
    let Ok(raw) = row.try_get_raw(column) else { return "nothing".to_owned() };
    if SEALED.contains(&column) {
        return NOT_SEALED.to_owned();
    }
    let kind = raw.type_info().name().to_owned();
    let text = match kind.as_str() {
        _ if raw.is_null() => "nothing".to_owned(),
        "INTEGER" => row.try_get_unchecked::<i64, _>(column).map_or(kind, |number| number.to_string()),
        "REAL" => row.try_get_unchecked::<f64, _>(column).map_or(kind, |number| number.to_string()),
        _ => row
            .try_get_unchecked::<Vec<u8>, _>(column)
            .map_or(kind, |bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    shortened(text)
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl BadRow {
    /// A row whose value has the right type and no legal meaning.
    pub(super) fn new(table: &'static str, id: &str, column: &'static str, value: &str) -> Self {
        Self { table, id: id.to_owned(), column: Cow::Borrowed(column), value: value.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    const THING: Table = Table { name: "thing", key: &["kind", "number"] };

    #[derive(Debug, PartialEq, Eq, FromRow)]
    struct Thing {
        kind: String,
        number: i64,
        text: Option<String>,
    }

    async fn things(values: &str) -> Vec<SqliteRow> {
        let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let sql = format!("SELECT column1 AS kind, column2 AS number, column3 AS text FROM (VALUES {values})");
        sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut memory).await.unwrap()
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_named_and_the_others_are_read() {
        let found = things("('a', 1, 'x'), ('a', 'many', 'x'), (x'61', 3, 'x'), ('b', 4, 5), ('b', 6, NULL)").await;
        let read = rows::<Thing>(&found, THING);
        let named = |row: &Result<Thing, BadRow>| row.as_ref().map(|thing| thing.number).map_err(ToString::to_string);
        let wrong = |id: &str, column: &str, value: &str| {
            Err(format!("thing {id}: {column} holds {value:?}, which is not valid; the row is left alone"))
        };
        assert_eq!(
            read.iter().map(named).collect::<Vec<_>>(),
            [Ok(1), wrong("a/many", "number", "many"), wrong("a/3", "kind", "a"), wrong("b/4", "text", "5"), Ok(6)]
        );
        assert_eq!(legible::<Thing>(&found, THING).len(), 2);
        assert_eq!(legible::<(String, i64)>(&found, THING).len(), 3, "by their place, too");
    }

    #[tokio::test]
    async fn what_is_shown_is_short_and_needs_no_utf_8() {
        let found = things("('a', zeroblob(9000), NULL), ('a', x'ff', NULL), (5.5, 1, NULL)").await;
        let shown: Vec<_> = rows::<Thing>(&found, THING).into_iter().map(|row| row.unwrap_err().value).collect();
        assert!(shown[0].chars().count() == SHOWN_MAX + 1 && shown[0].ends_with('…'), "{}", shown[0]);
        assert_eq!(shown[1..], ["\u{fffd}", "5.5"]);
    }
}
