//! Our channels against real servers, which `tests/real/run` starts and looks into afterwards.

use std::time::Duration;

use amplinkd::{
    clock::{Clock as _, SystemClock},
    domain::{
        message::{AlertFacts, Message, Severity},
        time::Time,
    },
    notify::{Channel, ChannelSettings, Kind},
};

use super::{channel, message, outcome, settings};

/// A variable of the script's.
#[expect(clippy::disallowed_methods, reason = "a port is no configuration of the daemon's")]
fn from_script(name: &str) -> String {
    let name = format!("AMPLINKD_REAL_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is missing: run tests/real/run"))
}

fn now() -> Time {
    SystemClock::new().now()
}

/// A channel to a mail server of the script's.
fn mail(scheme: &str, server: &str, password: &str) -> Channel {
    let user = from_script("USER").replace('@', "%40");
    let port = from_script(&format!("SMTP_{server}"));
    let settings = ChannelSettings {
        from: Some("amplinkd 关联 <amplinkd@example.com>".to_owned()),
        to: vec!["运维 <ops@example.com>".to_owned(), "nobody@example.com".to_owned()],
        ..settings(Kind::Email, &format!("{scheme}://{user}@localhost:{port}"), &[password])
    };
    Channel::new(&settings).unwrap()
}

#[tokio::test]
#[ignore = "tests/real/run starts the servers for it"]
async fn mails_arrive_over_tls_and_over_starttls() {
    let password = from_script("PASSWORD");
    for (scheme, server) in [("smtp", "STARTTLS"), ("smtps", "WRAPPED")] {
        let (what, _, why) = outcome(mail(scheme, server, &password).send(&message(), now()).await);
        assert_eq!(what, "sent", "{scheme}: {why}");
    }
}

#[tokio::test]
#[ignore = "tests/real/run starts the servers for it"]
async fn what_a_mail_server_does_not_take_is_told_apart() {
    let password = from_script("PASSWORD");
    for (scheme, server, password, expected, word) in [
        ("smtp", "UNTRUSTED", &password, "refused", "certificate"),
        ("smtp", "STARTTLS", &"wrong-password".to_owned(), "refused", "535"),
        ("smtp", "STRICT", &password, "gone", "552"),
        ("smtps", "STARTTLS", &password, "refused", "smtp:// asks for STARTTLS"),
    ] {
        let (what, _, why) = outcome(mail(scheme, server, password).send(&message(), now()).await);
        eprintln!("{scheme} {server}: {what}: {why}");
        assert_eq!(what, expected, "{scheme} {server}: {why}");
        assert!(why.contains(word) && !why.contains("wrong-password"), "{why}");
    }
}

#[tokio::test]
#[ignore = "tests/real/run starts the servers for it"]
async fn alertmanager_shows_an_alert_until_it_is_over() {
    let user = from_script("USER").replace('@', "%40");
    let url = from_script("ALERTMANAGER").replace("http://", &format!("http://{user}@"));
    let channel = channel(Kind::Alertmanager, &url, &[&from_script("PASSWORD")]);
    let facts = AlertFacts {
        alert: "0197c2d4".to_owned(),
        key: "stuck/account_admin/0197c2d4-8e1f".to_owned(),
        rule: "stuck".to_owned(),
        reason: "stuck.account_admin".to_owned(),
        request: Some("0197c2d4-8e1f".to_owned()),
        account: Some("wx0123456789abcdef".to_owned()),
        program: Some("wx00000000000000aa".to_owned()),
        since: now().ms() - 80 * 3_600_000,
        fired_at: now().ms() - 1_000,
        resolved_at: None,
        resolution: None,
        message_en: "The account's administrator must agree".to_owned(),
        message_zh: "公众号管理员须在微信里同意".to_owned(),
    };
    let firing = Message { alerts: vec![facts.clone()], ..message() };
    channel.send(&firing, now()).await.unwrap();
    assert_eq!(shown().await, ["active AmplinkdStuck 公众号管理员须在微信里同意"]);

    // Longer than this Alertmanager's resolve_timeout, and than the wait before it tells somebody.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(shown().await.len(), 1, "it does not end by itself");
    channel.send(&Message { mood: Severity::Repeated, ..firing.clone() }, now()).await.unwrap();
    assert_eq!(shown().await.len(), 1);

    let over = Message {
        alerts: vec![AlertFacts { resolved_at: Some(now().ms()), ..facts }],
        mood: Severity::Resolved,
        ..firing
    };
    channel.send(&over, now()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shown().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "tests/real/run starts the servers for it"]
async fn alertmanager_refuses_who_does_not_know_the_password() {
    let channel = channel(Kind::Alertmanager, &from_script("ALERTMANAGER"), &["wrong-token"]);
    let facts = AlertFacts { message_en: String::new(), ..serde_json::from_str(FACTS).unwrap() };
    let (what, _, why) = outcome(channel.send(&Message { alerts: vec![facts], ..message() }, now()).await);
    eprintln!("alertmanager: {what}: {why}");
    assert_eq!(what, "refused");
    assert!(why.contains("401") && !why.contains("wrong-token"), "{why}");
}

/// The least that an alert has.
const FACTS: &str =
    r#"{"alert":"a","key":"k","rule":"stuck","reason":"r","since":1,"fired_at":1,"message_en":"","message_zh":""}"#;

/// The alerts that Alertmanager itself shows: state, name and summary.
async fn shown() -> Vec<String> {
    let url = format!("{}/api/v2/alerts", from_script("ALERTMANAGER"));
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.get(url).basic_auth(from_script("USER"), Some(from_script("PASSWORD")));
    let answer = request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    let alerts: Vec<serde_json::Value> = serde_json::from_slice(&answer).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let shown = alerts.iter().map(|alert| {
        let [state, name, summary] =
            [&alert["status"]["state"], &alert["labels"]["alertname"], &alert["annotations"]["summary"]].map(text);
        format!("{state} {name} {summary}")
    });
    shown.collect()
}
