//! The dead man's switch against services in the manner of Healthchecks and of Uptime Kuma, and against a bare URL.

use std::time::Duration;

use amplinkd::notify::heartbeat::{HeartbeatClient, HeartbeatKind, HeartbeatSettings};

use super::{
    NOW, outcome,
    server::{Received, Reply, Server},
};

/// The check that the service knows. Its address is a key.
const CHECK: &str = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";

/// Answers as the service does.
fn answer(received: &Received) -> Reply {
    let path = received.path.strip_prefix("/ping/").unwrap_or("");
    let known = path.strip_prefix(CHECK).is_some_and(|action| ["", "/start", "/fail"].contains(&action));
    let run = received.query.get("rid");
    if received.method != "POST" || !known {
        return Reply::Status(404, "not found".to_owned());
    }
    if run.is_some_and(|run| uuid::Uuid::parse_str(run).is_err() || run.len() != 36) {
        return Reply::Status(400, "invalid uuid format".to_owned());
    }
    Reply::Status(200, "OK".to_owned())
}

fn heartbeat(url: String, timeout: Duration) -> HeartbeatClient {
    client(HeartbeatKind::Healthchecks, url, timeout)
}

fn client(kind: HeartbeatKind, url: String, timeout: Duration) -> HeartbeatClient {
    HeartbeatClient::new(HeartbeatSettings::new(kind, url.into(), timeout)).unwrap()
}

/// A timeout that only ends what would last for ever.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_run_begins_and_ends_with_the_same_id() {
    let server = Server::start(answer).await;
    let heartbeat = heartbeat(format!("{}/ping/{CHECK}/?create=1", server.url), LONG);
    heartbeat.start(NOW).await.unwrap();
    heartbeat.ok(NOW).await.unwrap();
    heartbeat.start(NOW).await.unwrap();
    heartbeat.fail("审计发现 2 处不符", NOW).await.unwrap();
    heartbeat.ok(NOW).await.unwrap();

    let received = server.received();
    let paths: Vec<&str> = received.iter().map(|ping| ping.path.rsplit(CHECK).next().unwrap()).collect();
    assert_eq!(paths, ["/start", "", "/start", "/fail", ""]);
    let runs: Vec<_> = received.iter().map(|ping| ping.query.get("rid")).collect();
    assert!(runs[0].is_some() && runs[0] == runs[1] && runs[2] == runs[3] && runs[0] != runs[2], "{runs:?}");
    assert_eq!(runs[4], None, "no run was started");
    assert!(received.iter().all(|ping| ping.query["create"] == "1"));
    assert_eq!(received[3].text(), "审计发现 2 处不符");
    assert_eq!(received[1].text(), "");
}

#[tokio::test]
async fn an_end_that_was_not_taken_can_be_told_again() {
    let server = Server::start(|ping| match ping.text() {
        "" => answer(ping),
        _ => Reply::Status(502, "bad gateway".to_owned()),
    })
    .await;
    let heartbeat = heartbeat(format!("{}/ping/{CHECK}", server.url), LONG);
    heartbeat.start(NOW).await.unwrap();
    assert_eq!(outcome(heartbeat.fail("no", NOW).await).0, "later");
    heartbeat.ok(NOW).await.unwrap();
    let runs: Vec<_> = server.received().iter().map(|ping| ping.query["rid"].clone()).collect();
    assert!(runs[0] == runs[1] && runs[1] == runs[2], "{runs:?}");
}

#[tokio::test]
async fn long_findings_are_cut_between_characters() {
    let server = Server::start(answer).await;
    let heartbeat = heartbeat(format!("{}/ping/{CHECK}", server.url), LONG);
    heartbeat.fail(&"不符".repeat(100_000), NOW).await.unwrap();
    let sent = server.only();
    assert_eq!(sent.body.len(), 9_999);
    assert!(sent.text().starts_with("不符不符") && sent.text().ends_with("不符不"));
}

#[tokio::test]
async fn a_service_that_refuses_or_hangs_says_so_without_the_key() {
    for (reply, what) in [
        (Reply::Status(404, format!("no check {CHECK}")), "refused"),
        (Reply::Status(409, "ambiguous slug".to_owned()), "refused"),
        (Reply::Status(200, "OK (not found)".to_owned()), "refused"),
        (Reply::Status(200, "OK (rate limited)".to_owned()), "later"),
        (Reply::Status(429, format!("/ping/{CHECK}")), "later"),
        (Reply::Status(503, String::new()), "later"),
        (Reply::Silence, "later"),
    ] {
        let timeout = if matches!(reply, Reply::Silence) { Duration::from_millis(200) } else { LONG };
        let server = Server::always(reply).await;
        let heartbeat = heartbeat(format!("{}/ping/{CHECK}", server.url), timeout);
        let (done, _, why) = outcome(heartbeat.ok(NOW).await);
        assert_eq!(done, what, "{why}");
        assert!(!format!("{why} {heartbeat:?}").contains("5bf66975"), "{why}");
    }
}

