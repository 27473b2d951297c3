//! Rows of `delivery`: one message for one channel, until it is accepted or given up. Rows that are no longer pending
//! are final.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection, sqlite::SqliteRow};

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        BadRow, Store, StoreError, bulk,
        decode::{self, Table},
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
    /// When the delivery was made, milliseconds UTC.
    pub created_at: i64,
}

/// Which messages are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Messages whose time has come are due.
    pub now: Time,
    /// Messages whose time is beyond this one are due after the others: it was written while the calendar was wrong.
    pub unbelievable: Time,
    /// Of all these, only the ones that were tried no more often than this.
    pub attempts_max: i64,
}

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryResult {
    /// The delivery.
    pub id: String,
    /// What comes next for it.
    pub outcome: Outcome,
}

/// What comes next for a delivery that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the channel took it.
    Delivered {
        /// When.
        at: Time,
    },
    /// Another try.
    Again {
        /// Not before this.
        next_at: Time,
        /// What this one met, without addresses or secrets.
        error: String,
        /// Refusals in a row, this one included.
        refusals: i64,
    },
    /// Nothing: it was given up, and a person may ask for it again.
    Dead {
        /// What the last try met, without addresses or secrets.
        error: String,
        /// Refusals in a row, this one included.
        refusals: i64,
    },
}

/// What waits for a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub pending: u64,
    /// When the oldest of them was made.
    pub oldest: Time,
}

/// A result as the statement reads it.
#[derive(Debug, Serialize)]
struct ResultRow<'r> {
    id: &'r str,
    state: &'static str,
    refusals: i64,
    next_at: Option<i64>,
    delivered_at: Option<i64>,
    error: Option<&'r str>,
}

impl<'r> From<&'r DeliveryResult> for ResultRow<'r> {
    fn from(result: &'r DeliveryResult) -> Self {
        let (state, refusals, next_at, delivered_at, error) = match &result.outcome {
            Outcome::Delivered { at } => ("delivered", 0, None, Some(at.ms()), None),
            Outcome::Again { next_at, error, refusals } => {
                ("pending", *refusals, Some(next_at.ms()), None, Some(error.as_str()))
            }
            Outcome::Dead { error, refusals } => ("dead", *refusals, None, None, Some(error.as_str())),
        };
        Self { id: &result.id, state, refusals, next_at, delivered_at, error }
    }
}

// Ordered by the index, so that a hundred thousand that wait cost nothing: it reads as many as it answers, and those
// that wait behind one of their own key. What could not be written down when it is sent must not be sent: a last error of
// another type would refuse that.
const DUE: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at
    FROM delivery AS d INDEXED BY delivery_pending
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.channel = $1 AND d.state = 'pending' AND d.next_at BETWEEN $2 AND $3 AND d.attempts <= $4
      AND typeof(d.last_error) IN ('text', 'null')
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq)
    ORDER BY d.next_at LIMIT $5";

// The first that waits under each of these keys, where it is due.
const HEADS: &str = "
    SELECT d.id, d.event_id, o.type AS kind, o.subject, d.partition_key, d.seq, o.at, o.data, d.attempts, d.refusals,
           d.created_at
    FROM json_each($2) AS j
    CROSS JOIN delivery AS d INDEXED BY delivery_in_order
        ON d.channel = $1 AND d.partition_key = j.value AND d.state = 'pending' AND d.seq = (
            SELECT min(e.seq) FROM delivery AS e INDEXED BY delivery_in_order
            WHERE e.channel = $1 AND e.partition_key = j.value AND e.state = 'pending')
    CROSS JOIN outbox AS o ON o.seq = d.seq
    WHERE d.next_at <= $3 AND typeof(d.last_error) IN ('text', 'null')";

const NEXT: &str = "
    SELECT d.next_at FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.channel = $1 AND d.state = 'pending'
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq)
    ORDER BY d.next_at LIMIT 1";

const DELIVERED: &str = "
    UPDATE delivery
    SET state = j.value ->> 'state', attempts = delivery.attempts + 1, refusals = j.value ->> 'refusals',
        next_at = j.value ->> 'next_at', delivered_at = j.value ->> 'delivered_at',
        last_error = coalesce(j.value ->> 'error', delivery.last_error)
    FROM jsonb_each($1) AS j
    WHERE delivery.id = j.value ->> 'id' AND delivery.state = 'pending'";

const DEAD_OF: &str = "
    SELECT count(*) FROM delivery AS d INDEXED BY delivery_dead WHERE d.state = 'dead' AND d.channel = $1";

