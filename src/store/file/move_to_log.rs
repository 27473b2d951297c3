//! Moves an older database into the log (migrations 0013 and 0014): requests and their histories, then events, one page
//! per transaction. An interrupted move resumes after the last page; until it is complete the old tables exist, and no
//! other program opens the file. Invalid rows are moved as they are.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::domain::{observation::Cause, request::StateKind};

/// Requests, with their histories, or events in one transaction: a few hundredths of a second.
const PAGE: u32 = 2_000;

/// The first number that a step from before may have: more of them than any file holds lie between it and 0.
const FIRST: i64 = -(1 << 48);

const COUNTS: &str = "
    SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM outbox), (SELECT coalesce(max(row), 0) FROM request_next),
           (SELECT count(*) FROM log WHERE seq > 0)";

const LAST: &str = "SELECT id FROM request_next ORDER BY row DESC LIMIT 1";

const REQUESTS: &str = "
    INSERT INTO request_next (id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown,
                              deferred_until, failure, since, requested_at, finished_at, attempt, called_at, seen_status,
                              baseline_rejected, doubt, doubt_at, errcode, errmsg, retry_of, key, labels, version,
                              last_seq, chain)
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt, doubt_at,
           errcode, errmsg, retry_of, key, labels, version, last_seq, chain
    FROM request WHERE id > $1 ORDER BY id LIMIT $2";

// A word that is none of ours has no number: its step breaks its chain, as it did before.
const STEPS: &str = "
    INSERT INTO log (seq, at, request, step, from_state, to_state, cause, status, errcode, detail, hash)
    SELECT coalesce((SELECT max(m.seq) FROM log AS m), $3) + row_number() OVER (ORDER BY t.request_id, t.seq), t.at, r.row,
           t.seq, {from}, {to}, {cause}, t.status, t.errcode, t.detail, t.hash
    FROM transition AS t CROSS JOIN request_next AS r ON r.id = t.request_id
    WHERE t.request_id > $1 AND t.request_id <= $2
    ORDER BY t.request_id, t.seq";

// That of a step is history already, unless somebody has not read it yet or it was put into somebody's queue.
const EVENTS: &str = "
    INSERT INTO log (seq, at, id, type, subject, partition_key, reach, data)
    SELECT o.seq, o.at, o.id, o.type, o.subject, o.partition_key, o.reach, o.data
    FROM outbox AS o
    WHERE o.seq > max(coalesce((SELECT max(m.seq) FROM log AS m), 0), 0)
      AND (o.type NOT LIKE 'amplinkd.request.%' OR o.seq > coalesce((SELECT w.seq FROM watch AS w), 0)
           OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.event_id = o.id))
    ORDER BY o.seq LIMIT $1";

/// How far the move has come, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows moved.
    pub done: u64,
    /// Rows there are.
    pub total: u64,
}

/// Whether the move has begun and is not over.
pub(super) async fn is_begun(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'request_next')";
    sqlx::query_scalar(SQL).fetch_one(connection).await
}

/// Moves what is not moved yet; `tell` hears of each page. The connection must check neither parents nor conditions.
pub(super) async fn run(connection: &mut SqliteConnection, tell: Tell<'_>) -> Result<(), sqlx::Error> {
    let (requests, events, moved, moved_events): (i64, i64, i64, i64) =
        sqlx::query_as(COUNTS).fetch_one(&mut *connection).await?;
    let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
    let total = count(requests) + count(events);
    let mut done = count(moved) + count(moved_events);
    loop {
        let rows = requests_page(connection).await?;
        let rows = if rows > 0 { rows } else { events_page(connection).await? };
        if rows == 0 {
            tell(Moved { done: total, total });
            return Ok(());
        }
        done += rows;
        tell(Moved { done: done.min(total), total });
    }
}

async fn requests_page(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let after: Option<String> = sqlx::query_scalar(LAST).fetch_optional(&mut *tx).await?;
    let after = after.unwrap_or_default();
    let rows = sqlx::query(REQUESTS).bind(&after).bind(PAGE).execute(&mut *tx).await?.rows_affected();
    if rows > 0 {
        let last: String = sqlx::query_scalar(LAST).fetch_one(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(steps())).bind(&after).bind(&last).bind(FIRST).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(rows)
}

async fn events_page(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows = sqlx::query(EVENTS).bind(PAGE).execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(rows)
}

fn steps() -> String {
    let (states, causes) = (StateKind::ALL.map(StateKind::as_str), Cause::ALL.map(Cause::as_str));
    let words =
        [("{from}", "t.from_state", &states[..]), ("{to}", "t.to_state", &states), ("{cause}", "t.cause", &causes)];
    words.iter().fold(STEPS.to_owned(), |sql, (place, column, words)| {
        let arms: Vec<String> = words.iter().enumerate().map(|(at, word)| format!("WHEN '{word}' THEN {at}")).collect();
        sql.replace(place, &format!("CASE {column} {} END", arms.join(" ")))
    })
}

/// Who hears how far an older file is brought up to date.
pub(crate) type Tell<'t> = &'t (dyn Fn(Moved) + Sync);
