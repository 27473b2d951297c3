//! Alerts and their messages for people: `v_alert` and `v_delivery`, a page at a time by key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

pub use super::alert_page::AlertFilter;
use super::{
    alert_page::{edge, push},
    window::Looked,
};
use crate::store::{
    Store, StoreError,
    sql::{self, QueryBuilder},
};

/// A row of `v_alert`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct AlertView {
    pub id: String,
    pub key: String,
    pub rule: String,
    pub request_id: Option<String>,
    pub account: Option<String>,
    pub state: String,
    pub since: String,
    pub fired_at: String,
    pub acknowledged_at: Option<String>,
    pub snoozed_until: Option<String>,
    pub resolved_at: Option<String>,
    pub notified_at: Option<String>,
    pub notifications: i64,
    pub message_en: String,
    pub message_zh: String,
    pub reason: String,
    pub program: Option<String>,
    pub resolution: Option<String>,
    pub notify_at: Option<String>,
    pub acknowledged_by: Option<String>,
    pub snoozed_by: Option<String>,
    pub resolved_by: Option<String>,
    pub note: Option<String>,
}

/// A row of `v_delivery`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct DeliveryView {
    pub id: String,
    pub event_id: String,
    pub event_type: String,
    pub channel: String,
    pub state: String,
    pub attempts: i64,
    pub next_at: Option<String>,
    pub delivered_at: Option<String>,
    pub last_error: Option<String>,
    pub subject: String,
    pub created_at: String,
}

/// What a channel is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelFigures {
    /// The channel's name.
    pub channel: String,
    /// Messages that wait, or wait to be tried again.
    pub pending: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// When it last took one, as the views write times.
    pub delivered_at: Option<String>,
    /// What the last failed try of a message met that is still owed, or else of one that was given up; or else the
    /// response to the last delivered one, if it was not understood.
    pub last_error: Option<String>,
}

/// A channel and what it is owed. One without a kind is not configured any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are those of ChannelFigures")]
pub struct ChannelView {
    pub name: String,
    #[schema(value_type = Option<String>)]
    pub kind: Option<Cow<'static, str>>,
    #[schema(value_type = Vec<String>)]
    pub events: Vec<Cow<'static, str>>,
    pub pending: u64,
    pub dead: u64,
    pub delivered_at: Option<String>,
    pub last_error: Option<String>,
}

/// An alert and what became of its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToldAlert {
    /// The alert.
    #[serde(flatten)]
    pub row: AlertView,
    /// Its messages.
    pub deliveries: Vec<DeliveryView>,
}

/// A state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits to be sent, or to be sent again.
    Pending,
    /// It was given up.
    Dead,
    /// It was taken.
    Delivered,
}

impl DeliveryState {
    /// All of them, in their words.
    pub const WORDS: [&str; 3] = ["pending", "dead", "delivered"];

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "pending" => Self::Pending,
            "dead" => Self::Dead,
            "delivered" => Self::Delivered,
            _ => return None,
        })
    }
}

