//! The channel `slack`: an incoming webhook with blocks, and the whole message as text for services such as Mattermost,
//! which take the same messages and show nothing else. It mentions only whom the configuration names.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ChannelError, ChannelSettings, Pace, SendError,
    escape::{code, markdown, slack},
    labels,
    mention::Callees,
    plain,
    post::{Answer, Http, Post, said},
    truncate::{Fitted, fit},
};
use crate::domain::{message::Message, text::format::clip, time::Time};

/// One message in a second (<https://docs.slack.dev/apis/web-api/rate-limits>), one after the other.
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((1, Duration::from_secs(1))) };

/// Characters of a header (<https://docs.slack.dev/reference/block-kit/blocks/header-block>).
const HEADER_MAX: usize = 150;

/// Characters of a text (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>). The table is
/// one text: some forty rows, which is more than a phone shows without folding. The message as text alone keeps to it,
/// too: older servers of Mattermost take 4,000.
const TEXT_MAX: usize = 3_000;

/// Bytes of reminders in one message, of the 3000 characters.
pub(super) const REMINDER_BYTES: usize = 2_200;

/// An address that posts into one channel. The whole address is the key; secrets are not used.
#[derive(Debug)]
pub struct Slack {
    http: Http,
    callees: Callees,
}

impl Slack {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        Ok(Self { http: Http::new(settings)?, callees: settings.callees()? })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let calls = self.callees.of_message(message).map(calls).unwrap_or_default();
        let body = body(message, &calls).to_string().into_bytes();
        let answer = self.http.post(Post::json(body), now).await?;
        answer.accepted()?;
        let why = |what: &str| said(&format!("HTTP {} {what}", answer.status), &answer.words());
        match says_ok(&answer) {
            Some(true) => Ok(()),
            Some(false) => Err(SendError::Refused { why: why("with a refusal") }),
            // A page of log-in or of maintenance comes with 200 too.
            None => Err(SendError::Unconfirmed { why: why("without \"ok\"") }),
        }
    }
}

