//! Rows of `delivery`: one message for one channel, until it is accepted or given up. Rows that are no longer pending
//! are final.

use std::collections::BTreeMap;

use serde::Serialize;

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        sql::{self, Tx},
    },
};

/// The table.
const DELIVERY: Table = Table { name: "delivery", key: &["id"] };

/// The same, summed up by channel.
const OF_CHANNEL: Table = Table { name: "delivery", key: &["channel"] };

/// The `last_error` of a response that was not understood; the next try of the message recognizes it.
#[must_use]
pub fn unconfirmed(answer: &str) -> String {
    format!("{UNCONFIRMED}{answer}")
}

/// What such an error begins with.
const UNCONFIRMED: &str = "unconfirmed: ";

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
        /// The response, as [`unconfirmed`] writes it, if it was not understood.
        unconfirmed: Option<String>,
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
            Outcome::Delivered { at, unconfirmed } => ("delivered", 0, None, Some(at.ms()), unconfirmed.as_deref()),
            Outcome::Again { next_at, error, refusals } => {
                ("pending", *refusals, Some(next_at.ms()), None, Some(error.as_str()))
            }
            Outcome::Dead { error, refusals } => ("dead", *refusals, None, None, Some(error.as_str())),
        };
        Self { id: &result.id, state, refusals, next_at, delivered_at, error }
    }
}

const DELIVERED: &str = "
    UPDATE delivery
    SET state = j.value ->> 'state', attempts = delivery.attempts + 1, refusals = j.value ->> 'refusals',
        next_at = j.value ->> 'next_at', delivered_at = j.value ->> 'delivered_at',
        last_error = CASE
            WHEN j.value ->> 'error' IS NOT NULL THEN j.value ->> 'error'
            WHEN delivery.last_error LIKE 'unconfirmed: %' THEN NULL
            ELSE delivery.last_error END
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
    /// Writes what became of tries; the number of deliveries that were still pending.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, and as far as the database knows nothing was tried.
    pub async fn delivered(&self, results: Vec<DeliveryResult>) -> Result<u64, StoreError> {
        self.writer.write(WriteResults { results }).await
    }

    /// How many messages a channel never took.
    pub async fn dead_of(&self, channel: &str) -> Result<u64, StoreError> {
        let count: i64 = sql::query_scalar(DEAD_OF).bind(channel).fetch_one(self.readers()).await?;
        Ok(count.unsigned_abs())
    }

    /// When a channel took the last messages since then, at most `limit`; the last one first.
    pub async fn delivered_since(&self, channel: &str, since: Time, limit: u32) -> Result<Vec<Time>, StoreError> {
        let query = sql::query(DELIVERED_SINCE).bind(channel).bind(since.ms()).bind(limit);
        let moments = decode::legible(&query.fetch_all(self.readers()).await?, DELIVERY).into_iter();
        Ok(moments.map(|(at, _): (i64, String)| Time::from_ms(at)).collect())
    }

    /// What waits for each channel. It reads all that waits: for people, not for a loop.
    pub async fn waiting_deliveries(&self) -> Result<BTreeMap<String, Waiting>, StoreError> {
        let rows = decode::legible(&sql::query(WAITING).fetch_all(self.readers()).await?, OF_CHANNEL);
        let waiting = |(channel, count, oldest): (String, i64, i64)| {
            (channel, Waiting { pending: count.unsigned_abs(), oldest: Time::from_ms(oldest) })
        };
        Ok(rows.into_iter().map(waiting).collect())
    }
}

#[derive(Debug)]
struct WriteResults {
    results: Vec<DeliveryResult>,
}

impl WriteCommand for WriteResults {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        bulk::execute(tx, DELIVERED, &self.results.iter().map(ResultRow::from).collect::<Vec<_>>()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn what_was_sent_is_found_by_an_index_however_much_waits() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        for statement in [DEAD_OF, DELIVERED_SINCE, WAITING] {
            let plan = format!("EXPLAIN QUERY PLAN {statement}");
            let query = sql::query(plan).bind("a").bind(1).bind(1);
            let rows = query.fetch_all(store.readers()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
            let is_slow = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN o");
            assert!(!steps.iter().any(is_slow), "{statement}\n{steps:#?}");
        }
        store.close().await;
    }
}
