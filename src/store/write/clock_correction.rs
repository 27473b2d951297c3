//! Corrects times that were written while the calendar was far ahead, before anybody uses them. What waits for an
//! impossible time becomes due now; what is said to have happened in the future happened now. (The time of a request's
//! step is in its history, which nobody changes.)

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        sql::{self, Tx},
    },
};

/// Rows that are corrected in one transaction.
const PAGE: u32 = 5_000;

/// The latest times that the rules allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of what waits for a month's quota: a request, its account, a gate.
    pub month: Time,
    /// Of what is read again once a deadline passes.
    pub reread: Time,
    /// Of calls that wait because they were refused.
    pub calls: Time,
    /// Of anything that has happened.
    pub past: Time,
}

/// Times of one column that were corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// As in `request.deferred_until`.
    pub column: &'static str,
    /// How many.
    pub count: u64,
    /// One of them: the row.
    pub example: String,
    /// What it held.
    pub held: Time,
}

/// A column, and what is done about its times.
#[derive(Debug)]
struct Column {
    name: &'static str,
    latest: fn(&Bounds) -> Time,
    /// Rows with a time beyond $1, at most $2. What is no number is not a time: the audit names it.
    find: &'static str,
    /// For rows of (key, now).
    correct: &'static str,
}

static COLUMNS: [Column; COUNT] = [
    Column {
        name: "request.deferred_until",
        latest: |bounds| bounds.month,
        find: "SELECT id AS row, deferred_until AS held FROM request INDEXED BY request_deferred
               WHERE deferred_until > $1 AND typeof(deferred_until) = 'integer' LIMIT $2",
        correct: "UPDATE request SET deferred_until = CAST(j.value ->> 1 AS BIGINT), version = request.version + 1
                  FROM jsonb_each($1) AS j WHERE request.id = j.value ->> 0",
    },
    Column {
        name: "request.called_at",
        latest: |bounds| bounds.past,
        find: "SELECT id AS row, called_at AS held FROM request INDEXED BY request_one_open
               WHERE finished_at IS NULL AND called_at > $1 AND typeof(called_at) = 'integer' LIMIT $2",
        correct: "UPDATE request SET called_at = CAST(j.value ->> 1 AS BIGINT), version = request.version + 1
                  FROM jsonb_each($1) AS j WHERE request.id = j.value ->> 0",
    },
    Column {
        name: "request.doubt_at",
        latest: |bounds| bounds.past,
        find: "SELECT id AS row, doubt_at AS held FROM request INDEXED BY request_one_open
               WHERE finished_at IS NULL AND doubt_at > $1 AND typeof(doubt_at) = 'integer'
               UNION ALL
               SELECT id AS row, doubt_at AS held FROM request INDEXED BY request_linked
               WHERE state = 'linked' AND doubt_at > $1 AND typeof(doubt_at) = 'integer' LIMIT $2",
        correct: "UPDATE request SET doubt_at = CAST(j.value ->> 1 AS BIGINT), version = request.version + 1
                  FROM jsonb_each($1) AS j WHERE request.id = j.value ->> 0",
    },
    Column {
        name: "account.next_check_at",
        latest: |bounds| bounds.month,
        find: "SELECT account AS row, next_check_at AS held FROM account INDEXED BY account_due
               WHERE next_check_at > $1 AND typeof(next_check_at) = 'integer' LIMIT $2",
        correct: "UPDATE account SET next_check_at = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.reread_at",
        latest: |bounds| bounds.reread,
        find: "SELECT account AS row, reread_at AS held FROM account INDEXED BY account_due
               WHERE next_check_at IS NOT NULL AND reread_at > $1 AND typeof(reread_at) = 'integer' LIMIT $2",
        correct: "UPDATE account SET reread_at = CAST(j.value ->> 1 AS BIGINT), next_check_at = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.pace_from",
        latest: |bounds| bounds.past,
        find: "SELECT account AS row, pace_from AS held FROM account INDEXED BY account_due
               WHERE next_check_at IS NOT NULL AND pace_from > $1 AND typeof(pace_from) = 'integer' LIMIT $2",
        correct: "UPDATE account SET pace_from = CAST(j.value ->> 1 AS BIGINT), next_check_at = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.checked_at",
        latest: |bounds| bounds.past,
        find: "SELECT account AS row, checked_at AS held FROM account INDEXED BY account_due
               WHERE next_check_at IS NOT NULL AND checked_at > $1 AND typeof(checked_at) = 'integer' LIMIT $2",
        correct: "UPDATE account SET checked_at = CAST(j.value ->> 1 AS BIGINT), next_check_at = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.unread_since",
        latest: |bounds| bounds.past,
        find: "SELECT account AS row, unread_since AS held FROM account INDEXED BY account_unread
               WHERE unread_since > $1 AND typeof(unread_since) = 'integer' LIMIT $2",
        correct: "UPDATE account SET unread_since = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.calls_refused_since",
        latest: |bounds| bounds.past,
        find: "SELECT account AS row, calls_refused_since AS held FROM account INDEXED BY account_calls_refused
               WHERE calls_refused_since > $1 AND typeof(calls_refused_since) = 'integer' LIMIT $2",
        correct: "UPDATE account SET calls_refused_since = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    Column {
        name: "account.call_after",
        latest: |bounds| bounds.calls,
        find: "SELECT account AS row, call_after AS held FROM account INDEXED BY account_calls_refused
               WHERE calls_refused_since IS NOT NULL AND call_after > $1 AND typeof(call_after) = 'integer' LIMIT $2",
        correct: "UPDATE account SET call_after = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE account.account = j.value ->> 0",
    },
    // Whoever is held back without reason asks once, and is held back again.
    Column {
        name: "gate.until",
        latest: |bounds| bounds.month,
        find: "SELECT kind || '/' || subject AS row, until AS held FROM gate
               WHERE until > $1 AND typeof(until) = 'integer' LIMIT $2",
        correct: "DELETE FROM gate WHERE kind || '/' || subject IN (SELECT j.value ->> 0 FROM jsonb_each($1) AS j)",
    },
    // One that closed shortly before the calendar was stepped back has its reason.
    Column {
        name: "gate.at",
        latest: |bounds| bounds.past,
        find: "SELECT kind || '/' || subject AS row, at AS held FROM gate
               WHERE at > $1 AND typeof(at) = 'integer' LIMIT $2",
        correct: "UPDATE gate SET at = CAST(j.value ->> 1 AS BIGINT)
                  FROM jsonb_each($1) AS j WHERE gate.kind || '/' || gate.subject = j.value ->> 0",
    },
    // How long an alert may wait is the operator's to say; one that was told in the future was told now.
    Column {
        name: "alert.notify_at",
        latest: |bounds| bounds.past,
        find: "SELECT id AS row, notify_at AS held FROM alert INDEXED BY alert_to_tell
               WHERE notify_at > $1 AND typeof(notify_at) = 'integer'
                 AND (fired_at > $1 OR coalesce(notified_at, 0) > $1 OR coalesce(resolved_at, 0) > $1)
               LIMIT $2",
        correct: "UPDATE alert
                  SET notify_at = CAST(j.value ->> 1 AS BIGINT), version = alert.version + 1, fired_at = min(fired_at, CAST(j.value ->> 1 AS BIGINT)),
                      notified_at = min(notified_at, CAST(j.value ->> 1 AS BIGINT)), resolved_at = min(resolved_at, CAST(j.value ->> 1 AS BIGINT))
                  FROM jsonb_each($1) AS j WHERE alert.id = j.value ->> 0",
    },
];

