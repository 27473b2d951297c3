//! What people do to alerts and to messages that were given up: acknowledge, snooze, resolve, send again. It must never
//! tell anybody anything: it only writes when the watch is to look.

use sqlx::SqliteConnection;

use super::writer::Work;
use crate::{
    domain::time::Time,
    store::{Store, StoreError, bulk, write::writer::Reply},
};

/// One piece of a person's work.
#[derive(Debug)]
pub(in crate::store) enum AlertAction {
    Acknowledge { ids: Vec<String>, now: Time },
    Snooze { ids: Vec<String>, until: Time },
    Resolve { ids: Vec<String>, now: Time },
    Retry { channel: String, ids: Option<Vec<String>>, now: Time },
}

// Whoever has taken it is not told of it again.
const ACKNOWLEDGE: &str = "
    UPDATE alert
    SET state = 'acknowledged', acknowledged_at = $2, snoozed_until = NULL, notify_at = NULL, version = version + 1
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'snoozed')
    RETURNING id";

// The watch makes it firing again at that time.
const SNOOZE: &str = "
    UPDATE alert
    SET state = 'snoozed', snoozed_until = $2, notify_at = $2, version = version + 1
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'acknowledged', 'snoozed')
    RETURNING id";

// Whoever was told of it is told that it is over; who never heard of it needs no word.
const RESOLVE: &str = "
    UPDATE alert
    SET state = 'resolved', resolved_at = $2, resolution = 'operator',
        notify_at = CASE WHEN reach IS NOT NULL THEN $2 END, version = version + 1
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'acknowledged', 'snoozed')
    RETURNING id";

// How often it was tried stays known; how long it may be tried begins anew.
const RETRY: &str = "
    UPDATE delivery
    SET state = 'pending', next_at = $2, refusals = 0, created_at = $2
    WHERE id IN (
        SELECT d.id FROM delivery AS d INDEXED BY delivery_dead
        WHERE d.channel = $1 AND d.state = 'dead' ORDER BY d.id LIMIT $3)";

const RETRY_SOME: &str = "
    UPDATE delivery
    SET state = 'pending', next_at = $2, refusals = 0, created_at = $2
    WHERE channel = $1 AND state = 'dead' AND id IN (SELECT j.value FROM json_each($3) AS j)";

/// Messages made due in one transaction, so that nobody waits long behind it.
const RETRY_MAX: u32 = 10_000;

impl Store {
    /// Takes firing and snoozed alerts: nobody is told of them again. Answers which were changed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn acknowledge(&self, ids: Vec<String>, now: Time) -> Result<Vec<String>, StoreError> {
        self.changed(AlertAction::Acknowledge { ids, now }).await
    }

    /// Silences open alerts until then. Answers which were changed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn snooze(&self, ids: Vec<String>, until: Time) -> Result<Vec<String>, StoreError> {
        self.changed(AlertAction::Snooze { ids, until }).await
    }

    /// Ends open alerts on an operator's word. Answers which were changed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn resolve_alerts(&self, ids: Vec<String>, now: Time) -> Result<Vec<String>, StoreError> {
        self.changed(AlertAction::Resolve { ids, now }).await
    }

    /// Makes messages of a channel due that were given up: these, or all, the oldest first. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are due, the rest stays given up.
    pub async fn retry_deliveries(
        &self,
        channel: String,
        ids: Option<Vec<String>>,
        now: Time,
    ) -> Result<u64, StoreError> {
        if ids.is_some() {
            return self.done(Work::AlertAction(AlertAction::Retry { channel, ids, now })).await;
        }
        let mut retried = 0;
        loop {
            let page =
                self.done(Work::AlertAction(AlertAction::Retry { channel: channel.clone(), ids: None, now })).await?;
            retried += page;
            if page < u64::from(RETRY_MAX) {
                return Ok(retried);
            }
        }
    }

    async fn changed(&self, hand: AlertAction) -> Result<Vec<String>, StoreError> {
        match self.writer.ask(Work::AlertAction(hand)).await? {
            Reply::Changed(ids) => Ok(ids),
            Reply::Accepted(_) | Reply::Nudged(_) | Reply::Done(_) => Err(StoreError::closed()),
        }
    }
}

pub(super) async fn work(tx: &mut SqliteConnection, hand: &AlertAction) -> Result<Reply, StoreError> {
    match hand {
        AlertAction::Acknowledge { ids, now } => change(tx, ACKNOWLEDGE, ids, *now).await,
        AlertAction::Snooze { ids, until } => change(tx, SNOOZE, ids, *until).await,
        AlertAction::Resolve { ids, now } => change(tx, RESOLVE, ids, *now).await,
        AlertAction::Retry { channel, ids, now } => {
            let query = match ids {
                Some(ids) => sqlx::query(RETRY_SOME).bind(channel).bind(now.ms()).bind(bulk::json(ids)),
                None => sqlx::query(RETRY).bind(channel).bind(now.ms()).bind(RETRY_MAX),
            };
            Ok(Reply::Done(query.execute(tx).await?.rows_affected()))
        }
    }
}

async fn change(tx: &mut SqliteConnection, sql: &'static str, ids: &[String], at: Time) -> Result<Reply, StoreError> {
    let changed = sqlx::query_scalar(sql).bind(bulk::json(ids)).bind(at.ms()).fetch_all(tx).await?;
    Ok(Reply::Changed(changed))
}
