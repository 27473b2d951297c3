//! Alerts as alerting keeps them: what is open, what is due to be sent, and how all of it is written at once.

use serde::Serialize;
use sqlx::FromRow;

use super::{
    record::{self, Event},
    writer::WriteCommand,
};
use crate::{
    domain::{
        alert_state::{AlertState, Resolution},
        time::Time,
    },
    store::{
        Store, StoreError,
        decode::{self, Table},
        executor::Db,
        sql::{self, Tx},
    },
};

/// The table.
pub(in crate::store) const ALERT: Table = Table { name: "alert", key: &["id"] };

/// Where the watch stands.
const WATCH: Table = Table { name: "watch", key: &[] };

/// A row of `alert`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct AlertRow {
    /// Made by us, `UUIDv7`.
    pub id: String,
    /// What it is known by; together with `since` it is there once.
    pub key: String,
    /// The rule's word.
    pub rule: String,
    /// The rule, a dot, and the case: alerts with the same one are told together.
    pub reason: String,
    /// The request, when it is about one.
    pub request_id: Option<String>,
    /// The account, when it is about one.
    pub account: Option<String>,
    /// The program, when it is about one.
    pub program: Option<String>,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: AlertState,
    /// Since when what it tells of is so, milliseconds UTC; so are all times here.
    pub since: i64,
    /// When it began to fire.
    pub fired_at: i64,
    /// When a person took it.
    pub acknowledged_at: Option<i64>,
    /// Until when it is silent.
    pub snoozed_until: Option<i64>,
    /// When it was over.
    pub resolved_at: Option<i64>,
    /// How it ended.
    pub resolution: Option<String>,
    /// When it was last told.
    pub notified_at: Option<i64>,
    /// When it is to be told of next.
    pub notify_at: Option<i64>,
    /// The age from which the channels are told that were told last, milliseconds; `None`: nobody was told.
    pub reach: Option<i64>,
    /// Who must act, in English.
    pub message_en: String,
    /// Who must act, in Chinese.
    pub message_zh: String,
    /// Counts the writes of this row.
    pub version: i64,
}

/// An alert that is over.
#[derive(Debug, Clone, Serialize)]
pub struct ResolvedAlert {
    /// Its id.
    pub id: String,
    /// Since when.
    pub at: Time,
    /// How it ended.
    pub resolution: Resolution,
    /// When that is to be told.
    pub notify_at: Time,
}

/// An alert whose sentences have changed.
#[derive(Debug, Clone, Serialize)]
pub struct Reworded {
    /// Its id.
    pub id: String,
    /// Who must act, in English.
    pub message_en: String,
    /// Who must act, in Chinese.
    pub message_zh: String,
}

/// An alert that was told.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Its id.
    pub id: String,
    /// The version that was read: when a person has changed it since, only that it was told is written.
    pub version: i64,
    /// When it was last told to those who know of it.
    pub at: Option<i64>,
    /// In how many events.
    pub events: usize,
    /// When it is to be told again.
    pub notify_at: Option<i64>,
    /// Which channels know of it now.
    pub reach: i64,
}

/// A message for one channel.
#[derive(Debug, Clone, Serialize)]
pub struct NewDelivery {
    /// Made by us, `UUIDv7`.
    pub id: String,
    /// The event.
    pub event_id: String,
    /// Its place.
    pub seq: i64,
    /// Its key of order.
    pub partition_key: String,
    /// The channel.
    pub channel: String,
    /// When it was found out that the channel wants it; due at once.
    pub created_at: i64,
}

/// Everything that one step of the watch writes together.
#[derive(Debug, Clone, Default)]
pub struct WatchRecord {
    /// How far the outbox was read.
    pub seq: Option<i64>,
    /// Alerts that are over.
    pub over: Vec<ResolvedAlert>,
    /// Alerts that fire; those that have fired before with the same key and since are left out.
    pub fired: Vec<AlertRow>,
    /// When each request is to be looked at again; `None`: not by time.
    pub rechecks: Vec<(String, Option<i64>)>,
    /// Messages for channels.
    pub deliveries: Vec<NewDelivery>,
    /// Alerts that were told.
    pub told: Vec<Told>,
    /// The events that tell of them.
    pub events: Vec<Event>,
    /// Open alerts that say something else from now on.
    pub reworded: Vec<Reworded>,
}

impl WatchRecord {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { seq, over, fired, rechecks, deliveries, told, events, reworded } = self;
        seq.is_none()
            && over.is_empty()
            && fired.is_empty()
            && rechecks.is_empty()
            && deliveries.is_empty()
            && told.is_empty()
            && events.is_empty()
            && reworded.is_empty()
    }
}

const OVER: &str = "
    UPDATE alert
    SET state = 'resolved', resolved_at = j.value ->> 'at', resolution = j.value ->> 'resolution',
        notify_at = CASE WHEN alert.reach IS NULL AND alert.acknowledged_at IS NOT NULL THEN NULL
                         ELSE j.value ->> 'notify_at' END,
        version = alert.version + 1
    FROM jsonb_each(?1) AS j
    WHERE alert.id = j.value ->> 'id' AND alert.resolved_at IS NULL";

