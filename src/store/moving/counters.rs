//! Numbers that a database gives to rows go on where they were.

use super::{
    end::{End, Link},
    error::MoveError,
    tables::{TABLES, Table},
};
use crate::store::{
    StoreError,
    sql::{self, Tx},
};

/// The last numbers that were given, in the order of the tables that are numbered.
pub(super) async fn read(end: &mut End) -> Result<Vec<i64>, MoveError> {
    let mut last = Vec::new();
    for table in numbered() {
        last.push(one(&mut end.link.tx(), table).await.map_err(|source| end.failed(source))?);
    }
    Ok(last)
}

fn numbered() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().filter(|table| table.is_numbered).filter_map(|Table { name, key, .. }| Some((*name, *key.first()?)))
}

async fn one(tx: &mut Tx<'_>, (table, key): (&str, &str)) -> Result<i64, StoreError> {
    let counter = match tx {
        Tx::Sqlite(_) => format!("SELECT seq FROM sqlite_sequence WHERE name = '{table}'"),
        Tx::Postgres(_) => {
            format!("SELECT pg_sequence_last_value(pg_get_serial_sequence('{table}', '{key}')::regclass)")
        }
    };
    let counter: Option<Option<i64>> = sql::query_scalar(counter).fetch_optional(&mut *tx).await?;
    let highest: Option<i64> =
        sql::query_scalar(format!("SELECT max(\"{key}\") FROM \"{table}\"")).fetch_one(&mut *tx).await?;
    let ledger: Option<i64> = match tx {
        Tx::Postgres(_) if table == "log" => sql::query_scalar("SELECT max(seq) FROM ledger").fetch_one(tx).await?,
        Tx::Postgres(_) | Tx::Sqlite(_) => None,
    };
    Ok([counter.flatten(), highest, ledger].into_iter().flatten().fold(0, i64::max))
}

/// Sets them.
pub(super) async fn write(end: &mut End, last: &[i64]) -> Result<(), MoveError> {
    for ((table, key), last) in numbered().zip(last) {
        set(&mut end.link, (table, key), *last).await.map_err(|source| end.failed(source))?;
    }
    Ok(())
}

async fn set(link: &mut Link, (table, key): (&str, &str), last: i64) -> Result<(), StoreError> {
    match link {
        Link::File(connection) => {
            const IS_KEPT: &str = "
                SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1 AND sql LIKE '%AUTOINCREMENT%')";
            const SET: &str = "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1";
            const ADD: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
            // Of others, the next number is that after the highest.
            if !sqlx::query_scalar::<_, bool>(IS_KEPT).bind(table).fetch_one(&mut *connection).await? {
                return Ok(());
            }
            let set = sqlx::query(SET).bind(table).bind(last).execute(&mut *connection).await?;
            if set.rows_affected() == 0 {
                sqlx::query(ADD).bind(table).bind(last).execute(connection).await?;
            }
        }
        Link::Server(connection) => {
            const SET: &str = "SELECT setval(pg_get_serial_sequence($1, $2), greatest($3, 1), $3 > 0)";
            const SET_LEDGER: &str = "UPDATE ledger SET seq = $1";
            sqlx::query(SET).bind(table).bind(key).bind(last).execute(&mut *connection).await?;
            if table == "log" {
                sqlx::query(SET_LEDGER).bind(last).execute(connection).await?;
            }
        }
    }
    Ok(())
}