const DELIVERED_SINCE: &str = "
    SELECT d.delivered_at, d.id FROM delivery AS d INDEXED BY delivery_done
    WHERE d.state = 'delivered' AND d.channel = $1 AND d.delivered_at > $2
    ORDER BY d.delivered_at DESC LIMIT $3";

const WAITING: &str = "
    SELECT d.channel, count(*), min(d.created_at) FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.state = 'pending' GROUP BY d.channel";

impl Store {
    /// What is to be sent to a channel now, the one that is due longest first.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read. A row that somebody made unreadable is left out, and told of.
    pub async fn due_deliveries(&self, channel: &str, due: Due, limit: u32) -> Result<Vec<DueDelivery>, StoreError> {
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
        due: Due,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sqlx::query(DUE).bind(channel).bind(from).bind(to).bind(due.attempts_max).bind(limit);
        Ok(legal(&query.fetch_all(self.readers()).await?))
    }

    /// The first that waits under each of these keys, where it is due at `now`.
    pub async fn next_of(&self, channel: &str, keys: &[&str], now: Time) -> Result<Vec<DueDelivery>, StoreError> {
        let query = sqlx::query(HEADS).bind(channel).bind(bulk::json(keys)).bind(now.ms());
        Ok(legal(&query.fetch_all(self.readers()).await?))
    }

    /// When a channel is to be sent something next; `None`: nothing waits.
    pub async fn next_delivery(&self, channel: &str) -> Result<Option<Time>, StoreError> {
        let next = sqlx::query(NEXT).bind(channel).fetch_all(self.readers()).await?;
        Ok(decode::legible(&next, OF_CHANNEL).pop().map(|(next,)| Time::from_ms(next)))
    }

    /// Writes what became of tries; the number of deliveries that were still pending.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, and as far as the database knows nothing was tried.
    pub async fn delivered(&self, results: Vec<DeliveryResult>) -> Result<u64, StoreError> {
        self.writer.write(WriteResults { results }).await
    }

    /// How many messages a channel never took.
    pub async fn dead_of(&self, channel: &str) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(DEAD_OF).bind(channel).fetch_one(self.readers()).await?;
        Ok(count.unsigned_abs())
    }

    /// When a channel took the last messages since then, at most `limit`; the last one first.
    pub async fn delivered_since(&self, channel: &str, since: Time, limit: u32) -> Result<Vec<Time>, StoreError> {
        let query = sqlx::query(DELIVERED_SINCE).bind(channel).bind(since.ms()).bind(limit);
        let moments = decode::legible(&query.fetch_all(self.readers()).await?, DELIVERY).into_iter();
        Ok(moments.map(|(at, _): (i64, String)| Time::from_ms(at)).collect())
    }

    /// What waits for each channel. It reads all that waits: for people, not for a loop.
    pub async fn waiting_deliveries(&self) -> Result<BTreeMap<String, Waiting>, StoreError> {
        let rows = decode::legible(&sqlx::query(WAITING).fetch_all(self.readers()).await?, OF_CHANNEL);
        let waiting = |(channel, count, oldest): (String, i64, i64)| {
            (channel, Waiting { pending: count.unsigned_abs(), oldest: Time::from_ms(oldest) })
        };
        Ok(rows.into_iter().map(waiting).collect())
    }
}

/// The rows that are legal: one that somebody changed delays only itself and what comes after it under its key.
fn legal(rows: &[SqliteRow]) -> Vec<DueDelivery> {
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

#[derive(Debug)]
struct WriteResults {
    results: Vec<DeliveryResult>,
}

impl WriteCommand for WriteResults {
    type Answer = u64;

    async fn write(&self, tx: &mut SqliteConnection) -> Result<u64, StoreError> {
        bulk::execute(tx, DELIVERED, &self.results.iter().map(ResultRow::from).collect::<Vec<_>>()).await
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn what_is_due_is_found_by_an_index_however_much_waits() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location { path: folder.path().join("a.db"), mode: 0o600 };
        let store = Store::open(&location, Role::Tool).await.unwrap();
        for statement in [DUE, HEADS, NEXT, DEAD_OF, DELIVERED_SINCE, WAITING] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let query = sqlx::query(plan).bind("a").bind("[]").bind(1).bind(1).bind(1);
            let rows = query.fetch_all(store.readers()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let is_slow = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN o");
            assert!(!steps.iter().any(is_slow), "{statement}\n{steps:#?}");
        }
        store.close().await;
    }
}
