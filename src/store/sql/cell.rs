//! What a column holds, read from a row of either database.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::types::{FromSql, ValueRef};
use serde::de::DeserializeOwned;
use sqlx::{
    Column as _, Decode, Postgres, Row as _, Sqlite, Type, TypeInfo as _, ValueRef as _,
    error::BoxDynError,
    postgres::{PgRow, PgValueRef},
};

use super::connection::postgres_value;
use crate::store::StoreError;

/// A row of the database thread, its columns not read yet.
#[derive(Clone, Copy)]
pub(in crate::store) enum RowRef<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r PgRow),
}

impl<'r> RowRef<'r> {
    /// The column in this place.
    pub(in crate::store) fn get<T: Cell>(self, place: usize) -> Result<T, CellError> {
        match self {
            Self::Sqlite(row) => row.get(place).map_err(|source| CellError { place, source: Arc::new(source) }),
            Self::Postgres(row) => {
                let value = row.try_get_raw(place).map_err(BoxDynError::from).and_then(T::of_postgres);
                value.map_err(|source| CellError { place, source: source.into() })
            }
        }
    }

    /// Its name.
    pub(in crate::store) fn name_of(self, place: usize) -> &'r str {
        match self {
            Self::Sqlite(row) => row.as_ref().column_name(place).unwrap_or_default(),
            Self::Postgres(row) => row.columns().get(place).map_or("", |column| column.name()),
        }
    }

    /// What it holds, whatever that is.
    pub(in crate::store) fn value(self, place: usize) -> Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Sqlite(row) => match row.get_ref(place) {
                Err(_) | Ok(ValueRef::Null) => Value::Null,
                Ok(ValueRef::Integer(number)) => Value::Integer(number),
                Ok(ValueRef::Real(number)) => Value::Real(number),
                Ok(ValueRef::Text(bytes)) => Value::Text(text(bytes)),
                Ok(ValueRef::Blob(bytes)) => Value::Blob(bytes.to_vec()),
            },
            Self::Postgres(row) => postgres_value(row, place),
        }
    }
}

/// A column that does not hold what it is read as.
#[derive(Debug, Clone, thiserror::Error)]
#[error("column {place}: {source}")]
pub(in crate::store) struct CellError {
    /// Its place in the row.
    pub(in crate::store) place: usize,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl From<CellError> for StoreError {
    fn from(error: CellError) -> Self {
        Self::Mistyped(Arc::new(error))
    }
}

/// What a column of the database thread's rows can be read as.
pub(in crate::store) trait Cell: FromSql {
    /// Reads it from PostgreSQL, as `SQLite` would: a comparison is 0 or 1, a sum a whole number.
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError>;
}

fn number(value: PgValueRef<'_>) -> Result<i64, BoxDynError> {
    match value.type_info().name() {
        "BOOL" => <bool as Decode<'_, Postgres>>::decode(value).map(i64::from),
        "INT4" => <i32 as Decode<'_, Postgres>>::decode(value).map(i64::from),
        "INT8" => <i64 as Decode<'_, Postgres>>::decode(value),
        other => Err(format!("{other} is no whole number").into()),
    }
}

impl Cell for i64 {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        number(value)
    }
}

impl Cell for u32 {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self::try_from(number(value)?)?)
    }
}

impl Cell for bool {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(number(value)? != 0)
    }
}

impl Cell for String {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.type_info().name() {
            "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => <Self as Decode<'_, Postgres>>::decode(value),
            other => Err(format!("{other} is no text").into()),
        }
    }
}

impl Cell for Vec<u8> {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.type_info().name() {
            "BYTEA" => <Self as Decode<'_, Postgres>>::decode(value),
            other => Err(format!("{other} is not bytes").into()),
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    fn of_postgres(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.is_null() { Ok(None) } else { T::of_postgres(value).map(Some) }
    }
}

/// A column of 0 and 1, or a comparison: for fields that are `bool`, by `#[sqlx(try_from = "Flag")]`.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Flag(bool);

impl From<Flag> for bool {
    fn from(flag: Flag) -> Self {
        flag.0
    }
}

impl Type<Sqlite> for Flag {
    fn type_info() -> <Sqlite as sqlx::Database>::TypeInfo {
        <bool as Type<Sqlite>>::type_info()
    }

    fn compatible(found: &<Sqlite as sqlx::Database>::TypeInfo) -> bool {
        <bool as Type<Sqlite>>::compatible(found)
    }
}

impl<'r> Decode<'r, Sqlite> for Flag {
    fn decode(value: <Sqlite as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <bool as Decode<'r, Sqlite>>::decode(value).map(Self)
    }
}

impl Type<Postgres> for Flag {
    fn type_info() -> <Postgres as sqlx::Database>::TypeInfo {
        <i64 as Type<Postgres>>::type_info()
    }

    fn compatible(found: &<Postgres as sqlx::Database>::TypeInfo) -> bool {
        matches!(found.name(), "BOOL" | "INT4" | "INT8")
    }
}

impl<'r> Decode<'r, Postgres> for Flag {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <bool as Cell>::of_postgres(value).map(Self)
    }
}

/// A text that holds JSON, which both databases keep as text, byte for byte: by `#[sqlx(try_from = "JsonText")]`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(transparent)]
pub(in crate::store) struct JsonText(String);

impl JsonText {
    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl TryFrom<JsonText> for serde_json::Map<String, serde_json::Value> {
    type Error = serde_json::Error;

    fn try_from(text: JsonText) -> Result<Self, Self::Error> {
        text.read()
    }
}

impl TryFrom<JsonText> for BTreeMap<String, String> {
    type Error = serde_json::Error;

    fn try_from(text: JsonText) -> Result<Self, Self::Error> {
        text.read()
    }
}

impl TryFrom<JsonText> for Vec<String> {
    type Error = serde_json::Error;

    fn try_from(text: JsonText) -> Result<Self, Self::Error> {
        text.read()
    }
}

/// What a column holds, whatever that is: for what is shown to people, and for places of pages.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(in crate::store) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => out.write_str("nothing"),
            Self::Integer(number) => number.fmt(out),
            Self::Real(number) => number.fmt(out),
            Self::Text(text) => out.write_str(text),
            Self::Blob(bytes) => String::from_utf8_lossy(bytes).fmt(out),
        }
    }
}
