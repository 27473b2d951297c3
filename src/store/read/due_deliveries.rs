//! Deliveries that are due: the first of each key, alerts first, and those behind messages that are passed.

use std::collections::BTreeSet;

use sqlx::FromRow;

use crate::{
    domain::time::Time,
    store::{
        BadRow, Store, StoreError, bulk,
        decode::{self, Table},
        sql::{self, Flag, Row},
    },
};

/// The table.
const DELIVERY: Table = Table { name: "delivery", key: &["id"] };

/// The same, summed up by channel.
const OF_CHANNEL: Table = Table { name: "delivery", key: &["channel"] };

/// A message that is to be sent now: nothing before it waits for the same channel under the same key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DueDelivery {
    /// The delivery.
    pub id: String,
    /// The event: the same in every try and on every channel.
    pub event_id: String,
    /// Its type, such as `amplinkd.request.linked`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Events with the same key are sent in order.
    pub partition_key: String,
    /// The event's place among all events.
    pub seq: i64,
    /// When it happened, milliseconds UTC.
    pub at: i64,
    /// Its data: a JSON object as text.
    pub data: String,
    /// Tries made.
    pub attempts: i64,
    /// Of these, in a row, the ones that the service refused.
    pub refusals: i64,
    /// Whether the response to the last try was not understood.
    #[sqlx(try_from = "Flag")]
    pub was_unconfirmed: bool,
    /// When the delivery was made, milliseconds UTC.
    pub created_at: i64,
}

/// Which messages are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'a> {
    /// Messages whose time has come are due.
    pub now: Time,
    /// Messages whose time is beyond this one are due after the others: it was written while the calendar was wrong.
    pub unbelievable: Time,
    /// Of all these, only the ones that were tried no more often than this.
    pub attempts_max: i64,
    /// Messages, by sequence, that do not block their key.
    pub passed: &'a BTreeSet<i64>,
}

// Ordered by the index, so that a hundred thousand that wait cost nothing: it reads as many as it answers, and those
// that wait behind one of their own key. What could not be written down when it is sent must not be sent: a last error of
// another type would refuse that.
const DUE: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at, coalesce(d.last_error, '') LIKE 'unconfirmed: %' AS was_unconfirmed
    FROM delivery AS d INDEXED BY delivery_pending
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.channel = $1 AND d.state = 'pending' AND d.next_at BETWEEN $2 AND $3 AND d.attempts <= $4
      AND typeof(d.last_error) IN ('text', 'null')
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq
            AND e.seq NOT IN (SELECT CAST(p.value AS BIGINT) FROM json_each($5) AS p))
    ORDER BY d.next_at LIMIT $6";

// The first that waits under each of these keys, where it is due.
const HEADS: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at, coalesce(d.last_error, '') LIKE 'unconfirmed: %' AS was_unconfirmed
    FROM json_each($2) AS j
    CROSS JOIN delivery AS d INDEXED BY delivery_in_order
        ON d.channel = $1 AND d.partition_key = j.value AND d.state = 'pending' AND d.seq = (
            SELECT min(e.seq) FROM delivery AS e INDEXED BY delivery_in_order
            WHERE e.channel = $1 AND e.partition_key = j.value AND e.state = 'pending'
              AND e.seq NOT IN (SELECT CAST(p.value AS BIGINT) FROM json_each($4) AS p))
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.next_at <= $3 AND typeof(d.last_error) IN ('text', 'null')";