/// Number of columns above.
const COUNT: usize = 13;

/// A row with a time that is no time.
const FOUND: Table = Table { name: "times", key: &["row"] };

impl Store {
    /// Corrects every time beyond the bounds to `now`; what was corrected, column by column.
    ///
    /// # Errors
    /// [`StoreError`]: what was corrected so far stays so, and the next call does the rest.
    pub async fn correct_times(&self, bounds: &Bounds, now: Time) -> Result<Vec<Corrected>, StoreError> {
        let mut corrected = Vec::new();
        for column in &COLUMNS {
            let mut of_column: Option<Corrected> = None;
            loop {
                let query = sql::query(column.find).bind((column.latest)(bounds).ms()).bind(PAGE);
                let found: Vec<(String, i64)> = decode::legible(&query.fetch_all(self.readers()).await?, FOUND);
                let Some((example, held)) = found.first().cloned() else { break };
                let rows = found.into_iter().map(|(row, _)| row).collect();
                let count = self.writer.write(Correct { column, rows, now }).await?;
                if count == 0 {
                    // What is left is refused: those rows are not legal.
                    break;
                }
                let held = Time::from_ms(held);
                of_column.get_or_insert(Corrected { column: column.name, count: 0, example, held }).count += count;
            }
            corrected.extend(of_column);
        }
        Ok(corrected)
    }
}

/// A page of times of one column, which become this moment.
#[derive(Debug)]
struct Correct {
    column: &'static Column,
    rows: Vec<String>,
    now: Time,
}

impl WriteCommand for Correct {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let Self { column, rows, now } = self;
        let rows: Vec<(&str, i64)> = rows.iter().map(|row| (row.as_str(), now.ms())).collect();
        Ok(bulk::execute_apart(tx, column.correct, &rows).await?.0)
    }
}