const FIRE: &str = "
    INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, notify_at,
                       message_en, message_zh)
    SELECT j.value ->> 'id', j.value ->> 'key', j.value ->> 'rule', j.value ->> 'reason', j.value ->> 'request_id',
           j.value ->> 'account', j.value ->> 'program', 'firing', j.value ->> 'since', j.value ->> 'fired_at',
           j.value ->> 'notify_at', j.value ->> 'message_en', j.value ->> 'message_zh'
    FROM jsonb_each(?1) AS j WHERE true
    ON CONFLICT DO NOTHING";

const KEEP_VIGIL: &str = "
    INSERT INTO vigil (request_id, due_at)
    SELECT j.value ->> 0, CAST(j.value ->> 1 AS BIGINT) FROM jsonb_each(?1) AS j WHERE j.value ->> 1 IS NOT NULL
    ON CONFLICT (request_id) DO UPDATE SET due_at = excluded.due_at";

const END_VIGIL: &str = "
    DELETE FROM vigil
    WHERE request_id IN (SELECT j.value ->> 0 FROM jsonb_each(?1) AS j WHERE j.value ->> 1 IS NULL)";

const DELIVER: &str = "
    INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
    SELECT j.value ->> 'id', j.value ->> 'event_id', j.value ->> 'seq', j.value ->> 'partition_key',
           j.value ->> 'channel', 'pending', j.value ->> 'created_at', j.value ->> 'created_at'
    FROM jsonb_each(?1) AS j WHERE true
    ON CONFLICT DO NOTHING";

const TELL: &str = "
    UPDATE alert
    SET notified_at = j.value ->> 'at', notifications = alert.notifications + (j.value ->> 'events'), reach = j.value ->> 'reach',
        notify_at = CASE WHEN alert.version = j.value ->> 'version' THEN j.value ->> 'notify_at'
                         ELSE alert.notify_at END,
        state = CASE WHEN alert.version = j.value ->> 'version' AND alert.state = 'snoozed' THEN 'firing'
                     ELSE alert.state END,
        version = alert.version + 1
    FROM jsonb_each(?1) AS j
    WHERE alert.id = j.value ->> 'id'";

const REWORD: &str = "
    UPDATE alert SET message_en = j.value ->> 'message_en', message_zh = j.value ->> 'message_zh'
    FROM jsonb_each(?1) AS j
    WHERE alert.id = j.value ->> 'id' AND alert.resolved_at IS NULL";

const READ_ON: &str = "UPDATE watch SET seq = ?1 WHERE one = 1";

const BEGIN: &str = "
    INSERT INTO watch (one, seq, policy) VALUES (1, $2, $1)
    ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, policy = excluded.policy";

// When each is to be told again follows from other numbers now.
const TELL_AGAIN: &str = "
    UPDATE alert SET notify_at = $1, version = version + 1 WHERE state = 'firing' AND reach IS NOT NULL";

const LOOK_AGAIN: &str = "
    INSERT INTO vigil (request_id, due_at)
    SELECT r.id, $1 FROM request AS r INDEXED BY request_one_open WHERE r.finished_at IS NULL
    ON CONFLICT (request_id) DO UPDATE SET due_at = excluded.due_at";

const STANDS: &str = "SELECT seq, policy FROM watch WHERE one = 1";

pub(super) fn write(db: Db<'_>, step: &WatchRecord) -> Result<(), StoreError> {
    db.bulk(OVER, &step.over)?;
    db.bulk(FIRE, &step.fired)?;
    db.bulk(REWORD, &step.reworded)?;
    db.bulk(END_VIGIL, &step.rechecks)?;
    db.bulk(KEEP_VIGIL, &step.rechecks)?;
    db.bulk(DELIVER, &step.deliveries)?;
    db.bulk(TELL, &step.told)?;
    step.events.iter().try_for_each(|event| record::add_event(db, event))?;
    match step.seq {
        Some(seq) => db.execute(READ_ON, [seq]).map(drop),
        None => Ok(()),
    }
}

impl Store {
    /// Writes one step of the watch, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn watch(&self, step: WatchRecord) -> Result<(), StoreError> {
        self.executor.write(move |db| write(db, &step)).await
    }

    /// How far the outbox was read, beginning there when nobody ever did. When the rules are others than those that
    /// every request was looked at by, all open ones are to be looked at again.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn resume_alerting(&self, policy: String, now: Time) -> Result<i64, StoreError> {
        let row = sql::query(STANDS).fetch_optional(self.readers()).await?;
        // One that is not legal tells nothing: all is looked at once more, and no channel gets an event twice.
        let stands: Option<(i64, String)> = decode::legible(row.as_slice(), WATCH).pop();
        let seq = stands.as_ref().map_or(0, |(seq, _)| *seq);
        if stands.is_none_or(|(_, known)| known != policy) {
            self.writer.write(BeginWatch { seq, policy, now }).await?;
        }
        Ok(seq)
    }
}

/// The rules are these from now on: every open request is looked at again.
#[derive(Debug)]
struct BeginWatch {
    seq: i64,
    policy: String,
    now: Time,
}

impl WriteCommand for BeginWatch {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Self { seq, policy, now } = self;
        sql::query(BEGIN).bind(policy).bind(seq).execute(&mut *tx).await?;
        sql::query(TELL_AGAIN).bind(now.ms()).execute(&mut *tx).await?;
        sql::query(LOOK_AGAIN).bind(now.ms()).execute(tx).await?;
        Ok(())
    }
}
