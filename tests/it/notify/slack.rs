//! Stories of Slack's incoming webhook, told by a channel that answers as the real one does.

use serde_json::Value;

use super::*;

const HOOK: &str = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";

/// A channel that checks blocks as Slack does.
fn workspace(received: &Received) -> Reply {
    let refused = |status: u16, words: &str| Reply::Status(status, words.to_owned());
    if received.path != HOOK {
        return refused(404, "no_service");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&received.body) else { return refused(400, "invalid_payload") };
    if body["text"].as_str().is_none_or(str::is_empty) {
        return refused(400, "no_text");
    }
    let Some(blocks) = body["blocks"].as_array().filter(|blocks| !blocks.is_empty() && blocks.len() <= 50) else {
        return refused(400, "invalid_blocks");
    };
    if blocks.iter().all(is_block) { Reply::Status(200, "ok".to_owned()) } else { refused(400, "invalid_blocks") }
}

fn is_block(block: &Value) -> bool {
    let text = |text: &Value, kinds: &[&str], most: usize| {
        let kind = text["type"].as_str().unwrap_or_default();
        let only_where_it_may = text.get("verbatim").is_none() || kind == "mrkdwn";
        let length = text["text"].as_str().unwrap_or_default().chars().count();
        kinds.contains(&kind) && only_where_it_may && (1..=most).contains(&length)
    };
    match block["type"].as_str().unwrap_or_default() {
        "header" => text(&block["text"], &["plain_text"], 150),
        "section" => text(&block["text"], &["plain_text", "mrkdwn"], 3_000),
        "context" => block["elements"].as_array().is_some_and(|all| {
            (1..=10).contains(&all.len()) && all.iter().all(|one| text(one, &["plain_text", "mrkdwn"], 3_000))
        }),
        _ => false,
    }
}

async fn sent(server: &Server, message: &Message) -> (&'static str, Option<u64>, String) {
    outcome(channel(Kind::Slack, &format!("{}{HOOK}", server.url), &[]).send(message, NOW).await)
}

#[tokio::test]
async fn a_channel_is_told() {
    let server = Server::start(workspace).await;
    let message = Message { language: Language::En, title: "The administrator agreed".to_owned(), ..message() };
    assert_eq!(sent(&server, &message).await, ("sent", None, String::new()));
    let body = server.only().json();
    let alone = body["text"].as_str().unwrap();
    assert!(alone.starts_with("Action needed: The administrator agreed\n请提醒管理员在微信里同意。\n"), "{alone}");
    assert_eq!(body["blocks"][0]["text"]["text"], "Action needed: The administrator agreed");
}

#[tokio::test]
async fn a_long_list_is_cut_to_what_a_channel_takes() {
    let server = Server::start(workspace).await;
    let message = Message { title: "长".repeat(400), lead: "&".repeat(5_000), ..crowd(5_000) };
    assert_eq!(sent(&server, &message).await.0, "sent");
    let table = server.only().json()["blocks"][2]["text"]["text"].as_str().unwrap().to_owned();
    assert!(table.chars().count() > 2_900 && table.contains("\n……另有 49"), "{table}");
}

