//! Backups: made while the database is written, marked as backups, restored. The original is never marked: the next
//! start would reconcile it for nothing.

use std::{path::Path, sync::Arc};

use sqlx::{Connection, FromRow, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    domain::{
        observation::RestoredFate,
        request::{Baseline, Request},
        time::Time,
    },
    store::{
        BadRow, Store, StoreError,
        decode::{self, Table},
        executor::Db,
        file::location::lone_reader,
        request_row::RequestRow,
        sql::{self, Flag, Row},
        tables::REQUEST,
        write::import,
    },
};

const MARK: &str = "
    INSERT INTO copy (made_at)
    SELECT coalesce($1, (SELECT max(r.since) FROM request AS r), 0) WHERE NOT EXISTS (SELECT 1 FROM copy)";

const RESTORED: &str = "UPDATE copy SET restored_at = $1";

// A mark that cannot be read is a mark all the same.
const COPY: &str = "SELECT made_at, restored_at FROM copy ORDER BY made_at DESC LIMIT 1";

/// The table.
const MARKS: Table = Table { name: "copy", key: &["made_at"] };

// An old rejection has no appid in the list: it is found by any name that is known of it.
const TO_RECONCILE: &str = "
    SELECT r.id, r.kind, r.account, r.program, r.username, r.notify_users, r.show_profile, r.state, r.outcome_unknown,
           r.deferred_until, r.failure, r.since, r.requested_at, r.finished_at, r.attempt, r.called_at, r.seen_status,
           r.baseline_rejected, r.doubt, r.doubt_at, r.errcode, r.errmsg, r.retry_of, r.key, r.labels, r.version,
           s.fate,
           EXISTS (SELECT 1 FROM program AS p
                   WHERE p.account = r.account AND p.status = 3 AND p.gone_at IS NULL
                     AND (p.program = r.program OR p.username = r.username
                          OR EXISTS (SELECT 1 FROM program_name AS n
                                     WHERE n.username = p.username AND n.program = r.program))) AS knows_rejection
    FROM request AS r LEFT JOIN salvage AS s ON s.request_id = r.id
    WHERE r.id > $1 AND (r.finished_at IS NULL OR r.doubt IS NOT NULL)
    ORDER BY r.id LIMIT $2";

// Whatever an account's list was when the copy was made, it is read anew, and first where something is open.
const WITH_LISTS: &str = "SELECT id FROM account WHERE listing_hash IS NOT NULL";
const REREAD: &str = "UPDATE account SET listing_hash = NULL WHERE id = ?1";
const OPEN: &str = "
    SELECT id FROM account
    WHERE coalesce(suspended_by, '') <> 'operator'
      AND account IN (SELECT r.account FROM request AS r INDEXED BY request_one_open WHERE r.finished_at IS NULL)";
const LOOK: &str = "UPDATE account SET reread_at = 0, pace_from = ?2, next_check_at = ?2 WHERE id = ?1";

const UNSALVAGE: &str = "DELETE FROM salvage";
const UNMARK: &str = "DELETE FROM copy";
// Nobody is signed in to a copy.
const END_SESSIONS: &str = "DELETE FROM session";

// What the replaced database knew beyond the copy of requests that the copy would call again.
const SALVAGE: &str = "
    INSERT INTO salvage (request_id, fate)
    SELECT r.id,
           CASE
               WHEN o.state = 'cancelled' THEN 'cancelled'
               WHEN o.state IN ('requested', 'initiating', 'deferred', 'failed') THEN 'called'
               ELSE 'taken'
           END
    FROM request AS r
    JOIN replaced.request AS o
      ON o.id = r.id AND o.kind = r.kind AND o.account = r.account AND o.program = r.program
    WHERE r.finished_at IS NULL AND o.version > r.version
      AND (o.state = 'cancelled'
           OR (r.state IN ('requested', 'initiating', 'deferred')
               AND (o.state NOT IN ('requested', 'initiating', 'deferred', 'failed')
                    OR o.attempt > r.attempt OR coalesce(o.called_at, 0) > coalesce(r.called_at, 0))))";

// A budget that is spent, a quota that is used up and an account that a person suspended stay so.
const BUDGETS: &str = "
    UPDATE account SET budget_day = o.budget_day, budget_used = o.budget_used
    FROM replaced.account AS o
    WHERE o.account = account.account
      AND (o.budget_day > account.budget_day
           OR (o.budget_day = account.budget_day AND o.budget_used > account.budget_used))";
