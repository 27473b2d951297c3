//! Stories of the robot of `DingTalk`, told by a group that answers as the real one does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::*;

const TOKEN: &str = "566cc69da782ec33af5c1a1f0a3b5d7e9c2b4a6f8e0d1c3b5a7f9e8d6c4b2a10";

/// It has characters that must be encoded when they are signed into a query.
const SECRET: &str = "SECa0ab7f3ba9742c0/+=";

/// A robot that wants signatures: its answers are those that people report.
fn robot(received: &Received) -> Reply {
    let said = |code: i64, words: &str| Reply::Status(200, format!(r#"{{"errcode":{code},"errmsg":"{words}"}}"#));
    let given = |name: &str| received.query.get(name).map_or("", String::as_str);
    if received.path != "/robot/send" || given("access_token") != TOKEN {
        return said(300_005, "token is not exist");
    }
    let timestamp: i64 = given("timestamp").parse().unwrap_or(0);
    if (NOW.ms() - timestamp).abs() > 3_600_000 {
        return said(310_000, "invalid timestamp");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{timestamp}\n{SECRET}").as_bytes());
    if STANDARD.encode(mac.finalize().into_bytes()) != given("sign") {
        let words = "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中";
        return said(310_000, words);
    }
    if received.body.len() > 20_000 {
        return said(460_101, "message too long, exceed 20000 bytes");
    }
    let body = received.json();
    let filled = |path: &str| body.pointer(path).and_then(|text| text.as_str()).is_some_and(|text| !text.is_empty());
    let is_whole = match body["msgtype"].as_str() {
        Some("markdown") => filled("/markdown/title") && filled("/markdown/text"),
        Some("text") => filled("/text/content"),
        _ => false,
    };
    match is_whole {
        true if body["at"]["isAtAll"] == true => said(400_105, "it would wake everybody"),
        true => said(0, "ok"),
        false => said(400_801, "miss param"),
    }
}

async fn sent(server: &Server, secrets: &[&str], message: &Message, now: Time) -> (&'static str, Option<u64>, String) {
    let url = format!("{}/robot/send?access_token={TOKEN}", server.url);
    outcome(channel(Kind::Dingtalk, &url, secrets).send(message, now).await)
}

#[tokio::test]
async fn a_group_is_told() {
    let server = Server::start(robot).await;
    assert_eq!(sent(&server, &[SECRET], &message(), NOW).await, ("sent", None, String::new()));
    let body = server.only().json();
    assert_eq!(body["markdown"]["title"], "【需要处理】3 个关联请求在等公众号管理员");
}

#[tokio::test]
async fn a_long_list_is_cut_to_what_a_group_takes() {
    let server = Server::start(robot).await;
    assert_eq!(sent(&server, &[SECRET], &crowd(5_000), NOW).await.0, "sent");
    let received = server.only();
    assert!(received.body.len() > 19_900, "{}", received.body.len());
    assert!(received.json()["markdown"]["text"].as_str().unwrap().contains("\n\n……另有 4"));
}

#[tokio::test]
async fn a_wrong_secret_or_a_wrong_clock_is_for_a_person() {
    let server = Server::start(robot).await;
    let (what, _, why) = sent(&server, &["SECwrong"], &message(), NOW).await;
    assert_eq!(what, "refused");
    assert!(why.starts_with("errcode 310000: description:机器人发送签名不匹配;"), "{why}");
    assert_eq!(sent(&server, &[], &message(), NOW).await.0, "refused");
    let late = sent(&server, &[SECRET], &message(), NOW + Duration::from_secs(4_000)).await;
    assert_eq!(late, ("refused", None, "errcode 310000: invalid timestamp".to_owned()));
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    let too_fast = r#"{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"9f8c",
        "errcode": 130101,"errmsg": "send too fast, exceed 20 times per minute"}"#;
    for (body, expected) in [
        (too_fast, ("later", Some(600), "errcode 130101: send too fast, exceed 20 times per minute")),
        (r#"{"errcode":660026,"errmsg":"limited"}"#, ("later", Some(600), "errcode 660026: limited")),
        (r#"{"errcode":-1,"errmsg":"系统繁忙"}"#, ("later", None, "errcode -1: 系统繁忙")),
        (
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            ("refused", None, "errcode 310000: keywords not in content"),
        ),
        (r#"{"errcode":400013,"errmsg":"群已被解散"}"#, ("gone", None, "errcode 400013: 群已被解散")),
        ("[]", ("unconfirmed", None, "HTTP 200 OK without a code: []")),
    ] {
        let server = Server::always(Reply::Status(200, body.to_owned())).await;
        let (what, after, why) = sent(&server, &[SECRET], &message(), NOW).await;
        assert_eq!((what, after, why.as_str()), expected);
    }
}

/// Whom the group's robot calls: those whom `at` names and the text, too.
fn called(body: &serde_json::Value) -> Vec<String> {
    let text = body.pointer("/markdown/text").or(body.pointer("/text/content")).unwrap().as_str().unwrap();
    let named = ["atMobiles", "atUserIds"].into_iter().filter_map(|list| body["at"][list].as_array());
    let named = named.flatten().map(|person| person.as_str().unwrap().to_owned());
    named.filter(|person| text.contains(&format!("@{person}"))).collect()
}

#[tokio::test]
async fn those_who_must_act_are_called_and_only_then() {
    let server = Server::start(robot).await;
    let url = format!("{}/robot/send?access_token={TOKEN}", server.url);
    let channel = |style| {
        let mention = Mention::These(vec!["13800138000".to_owned(), "user123".to_owned()]);
        Channel::new(&ChannelSettings { style, mention, ..settings(Kind::Dingtalk, &url, &[SECRET]) }).unwrap()
    };
    let mut nasty = message();
    nasty.rows[0][0] = "@13900139000 @all".to_owned();
    for style in [Style::Rich, Style::Text] {
        channel(style).send(&Message { mood: Severity::Repeated, ..nasty.clone() }, NOW).await.unwrap();
        channel(style).send(&Message { mood: Severity::News, ..nasty.clone() }, NOW).await.unwrap();
        channel(style).send(&crowd(5_000), NOW).await.unwrap();
    }
    let sent: Vec<_> = server.received().iter().map(|sent| called(&sent.json())).collect();
    let both = vec!["13800138000".to_owned(), "user123".to_owned()];
    assert_eq!(sent, [both.clone(), vec![], both.clone(), both.clone(), vec![], both]);
}
