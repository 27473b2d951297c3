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

use sqlx::{Decode, Postgres, Sqlite, Type};

use super::{
    BadRow, StoreError,
    sql::{Cell, CellError, Row, RowRef, Shape, Value},
};

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
pub(super) fn rows<T: Shape>(rows: &[Row], table: Table) -> Vec<Result<T, BadRow>> {
    rows.iter().map(|row| one(row, table)).collect()
}

/// The rows that can be read. The others are told, each once.
pub(super) fn legible<T: Shape>(rows: &[Row], table: Table) -> Vec<T> {
    rows.iter().filter_map(|row| one(row, table).inspect_err(tell).ok()).collect()
}

/// A row as a value, or what is wrong with it.
pub(super) fn one<T: Shape>(row: &Row, table: Table) -> Result<T, BadRow> {
    row.read().map_err(|error| {
        let column = column_of(&error, row);
        let value = column.as_deref().map_or_else(|| error.to_string(), |column| shown_in(row, column));
        BadRow { table: table.name, id: key_of(row, table), column: column.unwrap_or_default().into(), value }
    })
}

/// One column of a row whose other columns may hold anything; `None` when it holds something else, or nothing: read
/// alone, NULL would be an empty text or 0.
pub(super) fn column<'r, T>(row: &'r Row, name: &str) -> Option<T>
where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
{
    row.get::<Option<T>>(name).ok().flatten()
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
pub(super) struct Cells<'r> {
    row: RowRef<'r>,
    place: usize,
}

impl Cells<'_> {
    /// The next one.
    pub(super) fn next<T: Cell>(&mut self) -> Result<T, CellError> {
        let place = self.place;
        self.place += 1;
        self.row.get(place)
    }

    /// Leaves some out.
    pub(super) const fn skip(&mut self, columns: usize) {
        self.place += columns;
    }
}

/// A row of the database thread as a value, or which of its columns holds what it must not. The columns of the table's key
/// come first.
pub(super) fn cells<T>(
    row: RowRef<'_>,
    table: Table,
    read: impl FnOnce(&mut Cells<'_>) -> Result<T, CellError>,
) -> Result<T, BadRow> {
    read(&mut Cells { row, place: 0 }).map_err(|error| {
        let cell = |place| shown(row.name_of(place), &row.value(place));
        let id = (0..table.key.len()).map(cell).collect::<Vec<_>>().join("/");
        let column = row.name_of(error.place).to_owned();
        BadRow { table: table.name, id, column: column.into(), value: cell(error.place) }
    })
}

/// The rows of the database thread that can be read. The others are told, each once.
pub(super) fn legible_cells<T>(rows: Vec<Result<T, BadRow>>) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.inspect_err(tell).ok()).collect()
}

/// The name of a row as its key tells it.
fn key_of(row: &Row, table: Table) -> String {
    table.key.iter().map(|column| shown_in(row, column)).collect::<Vec<_>>().join("/")
}

/// Which column an error is about; tuples know columns by their place alone.
fn column_of(error: &sqlx::Error, row: &Row) -> Option<String> {
    let (sqlx::Error::ColumnDecode { index, .. } | sqlx::Error::ColumnNotFound(index)) = error else { return None };
    let name = index.trim_matches('"');
    match name.parse::<usize>() {
        Ok(place) => row.name_of(place).map(str::to_owned),
        Err(_) => Some(name.to_owned()),
    }
}

/// What a column of a row holds, whatever that is.
fn shown_in(row: &Row, column: &str) -> String {
    row.place_of(column).map_or_else(|| "nothing".to_owned(), |place| shown(column, &row.value(place)))
}

/// What a column holds, as people are told of it.
fn shown(column: &str, value: &Value) -> String {
    if SEALED.contains(&column) { NOT_SEALED.to_owned() } else { shortened(value.to_string()) }
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
    use sqlx::{Connection, FromRow, SqliteConnection};

    use super::*;
    use crate::store::sql;

    const THING: Table = Table { name: "thing", key: &["kind", "number"] };

    #[derive(Debug, PartialEq, Eq, FromRow)]
    struct Thing {
        kind: String,
        number: i64,
        text: Option<String>,
    }

    async fn things(values: &str) -> Vec<Row> {
        let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let sql = format!("SELECT column1 AS kind, column2 AS number, column3 AS text FROM (VALUES {values})");
        sql::query(sql).fetch_all(&mut memory).await.unwrap()
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
