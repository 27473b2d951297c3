//! Connections of either database, and the rows that come from them.

use sqlx::{
    ColumnIndex, Decode, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    Type, TypeInfo as _, ValueRef as _, pool::PoolConnection, postgres::PgRow, sqlite::SqliteRow,
};

use super::{Cell as _, Shape, Value};

/// Connections for reading.
#[derive(Debug, Clone)]
pub(in crate::store) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// The one text or the other, where the databases have nothing in common.
    pub(in crate::store) const fn either(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// A connection, for several questions one after the other.
    pub(in crate::store) async fn acquire(&self) -> Result<Leased, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Leased::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Leased::Postgres(pool.acquire().await?),
        })
    }

    /// Begins to read from one moment.
    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Snapshot::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => {
                Snapshot::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    pub(in crate::store) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A connection of the pool.
#[derive(Debug)]
pub(in crate::store) enum Leased {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Leased {
    pub(in crate::store) fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::Sqlite(connection) => Tx::Sqlite(connection),
            Self::Postgres(connection) => Tx::Postgres(connection),
        }
    }
}

/// A moment of the database. Nothing is written in it, so that dropping it ends it as well.
#[derive(Debug)]
pub(in crate::store) enum Snapshot {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Snapshot {
    pub(in crate::store) fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::Sqlite(moment) => Tx::Sqlite(moment),
            Self::Postgres(moment) => Tx::Postgres(moment),
        }
    }

    /// Ends it.
    pub(in crate::store) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(moment) => moment.rollback().await,
            Self::Postgres(moment) => moment.rollback().await,
        }
    }
}

/// A connection in use, most often within a transaction.
#[derive(Debug)]
pub(in crate::store) enum Tx<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Where a statement runs.
pub(in crate::store) enum On<'c> {
    Sqlite(&'c mut SqliteConnection),
    SqlitePool(&'c SqlitePool),
    Postgres(&'c mut PgConnection),
    PostgresPool(&'c PgPool),
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'c> From<&'c mut Tx<'_>> for On<'c> {
    fn from(tx: &'c mut Tx<'_>) -> Self {
        match tx {
            Tx::Sqlite(connection) => Self::Sqlite(connection),
            Tx::Postgres(connection) => Self::Postgres(connection),
        }
    }
}

impl<'c> From<&'c mut SqliteConnection> for On<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }
}

/// A row, its columns not read yet.
pub(in crate::store) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

impl Row {
    /// All of it as a value.
    pub(in crate::store) fn read<T: Shape>(&self) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => T::from_row(row),
            Self::Postgres(row) => T::from_row(row),
        }
    }

    /// A column by its name or place.
    pub(in crate::store) fn get<'r, T>(
        &'r self,
        column: impl ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    ) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// How many columns it has.
    pub(in crate::store) fn len(&self) -> usize {
        match self {
            Self::Sqlite(row) => row.len(),
            Self::Postgres(row) => row.len(),
        }
    }

    /// The name of the column in this place.
    pub(in crate::store) fn name_of(&self, place: usize) -> Option<&str> {
        match self {
            Self::Sqlite(row) => row.columns().get(place).map(sqlx::Column::name),
            Self::Postgres(row) => row.columns().get(place).map(sqlx::Column::name),
        }
    }

    /// The place of the column of this name.
    pub(in crate::store) fn place_of(&self, name: &str) -> Option<usize> {
        (0..self.len()).find(|place| self.name_of(*place) == Some(name))
    }

    /// What a column holds, whatever that is.
    pub(in crate::store) fn value(&self, place: usize) -> Value {
        match self {
            Self::Sqlite(row) => {
                let Ok(raw) = row.try_get_raw(place) else { return Value::Null };
                let kind = if raw.is_null() { String::new() } else { raw.type_info().name().to_owned() };
                match kind.as_str() {
                    "" => Value::Null,
                    "INTEGER" => row.try_get_unchecked(place).map_or(Value::Null, Value::Integer),
                    "REAL" => row.try_get_unchecked(place).map_or(Value::Null, Value::Real),
                    "TEXT" => bytes(row, place).map_or(Value::Null, text),
                    _ => bytes(row, place).map_or(Value::Null, Value::Blob),
                }
            }
            Self::Postgres(row) => postgres_value(row, place),
        }
    }
}

fn bytes(row: &SqliteRow, place: usize) -> Option<Vec<u8>> {
    row.try_get_unchecked(place).ok()
}

/// A text, also one that is not valid UTF-8.
fn text(bytes: Vec<u8>) -> Value {
    Value::Text(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The same of a row of PostgreSQL, whose columns hold what their types say.
pub(super) fn postgres_value(row: &PgRow, place: usize) -> Value {
    let Ok(raw) = row.try_get_raw(place) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    match raw.type_info().name() {
        "BOOL" | "INT4" | "INT8" => i64::of_postgres(raw).map_or(Value::Null, Value::Integer),
        "FLOAT8" => row.try_get_unchecked(place).map_or(Value::Null, Value::Real),
        "BYTEA" => row.try_get_unchecked(place).map_or(Value::Null, Value::Blob),
        _ => row.try_get_unchecked(place).map_or(Value::Null, Value::Text),
    }
}
