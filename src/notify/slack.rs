//! The channel `slack`: an incoming webhook with blocks. It mentions nobody: whom to wake is the channel's own setting.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ChannelError, ChannelSettings, Pace, SendError,
    escape::{code, slack},
    http::{Answer, Http, Post, said},
    labels,
    truncate::{Fitted, fit},
};
use crate::domain::{message::Message, text::format::clip, time::Time};

/// One message in a second (<https://docs.slack.dev/apis/web-api/rate-limits>), one after the other.
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((1, Duration::from_secs(1))) };

/// Characters of a header (<https://docs.slack.dev/reference/block-kit/blocks/header-block>).
const HEADER_MAX: usize = 150;

/// Characters of a text (<https://docs.slack.dev/reference/block-kit/composition-objects/text-object>). The table is
/// one text: some forty rows, which is more than a phone shows without folding.
const TEXT_MAX: usize = 3_000;

/// An address that posts into one channel. The whole address is the key; secrets are not used.
#[derive(Debug)]
pub struct Slack {
    http: Http,
}

impl Slack {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        Ok(Self { http: Http::new(settings)? })
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let body = body(message).to_string().into_bytes();
        let answer = self.http.post(Post::json(body), now).await?;
        answer.accepted()?;
        if says_ok(&answer) {
            return Ok(());
        }
        // A page of log-in or of maintenance comes with 200 too.
        let why = said(&format!("HTTP {} without \"ok\"", answer.status), &answer.words());
        Err(SendError::Later { why, after: None })
    }
}

/// Slack says `ok` (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>); services that take
/// the same messages say it in JSON.
fn says_ok(answer: &Answer<'_>) -> bool {
    if answer.body.trim_ascii().eq_ignore_ascii_case(b"ok") {
        return true;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["ok"] == true || body["success"] == true
}

fn body(message: &Message) -> Value {
    fit(message, compose, |body| body["blocks"].as_array().into_iter().flatten().all(fits))
}

/// Whether a block's text is short enough for Slack, which counts what is sent, entities and markup included.
fn fits(block: &Value) -> bool {
    block["text"]["text"].as_str().is_none_or(|text| text.chars().count() <= TEXT_MAX)
}

fn compose(shown: &Fitted<'_>) -> Value {
    let headline = shown.headline();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&clip(&headline, HEADER_MAX)) })];
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
    blocks.push(json!({ "type": "context", "elements": [plain(&shown.footer)] }));
    // The text is what notifications show, and screen readers read.
    json!({ "text": slack(&headline), "blocks": blocks })
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
fn plain(text: &str) -> Value {
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
            body(&message),
            json!({
                "text": "Action needed: 34 link requests wait for account administrators",
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
            let length = body(&message)["blocks"][2]["text"]["text"].as_str().unwrap().chars().count();
            assert!((TEXT_MAX - 50 - pad * 5..=TEXT_MAX).contains(&length), "{length}");
        }
        let long = body(&Message { title: "题".repeat(500), ..message() });
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
        let body = body(&message).to_string();
        assert!(!body.contains("<!") && !body.contains("<@"), "{body}");
        assert_eq!(body.matches("• *").count(), 3, "{body}");
    }
}
