//! The message by which a channel is tested: built like real ones, from made-up data, and marked as a test in its first
//! words so that nobody acts on it.

use jiff::tz::TimeZone;
use serde_json::json;

use super::{Language, render};
use crate::domain::{
    alert_state::Resolution,
    event::{AlertNotice, OutboxEvent, to_json},
    message::{AlertFacts, Message},
    time::Time,
};

/// Where a test message goes.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'r> {
    /// The channel's name.
    pub channel: &'r str,
    /// Its language.
    pub language: Language,
    /// The zone of times.
    pub zone: &'r TimeZone,
    /// Where alerts are looked at, when that is configured.
    pub link: Option<&'r str>,
}

/// What the message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A firing alert.
    Alert,
    /// The same alert, resolved.
    Resolved,
    /// A step of a request.
    Transition,
    /// A conflict.
    Conflict,
}

/// Names that belong to nobody.
const REQUEST: &str = "00000000-0000-7000-8000-000000000000";
const ACCOUNT: &str = "wx0123456789abcdef";
const PROGRAM: &str = "wxfedcba9876543210";

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Resolved, Self::Transition, Self::Conflict];

    /// The event with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// The word of commands and bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Resolved => "resolved",
            Self::Transition => "transition",
            Self::Conflict => "conflict",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Alert => "amplinkd.alert.fired",
            Self::Resolved => "amplinkd.alert.resolved",
            Self::Transition => "amplinkd.request.awaiting_account_admin",
            Self::Conflict => "amplinkd.conflict.opened",
        }
    }

    /// The event's data, as the daemon writes it.
    fn data(self, channel: &str, now: Time) -> String {
        match self {
            Self::Alert => news("fired", None, channel, now),
            Self::Resolved => news("resolved", Some(now), channel, now),
            Self::Transition => json!({
                "test": true, "request": REQUEST, "kind": "link", "account": ACCOUNT, "program": PROGRAM,
                "from": "initiated", "to": "awaiting_account_admin", "at": now.to_string(), "cause": "test",
                "attempt": 1, "errcode": null, "labels": {},
            })
            .to_string(),
            Self::Conflict => json!({
                "test": true, "conflict": REQUEST, "request": REQUEST, "account": ACCOUNT, "program": PROGRAM,
                "kind": "test", "errcode": null, "our_state": "initiated", "their_status": 1, "at": now.to_string(),
                "labels": {},
            })
            .to_string(),
        }
    }
}

/// One alert. Its key is the channel's own, so that `resolved` ends what `alert` began where somebody keeps them.
fn news(state: &str, resolved_at: Option<Time>, channel: &str, now: Time) -> String {
    let alert = AlertFacts {
        alert: REQUEST.to_owned(),
        key: format!("test/{channel}"),
        rule: "test".to_owned(),
        reason: "test".to_owned(),
        request: Some(REQUEST.to_owned()),
        account: Some(ACCOUNT.to_owned()),
        program: Some(PROGRAM.to_owned()),
        since: now.ms(),
        fired_at: now.ms(),
        resolved_at: resolved_at.map(Time::ms),
        resolution: resolved_at.map(|_| Resolution::Over.as_str().to_owned()),
        message_en: "Test: the account's administrator has not answered an invitation that nobody sent".to_owned(),
        message_zh: "测试：公众号管理员尚未确认一个并未发出的邀请".to_owned(),
    };
    let news = AlertNotice {
        rule: "test".to_owned(),
        reason: "test".to_owned(),
        state: state.to_owned(),
        count: 1,
        level: 0,
        title_en: "Test: 1 link request waits for the account's administrator".to_owned(),
        title_zh: "测试：1 个关联请求在等公众号管理员确认".to_owned(),
        alerts: vec![alert],
        more: Vec::new(),
    };
    to_json(&news)
}

/// The message for this channel, in its language. `id` is a new one: a service that has seen an id before takes the
/// message for a repetition.
#[must_use]
pub fn message(to: Receiver<'_>, event: Event, id: String, now: Time) -> Message {
    let told = OutboxEvent {
        id,
        kind: event.kind().to_owned(),
        subject: REQUEST.to_owned(),
        partition_key: format!("test/{}", to.channel),
        sequence: 0,
        at: now,
        data: event.data(to.channel, now),
    };
    let plain = render::message(&told, to.language, to.zone, to.link);
    let (title, lead) = match to.language {
        Language::En => ("Test: ", "This is a test by `amplinkd channel test`; no action needed. "),
        Language::Zh => ("测试：", "这是 `amplinkd channel test` 发出的测试消息，无需处理。"),
    };
    // Of an alert its own words say so already: some channels show nothing else.
    let title = if plain.title.contains(title) { "" } else { title };
    Message {
        title: format!("{title}{}", plain.title),
        lead: format!("{lead}{}", plain.lead),
        hint: "amplinkd channel list".to_owned(),
        ..plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{message::Severity, time::BEIJING};

    #[test]
    fn every_event_is_told_as_a_test_in_the_words_of_the_real_ones() {
        let now = Time::from_ms(1_773_100_800_000);
        for (language, title) in [(Language::En, "Test: "), (Language::Zh, "测试：")] {
            for event in Event::ALL {
                let to = Receiver { channel: "a", language, zone: &BEIJING, link: None };
                let message = message(to, event, REQUEST.to_owned(), now);
                assert_eq!(message.title.matches(title).count(), 1, "{message:?}");
                // One whose data cannot be read has its type for a title.
                assert!(!message.title.contains("amplinkd."), "{message:?}");
                assert_eq!(message.mood == Severity::Resolved, event == Event::Resolved);
                assert_eq!(message.alerts.is_empty(), matches!(event, Event::Transition | Event::Conflict));
                assert_eq!(Event::from_word(event.as_str()), Some(event));
            }
        }
    }
}
