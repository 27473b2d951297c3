//! The channel `wecom`: a bot in a `WeCom` (企业微信) group, in its dialect of Markdown or as plain text. It mentions only
//! whom the configuration names.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ChannelError, ChannelSettings, Pace, SendError, Style,
    chat_response::{Meaning, Names, verdict},
    escape::{self, code, full_width},
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

/// Twenty messages in a minute for each robot (<https://developer.work.weixin.qq.com/document/path/91770>), one after
/// the other, so that they stand in the group as they happened.
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((20, Duration::from_mins(1))) };

/// Bytes of a message's content in UTF-8 (<https://developer.work.weixin.qq.com/document/path/91770>).
const CONTENT_BYTES_MAX: usize = 4_096;

/// Bytes of the same as plain text (the same page).
const TEXT_BYTES_MAX: usize = 2_048;

/// How long to wait after a message too many: the limit counts by the minute (the same page).
const AFTER_TOO_MANY: Duration = Duration::from_mins(1);

/// Bytes of reminders in one message, of the 4096 bytes.
pub(super) const REMINDER_BYTES: usize = 3_200;

/// How the robot answers (<https://developer.work.weixin.qq.com/document/path/90455>).
const NAMES: Names = Names { code: &["errcode"], words: &["errmsg"] };

/// A robot. Its address holds its key; it knows no signatures, and secrets are not used.
#[derive(Debug)]
pub struct Wecom {
    http: Http,
    style: Style,
    callees: Callees,
}

impl Wecom {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        Ok(Self { http: Http::new(settings)?, style: settings.style, callees: settings.callees()? })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let body = body(message, self.style, self.callees.of_message(message));
        let answer = self.http.post(Post::json(body.to_string().into_bytes()), now).await?;
        verdict(&answer, NAMES, |code, _| meaning(code))
    }
}

/// What a code asks for (<https://developer.work.weixin.qq.com/document/path/90455>). One that the page does not have
/// is refused, which is tried again a few times all the same.
const fn meaning(code: i64) -> Meaning {
    match code {
        // Busy; two writers at once.
        -1 | 6_000 => Meaning::Later(None),
        // Too many calls; too many at the same moment.
        45_009 | 45_033 => Meaning::Later(Some(AFTER_TOO_MANY)),
        // 93000: a wrong key, or the robot was taken out of its group. 40058: a field is wrong or too long.
        _ => Meaning::Refused,
    }
}

/// The message as it is posted. Markdown can call members by user id alone (`<@userid>`): a message that calls phone
/// numbers or everybody is plain text, whatever the style
/// (<https://developer.work.weixin.qq.com/document/path/91770>, `mentioned_mobile_list` and `mentioned_list`).
fn body(message: &Message, style: Style, called: Option<&Callees>) -> Value {
    let is_text = style == Style::Text || called.is_some_and(|called| called.all || !called.mobiles.is_empty());
    if !is_text {
        let calls = called.map(|called| called.users.iter().map(|id| format!("<@{id}>")).collect::<Vec<_>>().join(" "));
        return json!({ "msgtype": "markdown", "markdown": { "content": content(message, &calls.unwrap_or_default()) } });
    }
    let compose = |shown: &Fitted<'_>| plain::text(shown, escape::plain, "");
    let mut text = json!({ "content": fit(message, compose, |content| content.len() <= TEXT_BYTES_MAX) });
    if let Some(called) = called {
        let all = called.all.then(|| "@all".to_owned());
        let users: Vec<String> = all.into_iter().chain(called.users.iter().cloned()).collect();
        if !users.is_empty() {
            text["mentioned_list"] = users.into();
        }
        if !called.mobiles.is_empty() {
            text["mentioned_mobile_list"] = called.mobiles.clone().into();
        }
    }
    json!({ "msgtype": "text", "text": text })
}

