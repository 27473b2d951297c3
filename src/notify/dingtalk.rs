//! The channel `dingtalk`: a bot in a `DingTalk` (钉钉) group, in its dialect of Markdown or as plain text. It mentions only
//! whom the configuration names.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    ChannelError, ChannelSettings, Pace, SendError, Style,
    chat_response::{Meaning, Names, verdict},
    escape::{self, full_width},
    hmac::hmac_sha256,
    labels,
    mention::Callees,
    plain,
    post::{Http, Post},
    truncate::{Fitted, fit},
};
use crate::domain::{message::Message, time::Time};

/// Twenty messages in a minute for each robot (<https://open.dingtalk.com/document/robots/custom-robot-access>), one
/// after the other, so that they stand in the group as they happened.
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((20, Duration::from_mins(1))) };

/// Bytes of a whole body: more is answered with 460101, "message too long, exceed 20000 bytes"
/// (<https://github.com/timonwong/prometheus-webhook-dingtalk/issues/30>; the documentation has no number).
const BODY_BYTES_MAX: usize = 20_000;

/// How long a robot is silenced after a message too many
/// (<https://open.dingtalk.com/document/robots/custom-robot-access>: "会限流10分钟").
const AFTER_TOO_MANY: Duration = Duration::from_mins(10);

/// Bytes of reminders in one message, of the 20 000 bytes.
pub(super) const REMINDER_BYTES: usize = 14_000;

/// How the robot answers (<https://open.dingtalk.com/document/robots/custom-robot-access>).
const NAMES: Names = Names { code: &["errcode"], words: &["errmsg"] };

/// A robot. Its address holds its token; with a secret, each message is signed with the first one. A robot has one
/// secret only, so those of before are not used.
#[derive(Debug)]
pub struct Dingtalk {
    http: Http,
    secret: Option<SecretString>,
    style: Style,
    callees: Callees,
}

impl Dingtalk {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let secret = settings.secrets.first().cloned();
        Ok(Self { http: Http::new(settings)?, secret, style: settings.style, callees: settings.callees()? })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let url = signed(self.http.url(), self.secret.as_ref(), now);
        let body = body(message, self.style, self.callees.of_message(message));
        let answer = self.http.post_to(url, Post::json(body), now).await?;
        verdict(&answer, NAMES, meaning)
    }
}

/// The address with time and signature
/// (<https://open.dingtalk.com/document/robots/customize-robot-security-settings>): both are the key and the text in a
/// form of their own, and the time counts for an hour.
fn signed(url: &Url, secret: Option<&SecretString>, now: Time) -> Url {
    let mut url = url.clone();
    if let Some(secret) = secret {
        let secret = secret.expose_secret().trim();
        let timestamp = now.ms().to_string();
        let sign = hmac_sha256(secret.as_bytes(), &[timestamp.as_bytes(), b"\n", secret.as_bytes()]);
        url.query_pairs_mut().append_pair("timestamp", &timestamp).append_pair("sign", &sign);
    }
    url
}

/// What a code asks for (<https://open.dingtalk.com/document/robots/custom-robot-access>, and what robots were seen to
/// answer). One that is not known is refused, which is tried again a few times all the same.
fn meaning(code: i64, words: &str) -> Meaning {
    match code {
        -1 => Meaning::Later(None),
        // 130101: "send too fast, exceed 20 times per minute". The others are told of for the same; no page has them.
        130_101 | 410_100 | 660_026 => Meaning::Later(Some(AFTER_TOO_MANY)),
        _ if words.contains("too fast") => Meaning::Later(Some(AFTER_TOO_MANY)),
        // The group was dissolved.
        400_013 => Meaning::Gone,
        // 310000: signature, time, keyword or address are not as the robot's settings want them; the words say which.
        _ => Meaning::Refused,
    }
}

fn body(message: &Message, style: Style, called: Option<&Callees>) -> Vec<u8> {
    let compose = |shown: &Fitted<'_>| compose(shown, style, called).to_string().into_bytes();
    fit(message, compose, |body| body.len() <= BODY_BYTES_MAX)
}

/// The body for either type of message (<https://open.dingtalk.com/document/robots/custom-robot-access>). Whom `at`
/// names is called only where the text says `@` and the same, but for everybody
/// (<https://github.com/timonwong/prometheus-webhook-dingtalk/issues/85>).
fn compose(shown: &Fitted<'_>, style: Style, called: Option<&Callees>) -> Value {
    let calls = called.map(|called| {
        let each = called.mobiles.iter().chain(&called.users).map(|person| format!("@{person}"));
        each.collect::<Vec<_>>().join(" ")
    });
    let calls = calls.unwrap_or_default();
    let mut body = match style {
        Style::Text => json!({ "msgtype": "text", "text": { "content": plain::text(shown, escape::plain, &calls) } }),
        Style::Rich => {
            let headline = full_width(&shown.headline());
            // The title is what the list of chats shows.
            json!({ "msgtype": "markdown", "markdown": { "title": headline, "text": text(shown, &headline, &calls) } })
        }
    };
    body["at"] = json!({ "isAtAll": called.is_some_and(|called| called.all) });
    if let Some(Callees { mobiles, users, .. }) = called.filter(|called| !called.all) {
        body["at"]["atMobiles"] = mobiles.clone().into();
        body["at"]["atUserIds"] = users.clone().into();
    }
    body
}