/// The key of a push monitor.
const MONITOR: &str = "pXtGOPoiQe";

/// A push monitor of Uptime Kuma: the newest answers 404 to a key that it does not know, older ones 200.
fn kuma(received: &Received) -> Reply {
    let said = |status: u16, body: &str| Reply::Status(status, body.to_owned());
    let Some(key) = received.path.strip_prefix("/api/push/") else {
        return said(200, "<!DOCTYPE html><title>Uptime Kuma</title>");
    };
    match (key, received.query.get("status").map(String::as_str)) {
        (MONITOR, Some("up" | "down")) => said(200, r#"{"ok":true}"#),
        ("old", _) => said(200, r#"{"ok":false,"msg":"Monitor not found or not active."}"#),
        _ => said(404, r#"{"ok":false,"msg":"Monitor not found or not active."}"#),
    }
}

#[tokio::test]
async fn a_push_monitor_hears_up_and_down_and_how_long_the_look_took() {
    let server = Server::start(kuma).await;
    let url = format!("{}/api/push/{MONITOR}?status=up&msg=OK&ping=", server.url);
    let heartbeat = client(HeartbeatKind::Kuma, url, LONG);
    heartbeat.start(NOW).await.unwrap();
    heartbeat.ok(NOW + Duration::from_millis(250)).await.unwrap();
    heartbeat.start(NOW).await.unwrap();
    heartbeat.fail(&format!("cron_silent drift: overdue\n{}", "不符".repeat(10_000)), NOW).await.unwrap();
    let heard = server.received();
    assert_eq!(heard.len(), 2, "a beat is one call");
    assert!(heard.iter().all(|push| push.method == "GET" && push.query.len() == 3));
    let of = |push: &Received, name: &str| push.query[name].clone();
    assert_eq!(["status", "msg", "ping"].map(|name| of(&heard[0], name)), ["up", "OK", "250"]);
    assert_eq!(of(&heard[1], "status"), "down");
    let words = of(&heard[1], "msg");
    assert!(words.starts_with("cron_silent drift: overdue; 不符") && words.len() <= 1_000, "{words}");
}

#[tokio::test]
async fn a_monitor_that_is_not_there_is_refused_with_what_may_be_the_cause() {
    let server = Server::start(kuma).await;
    for (kind, path, word) in [
        (HeartbeatKind::Kuma, "/api/push/unknown-key-1", "not found"),
        (HeartbeatKind::Kuma, "/api/push/old", "not found"),
        (HeartbeatKind::Kuma, "/dashboard", "/api/push/"),
        (HeartbeatKind::Healthchecks, "/api/push/pXtGOPoiQe", "kind = \"kuma\""),
    ] {
        let heartbeat = client(kind, format!("{}{path}", server.url), LONG);
        let begun = heartbeat.start(NOW).await;
        let (what, _, why) = outcome(begun.and(heartbeat.ok(NOW).await));
        assert!(what == "refused" && why.contains(word), "{path}: {what} {why}");
        assert!(!why.contains("unknown-key-1") && !why.contains(MONITOR), "{why}");
    }
}

#[tokio::test]
async fn a_bare_url_is_called_while_all_is_well_and_not_otherwise() {
    let server =
        Server::start(|received| Reply::Status(if received.path == "/beat/k" { 202 } else { 404 }, String::new()))
            .await;
    let heartbeat = client(HeartbeatKind::Plain, format!("{}/beat/k?team=a", server.url), LONG);
    heartbeat.start(NOW).await.unwrap();
    heartbeat.ok(NOW).await.unwrap();
    heartbeat.start(NOW).await.unwrap();
    heartbeat.fail("the loop stands still", NOW).await.unwrap();
    let only = server.only();
    assert_eq!((only.method.as_str(), only.path.as_str(), only.query["team"].as_str()), ("GET", "/beat/k", "a"));
    let wrong = client(HeartbeatKind::Plain, format!("{}/elsewhere", server.url), LONG);
    assert_eq!(outcome(wrong.ok(NOW).await).0, "refused");
}
