//! Many rows in one statement: the one place that knows how, because it differs between databases. A statement costs
//! about as much as ten rows (`docs/performance.md`), so rows are passed as one JSON array.

use serde::Serialize;

use super::{
    StoreError,
    sql::{self, Query, Tx},
};

/// Rows in one statement: bounds the text that is built for it.
pub(super) const CHUNK: usize = 5_000;

/// Runs `sql` for all `rows`; it reads them from `json_each($1)`. Answers how many rows it changed.
pub(super) async fn execute<T: Serialize>(tx: &mut Tx<'_>, sql: &'static str, rows: &[T]) -> Result<u64, StoreError> {
    let mut changed = 0;
    for chunk in rows.chunks(CHUNK) {
        changed += sql::query(sql).bind(json(chunk)).execute(&mut *tx).await?;
    }
    Ok(changed)
}

/// [`execute`], but what the database refuses because of a row that somebody changed past us holds up no other: the places
/// in `rows` of those that were refused. A statement that fails leaves nothing behind, so the halves can be tried alone.
pub(super) async fn execute_apart<T: Serialize>(
    tx: &mut Tx<'_>,
    sql: &'static str,
    rows: &[T],
) -> Result<(u64, Vec<usize>), StoreError> {
    let (mut changed, mut refused) = (0, Vec::new());
    let mut waiting: Vec<std::ops::Range<usize>> = Vec::new();
    for first in (0..rows.len()).step_by(CHUNK) {
        waiting.push(first..rows.len().min(first + CHUNK));
        while let Some(part) = waiting.pop() {
            match within_savepoint(tx, sql::query(sql).bind(json(&rows[part.clone()]))).await {
                Ok(done) => changed += done,
                Err(error) if !error.is_of_one_row() => return Err(error),
                Err(error) if part.len() == 1 => {
                    tracing::error!(
                        event = "db.bad_row",
                        row = json(&rows[part.clone()]),
                        error = %error,
                        "invalid row skipped; other rows are not affected"
                    );
                    refused.push(part.start);
                }
                Err(_) => {
                    let middle = part.start + part.len() / 2;
                    waiting.extend([middle..part.end, part.start..middle]);
                }
            }
        }
    }
    Ok((changed, refused))
}

/// Runs a statement that leaves nothing behind when it fails: `SQLite` sees to that, PostgreSQL must be told where it began.
async fn within_savepoint(tx: &mut Tx<'_>, statement: Query<'_>) -> Result<u64, StoreError> {
    if matches!(tx, Tx::Sqlite(_)) {
        return Ok(statement.execute(tx).await?);
    }
    sql::query("SAVEPOINT apart").execute(&mut *tx).await?;
    match statement.execute(&mut *tx).await {
        Ok(done) => {
            sql::query("RELEASE SAVEPOINT apart").execute(tx).await?;
            Ok(done)
        }
        Err(error) => {
            sql::query("ROLLBACK TO SAVEPOINT apart").execute(tx).await?;
            Err(error.into())
        }
    }
}

/// Rows as the JSON array that `json_each` reads.
pub(super) fn json<T: Serialize>(rows: &[T]) -> String {
    // Rows are numbers, texts and nulls; nothing of them can fail to be written.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
