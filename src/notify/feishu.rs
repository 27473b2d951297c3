//! The channel `feishu`: a bot in a Feishu (飞书) or Lark group, with a card of plain text, or as text alone. No Markdown
//! but for mentions of those whom the configuration names: plain text cannot mention anybody or break the layout.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    ChannelError, ChannelSettings, Pace, SendError, Style,
    chat_response::{Meaning, Names, verdict},
    escape,
    hmac::hmac_sha256,
    labels,
    mention::Callees,
    plain,
    post::{Http, Post},
    truncate::{Fitted, fit},
};
use crate::domain::{
    message::{Message, Severity},
    time::Time,
};

/// A hundred messages in a minute and five in a second
/// (<https://open.larkoffice.com/document/ukTMukTMukTM/ucTM5YjL3ETO24yNxkjN.md>): one in 600 ms keeps both.
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((1, Duration::from_millis(600))) };

/// Bytes of a whole body: "20 KB" (the same page), in the stricter reading.
const BODY_BYTES_MAX: usize = 20_000;

/// How long to wait after a message too many: the larger of the two limits counts by the minute.
const AFTER_TOO_MANY: Duration = Duration::from_mins(1);

/// Bytes of reminders in one message, of the 20 000 bytes.
pub(super) const REMINDER_BYTES: usize = 12_000;

/// How the robot answers: `code`, and in older answers `StatusCode` (the same page).
const NAMES: Names = Names { code: &["code", "StatusCode"], words: &["msg", "StatusMessage"] };

/// A robot. Its address holds its key; with a secret, each message is signed with the first one. A robot has one secret
/// only, so those of before are not used.
#[derive(Debug)]
pub struct Feishu {
    http: Http,
    secret: Option<SecretString>,
    style: Style,
    callees: Callees,
}

impl Feishu {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let secret = settings.secrets.first().cloned();
        Ok(Self { http: Http::new(settings)?, secret, style: settings.style, callees: settings.callees()? })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let called = self.callees.of_message(message);
        let body = match self.style {
            Style::Rich => body(message, |shown| card(shown, called), self.secret.as_ref(), now),
            Style::Text => body(message, |shown| text(shown, called), self.secret.as_ref(), now),
        };
        let answer = self.http.post(Post::json(body), now).await?;
        verdict(&answer, NAMES, meaning)
    }
}

/// What a code asks for (<https://open.larkoffice.com/document/ukTMukTMukTM/ucTM5YjL3ETO24yNxkjN.md>, and what robots
/// were seen to answer). One that is not known is refused, which is tried again a few times all the same.
fn meaning(code: i64, words: &str) -> Meaning {
    match code {
        // Their own faults.
        -1 | 1_500 | 2_200 => Meaning::Later(None),
        // Too many messages, ours or everybody's: at full hours the service itself is short of room.
        11_232 | 99_991_400 => Meaning::Later(Some(AFTER_TOO_MANY)),
        // 9499 is a body that they cannot read; some tell of a message too many with it, and then its words say so.
        9_499 if words.to_ascii_lowercase().contains("too many") => Meaning::Later(Some(AFTER_TOO_MANY)),
        // 19021: signature or clock; 19022: our address is not on the robot's list; 19024: no keyword of the robot's.
        _ => Meaning::Refused,
    }
}

/// The signature as the page wants it: time and secret are the key, and what is signed is empty. The time counts for an
/// hour.
fn signature(secret: &SecretString, timestamp: &str) -> String {
    hmac_sha256(format!("{timestamp}\n{}", secret.expose_secret().trim()).as_bytes(), &[])
}

/// The signed body with what `compose` makes of the message.
fn body(
    message: &Message,
    compose: impl Fn(&Fitted<'_>) -> Value,
    secret: Option<&SecretString>,
    now: Time,
) -> Vec<u8> {
    let timestamp = now.ms().div_euclid(1_000).to_string();
    let compose = |shown: &Fitted<'_>| {
        let mut body = compose(shown);
        if let Some(secret) = secret {
            body["sign"] = signature(secret, &timestamp).into();
            body["timestamp"] = timestamp.as_str().into();
        }
        body.to_string().into_bytes()
    };
    fit(message, compose, |body| body.len() <= BODY_BYTES_MAX)
}

