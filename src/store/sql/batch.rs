//! Rows of one table as columns: read from either database and written to either, value by value as they are.

use sqlx::{
    Arguments as _, AssertSqlSafe, Decode, Row as _, Sqlite, Type, TypeInfo as _, ValueRef as _,
    postgres::{PgArguments, PgRow, Postgres},
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{Arg, Row, Tx};
use crate::store::StoreError;

/// Values in one statement of `SQLite` (`SQLITE_MAX_VARIABLE_NUMBER`).
const VALUES_MAX: usize = 32_766;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum ColumnKind {
    Integer,
    Text,
    Bytes,
}

impl ColumnKind {
    /// By the name of its type in PostgreSQL.
    pub(in crate::store) fn of(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "bytea" => Self::Bytes,
            _ => Self::Integer,
        }
    }

    const fn in_sqlite(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Text => "TEXT",
            Self::Bytes => "BLOB",
        }
    }
}

/// A column of some rows.
#[derive(Debug)]
enum Cells {
    Integer(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// A value that another database would not take as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct OddCell {
    /// Its row among those that were read.
    pub(in crate::store) row: usize,
    /// Its column.
    pub(in crate::store) column: usize,
    /// What is wrong with it.
    pub(in crate::store) wrong: &'static str,
}

/// Rows.
#[derive(Debug)]
pub(in crate::store) struct Batch {
    columns: Vec<Cells>,
    rows: usize,
}

impl Batch {
    /// Takes rows whose columns are of these kinds.
    pub(in crate::store) fn read(rows: &[Row], kinds: &[ColumnKind]) -> Result<Self, OddCell> {
        let column = |(place, kind): (usize, &ColumnKind)| {
            Ok(match kind {
                ColumnKind::Integer => Cells::Integer(cells(rows, place, *kind)?),
                ColumnKind::Text => {
                    let texts: Vec<Option<String>> = cells(rows, place, *kind)?;
                    let odd = texts.iter().position(|text| text.as_ref().is_some_and(|text| text.contains('\0')));
                    if let Some(row) = odd {
                        return Err(OddCell { row, column: place, wrong: "a text with a zero byte" });
                    }
                    Cells::Text(texts)
                }
                ColumnKind::Bytes => Cells::Bytes(cells(rows, place, *kind)?),
            })
        };
        let columns = kinds.iter().enumerate().map(column).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows: rows.len() })
    }

    /// The value in this column of the last row.
    pub(in crate::store) fn last(&self, column: usize) -> Option<Arg<'static>> {
        let row = self.rows.checked_sub(1)?;
        Some(match self.columns.get(column)? {
            Cells::Integer(cells) => Arg::Int(*cells.get(row)?),
            Cells::Text(cells) => Arg::Text(cells.get(row)?.clone().map(Into::into)),
            Cells::Bytes(cells) => Arg::Bytes(cells.get(row)?.clone().map(Into::into)),
        })
    }

    /// Inserts them into `table`, whose `columns` are given in their order.
    pub(in crate::store) async fn insert(self, tx: &mut Tx<'_>, table: &str, columns: &str) -> Result<(), StoreError> {
        match tx {
            Tx::Sqlite(connection) => {
                let width = self.columns.len().max(1);
                let most = VALUES_MAX / width;
                for first in (0..self.rows).step_by(most) {
                    let rows = first..self.rows.min(first + most);
                    let row = format!("({})", vec!["?"; width].join(", "));
                    let text =
                        format!("INSERT INTO \"{table}\" ({columns}) VALUES {}", vec![row; rows.len()].join(", "));
                    let args = self.arguments(rows).map_err(sqlx::Error::Encode)?;
                    sqlx::query_with(AssertSqlSafe(text), args)
                        .persistent(self.rows >= most)
                        .execute(&mut **connection)
                        .await?;
                }
            }
            Tx::Postgres(connection) => {
                let mut args = PgArguments::default();
                let (mut arrays, mut names) = (Vec::new(), Vec::new());
                for (place, cells) in (1..).zip(self.columns) {
                    let (added, kind) = match cells {
                        Cells::Integer(cells) => (args.add(cells), "bigint"),
                        Cells::Text(cells) => (args.add(cells), "text"),
                        Cells::Bytes(cells) => (args.add(cells), "bytea"),
                    };
                    added.map_err(sqlx::Error::Encode)?;
                    arrays.push(format!("${place}::{kind}[]"));
                    names.push(format!("c{place}"));
                }
                let (arrays, names) = (arrays.join(", "), names.join(", "));
                let text = format!(
                    "INSERT INTO \"{table}\" ({columns}) SELECT {names} FROM unnest({arrays}) AS given ({names})"
                );
                sqlx::query_with(AssertSqlSafe(text), args).execute(&mut **connection).await?;
            }
        }
        Ok(())
    }

    /// The values of these rows, row by row.
    fn arguments(&self, rows: std::ops::Range<usize>) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
        let mut args = SqliteArguments::default();
        for row in rows {
            for cells in &self.columns {
                match cells {
                    Cells::Integer(cells) => args.add(cells.get(row).copied().flatten())?,
                    Cells::Text(cells) => args.add(cells.get(row).cloned().flatten())?,
                    Cells::Bytes(cells) => args.add(cells.get(row).cloned().flatten())?,
                }
            }
        }
        Ok(args)
    }
}

fn cells<T>(rows: &[Row], column: usize, kind: ColumnKind) -> Result<Vec<Option<T>>, OddCell>
where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    let cell = |(row, found): (usize, &Row)| {
        match found {
            Row::Sqlite(found) => of_sqlite(found, column, kind),
            Row::Postgres(found) => of_postgres(found, column),
        }
        .map_err(|wrong| OddCell { row, column, wrong })
    };
    rows.iter().enumerate().map(cell).collect()
}

fn of_sqlite<T>(row: &SqliteRow, column: usize, kind: ColumnKind) -> Result<Option<T>, &'static str>
where
    T: for<'r> Decode<'r, Sqlite>,
{
    let raw = row.try_get_raw(column).map_err(|_| "nothing")?;
    if raw.is_null() {
        return Ok(None);
    }
    if raw.type_info().name() != kind.in_sqlite() {
        return Err("a value of another type");
    }
    T::decode(raw).map(Some).map_err(|_| "a text that is not UTF-8")
}

fn of_postgres<T>(row: &PgRow, column: usize) -> Result<Option<T>, &'static str>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(|_| "a value of another type")
}
