//! The rows themselves, page by page. Where a move stands is what the target holds: rows arrive in the order of their keys.

use super::{
    end::{End, Link},
    error::MoveError,
    tables::{Column, Columns, TABLES, Table, quoted},
};
use crate::store::{
    StoreError,
    sql::{self, Arg, Batch, ColumnKind, OddCell, QueryBuilder, Row, Tx},
};

/// Rows in one transaction: some megabytes at most.
const PAGE: u32 = 5_000;

/// A retry may stand in an earlier page than the request that it is of.
const LET_RETRIES_PRECEDE: &str = "ALTER TABLE request DROP CONSTRAINT IF EXISTS request_retry_of_fkey";
const HOLD_RETRIES: &str =
    "ALTER TABLE request ADD CONSTRAINT request_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES request (id)";

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The table whose rows are moved.
    pub table: &'static str,
    /// Rows that are there, of all tables.
    pub done: u64,
    /// Rows that there are.
    pub total: u64,
}

/// Rows of each table, in the order of [`TABLES`].
pub(super) async fn counts(end: &mut End) -> Result<Vec<u64>, MoveError> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        counts.push(count(end, table).await.map_err(|source| end.failed(source))?);
    }
    Ok(counts)
}

async fn count(end: &mut End, Table { name, .. }: Table) -> Result<u64, StoreError> {
    let asked = format!("SELECT count(*) FROM \"{name}\"");
    let rows: i64 = sql::query_scalar(asked).fetch_one(&mut end.link.tx()).await?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Whether no table has a row.
pub(super) async fn is_empty(end: &mut End) -> Result<bool, MoveError> {
    for Table { name, .. } in TABLES {
        let asked = format!("SELECT 1 FROM \"{name}\" LIMIT 1");
        let found: Result<Option<Row>, _> = sql::query(asked).fetch_optional(&mut end.link.tx()).await;
        if found.map_err(|source| end.failed(source))?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Moves what is not there yet.
pub(super) async fn copy(
    (source, target): (&mut End, &mut End),
    columns: &Columns,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<(), MoveError> {
    let total = counts(source).await?.iter().sum();
    let mut done = counts(target).await?.iter().sum();
    loosen(target).await.map_err(|error| target.failed(error))?;
    for (table, columns) in TABLES.iter().zip(columns) {
        let names = quoted(columns.iter().map(|column| column.name.as_str()));
        let kinds: Vec<ColumnKind> = columns.iter().map(|column| column.kind).collect();
        tell(Progress { table: table.name, done, total });
        let mut after = last(target, *table, columns).await.map_err(|error| target.failed(error))?;
        loop {
            let page = page(source, *table, &names, &after).await.map_err(|error| source.failed(error))?;
            let rows = page.len();
            let batch = Batch::read(&page, &kinds).map_err(|odd| odd_row(source, *table, columns, &page, odd))?;
            drop(page);
            after = key_places(*table, columns).filter_map(|place| batch.last(place)).collect();
            write(target, *table, &names, batch).await.map_err(|error| not_taken(target, *table, error))?;
            done += rows as u64;
            tell(Progress { table: table.name, done: done.min(total), total });
            if rows < PAGE as usize {
                break;
            }
        }
    }
    tighten(target).await.map_err(|error| target.failed(error))
}

/// Parents are looked for at the end, by the check of the file and by the server.
async fn loosen(target: &mut End) -> Result<(), StoreError> {
    match &mut target.link {
        Link::File(connection) => sqlx::query("PRAGMA foreign_keys = OFF").execute(connection).await?.rows_affected(),
        Link::Server(connection) => sqlx::query(LET_RETRIES_PRECEDE).execute(connection).await?.rows_affected(),
    };
    Ok(())
}

async fn tighten(target: &mut End) -> Result<(), StoreError> {
    if let Link::Server(connection) = &mut target.link {
        for statement in [LET_RETRIES_PRECEDE, HOLD_RETRIES, "ANALYZE"] {
            sqlx::query(statement).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Where the key's columns stand.
fn key_places(table: Table, columns: &[Column]) -> impl Iterator<Item = usize> + '_ {
    table.key.iter().filter_map(|key| columns.iter().position(|column| column.name == *key))
}

/// The key of the last row that is there; nothing where there is none.
async fn last(target: &mut End, table: Table, columns: &[Column]) -> Result<Vec<Arg<'static>>, StoreError> {
    if table.key.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<ColumnKind> = key_places(table, columns).map(|place| columns[place].kind).collect();
    let order = table.key.iter().map(|key| format!("\"{key}\" DESC")).collect::<Vec<_>>().join(", ");
    let keys = quoted(table.key.iter().copied());
    let asked = format!("SELECT {keys} FROM \"{}\" ORDER BY {order} LIMIT 1", table.name);
    let found = sql::query(asked).fetch_all(&mut target.link.tx()).await?;
    let batch = Batch::read(&found, &kinds).map_err(|_| StoreError::defect("a row that was moved has another type"))?;
    Ok((0..kinds.len()).filter_map(|place| batch.last(place)).collect())
}

async fn page(source: &mut End, table: Table, names: &str, after: &[Arg<'static>]) -> Result<Vec<Row>, StoreError> {
    let mut asked = QueryBuilder::new(format!("SELECT {names} FROM \"{}\"", table.name));
    if !table.key.is_empty() {
        let keys = quoted(table.key.iter().copied());
        if !after.is_empty() {
            asked.push(format!(" WHERE ({keys}) > ("));
            for (place, value) in after.iter().enumerate() {
                asked.push(if place > 0 { ", " } else { "" }).push_bind(value.clone());
            }
            asked.push(")");
        }
        asked.push(format!(" ORDER BY {keys} LIMIT {PAGE}"));
    }
    Ok(asked.build().fetch_all(&mut source.link.tx()).await?)
}

/// Writes a page, all of it or nothing.
async fn write(target: &mut End, table: Table, names: &str, batch: Batch) -> Result<(), StoreError> {
    use sqlx::Connection as _;
    // A table without a key has a few rows, which are written again.
    let again = table.key.is_empty().then(|| format!("DELETE FROM \"{}\"", table.name));
    match &mut target.link {
        Link::File(connection) => {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            fill(&mut Tx::Sqlite(&mut transaction), table, names, (again, batch)).await?;
            transaction.commit().await?;
        }
        Link::Server(connection) => {
            let mut transaction = connection.begin().await?;
            fill(&mut Tx::Postgres(&mut transaction), table, names, (again, batch)).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

async fn fill(
    tx: &mut Tx<'_>,
    table: Table,
    names: &str,
    (again, batch): (Option<String>, Batch),
) -> Result<(), StoreError> {
    if let Some(again) = again {
        sql::query(again).execute(&mut *tx).await?;
    }
    batch.insert(tx, table.name, names).await
}

/// A row that somebody spoiled, by its key.
fn odd_row(source: &End, table: Table, columns: &[Column], page: &[Row], odd: OddCell) -> MoveError {
    let row = page.get(odd.row);
    let key = key_places(table, columns).filter_map(|place| Some(row?.value(place).to_string()));
    let column = columns.get(odd.column).map_or("", |column| &column.name);
    MoveError::Refused(format!(
        "{}: the row {} of {:?} holds {} in {column:?}, which no other database would take: mend it, or `amplinkd db move \
         --abandon`",
        source.place,
        key.collect::<Vec<_>>().join(", "),
        table.name,
        odd.wrong
    ))
}

fn not_taken(target: &End, table: Table, error: StoreError) -> MoveError {
    match error {
        StoreError::Refused(why) => MoveError::Refused(format!(
            "{} does not take a row of {:?}: {why}; `amplinkd audit` and `amplinkd db verify` find rows that somebody changed, \
             and `amplinkd db move --abandon` stays where everything is",
            target.place, table.name
        )),
        source => target.failed(source),
    }
}
