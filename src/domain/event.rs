//! Events: what other systems and people hear of. Each has a type, which says what its data is; the data is JSON, the same
//! in every retry and on every channel (docs/events.md).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    digest::Digest,
    message::AlertFacts,
    request::StateKind,
    text::{Localized, Report},
    time::Time,
};

/// The type of an event, such as `amplinkd.request.linked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// A request has come to this state.
    Request(StateKind),
    /// A conflict was met, or is settled.
    Conflict(ConflictPhase),
    /// Alerts of one reason.
    Alert(AlertPhase),
    /// The summary of a day.
    Digest,
    /// A reminder for an administrator.
    Nudge,
}

/// The key of an alarm that cannot be written, and so is not in the log.
pub const ALARM: &str = "alarm";

/// What is said of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictPhase {
    /// It was met.
    Opened,
    /// Later evidence settled it.
    Resolved,
}

/// What is said of an alert, in the order in which it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertPhase {
    /// It began.
    Fired,
    /// It still holds.
    Repeated,
    /// It is over.
    Resolved,
}

impl AlertPhase {
    /// The word in types and data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
        }
    }
}

impl EventType {
    /// The type with this word; `None` of one that this version does not know.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let (noun, case) = word.strip_prefix("amplinkd.")?.split_once('.').unwrap_or((&word["amplinkd.".len()..], ""));
        match (noun, case) {
            ("request", state) => StateKind::from_word(state).map(Self::Request),
            ("conflict", "opened") => Some(Self::Conflict(ConflictPhase::Opened)),
            ("conflict", "resolved") => Some(Self::Conflict(ConflictPhase::Resolved)),
            ("alert", "fired") => Some(Self::Alert(AlertPhase::Fired)),
            ("alert", "repeated") => Some(Self::Alert(AlertPhase::Repeated)),
            ("alert", "resolved") => Some(Self::Alert(AlertPhase::Resolved)),
            ("digest", "") => Some(Self::Digest),
            ("nudge", "") => Some(Self::Nudge),
            _ => None,
        }
    }

    /// Whether it is about a request, which it names as its subject.
    #[must_use]
    pub const fn is_of_request(self) -> bool {
        match self {
            Self::Request(_) | Self::Conflict(_) => true,
            Self::Alert(_) | Self::Digest | Self::Nudge => false,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(state) => write!(f, "amplinkd.request.{}", state.as_str()),
            Self::Conflict(ConflictPhase::Opened) => f.write_str("amplinkd.conflict.opened"),
            Self::Conflict(ConflictPhase::Resolved) => f.write_str("amplinkd.conflict.resolved"),
            Self::Alert(phase) => write!(f, "amplinkd.alert.{}", phase.as_str()),
            Self::Digest => f.write_str("amplinkd.digest"),
            Self::Nudge => f.write_str("amplinkd.nudge"),
        }
    }
}

/// An event as it was written down and is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Its id: the same in every retry and on every channel.
    pub id: String,
    /// The word of its type: one that another version wrote is sent, too.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Events with the same key come in order.
    pub partition_key: String,
    /// Its place among all events.
    pub sequence: i64,
    /// When it happened.
    pub at: Time,
    /// Its data: a JSON object as text.
    pub data: String,
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of [`EventType::Request`].
    Request(RequestMoved),
    /// Of [`EventType::Conflict`].
    Conflict(ConflictChanged),
    /// Of [`EventType::Alert`].
    Alert(AlertNotice),
    /// Of [`EventType::Digest`]: its words alone.
    Digest(Localized<Report>),
    /// Of [`EventType::Nudge`]: its words alone.
    Nudge(Localized<Report>),
}

impl Event {
    /// Reads the data of an event; `None` when it is not what its type says.
    #[must_use]
    pub fn read(event: &OutboxEvent) -> Option<Self> {
        Some(match EventType::from_word(&event.kind)? {
            EventType::Request(_) => Self::Request(parsed(&event.data)?),
            EventType::Conflict(_) => Self::Conflict(parsed(&event.data)?),
            EventType::Alert(_) => Self::Alert(parsed(&event.data)?),
            EventType::Digest => Self::Digest(parsed(&event.data)?),
            EventType::Nudge => Self::Nudge(parsed(&event.data)?),
        })
    }
}

fn parsed<T: DeserializeOwned>(data: &str) -> Option<T> {
    serde_json::from_str(data).ok()
}

/// Data as the log holds it.
#[must_use]
pub fn to_json(data: &impl Serialize) -> String {
    // Texts and numbers: nothing of them can fail to be written.
    serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned())
}