const ALERTS: &str = "
    SELECT id, key, rule, request_id, account, state, since, fired_at, acknowledged_at, snoozed_until, resolved_at,
           notified_at, notifications, message_en, message_zh, reason, program, resolution, notify_at,
           acknowledged_by, snoozed_by, resolved_by, note
    FROM v_alert WHERE id IN (";

// Events of alerts name them in their data; none was written before the alert was.
const DELIVERIES_OF_ALERT: &str = "
    SELECT id, event_id, event_type, channel, state, attempts, next_at, delivered_at, last_error, subject, created_at
    FROM v_delivery
    WHERE event_id IN (
        SELECT o.id FROM log AS o INDEXED BY log_messages
        WHERE o.data IS NOT NULL AND o.at >= (SELECT l.fired_at FROM alert AS l WHERE l.id = $1)
          AND o.type LIKE 'amplinkd.alert.%' AND instr(o.data, $1) > 0)
    ORDER BY id";

const DEAD: &str = "
    SELECT id, event_id, event_type, channel, state, attempts, next_at, delivered_at, last_error, subject, created_at
    FROM v_delivery
    WHERE id IN (SELECT d.id FROM delivery AS d INDEXED BY delivery_dead
                 WHERE d.channel = $1 AND d.state = 'dead' AND d.id > $2 ORDER BY d.id LIMIT $3)
    ORDER BY id";

// Newest first; each state has an index in an order of its own.
const DELIVERIES: &str = "
    SELECT id, event_id, event_type, channel, state, attempts, next_at, delivered_at, last_error, subject, created_at
    FROM v_delivery WHERE id IN (SELECT d.id FROM delivery AS d INDEXED BY ";

const DEAD_COUNTS: &str = "
    SELECT d.channel, count(d.id) FROM delivery AS d INDEXED BY delivery_dead
    WHERE d.state = 'dead' GROUP BY d.channel";

const LAST_DELIVERED: &str = "
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', d.delivered_at / 1000.0, 'unixepoch')
    FROM delivery AS d INDEXED BY delivery_done
    WHERE d.channel = $1 AND d.state = 'delivered' ORDER BY d.delivered_at DESC LIMIT 1";

// What has failed waits for longer than what was not tried yet.
const PENDING_ERROR: &str = "
    SELECT d.last_error FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.channel = $1 AND d.state = 'pending' AND d.last_error IS NOT NULL ORDER BY d.next_at DESC LIMIT 1";

const DEAD_ERROR: &str = "
    SELECT d.last_error FROM delivery AS d INDEXED BY delivery_dead
    WHERE d.channel = $1 AND d.state = 'dead' AND d.last_error IS NOT NULL ORDER BY d.id DESC LIMIT 1";

// Of the last delivered one, if its response was not understood.
const UNCONFIRMED: &str = "
    SELECT newest.last_error
    FROM (SELECT d.last_error FROM delivery AS d INDEXED BY delivery_done
          WHERE d.channel = $1 AND d.state = 'delivered' ORDER BY d.delivered_at DESC LIMIT 1) AS newest
    WHERE newest.last_error LIKE 'unconfirmed: %'";

impl Store {
    /// Alerts that match, newest first, at most `limit`, older than the one with the id `before`.
    pub async fn alert_page(
        &self,
        filter: &AlertFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AlertView>, StoreError> {
        self.alerts_upto(filter, (before, None), limit).await
    }

    async fn alerts_upto(
        &self,
        filter: &AlertFilter,
        span: (Option<&str>, Option<&str>),
        limit: u32,
    ) -> Result<Vec<AlertView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(ALERTS);
        push(&mut query, filter, span, limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// The same as far as one page looks.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn look_at_alerts(
        &self,
        filter: &AlertFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Looked<AlertView>, StoreError> {
        let upto = edge(self.readers(), filter, before).await?;
        Ok(Looked { rows: self.alerts_upto(filter, (before, upto.as_deref()), limit).await?, upto })
    }

    /// Alerts by their ids, oldest first; without those that are not known.
    pub async fn alert_views(&self, ids: &[String]) -> Result<Vec<AlertView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(ALERTS);
        query
            .push("SELECT j.value FROM json_each(")
            .push_bind(crate::store::bulk::json(ids))
            .push(") AS j) ORDER BY id");
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// What became of the messages about one alert, oldest first.
    pub async fn deliveries_of_alert(&self, alert: &str) -> Result<Vec<DeliveryView>, StoreError> {
        Ok(sql::query_as(DELIVERIES_OF_ALERT).bind(alert).fetch_all(self.readers()).await?)
    }

    /// Messages that were given up on a channel, oldest first, at most `limit`, after the one with the id `after`.
    pub async fn given_up(&self, channel: &str, after: &str, limit: u32) -> Result<Vec<DeliveryView>, StoreError> {
        Ok(sql::query_as(DEAD).bind(channel).bind(after).bind(limit).fetch_all(self.readers()).await?)
    }

    /// Messages of a channel in one state, at most `limit`: those that wait by when they are tried next, given up ones oldest
    /// first, delivered ones newest first; after the moment and the id of the last one of the page before.
    pub async fn channel_deliveries(
        &self,
        channel: &str,
        state: DeliveryState,
        after: Option<(i64, String)>,
        limit: u32,
    ) -> Result<Vec<DeliveryView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(DELIVERIES);
        push_deliveries(&mut query, channel, state, after, limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// What these channels are owed, in their order; after them others that are owed something.
    pub async fn channel_figures(&self, names: &[&str]) -> Result<Vec<ChannelFigures>, StoreError> {
        let mut all: Vec<ChannelFigures> = names.iter().map(|name| ChannelFigures::of(name)).collect();
        for (channel, waiting) in self.waiting_deliveries().await? {
            figures_of(&mut all, channel).pending = waiting.pending;
        }
        let dead: Vec<(String, i64)> = sql::query_as(DEAD_COUNTS).fetch_all(self.readers()).await?;
        for (channel, count) in dead {
            figures_of(&mut all, channel).dead = count.unsigned_abs();
        }
        for figures in &mut all {
            figures.delivered_at = self.of_channel(LAST_DELIVERED, &figures.channel).await?;
            for sql in [PENDING_ERROR, DEAD_ERROR, UNCONFIRMED] {
                if figures.last_error.is_none() {
                    figures.last_error = self.of_channel(sql, &figures.channel).await?;
                }
            }
        }
        Ok(all)
    }

    async fn of_channel(&self, sql: &'static str, channel: &str) -> Result<Option<String>, StoreError> {
        Ok(sql::query_scalar(sql).bind(channel).fetch_optional(self.readers()).await?)
    }
}

impl ChannelFigures {
    /// The same beside what is configured: the kind and the events that the channel wants.
    #[must_use]
    pub fn view(self, configured: Option<(&'static str, Vec<&'static str>)>) -> ChannelView {
        let Self { channel: name, pending, dead, delivered_at, last_error } = self;
        let (kind, events) = configured.map_or((None, Vec::new()), |(kind, events)| {
            (Some(Cow::Borrowed(kind)), events.into_iter().map(Cow::Borrowed).collect())
        });
        ChannelView { name, kind, events, pending, dead, delivered_at, last_error }
    }

    fn of(channel: &str) -> Self {
        Self { channel: channel.to_owned(), ..Self::default() }
    }
}

/// Those of this channel, at the end when it has none yet.
fn figures_of(all: &mut Vec<ChannelFigures>, channel: String) -> &mut ChannelFigures {
    let at = all.iter().position(|figures| figures.channel == channel).unwrap_or_else(|| {
        all.push(ChannelFigures { channel, ..ChannelFigures::default() });
        all.len() - 1
    });
    &mut all[at]
}

fn push_deliveries(
    query: &mut QueryBuilder,
    channel: &str,
    state: DeliveryState,
    after: Option<(i64, String)>,
    limit: u32,
) {
    let (index, beyond, order) = match state {
        DeliveryState::Pending => (
            "delivery_pending WHERE d.state = 'pending' AND d.channel = ",
            " AND (d.next_at, d.id) > (",
            ["d.next_at, d.id", "next_at, id"],
        ),
        DeliveryState::Dead => {
            ("delivery_dead WHERE d.state = 'dead' AND d.channel = ", " AND d.id > (", ["d.id", "id"])
        }
        DeliveryState::Delivered => (
            "delivery_done WHERE d.state = 'delivered' AND d.channel = ",
            " AND (d.delivered_at, d.id) < (",
            ["d.delivered_at DESC, d.id DESC", "delivered_at DESC, id DESC"],
        ),
    };
    query.push(index).push_bind(channel.to_owned());
    if let Some((at, id)) = after {
        query.push(beyond);
        if state != DeliveryState::Dead {
            query.push_bind(at).push(", ");
        }
        query.push_bind(id).push(")");
    }
    query.push(" ORDER BY ").push(order[0]).push(" LIMIT ").push_bind(limit);
    query.push(") ORDER BY ").push(order[1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::alert_state::AlertState,
        store::{Location, Role},
    };

    #[tokio::test]
    async fn no_page_reads_all_alerts_or_all_messages() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let open = AlertFilter { states: AlertState::OPEN.to_vec(), ..AlertFilter::default() };
        let some = |text: &str| Some(text.to_owned());
        let mut plans: Vec<QueryBuilder> = Vec::new();
        for filter in [
            open.clone(),
            AlertFilter { rule: some("stuck"), ..open.clone() },
            AlertFilter { request: some("0197"), rule: some("stuck"), ..open.clone() },
            AlertFilter { account: some("wx"), ..open.clone() },
            AlertFilter { request: some("0197"), states: AlertState::ALL.to_vec(), ..open.clone() },
            AlertFilter { states: vec![AlertState::Resolved], rule: some("stuck"), ..open.clone() },
        ] {
            let mut query = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            query.push(ALERTS);
            push(&mut query, &filter, (Some("0197"), Some("0196")), 50);
            plans.push(query);
            assert!(store.alert_page(&filter, Some("0197"), 50).await.unwrap().is_empty());
        }
        for sql in [DELIVERIES_OF_ALERT, DEAD, DEAD_COUNTS, LAST_DELIVERED, PENDING_ERROR, DEAD_ERROR, UNCONFIRMED] {
            let mut query = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            query.push(sql);
            plans.push(query);
        }
        for state in DeliveryState::WORDS {
            let state = DeliveryState::from_word(state).unwrap();
            for after in [None, Some((1, "0197".to_owned()))] {
                let mut query = QueryBuilder::new(["EXPLAIN QUERY PLAN ", DELIVERIES].concat());
                push_deliveries(&mut query, "ops", state, after.clone(), 50);
                plans.push(query);
                assert!(store.channel_deliveries("ops", state, after, 50).await.unwrap().is_empty());
            }
        }
        for mut query in plans {
            let steps: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
            let scans = |step: &str| ["SCAN l", "SCAN d", "SCAN o"].contains(&step);
            assert!(!steps.iter().any(|(.., step)| scans(step)), "{steps:#?}");
        }
        assert!(store.deliveries_of_alert("0197").await.unwrap().is_empty());
        assert!(store.given_up("ops", "", 50).await.unwrap().is_empty());
        assert_eq!(store.channel_figures(&["ops"]).await.unwrap(), [ChannelFigures::of("ops")]);
        store.close().await;
    }
}
