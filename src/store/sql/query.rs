//! A statement with its values, ready to run.

use std::{borrow::Cow, marker::PhantomData};

use sqlx::{AssertSqlSafe, FromRow, SqlSafeStr, SqlStr, postgres::PgRow, sqlite::SqliteRow};

use super::{Arg, On, Row, arg, dialect};

/// What a row of either database can be read as.
pub(in crate::store) trait Shape:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Shape for T {}

/// A statement.
#[derive(Debug, Clone)]
pub(in crate::store) struct Query<'q> {
    text: Cow<'static, str>,
    args: Vec<Arg<'q>>,
}

/// A statement whose rows are values.
#[derive(Debug, Clone)]
pub(in crate::store) struct QueryAs<'q, T> {
    query: Query<'q>,
    rows: PhantomData<T>,
}

/// A statement whose rows have one column.
#[derive(Debug, Clone)]
pub(in crate::store) struct QueryScalar<'q, T>(QueryAs<'q, (T,)>);

/// A statement that answers rows, or how many it changed.
pub(in crate::store) fn query<'q>(text: impl Into<Cow<'static, str>>) -> Query<'q> {
    Query { text: text.into(), args: Vec::new() }
}

/// A statement whose rows are values.
pub(in crate::store) fn query_as<'q, T: Shape>(text: impl Into<Cow<'static, str>>) -> QueryAs<'q, T> {
    query(text).typed()
}

/// A statement whose rows have one column.
pub(in crate::store) fn query_scalar<'q, T>(text: impl Into<Cow<'static, str>>) -> QueryScalar<'q, T>
where
    (T,): Shape,
{
    query(text).scalar()
}

/// Runs a method of sqlx on whichever database it is; `$then` is written for each, since its types differ.
macro_rules! run {
    ($on:expr, $query:expr, $make:path, $method:ident, $then:expr) => {{
        let Query { text, args } = $query;
        match $on.into() {
            On::Sqlite(on) => $make(sqlite(text), arg::for_sqlite(args)?).$method(on).await.map($then),
            On::SqlitePool(on) => $make(sqlite(text), arg::for_sqlite(args)?).$method(on).await.map($then),
            On::Postgres(on) => $make(postgres(text), arg::for_postgres(args)?).$method(on).await.map($then),
            On::PostgresPool(on) => $make(postgres(text), arg::for_postgres(args)?).$method(on).await.map($then),
        }
    }};
}

fn sqlite(text: Cow<'static, str>) -> SqlStr {
    match text {
        Cow::Borrowed(text) => text.into_sql_str(),
        Cow::Owned(text) => AssertSqlSafe(text).into_sql_str(),
    }
}

fn postgres(text: Cow<'static, str>) -> SqlStr {
    dialect::postgres(text).into_sql_str()
}

impl<'q> Query<'q> {
    pub(super) const fn with(text: Cow<'static, str>, args: Vec<Arg<'q>>) -> Self {
        Self { text, args }
    }

    pub(super) const fn typed<T: Shape>(self) -> QueryAs<'q, T> {
        QueryAs { query: self, rows: PhantomData }
    }

    pub(super) const fn scalar<T>(self) -> QueryScalar<'q, T>
    where
        (T,): Shape,
    {
        QueryScalar(self.typed())
    }

    /// Gives it its next value.
    pub(in crate::store) fn bind(mut self, value: impl Into<Arg<'q>>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Runs it; the number of rows it changed.
    pub(in crate::store) async fn execute<'c>(self, on: impl Into<On<'c>>) -> Result<u64, sqlx::Error> {
        run!(on, self, sqlx::query_with, execute, |done| done.rows_affected())
    }

    /// Every row.
    pub(in crate::store) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<Row>, sqlx::Error> {
        run!(on, self, sqlx::query_with, fetch_all, |rows| rows.into_iter().map(Row::from).collect())
    }

    /// The one row.
    pub(in crate::store) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<Row, sqlx::Error> {
        run!(on, self, sqlx::query_with, fetch_one, Row::from)
    }

    /// The first row, when there is one.
    pub(in crate::store) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<Row>, sqlx::Error> {
        run!(on, self, sqlx::query_with, fetch_optional, |row| row.map(Row::from))
    }
}

impl<'q, T: Shape> QueryAs<'q, T> {
    /// Gives it its next value.
    pub(in crate::store) fn bind(mut self, value: impl Into<Arg<'q>>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// Every row.
    pub(in crate::store) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        run!(on, self.query, sqlx::query_as_with, fetch_all, |found| found)
    }

    /// The one row.
    pub(in crate::store) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        run!(on, self.query, sqlx::query_as_with, fetch_one, |found| found)
    }

    /// The first row, when there is one.
    pub(in crate::store) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        run!(on, self.query, sqlx::query_as_with, fetch_optional, |found| found)
    }
}

impl<'q, T> QueryScalar<'q, T>
where
    (T,): Shape,
{
    /// Gives it its next value.
    pub(in crate::store) fn bind(self, value: impl Into<Arg<'q>>) -> Self {
        Self(self.0.bind(value))
    }

    /// Every row's column.
    pub(in crate::store) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        Ok(self.0.fetch_all(on).await?.into_iter().map(|(value,)| value).collect())
    }

    /// The column of the one row.
    pub(in crate::store) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        Ok(self.0.fetch_one(on).await?.0)
    }

    /// The column of the first row, when there is one.
    pub(in crate::store) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        Ok(self.0.fetch_optional(on).await?.map(|(value,)| value))
    }
}
