//! Many rows in one statement: the one place that knows how, because it differs between databases. A statement costs
//! about as much as ten rows (`docs/performance.md`), so rows travel as one JSON array. It must never build SQL.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::StoreError;

/// Rows in one statement: bounds the text that is built for it.
pub(super) const CHUNK: usize = 5_000;

/// Runs `sql` for all `rows`; it reads them from `json_each($1)`. Answers how many rows it changed.
pub(super) async fn execute<T: Serialize>(
    tx: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for chunk in rows.chunks(CHUNK) {
        changed += sqlx::query(sql).bind(json(chunk)).execute(&mut *tx).await?.rows_affected();
    }
    Ok(changed)
}

/// Rows as the JSON array that `json_each` reads.
pub(super) fn json<T: Serialize>(rows: &[T]) -> String {
    // Rows are numbers, texts and nulls; nothing of them can fail to be written.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