/// A message of text alone, whose one markup are mentions (the same page, "文本").
fn text(shown: &Fitted<'_>, called: Option<&Callees>) -> Value {
    let calls = called.map(|called| calls(called, |id| format!("<at user_id=\"{id}\"></at>"))).unwrap_or_default();
    json!({ "msg_type": "text", "content": { "text": plain::text(shown, escape::plain, &calls) } })
}

/// Whom the message calls, each as `at` writes an id.
fn calls(callees: &Callees, at: impl Fn(&str) -> String) -> String {
    let ids = callees.all.then_some("all").into_iter().chain(callees.users.iter().map(String::as_str));
    ids.map(at).collect::<Vec<_>>().join(" ")
}

/// A card of the first schema, which every client of Feishu and of Lark shows
/// (<https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content/card-structure/card-content>).
fn card(shown: &Fitted<'_>, called: Option<&Callees>) -> Value {
    let mut elements = Vec::new();
    if !shown.lead.is_empty() {
        elements.push(div(&shown.lead));
    }
    let table = table(shown);
    if !table.is_empty() {
        elements.push(json!({ "tag": "hr" }));
        elements.push(div(&table.join("\n")));
    }
    if let Some(link) = &shown.link {
        let text = plain(labels::see(shown.language()));
        let button = json!({ "tag": "button", "type": "primary", "text": text, "url": link });
        elements.push(json!({ "tag": "action", "actions": [button] }));
    }
    if let Some(called) = called {
        // Markdown, and therefore nothing but ids of the configuration
        // (<https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>).
        let text = json!({ "tag": "lark_md", "content": calls(called, |id| format!("<at id={id}></at>")) });
        elements.push(json!({ "tag": "div", "text": text }));
    }
    let mut notes = Vec::new();
    if !shown.hint.is_empty() {
        notes.push(labels::run(shown.language(), &shown.hint));
    }
    notes.push(shown.footer.clone());
    elements.push(json!({ "tag": "note", "elements": [plain(&notes.join("\n"))] }));
    let card = json!({
        "config": { "wide_screen_mode": true },
        "header": { "template": colour(shown.message.mood), "title": plain(&shown.headline()) },
        "elements": elements,
    });
    json!({ "msg_type": "interactive", "card": card })
}

fn table(shown: &Fitted<'_>) -> Vec<String> {
    let mut lines = shown.only_row(str::to_owned).unwrap_or_else(|| {
        let rows = shown.lines(str::to_owned, "").map(|line| format!("• {line}"));
        shown.heads(str::to_owned).into_iter().chain(rows).collect()
    });
    lines.extend(shown.more.clone());
    lines
}

fn div(text: &str) -> Value {
    json!({ "tag": "div", "text": plain(text) })
}

fn plain(text: &str) -> Value {
    json!({ "tag": "plain_text", "content": text })
}