// The first of each alert reason, by a skip scan over the keys, so that a thousand of one reason cost as much as one. A
// reason is a rule, a dot and more; the slash is the character after the dot.
const URGENT: &str = "
    WITH RECURSIVE reason (upto, key) AS (
        SELECT j.value || '/',
               (SELECT min(d.partition_key) FROM delivery AS d INDEXED BY delivery_in_order
                WHERE d.channel = $1 AND d.state = 'pending'
                  AND d.partition_key > j.value || '.' AND d.partition_key < j.value || '/')
        FROM json_each($2) AS j
        UNION ALL
        SELECT r.upto,
               (SELECT min(d.partition_key) FROM delivery AS d INDEXED BY delivery_in_order
                WHERE d.channel = $1 AND d.state = 'pending' AND d.partition_key > r.key AND d.partition_key < r.upto)
        FROM reason AS r WHERE r.key IS NOT NULL
    )
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at, coalesce(d.last_error, '') LIKE 'unconfirmed: %' AS was_unconfirmed
    FROM reason AS r
    CROSS JOIN delivery AS d INDEXED BY delivery_in_order
        ON d.channel = $1 AND d.partition_key = r.key AND d.state = 'pending' AND d.seq = (
            SELECT min(e.seq) FROM delivery AS e INDEXED BY delivery_in_order
            WHERE e.channel = $1 AND e.partition_key = r.key AND e.state = 'pending'
              AND e.seq NOT IN (SELECT CAST(p.value AS BIGINT) FROM json_each($4) AS p))
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.next_at <= $3 AND typeof(d.last_error) IN ('text', 'null')";

// The first message behind another one of its key.
const BEHIND: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at, coalesce(d.last_error, '') LIKE 'unconfirmed: %' AS was_unconfirmed
    FROM delivery AS d INDEXED BY delivery_in_order
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.channel = $1 AND d.partition_key = $2 AND d.state = 'pending' AND d.seq = (
            SELECT min(e.seq) FROM delivery AS e INDEXED BY delivery_in_order
            WHERE e.channel = $1 AND e.partition_key = $2 AND e.state = 'pending' AND e.seq > $3)
      AND d.next_at <= $4 AND typeof(d.last_error) IN ('text', 'null')";

// Reminders among the first due messages, without those that were refused.
const REMINDERS: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at, coalesce(d.last_error, '') LIKE 'unconfirmed: %' AS was_unconfirmed
    FROM (SELECT n.* FROM delivery AS n INDEXED BY delivery_pending
          WHERE n.channel = $1 AND n.state = 'pending' AND n.next_at <= $2 ORDER BY n.next_at LIMIT $3) AS d
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE o.type = 'amplinkd.nudge' AND d.refusals = 0 AND typeof(d.last_error) IN ('text', 'null')
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq
            AND e.seq NOT IN (SELECT CAST(p.value AS BIGINT) FROM json_each($4) AS p))";

// Messages that keep failing although a later one of their key was accepted.
const PASSED: &str = "
    SELECT d.seq FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.channel = $1 AND d.state = 'pending' AND d.attempts >= $2
      AND EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_done
          WHERE e.channel = d.channel AND e.state = 'delivered' AND e.delivered_at >= d.created_at
            AND e.partition_key = d.partition_key AND e.seq > d.seq)
    LIMIT $3";

const NEXT: &str = "
    SELECT d.next_at FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.channel = $1 AND d.state = 'pending'
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq
            AND e.seq NOT IN (SELECT CAST(p.value AS BIGINT) FROM json_each($2) AS p))
    ORDER BY d.next_at LIMIT 1";

impl Store {
    /// What is to be sent to a channel now, the one that is due longest first.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read. A row that somebody made unreadable is left out, and told of.
    pub async fn due_deliveries(
        &self,
        channel: &str,
        due: Due<'_>,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let mut found = self.due_between(channel, (i64::MIN, due.now.ms()), due, limit).await?;
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        if left > 0 {
            let never = (due.unbelievable.ms().saturating_add(1), i64::MAX);
            found.extend(self.due_between(channel, never, due, left).await?);
        }
        Ok(found)
    }

    async fn due_between(
        &self,
        channel: &str,
        (from, to): (i64, i64),
        due: Due<'_>,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sql::query(DUE).bind(channel).bind(from).bind(to).bind(due.attempts_max);
        Ok(legal(&query.bind(places(due.passed)).bind(limit).fetch_all(self.readers()).await?))
    }