// A copy made by an older program knows fewer kinds.
const GATES: &str = "
    INSERT OR IGNORE INTO gate (kind, subject, until, errcode, errmsg, at)
    SELECT o.kind, o.subject, o.until, o.errcode, o.errmsg, o.at FROM replaced.gate AS o WHERE 1 = 1
    ON CONFLICT (kind, subject) DO UPDATE
    SET until = excluded.until, errcode = excluded.errcode, errmsg = excluded.errmsg, at = excluded.at
    WHERE excluded.until > gate.until";
const SUSPENSIONS: &str = "
    UPDATE account
    SET state = o.state, since = o.since, suspended_by = o.suspended_by, errcode = o.errcode, errmsg = o.errmsg,
        next_check_at = o.next_check_at
    FROM replaced.account AS o
    WHERE o.account = account.account AND o.suspended_by = 'operator'";

const SALVAGED: &str = "
    SELECT (SELECT count(*) FROM salvage WHERE fate = 'called'), (SELECT count(*) FROM salvage WHERE fate = 'taken'),
           (SELECT count(*) FROM salvage WHERE fate = 'cancelled'),
           (SELECT count(*) FROM replaced.request AS o WHERE NOT EXISTS (SELECT 1 FROM request AS r WHERE r.id = o.id))";

const CONTENTS: &str = "
    SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM request WHERE finished_at IS NULL),
           (SELECT count(*) FROM request
            WHERE state IN ('requested', 'initiating') OR (state = 'deferred' AND deferred_until <= $1)),
           (SELECT max(made_at) FROM copy)";

/// That the database is a copy which was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// When the copy was made: it knows of nothing later.
    pub made_at: Time,
    /// When `db restore` put it back; `None` when somebody else did.
    pub restored_at: Option<Time>,
}

/// A request that the copy may know less of than `WeChat` does.
#[derive(Debug)]
pub struct RestoredRequest {
    /// Its id, also when its row is not legal.
    pub id: String,
    /// As the copy has it.
    pub request: Result<Request, BadRow>,
    /// What the replaced database knew.
    pub since: RestoredFate,
    /// Whether the copy knows of a rejection that was listed for the pair.
    pub baseline: Baseline,
}

#[derive(Debug, FromRow)]
struct RestoredRow {
    #[sqlx(flatten)]
    request: RequestRow,
    fate: Option<String>,
    #[sqlx(try_from = "Flag")]
    knows_rejection: bool,
}

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Requests.
    pub requests: i64,
    /// Of these, not finished.
    pub open: i64,
    /// Of these, to be asked of the list before anything is called for them.
    pub to_reconcile: i64,
    /// When it was made, when it says so.
    pub made_at: Option<Time>,
}

/// What a replaced database knew beyond its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Called since, and whether `WeChat` took the call is not known.
    pub called: i64,
    /// Called since, and `WeChat` took the call.
    pub taken: i64,
    /// Cancelled since.
    pub cancelled: i64,
    /// Requests that the copy does not know at all.
    pub newer: i64,
}

impl Store {
    /// Writes a whole, consistent copy of the database to a new file and marks it as one; the daemon may run meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the copy cannot be written; nothing usable is left behind then.
    pub async fn backup(from: &Path, to: &Path, now: Time) -> Result<(), StoreError> {
        Self::copy_file(from, to).await?;
        let mut copy = lone_writer(to).await?;
        sqlx::query(MARK).bind(now.ms()).execute(&mut copy).await?;
        sqlx::query(END_SESSIONS).execute(&mut copy).await?;
        // What was accepted of an import is in the copy as requests, so that a restore knows what may be called for them.
        import::settle(&mut copy, now).await?;
        Ok(copy.close().await?)
    }

    /// Writes a whole, consistent copy of a database to a new or empty file, as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the copy cannot be written; nothing usable is left behind then.
    pub async fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        let mut connection = lone_reader(from).await?;
        sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Marks a file that nobody drives as a copy that is about to be put back, and says what it holds.
    pub async fn mark_restored(path: &Path, now: Time) -> Result<Contents, StoreError> {
        let mut copy = lone_writer(path).await?;
        import::settle(&mut copy, now).await?;
        let (requests, open, to_reconcile, made_at): (i64, i64, i64, Option<i64>) =
            sqlx::query_as(CONTENTS).bind(now.ms()).fetch_one(&mut copy).await?;
        sqlx::query(MARK).bind(None::<i64>).execute(&mut copy).await?;
        sqlx::query(RESTORED).bind(now.ms()).execute(&mut copy).await?;
        copy.close().await?;
        Ok(Contents { requests, open, to_reconcile, made_at: made_at.map(Time::from_ms) })
    }

