//! Stories of the robot of `WeCom`, told by a group that answers as the real one does.

use super::*;

const KEY: &str = "693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa";

/// A group's robot: it knows one key, counts bytes, and knows two types of message.
fn robot(received: &Received) -> Reply {
    let said = |code: i64, words: &str| Reply::Status(200, format!(r#"{{"errcode":{code},"errmsg":"{words}"}}"#));
    if received.path != "/cgi-bin/webhook/send" || received.query.get("key").map(String::as_str) != Some(KEY) {
        let hint = "hint: [1704540159128593240839785], from ip: 203.0.113.7";
        return said(93_000, &format!("invalid webhook url, {hint}"));
    }
    if !received.header("content-type").starts_with("application/json") {
        return said(40_008, "invalid message type");
    }
    let body = received.json();
    let (kind, most) = match body["msgtype"].as_str() {
        Some("markdown") => ("markdown", 4_096),
        Some("text") => ("text", 2_048),
        _ => return said(40_008, "invalid message type"),
    };
    match body[kind]["content"].as_str() {
        None | Some("") => said(44_004, "content size out of limit"),
        Some(content) if content.len() > most => {
            said(40_058, &format!("{kind}.content exceed max length {most}. invalid Request Parameter"))
        }
        Some(_) => said(0, "ok"),
    }
}

async fn sent(server: &Server, key: &str, message: &Message) -> (&'static str, Option<u64>, String) {
    let url = format!("{}/cgi-bin/webhook/send?key={key}", server.url);
    outcome(channel(Kind::Wecom, &url, &[]).send(message, NOW).await)
}

#[tokio::test]
async fn a_group_is_told() {
    let server = Server::start(robot).await;
    assert_eq!(sent(&server, KEY, &message()).await, ("sent", None, String::new()));
    let content = server.only().json()["markdown"]["content"].as_str().unwrap().to_owned();
    assert!(
        content.starts_with("### <font color=\"warning\">需要处理</font> 3 个关联请求在等公众号管理员\n"),
        "{content}"
    );
}

#[tokio::test]
async fn a_long_list_is_cut_to_what_a_group_takes() {
    let server = Server::start(robot).await;
    assert_eq!(sent(&server, KEY, &crowd(5_000)).await.0, "sent");
    let content = server.only().json()["markdown"]["content"].as_str().unwrap().to_owned();
    assert!(content.len() > 4_000 && content.contains("> <font color=\"comment\">……另有 49"), "{content}");
}

#[tokio::test]
async fn a_wrong_key_is_for_a_person() {
    let server = Server::start(robot).await;
    let (what, after, why) = sent(&server, "another-key-0000", &message()).await;
    assert_eq!((what, after), ("refused", None));
    assert_eq!(why, "errcode 93000: invalid webhook url, hint: [1704540159128593240839785], from ip: 203.0.113.7");
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    for (body, expected) in [
        (
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            ("later", Some(60), "errcode 45009: api freq out of limit"),
        ),
        (r#"{"errcode":-1,"errmsg":"system busy"}"#, ("later", None, "errcode -1: system busy")),
        (r#"{"errcode":40058,"errmsg":"too long"}"#, ("refused", None, "errcode 40058: too long")),
        (r#"{"errcode":12345678}"#, ("refused", None, "errcode 12345678")),
        ("<html>log in</html>", ("unconfirmed", None, "HTTP 200 OK without a code: <html>log in</html>")),
        ("", ("unconfirmed", None, "HTTP 200 OK without a code")),
    ] {
        let server = Server::always(Reply::Status(200, body.to_owned())).await;
        let (what, after, why) = sent(&server, KEY, &message()).await;
        assert_eq!((what, after, why.as_str()), expected);
    }
    let server = Server::always(Reply::Status(502, "bad gateway".to_owned())).await;
    assert_eq!(sent(&server, KEY, &message()).await, ("later", None, "HTTP 502 Bad Gateway: bad gateway".to_owned()));
}

#[tokio::test]
async fn those_who_must_act_are_called_by_their_number_and_only_then() {
    let server = Server::start(robot).await;
    let settings = |style, mention| {
        let url = format!("{}/cgi-bin/webhook/send?key={KEY}", server.url);
        Channel::new(&ChannelSettings { style, mention, ..settings(Kind::Wecom, &url, &[]) }).unwrap()
    };
    let number = || Mention::These(vec!["13800138000".to_owned()]);
    settings(Style::Rich, number()).send(&crowd(5_000), NOW).await.unwrap();
    settings(Style::Rich, number()).send(&Message { mood: Severity::Resolved, ..message() }, NOW).await.unwrap();
    settings(Style::Text, Mention::Nobody).send(&crowd(5_000), NOW).await.unwrap();
    let sent: Vec<_> = server.received().iter().map(Received::json).collect();
    assert_eq!(sent[0]["text"]["mentioned_mobile_list"], serde_json::json!(["13800138000"]));
    assert_eq!(sent[1]["msgtype"], "markdown");
    assert!(!sent[1].to_string().contains("13800138000"), "{}", sent[1]);
    assert_eq!(sent[2]["msgtype"], "text");
    assert!(
        sent[2]["text"]["content"].as_str().unwrap().contains("……另有 49")
            && sent[2]["text"].get("mentioned_list").is_none()
    );
}