    /// The first that waits under each of these keys, where it is due at `now`.
    pub async fn next_of(
        &self,
        channel: &str,
        keys: &[&str],
        now: Time,
        passed: &BTreeSet<i64>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sql::query(HEADS).bind(channel).bind(bulk::json(keys)).bind(now.ms()).bind(places(passed));
        Ok(legal(&query.fetch_all(self.readers()).await?))
    }

    /// The first pending delivery of each reason of these rules, where it is due at `now`.
    pub async fn urgent_deliveries(
        &self,
        channel: &str,
        rules: &[&str],
        now: Time,
        passed: &BTreeSet<i64>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sql::query(URGENT).bind(channel).bind(bulk::json(rules)).bind(now.ms()).bind(places(passed));
        Ok(legal(&query.fetch_all(self.readers()).await?))
    }

    /// The first pending delivery behind this sequence under the same key, if it is due at `now`.
    pub async fn next_behind(
        &self,
        channel: &str,
        (key, seq): (&str, i64),
        now: Time,
    ) -> Result<Option<DueDelivery>, StoreError> {
        let query = sql::query(BEHIND).bind(channel).bind(key).bind(seq).bind(now.ms());
        Ok(legal(&query.fetch_all(self.readers()).await?).pop())
    }

    /// The reminders among the first `limit` deliveries that are due at `now`.
    pub async fn due_reminders(
        &self,
        channel: &str,
        now: Time,
        limit: u32,
        passed: &BTreeSet<i64>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sql::query(REMINDERS).bind(channel).bind(now.ms()).bind(limit).bind(places(passed));
        Ok(legal(&query.fetch_all(self.readers()).await?))
    }

    /// Pending deliveries, by sequence, that failed so often while a later one of their key was accepted; at most `limit`.
    pub async fn passed_deliveries(
        &self,
        channel: &str,
        attempts: i64,
        limit: u32,
    ) -> Result<BTreeSet<i64>, StoreError> {
        let query = sql::query(PASSED).bind(channel).bind(attempts).bind(limit);
        let found = decode::legible(&query.fetch_all(self.readers()).await?, OF_CHANNEL).into_iter();
        Ok(found.map(|(seq,): (i64,)| seq).collect())
    }

    /// When a channel is to be sent something next; `None`: nothing waits.
    pub async fn next_delivery(&self, channel: &str, passed: &BTreeSet<i64>) -> Result<Option<Time>, StoreError> {
        let next = sql::query(NEXT).bind(channel).bind(places(passed)).fetch_all(self.readers()).await?;
        Ok(decode::legible(&next, OF_CHANNEL).pop().map(|(next,)| Time::from_ms(next)))
    }
}

/// Sequences of messages, as the statements read them.
fn places(places: &BTreeSet<i64>) -> String {
    bulk::json(&places.iter().collect::<Vec<_>>())
}

/// The rows that are legal: one that somebody changed delays only itself and what comes after it under its key.
fn legal(rows: &[Row]) -> Vec<DueDelivery> {
    let counted = |due: DueDelivery| {
        let wrong = [("attempts", due.attempts), ("refusals", due.refusals)].into_iter().find(|(_, count)| *count < 0);
        match wrong {
            Some((column, count)) => Err(BadRow::new("delivery", &due.id, column, &count.to_string())),
            None => Ok(due),
        }
    };
    let read = decode::rows::<DueDelivery>(rows, DELIVERY).into_iter().map(|row| row.and_then(counted));
    read.filter_map(|row| row.inspect_err(decode::tell).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn what_is_due_is_found_by_an_index_however_much_waits() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        for statement in [DUE, HEADS, URGENT, BEHIND, REMINDERS, PASSED, NEXT] {
            let plan = format!("EXPLAIN QUERY PLAN {statement}");
            let query = sql::query(plan).bind("a").bind("[]").bind(1).bind("[]").bind("[]").bind(1);
            let rows = query.fetch_all(store.readers()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
            let is_slow = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN o");
            assert!(!steps.iter().any(is_slow), "{statement}\n{steps:#?}");
        }
        store.close().await;
    }
}
