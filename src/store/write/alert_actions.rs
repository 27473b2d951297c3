//! Operator actions on alerts and dead letters: acknowledge, snooze, resolve, resend.

use super::{
    action::{self, Action},
    bulk_action::{self, BulkPage},
    writer::WriteCommand,
};
use crate::{
    domain::{
        action::{ActionKind, By},
        alert_state::AlertState,
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        sql::{self, Tx},
    },
};

// Whoever has taken it is not told of it again.
const ACKNOWLEDGE: &str = "
    UPDATE alert
    SET state = 'acknowledged', acknowledged_at = $2, snoozed_until = NULL, notify_at = NULL, version = version + 1,
        acknowledged_by = $3, note = coalesce($4, note)
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'snoozed')
      AND (version = $5 OR $5 IS NULL)
    RETURNING id";

// The watch makes it firing again at that time.
const SNOOZE: &str = "
    UPDATE alert
    SET state = 'snoozed', snoozed_until = $2, notify_at = $2, version = version + 1, snoozed_by = $3,
        note = coalesce($4, note)
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'acknowledged', 'snoozed')
      AND (version = $5 OR $5 IS NULL)
    RETURNING id";

// Whoever was told of it is told that it is over; who never heard of it needs no word.
const RESOLVE: &str = "
    UPDATE alert
    SET state = 'resolved', resolved_at = $2, resolution = 'operator',
        notify_at = CASE WHEN reach IS NOT NULL THEN $2 END, version = version + 1, resolved_by = $3,
        note = coalesce($4, note)
    WHERE id IN (SELECT j.value FROM json_each($1) AS j) AND state IN ('firing', 'acknowledged', 'snoozed')
      AND (version = $5 OR $5 IS NULL)
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

const VERSION: &str = "SELECT a.version FROM alert AS a WHERE a.id = $1";

/// What is done to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertChange {
    /// A firing or snoozed one is taken: nobody is told of it again.
    Acknowledge,
    /// An open one is silent until then.
    Snooze(Time),
    /// An open one is over.
    Resolve,
}

impl AlertChange {
    /// What it does, as commands say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Snooze(_) => "snooze",
            Self::Resolve => "resolve",
        }
    }

    /// Whether it changes an alert in this state.
    #[must_use]
    pub fn changes(self, state: AlertState) -> bool {
        match self {
            Self::Acknowledge => matches!(state, AlertState::Firing | AlertState::Snoozed),
            Self::Snooze(_) | Self::Resolve => state != AlertState::Resolved,
        }
    }

    fn command(self, ids: Vec<String>, version: Option<i64>, by: By, now: Time) -> Change {
        let (sql, kind, at) = match self {
            Self::Acknowledge => (ACKNOWLEDGE, ActionKind::Acknowledge, now),
            Self::Snooze(until) => (SNOOZE, ActionKind::Snooze, until),
            Self::Resolve => (RESOLVE, ActionKind::Resolve, now),
        };
        Change { sql, kind, ids, version, at, by, now, page: None }
    }
}

impl Store {
    /// Changes alerts; of one that was read, only where its version is still this. Answers which were changed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn change_alerts(
        &self,
        how: AlertChange,
        ids: Vec<String>,
        version: Option<i64>,
        by: By,
        now: Time,
    ) -> Result<Vec<String>, StoreError> {
        self.writer.write(how.command(ids, version, by, now)).await
    }

    /// The version of an alert, which every change of it raises.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn alert_version(&self, id: &str) -> Result<Option<i64>, StoreError> {
        Ok(sql::query_scalar(VERSION).bind(id).fetch_optional(self.readers()).await?)
    }

    /// [`Self::change_alerts`] for a page of an action on many.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn change_alert_page(
        &self,
        how: AlertChange,
        ids: Vec<String>,
        by: By,
        now: Time,
        page: BulkPage,
    ) -> Result<(), StoreError> {
        let change = Change { page: Some(page), ..how.command(ids, None, by, now) };
        self.writer.write(change).await.map(drop)
    }

    /// Makes messages of a channel due that were given up: these, or all, the oldest first. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are due, the rest stays given up.
    pub async fn retry_deliveries(
        &self,
        channel: String,
        ids: Option<Vec<String>>,
        by: By,
        now: Time,
    ) -> Result<u64, StoreError> {
        if ids.is_some() {
            return self.writer.write(Retry { channel, ids, by, now }).await;
        }
        let mut retried = 0;
        loop {
            let page = self.writer.write(Retry { channel: channel.clone(), ids: None, by: by.clone(), now }).await?;
            retried += page;
            if page < u64::from(RETRY_MAX) {
                return Ok(retried);
            }
        }
    }
}

/// Changes alerts by one of the statements above; answers which.
#[derive(Debug)]
struct Change {
    sql: &'static str,
    kind: ActionKind,
    ids: Vec<String>,
    /// The version that they must have; any where there is none.
    version: Option<i64>,
    /// When it is over, or until when it is silent.
    at: Time,
    by: By,
    now: Time,
    page: Option<BulkPage>,
}

impl WriteCommand for Change {
    type Answer = Vec<String>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let Self { sql, kind, ids, version, at, by, now, page } = self;
        let query = sql::query_scalar(*sql).bind(bulk::json(ids)).bind(at.ms());
        let query = query.bind(&by.actor.name).bind(&by.reason).bind(version);
        let changed: Vec<String> = query.fetch_all(&mut *tx).await?;
        action::add(tx, &Action::of_each(*kind, &changed, by, *now)).await?;
        if let Some(page) = page {
            bulk_action::advance(tx, page, changed.len() as u64).await?;
        }
        Ok(changed)
    }
}

/// The next page of a channel's, or these of them.
#[derive(Debug)]
struct Retry {
    channel: String,
    ids: Option<Vec<String>>,
    by: By,
    now: Time,
}

impl WriteCommand for Retry {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let Self { channel, ids, by, now } = self;
        let query = match ids {
            Some(ids) => sql::query(RETRY_SOME).bind(channel).bind(now.ms()).bind(bulk::json(ids)),
            None => sql::query(RETRY).bind(channel).bind(now.ms()).bind(RETRY_MAX),
        };
        let retried = query.execute(&mut *tx).await?;
        if retried > 0 {
            action::add(tx, &[Action::of(ActionKind::RetryDeliveries, channel, by, *now).touching(retried)]).await?;
        }
        Ok(retried)
    }
}