/// The message in the dialect of <https://developer.work.weixin.qq.com/document/path/91770>: headings, bold, links,
/// code, quotes, and three colours by name.
fn content(message: &Message, calls: &str) -> String {
    fit(message, |shown| compose(shown, calls), |content| content.len() <= CONTENT_BYTES_MAX)
}

fn compose(shown: &Fitted<'_>, calls: &str) -> String {
    let mark = coloured(colour(shown.message.mood), labels::mood(shown.message));
    let mut parts = vec![format!("### {mark} {}", full_width(&shown.title))];
    if !shown.lead.is_empty() {
        parts.push(full_width(&shown.lead));
    }
    let table = table(shown);
    if !table.is_empty() {
        parts.push(table.join("\n"));
    }
    let mut end = Vec::new();
    if let Some(link) = &shown.link {
        end.push(format!("[{}]({link})", labels::see(shown.language())));
    }
    if !shown.hint.is_empty() {
        end.push(labels::run(shown.language(), &code(&shown.hint)));
    }
    end.push(coloured("comment", &shown.footer));
    if !calls.is_empty() {
        end.push(calls.to_owned());
    }
    parts.push(end.join("\n"));
    parts.join("\n\n")
}

/// The table as quoted lines.
fn table(shown: &Fitted<'_>) -> Vec<String> {
    let mut lines = shown.only_row(full_width).unwrap_or_else(|| {
        let heads = shown.heads(full_width).map(|heads| coloured("comment", &heads));
        heads.into_iter().chain(shown.lines(full_width, "**")).collect()
    });
    lines.extend(shown.more.iter().map(|more| coloured("comment", more)));
    lines.iter().map(|line| format!("> {line}")).collect()
}

fn coloured(colour: &str, text: &str) -> String {
    format!("<font color=\"{colour}\">{text}</font>")
}