/// A request that moved. The log words it when it is read (the view `outbox`, migration 0014).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RequestMoved {
    /// The request.
    pub request: String,
    /// Its account.
    pub account: String,
    /// Its program.
    pub program: String,
    /// `link` or `unlink`.
    pub kind: String,
    /// The state before; none before the first.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// The code that the request holds from then on.
    pub errcode: Option<i64>,
}

/// A conflict that was met or is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictChanged {
    /// The request's account.
    pub account: String,
    /// When, RFC 3339.
    pub at: String,
    /// The conflict.
    pub conflict: String,
    /// The code that told of it.
    pub errcode: Option<i64>,
    /// Its kind, as in `v_conflict`.
    pub kind: String,
    /// The request's labels.
    pub labels: BTreeMap<String, String>,
    /// Our record when it was met.
    pub our_state: String,
    /// The request's program.
    pub program: String,
    /// The request.
    pub request: String,
    /// How it was settled; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// The status that the world showed or claimed.
    pub their_status: Option<i64>,
}

/// Alerts of one reason that fired, are repeated or are over together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertNotice {
    /// The rule, such as `stuck`.
    pub rule: String,
    /// The case, such as `stuck.account_admin`.
    pub reason: String,
    /// The word of its [`AlertPhase`].
    pub state: String,
    /// How many alerts.
    pub count: usize,
    /// The age of the alerts from which this is told, milliseconds; 0 when it is told at once.
    pub level: i64,
    /// What they have in common, in English.
    pub title_en: String,
    /// The same in Chinese.
    pub title_zh: String,
    /// All of them, the one that is due the longest first.
    pub alerts: Vec<AlertFacts>,
    /// To other systems: the keys of those that are not listed any more, so that the body stays below a megabyte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
}

/// Alerts that are told to other systems with everything: about 800 bytes each. Servers commonly take a megabyte
/// (<https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size>).
const LISTED_MAX: usize = 500;

impl AlertNotice {
    /// The same for other systems when there are more alerts than one body should list: the first of them whole, the others
    /// by their keys alone.
    #[must_use]
    pub fn shortened(&self) -> Option<Self> {
        let (whole, rest) = self.alerts.split_at_checked(LISTED_MAX).filter(|(_, rest)| !rest.is_empty())?;
        let more = rest.iter().map(|alert| alert.key.clone()).collect();
        Some(Self { alerts: whole.to_vec(), more, ..self.clone() })
    }
}

/// The summary of a day: figures for machines, words for people.
#[derive(Debug, Clone, Serialize)]
pub struct DaySummary<'a> {
    /// What was counted.
    pub figures: &'a Digest,
    /// The same in words.
    #[serde(flatten)]
    pub words: Localized<Report>,
}

/// A reminder that an administrator has not answered, to be passed on.
#[derive(Debug, Clone)]
pub struct Reminder<'a> {
    /// The request.
    pub request: &'a str,
    /// Its account.
    pub account: &'a str,
    /// Its program.
    pub program: &'a str,
    /// Whom it waits for, as in `v_nudge.stage`.
    pub stage: &'a str,
    /// The language of the text.
    pub language: &'a str,
    /// One line for whoever passes it on.
    pub title: &'a str,
    /// The text, ready to be pasted into a chat.
    pub text: &'a str,
}

impl Reminder<'_> {
    /// Its data. Whatever the channel's own language is, it shows the one that was asked for.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { request, account, program, stage, language, title, text } = self;
        let words: Value = serde_json::json!({ "title": title, "lead": text, "columns": [], "rows": [] });
        serde_json::json!({
            "request": request, "account": account, "program": program, "stage": stage,
            "text": text, "language": language, "en": words, "zh": words,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written_and_no_other_is() {
        let phases = [AlertPhase::Fired, AlertPhase::Repeated, AlertPhase::Resolved];
        let conflicts = [ConflictPhase::Opened, ConflictPhase::Resolved];
        let all = StateKind::ALL.map(EventType::Request).into_iter().chain(conflicts.map(EventType::Conflict));
        let all = all.chain(phases.map(EventType::Alert)).chain([EventType::Digest, EventType::Nudge]);
        for kind in all {
            assert_eq!(EventType::from_word(&kind.to_string()), Some(kind));
        }
        for other in ["", "amplinkd", "amplinkd.", "amplinkd.digest.x", "amplinkd.alert.", "x.request.linked", "nudge"]
        {
            assert_eq!(EventType::from_word(other), None, "{other}");
        }
    }
}