#[tokio::test]
async fn nobody_is_woken_by_a_name() {
    let server = Server::start(workspace).await;
    let mut message = message();
    message.rows[0][0] = "<!channel> <@U012AB3CD>".to_owned();
    assert_eq!(sent(&server, &message).await.0, "sent");
    let received = server.only();
    assert!(received.text().contains("&lt;!channel&gt; &lt;@U012AB3CD&gt;") && !received.text().contains("<!"));
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    let wait = vec![("retry-after", "30".to_owned())];
    let said = |status: u16, words: &str| Reply::Status(status, words.to_owned());
    for (reply, expected) in [
        (
            Reply::With(429, wait, "rate_limited".to_owned()),
            ("later", Some(30), "HTTP 429 Too Many Requests: rate_limited"),
        ),
        (said(400, "invalid_payload"), ("refused", None, "HTTP 400 Bad Request: invalid_payload")),
        (said(403, "action_prohibited"), ("refused", None, "HTTP 403 Forbidden: action_prohibited")),
        (said(404, "no_service"), ("refused", None, "HTTP 404 Not Found: no_service")),
        (said(410, "channel_is_archived"), ("gone", None, "HTTP 410 Gone: channel_is_archived")),
        (said(500, "rollup_error"), ("later", None, "HTTP 500 Internal Server Error: rollup_error")),
        (
            said(200, r#"{"ok":false,"error":"no_text"}"#),
            ("refused", None, "HTTP 200 OK with a refusal: {\"ok\":false,\"error\":\"no_text\"}"),
        ),
        (said(200, "<html>log in</html>"), ("unconfirmed", None, "HTTP 200 OK without \"ok\": <html>log in</html>")),
        (said(200, r#"{"ok":true}"#), ("sent", None, "")),
    ] {
        let server = Server::always(reply).await;
        let (what, after, why) = sent(&server, &message()).await;
        assert_eq!((what, after, why.as_str()), expected);
    }
}

/// What Mattermost makes of a message: it shows `text` alone, and finds mentions in it, its own and Slack's
/// (<https://developers.mattermost.com/integrate/webhooks/incoming/>).
fn mattermost(received: &Received) -> Reply {
    match received.json()["text"].as_str() {
        None | Some("") => Reply::Status(400, r#"{"id":"web.incoming_webhook.text.app_error"}"#.to_owned()),
        Some(text) if text.chars().count() > 4_000 => Reply::Status(400, "too long".to_owned()),
        Some(_) => Reply::Status(200, "ok".to_owned()),
    }
}

fn mentioned(text: &str) -> Vec<String> {
    let words = text.replace("<!channel>", " @channel ").replace("<!here>", " @here ").replace("<!everyone>", " @all ");
    let words = words.replace("<@", " @");
    let names = words.split('@').skip(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect());
    names.filter(|name: &String| !name.is_empty()).collect()
}

#[tokio::test]
async fn a_service_that_shows_text_alone_tells_who_must_do_what_and_calls_only_those_it_should() {
    let server = Server::start(mattermost).await;
    let settings =
        |mention| ChannelSettings { mention, ..settings(Kind::Slack, &format!("{}/hooks/k", server.url), &[]) };
    let mut nasty = message();
    nasty.title = "@all <!here> waits".to_owned();
    nasty.lead = "Ask @channel, @li and <@U012AB3CD> to agree & \n@here".to_owned();
    nasty.rows[0][0] = "![@everyone](https://a.example) <!channel>".to_owned();
    Channel::new(&settings(Mention::Nobody)).unwrap().send(&nasty, NOW).await.unwrap();
    let text = server.only().json()["text"].as_str().unwrap().to_owned();
    assert_eq!(mentioned(&text), [""; 0], "{text}");
    for word in
        ["Ask ＠channel", "书屋", "wx00000000000000cc", "https://amplinkd.example/alerts?rule=stuck", "alert list"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let called = settings(Mention::These(vec!["@oncall".to_owned(), "U012AB3CD".to_owned()]));
    let called = Channel::new(&called).unwrap();
    called.send(&nasty, NOW).await.unwrap();
    called.send(&Message { mood: Severity::Resolved, ..nasty.clone() }, NOW).await.unwrap();
    Channel::new(&settings(Mention::All)).unwrap().send(&crowd(5_000), NOW).await.unwrap();
    let texts: Vec<_> = server.received().iter().map(|sent| mentioned(sent.json()["text"].as_str().unwrap())).collect();
    assert_eq!(texts[1..], [vec!["oncall".to_owned(), "U012AB3CD".to_owned()], vec![], vec!["channel".to_owned()]]);
}