/// The message in the dialect of <https://open.dingtalk.com/document/robots/custom-robot-access>: headings, bold, links
/// and lists. Older clients know no tables, and a line ends only at an empty one.
fn text(shown: &Fitted<'_>, headline: &str, calls: &str) -> String {
    let mut parts = vec![format!("### {headline}")];
    if !shown.lead.is_empty() {
        parts.push(full_width(&shown.lead));
    }
    let listed = |line: String| format!("- {line}");
    let lines: Vec<String> = if let Some(lines) = shown.only_row(full_width) {
        lines.into_iter().map(listed).collect()
    } else {
        parts.extend(shown.heads(full_width));
        shown.lines(full_width, "**").map(listed).collect()
    };
    if !lines.is_empty() {
        parts.push(lines.join("\n"));
    }
    parts.extend(shown.more.clone());
    if let Some(link) = &shown.link {
        parts.push(format!("[{}]({link})", labels::see(shown.language())));
    }
    if !shown.hint.is_empty() {
        parts.push(labels::run(shown.language(), &full_width(&shown.hint)));
    }
    parts.push(shown.footer.clone());
    if !calls.is_empty() {
        parts.push(calls.to_owned());
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fixture::message;

    fn shown(message: &Message) -> serde_json::Value {
        serde_json::from_slice(&body(message, Style::Rich, None)).unwrap()
    }

    #[test]
    fn what_a_person_sees() {
        let body = shown(&Message { total: 34, ..message() });
        assert_eq!(body["msgtype"], "markdown");
        assert_eq!(body["at"]["isAtAll"], false);
        assert_eq!(body["markdown"]["title"], "【需要处理】3 个关联请求在等公众号管理员");
        assert_eq!(
            body["markdown"]["text"],
            "### 【需要处理】3 个关联请求在等公众号管理员\n\n\
             请提醒管理员打开微信中的“公众平台安全助手”并同意。\n\n\
             公众号 · 小程序 · 已等待\n\n\
             - **小店** · wx00000000000000aa · 3天 4小时\n\
             - **书屋** · wx00000000000000bb · 3天 1小时\n\
             - **茶馆** · wx00000000000000cc · 2天 22小时\n\n\
             ……另有 31 条\n\n\
             [查看详情](https://amplinkd.example/alerts?rule=stuck)\n\n\
             运行：amplinkd alert list --rule stuck\n\n\
             amplinkd · 2026-11-23 03:03 北京时间"
        );
    }

    #[test]
    fn the_signature_is_what_the_documented_lines_give() {
        // The page's Python example for the secret "this is secret" at this time, run once by hand.
        let secret = SecretString::from("this is secret");
        let url = Url::parse("https://oapi.dingtalk.com/robot/send?access_token=XXXXXX").unwrap();
        let signed = signed(&url, Some(&secret), Time::from_ms(1_577_262_236_757));
        assert_eq!(
            signed.as_str(),
            "https://oapi.dingtalk.com/robot/send?access_token=XXXXXX&timestamp=1577262236757&sign=hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D"
        );
        assert_eq!(super::signed(&url, None, Time::from_ms(1)), url);
    }

    #[test]
    fn a_body_is_as_long_as_it_may_be_and_no_longer() {
        // Quotes and backslashes take two bytes in JSON.
        let row = |n: usize| vec![format!("\"公众号\"{n:03}"), format!("wx{n:016x}"), "等待三天四小时".to_owned()];
        for pad in (0..40).step_by(7) {
            let message =
                Message { lead: "\"".repeat(pad), rows: (0..300).map(row).collect(), total: 1_000, ..message() };
            let length = body(&message, Style::Rich, None).len();
            assert!((BODY_BYTES_MAX - 80..=BODY_BYTES_MAX).contains(&length), "{length}");
        }
    }

    #[test]
    fn nobody_is_mentioned_and_no_layout_breaks() {
        let mut message = message();
        message.title = "# x\n\n- y".to_owned();
        message.rows[0][0] = "**a**\n\n# b [x](http://evil.example)".to_owned();
        let text = shown(&message)["markdown"]["text"].as_str().unwrap().to_owned();
        assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 1, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("- **")).count(), 3, "{text}");
        assert_eq!(text.matches("](").count(), 1, "{text}");
    }

    #[test]
    fn those_who_must_act_are_called_in_the_text_too() {
        let users = vec!["user123".to_owned()];
        let some = Callees { mobiles: vec!["13800138000".to_owned()], users, ..Callees::default() };
        for (style, text) in [(Style::Rich, "/markdown/text"), (Style::Text, "/text/content")] {
            let sent: Value = serde_json::from_slice(&body(&message(), style, Some(&some))).unwrap();
            let at = json!({ "isAtAll": false, "atMobiles": ["13800138000"], "atUserIds": ["user123"] });
            assert_eq!(sent["at"], at);
            let text = sent.pointer(text).unwrap().as_str().unwrap();
            assert!(text.ends_with("\n@13800138000 @user123"), "{text}");

            let all = Callees { all: true, ..Callees::default() };
            let sent: Value = serde_json::from_slice(&body(&message(), style, Some(&all))).unwrap();
            assert_eq!(sent["at"], json!({ "isAtAll": true }));
        }
    }

    #[test]
    fn as_text_it_says_the_same_without_markup() {
        let mut message = message();
        message.rows[0][0] = "@13900139000 **x**".to_owned();
        let sent: Value = serde_json::from_slice(&body(&message, Style::Text, None)).unwrap();
        let text = sent["text"]["content"].as_str().unwrap();
        assert!(text.starts_with("【需要处理】3 个关联请求在等公众号管理员\n请提醒管理员打开微信"), "{text}");
        assert!(
            !text.contains('@') && text.contains("\n查看详情：https://amplinkd.example/alerts?rule=stuck\n"),
            "{text}"
        );
        assert_eq!((&sent["msgtype"], &sent["at"]), (&json!("text"), &json!({ "isAtAll": false })));
    }
}
