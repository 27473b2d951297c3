//! Housekeeping of the file: spent rows, cron marks, backups, whole-file checks. It must never touch a request's history.

use std::path::Path;

use sqlx::{Connection, FromRow, SqliteConnection};

use super::{Store, StoreError, open, writer::Work};
use crate::domain::time::Time;

/// Rows taken away in one transaction, so that nobody waits long behind it.
const PRUNE_MAX: u32 = 10_000;

const PRUNE_EVENTS: &str = "
    DELETE FROM outbox WHERE seq IN (
        SELECT o.seq FROM outbox AS o
        WHERE o.at < $1 AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.event_id = o.id)
        ORDER BY o.at LIMIT $2)";

const PRUNE_GATES: &str = "DELETE FROM gate WHERE until <= $1";

const MARK_JOB: &str = "
    INSERT INTO job (name, ran_at, due_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET ran_at = coalesce(excluded.ran_at, job.ran_at), due_at = excluded.due_at";

const JOBS: &str = "SELECT name, ran_at, due_at FROM job ORDER BY name";

// A request's state must be the last one of its history, and its history must be a chain without a gap.
const REPLAY: &str = "
    SELECT r.id, 'its state is ' || r.state || ', its history ends in ' || coalesce(last.to_state, 'nothing') AS finding
    FROM request AS r
    LEFT JOIN transition AS last ON last.request_id = r.id
         AND last.seq = (SELECT max(t.seq) FROM transition AS t WHERE t.request_id = r.id)
    WHERE last.to_state IS NULL OR last.to_state <> r.state OR last.at <> r.since
    UNION ALL
    SELECT t.request_id, 'step ' || t.seq || ' begins in ' || t.from_state || ', the step before ended in '
           || coalesce(before.to_state, 'nothing')
    FROM transition AS t
    LEFT JOIN transition AS before ON before.request_id = t.request_id AND before.seq = t.seq - 1
    WHERE t.seq > 1 AND (before.to_state IS NULL OR before.to_state <> t.from_state)
    LIMIT $1";

/// Something a whole-file check found.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Damage {
    /// The request, or the place in the file.
    pub id: String,
    /// What is wrong with it.
    pub finding: String,
}

/// When a cron job ran and is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The job.
    pub name: String,
    /// When it last ran to its end; `None`: it never did.
    pub ran_at: Option<Time>,
    /// When it is due; long past when nobody ran it.
    pub due_at: Option<Time>,
}

pub(super) async fn prune(tx: &mut SqliteConnection, before: Time, now: Time) -> Result<u64, StoreError> {
    let events = sqlx::query(PRUNE_EVENTS).bind(before.ms()).bind(PRUNE_MAX).execute(&mut *tx).await?.rows_affected();
    let gates = sqlx::query(PRUNE_GATES).bind(now.ms()).execute(tx).await?.rows_affected();
    Ok(events + gates)
}

pub(super) async fn mark_job(
    tx: &mut SqliteConnection,
    name: &str,
    ran: Option<Time>,
    due: Option<Time>,
) -> Result<u64, StoreError> {
    let (ran, due) = (ran.map(Time::ms), due.map(Time::ms));
    Ok(sqlx::query(MARK_JOB).bind(name).bind(ran).bind(due).execute(tx).await?.rows_affected())
}

impl Store {
    /// What is known of the cron jobs.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows: Vec<(String, Option<i64>, Option<i64>)> = sqlx::query_as(JOBS).fetch_all(self.readers()).await?;
        let job = |(name, ran, due): (String, Option<i64>, Option<i64>)| JobRow {
            name,
            ran_at: ran.map(Time::from_ms),
            due_at: due.map(Time::from_ms),
        };
        Ok(rows.into_iter().map(job).collect())
    }

    /// Remembers when a cron job is due; when it last ran stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn job_due(&self, name: &'static str, due: Option<Time>) -> Result<(), StoreError> {
        self.done(Work::Job { name, ran: None, due }).await.map(drop)
    }

    /// Writes a whole, consistent copy of the database to a new file; the daemon may run meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the copy cannot be written; nothing usable is left behind then.
    pub async fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
        let mut connection = open::lone_reader(from).await?;
        sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Checks the file's structure and replays the history of every request against its state; at most `limit`
    /// findings.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read at all.
    pub async fn verify(path: &Path, limit: u32) -> Result<Vec<Damage>, StoreError> {
        let mut connection = open::lone_reader(path).await?;
        let report: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await?;
        let mut found: Vec<Damage> = report
            .into_iter()
            .filter(|line| line != "ok")
            .map(|finding| Damage { id: "file".to_owned(), finding })
            .collect();
        let orphans: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT \"table\", rowid FROM pragma_foreign_key_check").fetch_all(&mut connection).await?;
        found.extend(orphans.into_iter().map(|(table, row)| Damage {
            id: format!("{table} {}", row.map_or_else(String::new, |row| row.to_string())),
            finding: "refers to a row that is not there".to_owned(),
        }));
        let replayed: Vec<Damage> = sqlx::query_as(REPLAY).bind(limit).fetch_all(&mut connection).await?;
        found.extend(replayed);
        connection.close().await?;
        Ok(found)
    }
}
