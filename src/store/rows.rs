//! Rows decoded one by one: one that somebody changed into what we never write delays itself alone, and the audit names it
//! (`bad_row`).

use sqlx::{FromRow, sqlite::SqliteRow};

/// Those of the rows that can be read.
pub(super) fn legal<T: for<'r> FromRow<'r, SqliteRow>>(rows: &[SqliteRow]) -> Vec<T> {
    rows.iter().filter_map(|row| T::from_row(row).ok()).collect()
}