/// The three colours that the page knows: orange, green and grey.
const fn colour(mood: Severity) -> &'static str {
    match mood {
        Severity::Fired | Severity::Repeated => "warning",
        Severity::Resolved => "info",
        Severity::News => "comment",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::text::Language, notify::fixture::message};

    #[test]
    fn what_a_person_sees() {
        let message = Message { total: 34, ..message() };
        assert_eq!(
            content(&message, ""),
            r#"### <font color="warning">需要处理</font> 3 个关联请求在等公众号管理员

请提醒管理员打开微信中的“公众平台安全助手”并同意。

> <font color="comment">公众号 · 小程序 · 已等待</font>
> **小店** · wx00000000000000aa · 3天 4小时
> **书屋** · wx00000000000000bb · 3天 1小时
> **茶馆** · wx00000000000000cc · 2天 22小时
> <font color="comment">……另有 31 条</font>

[查看详情](https://amplinkd.example/alerts?rule=stuck)
运行：`amplinkd alert list --rule stuck`
<font color="comment">amplinkd · 2026-11-23 03:03 北京时间</font>"#
        );
    }

    #[test]
    fn one_thing_that_is_over_told_in_english() {
        let mut message = message();
        message.rows.truncate(1);
        message.rows[0] = ["Corner shop", "wx00000000000000aa", "3d 4h"].map(str::to_owned).to_vec();
        message.columns = ["Account", "Program", "Waited"].map(str::to_owned).to_vec();
        let message = Message {
            mood: Severity::Resolved,
            language: Language::En,
            title: "The account administrator agreed".to_owned(),
            lead: String::new(),
            total: 1,
            link: None,
            hint: String::new(),
            ..message
        };
        assert_eq!(
            content(&message, ""),
            r#"### <font color="info">Resolved</font> The account administrator agreed

> Account: Corner shop
> Program: wx00000000000000aa
> Waited: 3d 4h

<font color="comment">amplinkd · 2026-11-23 03:03 Beijing time</font>"#
        );
    }

    #[test]
    fn a_message_is_as_long_as_it_may_be_and_no_longer() {
        let row = |n: usize| vec![format!("公众号{n:03}"), format!("wx{n:016x}"), "等待三天四小时".to_owned()];
        let lengths: Vec<usize> = (0..40)
            .map(|pad| {
                let lead = "请".repeat(pad);
                content(&Message { lead, rows: (0..100).map(row).collect(), total: 100, ..message() }, "").len()
            })
            .collect();
        assert!(lengths.iter().all(|length| *length <= CONTENT_BYTES_MAX), "{lengths:?}");
        // One more row of 72 bytes would not have fitted.
        assert!(lengths.iter().all(|length| *length > CONTENT_BYTES_MAX - 72), "{lengths:?}");
        assert!(lengths.iter().any(|length| *length > CONTENT_BYTES_MAX - 3), "to the byte: {lengths:?}");
    }

    #[test]
    fn nobody_is_mentioned_and_no_layout_breaks() {
        let mut message = message();
        message.title = "<@all>\n# 注意".to_owned();
        message.lead = "> <@zhangsan> **现在**".to_owned();
        message.rows[0][0] = "**<@all>** <font color=\"info\">\n> x".to_owned();
        message.hint = "amplinkd `<@all>`".to_owned();
        let content = content(&message, "");
        assert!(!content.contains("<@"), "{content}");
        assert_eq!(content.matches("<font").count(), 3, "{content}");
        assert_eq!(content.lines().filter(|line| line.starts_with("> ")).count(), 4, "{content}");
        assert_eq!(content.matches('`').count(), 2, "{content}");
    }

    #[test]
    fn as_text_it_says_the_same_without_markup() {
        let body = body(&Message { total: 34, ..message() }, Style::Text, None);
        let expected = "【需要处理】3 个关联请求在等公众号管理员\n\
                        请提醒管理员打开微信中的“公众平台安全助手”并同意。\n\
                        公众号 · 小程序 · 已等待\n\
                        • 小店 · wx00000000000000aa · 3天 4小时\n\
                        • 书屋 · wx00000000000000bb · 3天 1小时\n\
                        • 茶馆 · wx00000000000000cc · 2天 22小时\n\
                        ……另有 31 条\n\
                        查看详情：https://amplinkd.example/alerts?rule=stuck\n\
                        运行：amplinkd alert list --rule stuck\n\
                        amplinkd · 2026-11-23 03:03 北京时间";
        assert_eq!(body, json!({ "msgtype": "text", "text": { "content": expected } }));
        let row = |n: usize| vec![format!("<@all>{n:03}"), format!("@all{n:016x}"), "等待三天四小时".to_owned()];
        let long = Message { rows: (0..100).map(row).collect(), total: 100, ..message() };
        let content = self::body(&long, Style::Text, None)["text"]["content"].as_str().unwrap().to_owned();
        assert!((TEXT_BYTES_MAX - 80..=TEXT_BYTES_MAX).contains(&content.len()), "{}", content.len());
        assert!(!content.contains(['@', '<']), "{content}");
    }

    #[test]
    fn those_who_must_act_are_called_as_the_type_of_message_can() {
        let called = |people: &[&str]| {
            let mention = super::super::mention::Mention::These(people.iter().map(|id| (*id).to_owned()).collect());
            Callees::of(&mention, super::super::Kind::Wecom).unwrap()
        };
        let by_id = body(&message(), Style::Rich, Some(&called(&["lisi", "wang.wu"])));
        assert_eq!(by_id["msgtype"], "markdown");
        assert!(by_id["markdown"]["content"].as_str().unwrap().ends_with("</font>\n<@lisi> <@wang.wu>"), "{by_id}");

        let by_phone = body(&message(), Style::Rich, Some(&called(&["13800138000", "lisi"])));
        assert_eq!(by_phone["msgtype"], "text");
        assert_eq!(by_phone["text"]["mentioned_mobile_list"], json!(["13800138000"]));
        assert_eq!(by_phone["text"]["mentioned_list"], json!(["lisi"]));

        let all = body(&message(), Style::Rich, Some(&Callees { all: true, ..Callees::default() }));
        assert_eq!(all["text"]["mentioned_list"], json!(["@all"]));
    }
}