/// Slack says `ok` (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>); services that take
/// the same messages say yes or no in JSON. Nothing when it says neither.
fn says_ok(answer: &Answer<'_>) -> Option<bool> {
    if answer.body.trim_ascii().eq_ignore_ascii_case(b"ok") {
        return Some(true);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    ["ok", "success"].into_iter().find_map(|name| body.get(name)?.as_bool())
}

/// Whom the message calls, as Slack writes it
/// (<https://docs.slack.dev/messaging/formatting-message-text#mentioning-users>); Mattermost takes `<!channel>`, too.
fn calls(callees: &Callees) -> String {
    let one = |id: &String| match id.as_bytes().first() {
        Some(b'@') => id.clone(),
        Some(b'S') => format!("<!subteam^{id}>"),
        Some(_) | None => format!("<@{id}>"),
    };
    let all = callees.all.then(|| "<!channel>".to_owned());
    all.into_iter().chain(callees.users.iter().map(one)).collect::<Vec<_>>().join(" ")
}

fn body(message: &Message, calls: &str) -> Value {
    let blocks = fit(message, |shown| blocks(shown, calls), |blocks| blocks.iter().all(fits));
    let alone = fit(message, |shown| plain::text(shown, markdown, calls), |text| text.chars().count() <= TEXT_MAX);
    // Slack shows the text in notifications only, and screen readers read it; others show nothing but it.
    json!({ "text": alone, "blocks": blocks })
}

/// Whether a block's text is short enough for Slack, which counts what is sent, entities and markup included.
fn fits(block: &Value) -> bool {
    block["text"]["text"].as_str().is_none_or(|text| text.chars().count() <= TEXT_MAX)
}

fn blocks(shown: &Fitted<'_>, calls: &str) -> Vec<Value> {
    let mut blocks = vec![json!({ "type": "header", "text": unmarked(&clip(&shown.headline(), HEADER_MAX)) })];
    if !shown.lead.is_empty() {
        blocks.push(section(&slack(&shown.lead)));
    }
    let table = table(shown);
    if !table.is_empty() {
        blocks.push(section(&table.join("\n")));
    }
    let mut end = Vec::new();
    if let Some(link) = &shown.link {
        end.push(format!("<{}|{}>", link.replace('&', "&amp;"), labels::see(shown.language())));
    }
    if !shown.hint.is_empty() {
        end.push(labels::run(shown.language(), &code(&shown.hint.replace('&', "&amp;"))));
    }
    if !end.is_empty() {
        blocks.push(section(&end.join("\n")));
    }
    if !calls.is_empty() {
        blocks.push(section(calls));
    }
    blocks.push(json!({ "type": "context", "elements": [unmarked(&shown.footer)] }));
    blocks
}

fn table(shown: &Fitted<'_>) -> Vec<String> {
    let mut lines = shown.only_row(slack).unwrap_or_else(|| {
        let rows = shown.lines(slack, "*").map(|line| format!("• {line}"));
        shown.heads(slack).into_iter().chain(rows).collect()
    });
    lines.extend(shown.more.clone());
    lines
}

/// A text with markup of ours. `verbatim` keeps Slack from finding names, addresses and mentions in it by itself
/// (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>).
fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

/// A text without markup; pointed brackets are turned all the same, as mentions are made of them.
fn unmarked(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text.replace('<', "＜").replace('>', "＞"), "emoji": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::text::Language, notify::fixture::message};

    #[test]
    fn what_a_person_sees() {
        let mut message = Message { total: 34, language: Language::En, ..message() };
        message.title = "34 link requests wait for account administrators".to_owned();
        message.lead = "Ask them to open WeChat & agree.".to_owned();
        message.columns = ["Account", "Program", "Waited"].map(str::to_owned).to_vec();
        assert_eq!(
            body(&message, ""),
            json!({
                "text": "Action needed: 34 link requests wait for account administrators\n\
                         Ask them to open WeChat &amp; agree.\n\
                         Account · Program · Waited\n\
                         • 小店 · wx00000000000000aa · 3天 4小时\n\
                         • 书屋 · wx00000000000000bb · 3天 1小时\n\
                         • 茶馆 · wx00000000000000cc · 2天 22小时\n\
                         …and 31 more\n\
                         See details: https://amplinkd.example/alerts?rule=stuck\n\
                         Run: amplinkd alert list --rule stuck\n\
                         amplinkd · 2026-11-23 03:03 Beijing time",
                "blocks": [
                    { "type": "header", "text": {
                        "type": "plain_text",
                        "text": "Action needed: 34 link requests wait for account administrators",
                        "emoji": false,
                    } },
                    { "type": "section", "text": {
                        "type": "mrkdwn",
                        "text": "Ask them to open WeChat &amp; agree.",
                        "verbatim": true,
                    } },
                    { "type": "section", "text": {
                        "type": "mrkdwn",
                        "text": "Account · Program · Waited\n\
                                 • *小店* · wx00000000000000aa · 3天 4小时\n\
                                 • *书屋* · wx00000000000000bb · 3天 1小时\n\
                                 • *茶馆* · wx00000000000000cc · 2天 22小时\n\
                                 …and 31 more",
                        "verbatim": true,
                    } },
                    { "type": "section", "text": {
                        "type": "mrkdwn",
                        "text": "<https://amplinkd.example/alerts?rule=stuck|See details>\n\
                                 Run: `amplinkd alert list --rule stuck`",
                        "verbatim": true,
                    } },
                    { "type": "context", "elements": [
                        { "type": "plain_text", "text": "amplinkd · 2026-11-23 03:03 Beijing time", "emoji": false },
                    ] },
                ],
            })
        );
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be_and_no_longer() {
        for pad in (0..40).step_by(7) {
            let row = |n: usize| vec![format!("{}公众号{n:03}", "&".repeat(pad)), format!("wx{n:016x}")];
            let message = Message { rows: (0..300).map(row).collect(), total: 300, ..message() };
            let body = body(&message, "");
            for text in [&body["blocks"][2]["text"]["text"], &body["text"]] {
                let length = text.as_str().unwrap().chars().count();
                assert!((TEXT_MAX - 50 - pad * 5..=TEXT_MAX).contains(&length), "{length}");
            }
        }
        let long = body(&Message { title: "题".repeat(500), ..message() }, "");
        let header = long["blocks"][0]["text"]["text"].as_str().unwrap().chars().count();
        assert!(header <= HEADER_MAX, "{header}");
    }

    #[test]
    fn nobody_is_mentioned_and_no_layout_breaks() {
        let mut message = message();
        message.title = "<!channel> x".to_owned();
        message.lead = "<!here> <@U012|li> *now* `x`".to_owned();
        message.rows[0][0] = "*<!everyone>*\n• *y*".to_owned();
        message.hint = "amplinkd `<!channel>`".to_owned();
        message.columns[0] = "@here".to_owned();
        message.rows[1][1] = "@all @channel @li ![x](https://a.example)".to_owned();
        let shown = body(&message, "");
        let body = shown.to_string();
        assert!(!body.contains("<!") && !body.contains("<@"), "{body}");
        assert_eq!(body.matches("• *").count(), 3, "{body}");
        let alone = shown["text"].as_str().unwrap();
        assert!(!alone.contains(['@', '[', '*', '`', '<']), "{alone}");
    }

    #[test]
    fn those_who_must_act_are_called_in_the_blocks_and_in_the_text() {
        let users = ["U012AB3CD", "S0FF", "@li"].map(str::to_owned).to_vec();
        let called = calls(&Callees { users, ..Callees::default() });
        assert_eq!(called, "<@U012AB3CD> <!subteam^S0FF> @li");
        assert_eq!(calls(&Callees { all: true, ..Callees::default() }), "<!channel>");
        let body = body(&message(), &called);
        assert!(body["text"].as_str().unwrap().ends_with(&format!("\n{called}")), "{body}");
        assert!(body["blocks"].to_string().contains(&called), "{body}");
    }
}
