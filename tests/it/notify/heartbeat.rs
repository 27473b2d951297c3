//! The dead man's switch against a service in the manner of Healthchecks.

use std::time::Duration;

use amplinkd::notify::heartbeat::HeartbeatClient;

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
    HeartbeatClient::new(url.into(), timeout).unwrap()
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
