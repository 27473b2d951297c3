//! Stories of the robot of Feishu and Lark, told by a group that answers as the real one does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::*;

const HOOK: &str = "/open-apis/bot/v2/hook/2fe3a1c0-9d4b-4e77-8f6a-5b0c1d2e3f4a";

const SECRET: &str = "jOVtIZTqnKyGkqxHzBkQ1g";

/// A robot that wants signatures.
fn robot(received: &Received) -> Reply {
    let said = |code: i64, words: &str| Reply::Status(200, format!(r#"{{"code":{code},"data":{{}},"msg":"{words}"}}"#));
    if received.path != HOOK {
        return said(19_001, "param invalid: incoming webhook access token invalid");
    }
    let Some(body) = serde_json::from_slice::<Value>(&received.body).ok().filter(|_| received.body.len() <= 20_000)
    else {
        return said(9_499, "Bad Request");
    };
    let timestamp = body["timestamp"].as_str().unwrap_or_default();
    let seconds: i64 = timestamp.parse().unwrap_or(0);
    let mac = Hmac::<Sha256>::new_from_slice(format!("{timestamp}\n{SECRET}").as_bytes()).unwrap();
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    if (NOW.ms() / 1_000 - seconds).abs() > 3_600 || body["sign"] != expected {
        return said(19_021, "sign match fail or timestamp is not within one hour from current time");
    }
    let is_text = body["msg_type"] == "text" && body["content"]["text"].as_str().is_some_and(|text| !text.is_empty());
    let is_whole_card = body["msg_type"] == "interactive" && body["card"].is_object() && is_card(&body["card"]);
    if !is_text && !is_whole_card {
        return said(19_002, "params error, msg_type need");
    }
    let done = r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#;
    Reply::Status(200, done.to_owned())
}

/// A header with a title, and elements of the kinds that the first schema of cards knows, with texts in them.
fn is_card(card: &Value) -> bool {
    let text =
        |text: &Value| text["tag"] == "plain_text" && text["content"].as_str().is_some_and(|text| !text.is_empty());
    let element = |element: &Value| match element["tag"].as_str().unwrap_or_default() {
        "div" if element["text"]["tag"] == "lark_md" => element["text"]["content"].is_string(),
        "div" => text(&element["text"]),
        "hr" => true,
        "note" => element["elements"].as_array().is_some_and(|all| all.iter().all(text)),
        "action" => element["actions"].as_array().is_some_and(|all| {
            all.iter().all(|button| button["tag"] == "button" && text(&button["text"]) && button["url"].is_string())
        }),
        _ => false,
    };
    let colours = ["red", "orange", "green", "blue"];
    text(&card["header"]["title"])
        && card["header"]["template"].as_str().is_some_and(|colour| colours.contains(&colour))
        && card["elements"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(element))
}

async fn sent(server: &Server, secrets: &[&str], message: &Message) -> (&'static str, Option<u64>, String) {
    outcome(channel(Kind::Feishu, &format!("{}{HOOK}", server.url), secrets).send(message, NOW).await)
}

#[tokio::test]
async fn a_group_is_told_of_every_mood() {
    for (mood, colour, title) in [
        (Severity::Fired, "red", "【需要处理】3 个关联请求在等公众号管理员"),
        (Severity::Repeated, "orange", "【仍需处理】3 个关联请求在等公众号管理员"),
        (Severity::Resolved, "green", "【已解决】3 个关联请求在等公众号管理员"),
        (Severity::News, "blue", "【通知】3 个关联请求在等公众号管理员"),
    ] {
        let server = Server::start(robot).await;
        let message = Message { mood, ..message() };
        assert_eq!(sent(&server, &[SECRET], &message).await, ("sent", None, String::new()));
        let header = server.only().json()["card"]["header"].clone();
        assert_eq!((header["template"].as_str(), header["title"]["content"].as_str()), (Some(colour), Some(title)));
    }
}

#[tokio::test]
async fn a_long_list_is_cut_to_what_a_group_takes() {
    let server = Server::start(robot).await;
    assert_eq!(sent(&server, &[SECRET], &crowd(5_000)).await.0, "sent");
    assert!(server.only().body.len() > 19_900);
}

#[tokio::test]
async fn a_message_with_nothing_but_a_title_is_still_a_card() {
    let server = Server::start(robot).await;
    let message = Message {
        lead: String::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        link: None,
        hint: String::new(),
        ..message()
    };
    assert_eq!(sent(&server, &[SECRET], &message).await.0, "sent");
}

#[tokio::test]
async fn a_wrong_secret_is_for_a_person() {
    let server = Server::start(robot).await;
    let why = "code 19021: sign match fail or timestamp is not within one hour from current time".to_owned();
    assert_eq!(sent(&server, &["another"], &message()).await, ("refused", None, why));
    assert_eq!(sent(&server, &[], &message()).await.0, "refused");
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    for (status, body, expected) in [
        (200, r#"{"StatusCode":0,"StatusMessage":"success"}"#, ("sent", None, "")),
        (
            200,
            r#"{"code":11232,"msg":"frequency limited psm"}"#,
            ("later", Some(60), "code 11232: frequency limited psm"),
        ),
        (200, r#"{"code":9499,"msg":"Bad Request","data":{}}"#, ("refused", None, "code 9499: Bad Request")),
        (
            200,
            r#"{"code":9499,"msg":"too many request","data":{}}"#,
            ("later", Some(60), "code 9499: too many request"),
        ),
        (400, r#"{"code":19024,"msg":"Key Words Not Found"}"#, ("refused", None, "code 19024: Key Words Not Found")),
        (200, r#"{"code":19022,"msg":"Ip Not Allowed"}"#, ("refused", None, "code 19022: Ip Not Allowed")),
        (429, r#"{"code":99991400}"#, ("later", None, r#"HTTP 429 Too Many Requests: {"code":99991400}"#)),
        (404, r#"{"code":0}"#, ("refused", None, r#"HTTP 404 Not Found: {"code":0}"#)),
        (200, r#"{"code":"0"}"#, ("sent", None, "")),
        (200, r#"{"code":"19022","msg":"Ip Not Allowed"}"#, ("refused", None, "code 19022: Ip Not Allowed")),
        (200, r#"{"code":null}"#, ("unconfirmed", None, r#"HTTP 200 OK without a code: {"code":null}"#)),
    ] {
        let server = Server::always(Reply::Status(status, body.to_owned())).await;
        let (what, after, why) = sent(&server, &[SECRET], &message()).await;
        assert_eq!((what, after, why.as_str()), expected);
    }
}

/// Whom a group would call: each `at` of a text, or of the Markdown in a card.
fn called(body: &Value) -> Vec<String> {
    let markdown = body["card"]["elements"].as_array().into_iter().flatten().map(|element| &element["text"]);
    let markdown = markdown.filter(|text| text["tag"] == "lark_md").map(|text| &text["content"]);
    let texts: String = markdown.chain([&body["content"]["text"]]).filter_map(Value::as_str).collect();
    let ids = texts.split("<at ").skip(1).filter_map(|at| at.split(['=', '>']).nth(1));
    ids.map(|id| id.trim_matches('"').to_owned()).collect()
}

#[tokio::test]
async fn those_who_must_act_are_called_and_only_then() {
    let server = Server::start(robot).await;
    let channel = |style, mention| {
        let url = format!("{}{HOOK}", server.url);
        Channel::new(&ChannelSettings { style, mention, ..settings(Kind::Feishu, &url, &[SECRET]) }).unwrap()
    };
    let mut nasty = message();
    nasty.title = "<at user_id=\"all\"></at>".to_owned();
    nasty.rows[0][0] = "<at id=all></at> @all".to_owned();
    for style in [Style::Rich, Style::Text] {
        let some = Mention::These(vec!["ou_18eac85d35a26f989317ad4f02e8bbbb".to_owned()]);
        channel(style, some).send(&nasty, NOW).await.unwrap();
        channel(style, Mention::All).send(&crowd(5_000), NOW).await.unwrap();
        channel(style, Mention::All).send(&Message { mood: Severity::Resolved, ..nasty.clone() }, NOW).await.unwrap();
    }
    let sent: Vec<_> = server.received().iter().map(|sent| called(&sent.json())).collect();
    let (one, all) = (vec!["ou_18eac85d35a26f989317ad4f02e8bbbb".to_owned()], vec!["all".to_owned()]);
    assert_eq!(sent, [one.clone(), all.clone(), vec![], one, all, vec![]]);
}
