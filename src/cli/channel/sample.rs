//! The message with which a channel is tried. It must never read like something that has happened: every part that a
//! person sees first says that it is a test.

use crate::{
    clock::Clock,
    config::ChannelConfig,
    domain::message::{AlertFacts, Language, Message, Mood},
};

/// What the message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Event {
    /// An alert that has fired.
    Alert,
    /// The same alert, over.
    Resolved,
    /// A step of a request.
    Transition,
    /// A contradiction.
    Conflict,
}

/// Names in the example that belong to nobody.
const REQUEST: &str = "00000000-0000-7000-8000-000000000000";
const ACCOUNT: &str = "wx0123456789abcdef";
const PROGRAM: &str = "wxfedcba9876543210";

impl Event {
    /// The word of the command line.
    pub(super) const fn word(self) -> &'static str {
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

    const fn mood(self) -> Mood {
        match self {
            Self::Alert => Mood::Fired,
            Self::Resolved => Mood::Resolved,
            Self::Transition | Self::Conflict => Mood::News,
        }
    }

    const fn title(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Alert, Language::En) => "Test: 1 link request waits for the account's administrator",
            (Self::Alert, Language::Zh) => "测试：1 个关联请求在等公众号管理员确认",
            (Self::Resolved, Language::En) => "Test: over: 1 link request waited for the account's administrator",
            (Self::Resolved, Language::Zh) => "测试：已恢复，1 个关联请求曾在等公众号管理员确认",
            (Self::Transition, Language::En) => "Test: a link request is now awaiting_account_admin",
            (Self::Transition, Language::Zh) => "测试：一个关联请求进入 awaiting_account_admin",
            (Self::Conflict, Language::En) => "Test: WeChat contradicts our record of a link request",
            (Self::Conflict, Language::Zh) => "测试：微信与我们对一个关联请求的记录不一致",
        }
    }
}

/// The message for this channel, in its language, with a new id.
pub(super) fn message(channel: &ChannelConfig, event: Event, clock: &dyn Clock) -> Message {
    let now = clock.now();
    let language = channel.language;
    let (lead, columns) = match language {
        Language::En => {
            ("This is a test by `amplinkd channel test`: nobody must do anything.", ["request", "account", "program"])
        }
        Language::Zh => ("这是 `amplinkd channel test` 发出的测试消息，无需处理。", ["请求", "公众号", "小程序"]),
    };
    let alert = || AlertFacts {
        alert: REQUEST.to_owned(),
        key: format!("test/{}", channel.name),
        rule: "test".to_owned(),
        reason: "test.channel".to_owned(),
        request: Some(REQUEST.to_owned()),
        account: Some(ACCOUNT.to_owned()),
        program: Some(PROGRAM.to_owned()),
        since: now.ms(),
        fired_at: now.ms(),
        resolved_at: (event == Event::Resolved).then_some(now.ms()),
        message_en: Event::Alert.title(Language::En).to_owned(),
        message_zh: Event::Alert.title(Language::Zh).to_owned(),
    };
    let is_alert = matches!(event, Event::Alert | Event::Resolved);
    let alerts: Vec<AlertFacts> = is_alert.then(alert).into_iter().collect();
    let data = serde_json::json!({
        "test": true, "request": REQUEST, "account": ACCOUNT, "program": PROGRAM, "alerts": alerts,
    });
    Message {
        id: new_id(clock),
        kind: event.kind().to_owned(),
        subject: REQUEST.to_owned(),
        partition_key: format!("test/{}", channel.name),
        sequence: 0,
        at: now,
        data: data.to_string(),
        mood: event.mood(),
        language,
        title: event.title(language).to_owned(),
        lead: lead.to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: vec![[REQUEST, ACCOUNT, PROGRAM].map(str::to_owned).to_vec()],
        total: 1,
        link: None,
        hint: "amplinkd channel list".to_owned(),
        alerts,
    }
}

/// A `UUIDv7`: a service that has seen an id before takes the message for a repetition.
fn new_id(clock: &dyn Clock) -> String {
    let ms = u64::try_from(clock.now().ms()).unwrap_or_default();
    let chance = [clock.random().to_be_bytes(), clock.random().to_be_bytes()].concat();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&chance[..10]);
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_title_says_that_it_is_a_test() {
        for event in [Event::Alert, Event::Resolved, Event::Transition, Event::Conflict] {
            assert!(event.title(Language::En).starts_with("Test"));
            assert!(event.title(Language::Zh).starts_with("测试"));
        }
    }
}
