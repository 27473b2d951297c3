//! Messages as lines of our own log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use amplinkd::{
    domain::message::{Message, Severity},
    notify::Kind,
};

use super::{NOW, channel, message};

/// Where the lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The only line that the channel logs of a message, where `listener` turns it into text.
async fn line<S>(message: &Message, listener: impl FnOnce(Lines) -> S) -> String
where
    S: tracing::Subscriber + Send + Sync + 'static,
{
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(listener(lines.clone()));
    channel(Kind::Log, "https://unused.example/?key=hunter2", &["hunter2"]).send(message, NOW).await.unwrap();
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains("hunter2"));
    text
}

/// What the channel logs of a message, as JSON.
async fn logged(message: &Message) -> serde_json::Value {
    let listener = |lines: Lines| tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
    serde_json::from_str(&line(message, listener).await).unwrap()
}

/// The same for people.
async fn written(message: &Message) -> String {
    let listener =
        |lines: Lines| tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).finish();
    line(message, listener).await
}

#[tokio::test]
async fn a_message_is_one_line_with_fields() {
    let line = logged(&message()).await;
    assert_eq!(line["level"], "WARN");
    let fields = &line["fields"];
    assert_eq!(fields["message"], "an alert fires");
    assert_eq!(fields["channel"], "night");
    assert_eq!(fields["event.id"], "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b");
    assert_eq!(fields["event.type"], "amplinkd.alert.fired");
    assert_eq!(fields["subject"], "wx0123456789abcdef");
    assert_eq!(fields["total"], 3);
    assert_eq!(fields["title"], "3 个关联请求在等公众号管理员");
    assert_eq!(fields["lead"], "请提醒管理员在微信里同意。");
    assert!(fields["rows"].as_str().unwrap().starts_with("小店 | wx00000000000000aa | 3天 4小时; 书屋 |"), "{fields}");
    assert_eq!(fields["hint"], "amplinkd alert list --rule stuck");
}

#[tokio::test]
async fn only_what_asks_for_somebody_is_a_warning() {
    for (mood, level) in [
        (Severity::Fired, "WARN"),
        (Severity::Repeated, "WARN"),
        (Severity::Resolved, "INFO"),
        (Severity::News, "INFO"),
    ] {
        assert_eq!(logged(&Message { mood, ..message() }).await["level"], level);
    }
}

#[tokio::test]
async fn a_strangers_line_break_makes_no_second_line() {
    let nasty = Message {
        title: "a\r\n2026 ERROR forged \u{1b}[31m".to_owned(),
        rows: (0..1_000).map(|n| vec![format!("{n}\n{}", "x".repeat(5_000))]).collect(),
        link: None,
        ..message()
    };
    let line = logged(&nasty).await;
    assert_eq!(line["fields"]["title"], "a 2026 ERROR forged [31m");
    let rows = line["fields"]["rows"].as_str().unwrap();
    assert!(rows.starts_with("0 xxx") && rows.contains("; 4 xxx") && !rows.contains("; 5 xxx") && rows.len() < 3_000);
    assert_eq!(line["fields"].get("link"), None);
}

#[tokio::test]
async fn no_title_pretends_to_be_a_field() {
    let line = written(&Message { title: "a\" total=0 event.id=b".to_owned(), ..message() }).await;
    assert!(line.contains(r#" title="a\" total=0 event.id=b" "#), "{line}");
    assert!(written(&message()).await.contains(" title=\"3 个关联请求在等公众号管理员\" lead=\"请"));
}
