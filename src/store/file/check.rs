//! Whether the file's structure is intact. A small file is checked before anything else happens, a large one in the
//! background, table by table, on its own connection. Invalid rows are no damage: each delays only itself, and the
//! audit reports it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sqlx::{Connection, SqliteConnection};

use super::sidecar;
use crate::store::{OpenError, Store, StoreError, file::location::lone_reader};

/// The largest file that is checked before the daemon says that it is ready: about a second on a slow disk.
const CHECK_FIRST_MAX: u64 = 64 << 20;

/// Pages, or steps over rows, between two looks whether the end was asked for: some milliseconds.
const STOP_EVERY: i32 = 500;

/// `sqlite3_interrupt` or a progress handler ended the statement (<https://www.sqlite.org/rescode.html#interrupt>).
const INTERRUPTED: &str = "9";

/// How `SQLite` words a row that its table does not allow (`integrityCheck` in pragma.c). Everything else is damage.
const OF_A_ROW: [&str; 5] =
    ["NULL value in ", "non-", "NUMERIC value in ", "TEXT value in ", "CHECK constraint failed in "];

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL ORDER BY name";

const WHOLE: &str = "SELECT quick_check FROM pragma_quick_check";
const OF_TABLE: &str = "SELECT quick_check FROM pragma_quick_check($1)";

// A CHECK that a row breaks is found by the audit, for less.
const WITHOUT_CHECKS: &str = "PRAGMA ignore_check_constraints = 1";

/// What came of a check beside the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It holds.
    Whole,
    /// The end was asked for before all was read.
    Stopped,
}

/// Whether the file must be checked before it is used: it is small, or it was found to be damaged and nobody has found
/// otherwise since.
pub(super) fn is_first(path: &Path) -> bool {
    let is_small = fs::metadata(path).is_ok_and(|file| file.len() <= CHECK_FIRST_MAX);
    is_small || fs::symlink_metadata(mark(path)).is_ok()
}

/// Checks the whole file before it is used.
pub(super) async fn first(path: &Path) -> Result<(), OpenError> {
    let failed = |source: StoreError| failure(path, source);
    let mut connection = lone_reader(path).await.map_err(failed)?;
    let report = reports(&mut connection, None).await.map_err(|error| failed(error.into()))?;
    judge(path, report)?;
    // It was mended, or replaced by a copy.
    let _ = fs::remove_file(mark(path));
    close(connection).await;
    Ok(())
}

impl Store {
    /// Whether the file was too large to be checked when it was opened: [`Store::check_beside`] does it.
    #[must_use]
    pub const fn is_unchecked(&self) -> bool {
        self.is_unchecked
    }

    /// Checks the file while it is used, until `is_over` says that the daemon ends. What it finds is written beside the
    /// file, so that the next start looks before it does anything.
    ///
    /// # Errors
    /// [`OpenError::Damaged`]: nothing must be written to it any more. Any other: it could not be read, which the next try
    /// may find otherwise.
    pub async fn check_beside(
        &self,
        is_over: impl Fn() -> bool + Clone + Send + 'static,
    ) -> Result<Checked, OpenError> {
        // A server looks after its own pages.
        let Some(path) = self.place.file() else { return Ok(Checked::Whole) };
        let failed = |source: StoreError| failure(path, source);
        let checked = async {
            let mut connection = lone_reader(path).await.map_err(failed)?;
            let tables: Vec<String> =
                sqlx::query_scalar(TABLES).fetch_all(&mut connection).await.map_err(|error| failed(error.into()))?;
            for table in tables {
                let stop = is_over.clone();
                let locked = connection.lock_handle().await;
                locked.map_err(|error| failed(error.into()))?.set_progress_handler(STOP_EVERY, move || !stop());
                match reports(&mut connection, Some(&table)).await {
                    Err(error) if is_interrupted(&error) => return Ok(Checked::Stopped),
                    report => judge(path, report.map_err(|error| failed(error.into()))?)?,
                }
            }
            close(connection).await;
            Ok(Checked::Whole)
        };
        checked.await.inspect_err(|error| {
            if let OpenError::Damaged { report, .. } = error {
                leave_mark(path, report);
            }
        })
    }
}

/// What the check says of one table, or of the whole file.
async fn reports(connection: &mut SqliteConnection, table: Option<&str>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query(WITHOUT_CHECKS).execute(&mut *connection).await?;
    match table {
        None => sqlx::query_scalar(WHOLE).fetch_all(connection).await,
        Some(table) => sqlx::query_scalar(OF_TABLE).bind(table).fetch_all(connection).await,
    }
}

/// Damage, or nothing; rows that are not legal are named and left where they are.
fn judge(path: &Path, reports: Vec<String>) -> Result<(), OpenError> {
    let (rows, damage): (Vec<_>, Vec<_>) =
        reports.into_iter().filter(|line| line != "ok").partition(|line| is_of_a_row(line));
    if let Some(report) = damage.into_iter().next().map(|report| report.replace('\n', "; ")) {
        return Err(OpenError::Damaged { path: path.to_owned(), report });
    }
    if let Some(example) = rows.first() {
        tracing::error!(
            event = "db.illegal_rows",
            rows = rows.len(),
            example,
            "invalid rows skipped; `amplinkd audit` lists them"
        );
    }
    Ok(())
}

fn is_of_a_row(line: &str) -> bool {
    OF_A_ROW.iter().any(|words| line.starts_with(words)) && (!line.starts_with("non-") || line.contains(" value in "))
}

fn is_interrupted(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == INTERRUPTED)
}

fn failure(path: &Path, source: StoreError) -> OpenError {
    match source {
        StoreError::Corrupt(source) => OpenError::Damaged { path: path.to_owned(), report: source.to_string() },
        source => OpenError::Store { path: path.to_owned(), source },
    }
}

/// The file that says that the database was found to be damaged.
fn mark(path: &Path) -> PathBuf {
    sidecar::name(path, ".damaged")
}

fn leave_mark(path: &Path, report: &str) {
    let mark = mark(path);
    // Whatever is there already says as much.
    let left = fs::File::create_new(&mark).and_then(|mut file| std::io::Write::write_all(&mut file, report.as_bytes()));
    if let Err(error) = left {
        tracing::warn!(file = %mark.display(), error = %error, "could not write the damage marker next to the database");
    }
}

async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(event = "db.close", error = %error, "could not close a database connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_its_table_does_not_allow_is_no_damage() {
        for line in [
            "NULL value in account.since",
            "non-INTEGER value in account.failures",
            "CHECK constraint failed in alert",
            "TEXT value in account.failures",
        ] {
            assert!(is_of_a_row(line), "{line}");
        }
        for line in [
            "non-unique entry in index request_one_open",
            "row 5 missing from index account_due",
            "*** in database main ***\nTree 5 page 7: btreeInitPage() returns error code 11",
            "wrong # of entries in index account_due",
        ] {
            assert!(!is_of_a_row(line), "{line}");
        }
    }
}