    /// Takes into the copy at `path` what the database at `replaced` knew of its requests beyond it, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the replaced database cannot be read: the copy is as it was.
    pub async fn salvage(path: &Path, replaced: &Path) -> Result<Salvaged, StoreError> {
        let mut copy = lone_writer(path).await?;
        let name = replaced.to_string_lossy().into_owned();
        sqlx::query("ATTACH DATABASE $1 AS replaced").bind(name).execute(&mut copy).await?;
        let mut all = copy.begin().await?;
        for statement in [SALVAGE, BUDGETS, GATES, SUSPENSIONS] {
            sqlx::query(statement).execute(&mut *all).await?;
        }
        let (called, taken, cancelled, newer): (i64, i64, i64, i64) =
            sqlx::query_as(SALVAGED).fetch_one(&mut *all).await?;
        all.commit().await?;
        copy.close().await?;
        Ok(Salvaged { called, taken, cancelled, newer })
    }

    /// Folds the write-ahead log of a file that nobody drives into it, so that it is whole without its neighbours.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or written, or somebody reads it at this moment.
    pub async fn fold(path: &Path) -> Result<(), StoreError> {
        let mut connection = lone_writer(path).await?;
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
        connection.close().await?;
        if busy == 0 { Ok(()) } else { Err(StoreError::Busy(Arc::new(sqlx::Error::PoolTimedOut))) }
    }

    /// Whether the database is a copy that was put back and that no daemon has reconciled yet.
    pub async fn copied(&self) -> Result<Option<Copied>, StoreError> {
        let Some(row) = sql::query(COPY).fetch_optional(self.readers()).await? else { return Ok(None) };
        let (made, restored) = decode::one(&row, MARKS).inspect_err(decode::tell).unwrap_or((0, None));
        Ok(Some(Copied { made_at: Time::from_ms(made), restored_at: restored.map(Time::from_ms) }))
    }

    /// Requests that the copy may know less of than `WeChat` does, a page after `after`.
    pub async fn to_reconcile(&self, after: &str, limit: u32) -> Result<Vec<RestoredRequest>, StoreError> {
        let rows = sql::query(TO_RECONCILE).bind(after).bind(limit).fetch_all(self.readers()).await?;
        let unsure = |row: &Row| match decode::one::<RestoredRow>(row, REQUEST) {
            Ok(row) => Some(RestoredRequest::from(row)),
            Err(bad) => Some(RestoredRequest::unreadable(decode::column(row, "id")?, bad)),
        };
        Ok(rows.iter().filter_map(unsure).collect())
    }
}

impl RestoredRequest {
    const fn unreadable(id: String, bad: BadRow) -> Self {
        Self { id, request: Err(bad), since: RestoredFate::Unknown, baseline: Baseline::Clear }
    }
}

impl From<RestoredRow> for RestoredRequest {
    fn from(row: RestoredRow) -> Self {
        let since = match row.fate.as_deref() {
            Some("taken") => RestoredFate::Taken,
            Some("cancelled") => RestoredFate::Cancelled,
            Some(_) => RestoredFate::Called,
            None => RestoredFate::Unknown,
        };
        let baseline = if row.knows_rejection { Baseline::Rejected } else { Baseline::Clear };
        Self { id: row.request.id().to_owned(), request: Request::try_from(row.request), since, baseline }
    }
}

/// Everything that the copy may know too little of is decided: every account's list is read anew, and the mark goes.
pub(in crate::store) fn reconciled(db: Db<'_>, now: Time) -> Result<(), StoreError> {
    for row in db.all(WITH_LISTS, (), |row| row.get::<i64>(0))? {
        let row = row?;
        decode::apart("account", row, db.execute(REREAD, [row]))?;
    }
    for row in db.all(OPEN, (), |row| row.get::<i64>(0))? {
        let row = row?;
        decode::apart("account", row, db.execute(LOOK, [row, now.ms()]))?;
    }
    db.execute(UNSALVAGE, ())?;
    db.execute(UNMARK, ()).map(drop)
}

/// A connection of its own to a file that nobody drives.
async fn lone_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}
