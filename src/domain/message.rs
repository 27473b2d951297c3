//! One event with its words, for people and other systems: the same for every channel and every retry. `notify` encodes
//! it for each channel.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{text::Language, time::Time};

/// What a message means for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody must act.
    Fired,
    /// Somebody must still act.
    Repeated,
    /// It is over.
    Resolved,
    /// Something happened; nobody must act.
    News,
}

/// One event with its words. Machines read the first half, people the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id: the same in every retry and on every channel.
    pub id: String,
    /// Its type, such as `amplinkd.alert.fired`.
    pub kind: String,
    /// The request's or the account's id; of several together, the first one's.
    pub subject: String,
    /// Events with the same key come in order.
    pub partition_key: String,
    /// Its place among all events: a later one has a larger number.
    pub sequence: i64,
    /// When it happened.
    pub at: Time,
    /// The event's own data: a JSON object as text.
    pub data: String,

    /// What it means.
    pub mood: Severity,
    /// The language of what follows.
    pub language: Language,
    /// The zone of its times.
    pub zone: TimeZone,
    /// One line, without an end mark: "3 link requests wait for account administrators".
    pub title: String,
    /// A sentence or two: who must do what. May be empty.
    pub lead: String,
    /// The heads of the table's columns; empty without a table.
    pub columns: Vec<String>,
    /// The table, the most urgent first; as long as `columns` in each row. A channel cuts it to what its service takes.
    pub rows: Vec<Vec<String>>,
    /// How many things it concerns; more than `rows` when those were cut already.
    pub total: usize,
    /// Where more can be seen.
    pub link: Option<String>,
    /// The command that shows more, such as `amplinkd alert list --rule stuck`. May be empty.
    pub hint: String,
    /// The alerts that it concerns; none for other events.
    pub alerts: Vec<AlertFacts>,
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct AlertFacts {
    /// Its id.
    pub alert: String,
    /// What it is known by over restarts: `stuck/account_admin/<request>`.
    pub key: String,
    /// The rule, such as `stuck`.
    pub rule: String,
    /// The machine's reason, such as `stuck.account_admin`.
    pub reason: String,
    /// The request, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The account, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The program, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Since when what it tells of is so; milliseconds UTC, in JSON an RFC 3339 text.
    #[serde(with = "moment")]
    pub since: i64,
    /// When it began to fire, likewise.
    #[serde(with = "moment")]
    pub fired_at: i64,
    /// When it was over, likewise.
    #[serde(default, with = "moment_if", skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<i64>,
    /// How it was over: `over`, `operator`, or `aged_out` when nobody acted and it is old news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Who must act, in English.
    pub message_en: String,
    /// Who must act, in Chinese.
    pub message_zh: String,
}

/// Milliseconds as a text for other systems.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::time::Time;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
    pub(super) fn serialize<S: Serializer>(ms: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Time::from_ms(*ms))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(D::Error::custom)
    }
}

/// The same for one that may be missing.
mod moment_if {
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's shape")]
    pub(super) fn serialize<S: Serializer>(ms: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => super::moment::serialize(ms, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        super::moment::deserialize(from).map(Some)
    }
}