/// The colour of the header.
const fn colour(mood: Severity) -> &'static str {
    match mood {
        Severity::Fired => "red",
        Severity::Repeated => "orange",
        Severity::Resolved => "green",
        Severity::News => "blue",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fixture::message;

    const NOW: Time = Time::from_ms(1_599_360_473_999);

    fn shown(message: &Message, secret: Option<&str>) -> Value {
        let compose = |shown: &Fitted<'_>| card(shown, None);
        serde_json::from_slice(&body(message, compose, secret.map(SecretString::from).as_ref(), NOW)).unwrap()
    }

    #[test]
    fn what_a_person_sees() {
        assert_eq!(
            shown(&Message { total: 34, ..message() }, None),
            json!({
                "msg_type": "interactive",
                "card": {
                    "config": { "wide_screen_mode": true },
                    "header": {
                        "template": "red",
                        "title": { "tag": "plain_text", "content": "【需要处理】3 个关联请求在等公众号管理员" },
                    },
                    "elements": [
                        { "tag": "div", "text": {
                            "tag": "plain_text",
                            "content": "请提醒管理员打开微信中的“公众平台安全助手”并同意。",
                        } },
                        { "tag": "hr" },
                        { "tag": "div", "text": {
                            "tag": "plain_text",
                            "content": "公众号 · 小程序 · 已等待\n\
                                        • 小店 · wx00000000000000aa · 3天 4小时\n\
                                        • 书屋 · wx00000000000000bb · 3天 1小时\n\
                                        • 茶馆 · wx00000000000000cc · 2天 22小时\n\
                                        ……另有 31 条",
                        } },
                        { "tag": "action", "actions": [{
                            "tag": "button",
                            "type": "primary",
                            "text": { "tag": "plain_text", "content": "查看详情" },
                            "url": "https://amplinkd.example/alerts?rule=stuck",
                        }] },
                        { "tag": "note", "elements": [{
                            "tag": "plain_text",
                            "content": "运行：amplinkd alert list --rule stuck\namplinkd · 2026-11-23 03:03 北京时间",
                        }] },
                    ],
                },
            })
        );
    }

    #[test]
    fn the_signature_is_what_the_documented_lines_give() {
        // The page's Python example for the secret "this is secret" at this time, run once by hand.
        let body = shown(&message(), Some("this is secret"));
        assert_eq!(body["timestamp"], "1599360473");
        assert_eq!(body["sign"], "/eYKrXQBzTjUZJ3s6NX16VxGbTwmK7AEs8/FnvC1CSw=");
    }

    #[test]
    fn a_body_is_as_long_as_it_may_be_and_no_longer() {
        let row = |n: usize| vec![format!("\"公众号\"{n:03}"), format!("wx{n:016x}"), "等待三天四小时".to_owned()];
        for pad in (0..40).step_by(7) {
            let rows = (0..300).map(row).collect();
            let message = Message { lead: "\\".repeat(pad), rows, total: 1_000, ..message() };
            let secret = Some("this is secret".into());
            let card = body(&message, |shown| card(shown, None), secret.as_ref(), NOW).len();
            let text = body(&message, |shown| text(shown, None), secret.as_ref(), NOW).len();
            for length in [card, text] {
                assert!((BODY_BYTES_MAX - 80..=BODY_BYTES_MAX).contains(&length), "{length}");
            }
        }
    }

    #[test]
    fn only_a_message_too_many_makes_9499_wait() {
        assert_eq!(meaning(9_499, "Bad Request"), Meaning::Refused);
        assert_eq!(meaning(9_499, "Too Many Request"), Meaning::Later(Some(AFTER_TOO_MANY)));
    }

    #[test]
    fn those_who_must_act_are_called_and_nobody_else() {
        let mut message = message();
        message.lead = "<at user_id=\"all\">x</at> <at id=all></at> @all".to_owned();
        let some = Callees { users: vec!["ou_1".to_owned(), "7f1b".to_owned()], ..Callees::default() };
        let all = Callees { all: true, ..Callees::default() };
        let sent = |compose: &dyn Fn(&Fitted<'_>) -> Value| -> Value {
            serde_json::from_slice(&body(&message, compose, None, NOW)).unwrap()
        };
        let text = |called| sent(&|shown| text(shown, called))["content"]["text"].as_str().unwrap().to_owned();
        assert!(!text(None).contains(['<', '@']), "{}", text(None));
        assert!(text(Some(&some)).ends_with("\n<at user_id=\"ou_1\"></at> <at user_id=\"7f1b\"></at>"));
        assert!(text(Some(&all)).ends_with("\n<at user_id=\"all\"></at>"));

        let marked = |called| sent(&|shown| card(shown, called))["card"]["elements"].clone();
        let markdown = |elements: &Value| {
            let all: Vec<String> = elements
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["text"].clone())
                .filter(|text| text["tag"] == "lark_md")
                .map(|text| text["content"].as_str().unwrap().to_owned())
                .collect();
            all
        };
        assert!(markdown(&marked(None)).is_empty());
        assert_eq!(markdown(&marked(Some(&some))), ["<at id=ou_1></at> <at id=7f1b></at>"]);
        assert_eq!(markdown(&marked(Some(&all))), ["<at id=all></at>"]);
    }
}
