//! Alerts as Alertmanager takes them, against a server that refuses what the real one refuses.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::domain::{
    message::{AlertFacts, Message, Severity},
    text::Language,
};
use amplinkd::notify::{Channel, ChannelSettings, Kind};
use serde_json::Value;

use super::{
    NOW, channel, message, outcome,
    server::{Received, Reply, Server},
    settings,
};

/// An hour in milliseconds.
const HOUR: i64 = 3_600_000;

/// What an alert is known by.
type Labels = BTreeMap<String, String>;

/// An Alertmanager: each alert by its labels, with its end.
#[derive(Clone, Default)]
struct Alertmanager {
    alerts: Arc<Mutex<HashMap<Labels, jiff::Timestamp>>>,
}

impl Alertmanager {
    /// Answers as `postAlertsHandler` of the real one does: all alerts that are legal are kept, and one that is not
    /// makes the answer a 400.
    fn take(&self, received: &Received) -> Reply {
        if (received.method.as_str(), received.path.as_str()) != ("POST", "/api/v2/alerts") {
            return Reply::Status(404, "path not found".to_owned());
        }
        if !received.header("content-type").starts_with("application/json") {
            return Reply::Status(415, "unsupported media type".to_owned());
        }
        let Value::Array(alerts) = received.json() else { return Reply::Status(400, "no array".to_owned()) };
        let mut faults = Vec::new();
        for alert in &alerts {
            match checked(alert) {
                Ok((labels, end)) => {
                    self.alerts.lock().unwrap().insert(labels, end);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Reply::Status(200, String::new()) } else { Reply::Status(400, faults.join("\n")) }
    }

    /// How many alerts fire, and how many are over, at `now`.
    fn counts(&self, now: jiff::Timestamp) -> (usize, usize) {
        let alerts = self.alerts.lock().unwrap();
        let firing = alerts.values().filter(|end| **end > now).count();
        (firing, alerts.len() - firing)
    }
}

/// The checks of `Alert.Validate` and of its `OpenAPI` description.
fn checked(alert: &Value) -> Result<(Labels, jiff::Timestamp), String> {
    let texts = |key: &str| {
        let map = alert[key].as_object().ok_or_else(|| format!("{key} is required"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| "no text".to_owned());
        map.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect::<Result<Labels, String>>()
    };
    let labels = texts("labels")?;
    let annotations = texts("annotations")?;
    let is_name = |name: &str| {
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if labels.is_empty() || labels.get("alertname").is_none_or(String::is_empty) {
        return Err("at least one label pair required".to_owned());
    }
    if let Some((name, _)) = labels.iter().chain(&annotations).find(|(name, _)| !is_name(name)) {
        return Err(format!("invalid name {name:?}"));
    }
    if labels.values().any(String::is_empty) {
        return Err("an empty label would be removed".to_owned());
    }
    let time = |key: &str| alert[key].as_str().unwrap_or("").parse::<jiff::Timestamp>().map_err(|e| e.to_string());
    let (start, end) = (time("startsAt")?, time("endsAt")?);
    if end < start {
        return Err("start time must be before end time".to_owned());
    }
    if let Some(url) = alert.get("generatorURL") {
        reqwest::Url::parse(url.as_str().unwrap_or("")).map_err(|error| error.to_string())?;
    }
    Ok((labels, end))
}

fn facts(number: usize) -> AlertFacts {
    AlertFacts {
        alert: format!("0197c2d4-{number}"),
        key: format!("stuck/account_admin/r{number}"),
        rule: "stuck".to_owned(),
        reason: "stuck.account_admin".to_owned(),
        request: Some(format!("r{number}")),
        account: Some("wx0123456789abcdef".to_owned()),
        program: None,
        since: NOW.ms() - 80 * HOUR,
        fired_at: NOW.ms() - 8 * HOUR,
        resolved_at: None,
        resolution: None,
        message_en: "The account's administrator must agree".to_owned(),
        message_zh: "公众号管理员须在微信里同意".to_owned(),
    }
}

fn told(alerts: Vec<AlertFacts>) -> Message {
    Message { alerts, ..message() }
}

fn over(facts: &AlertFacts) -> AlertFacts {
    AlertFacts { resolved_at: Some(NOW.ms()), ..facts.clone() }
}

fn at(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap()
}

async fn start() -> (Alertmanager, Server) {
    let alertmanager = Alertmanager::default();
    let shared = alertmanager.clone();
    (alertmanager, Server::start(move |received| shared.take(received)).await)
}

#[tokio::test]
async fn an_alert_fires_until_it_is_over() {
    let (alertmanager, server) = start().await;
    let channel = channel(Kind::Alertmanager, &server.url, &[]);
    let firing = told(vec![facts(1), facts(2)]);
    channel.send(&firing, NOW).await.unwrap();
    assert_eq!(alertmanager.counts(at(NOW.ms() + 7 * 24 * HOUR)), (2, 0), "it outlasts a week between two repeats");

    let later = at(NOW.ms() + 1);
    channel.send(&Message { mood: Severity::Resolved, ..told(vec![over(&facts(1))]) }, NOW).await.unwrap();
    assert_eq!(alertmanager.counts(later), (1, 1));
    channel.send(&Message { mood: Severity::Resolved, ..told(vec![facts(2)]) }, NOW).await.unwrap();
    assert_eq!(alertmanager.counts(later), (0, 2), "over without a moment of its own is over with the message");
}

#[tokio::test]
async fn people_read_it_in_the_messages_language() {
    let (_, server) = start().await;
    let channel = channel(Kind::Alertmanager, &server.url, &[]);
    channel.send(&told(vec![facts(1)]), NOW).await.unwrap();
    let alert = &server.only().json()[0];
    assert_eq!(alert["labels"]["alertname"], "AmplinkdStuck");
    assert_eq!(alert["labels"]["service"], "amplinkd");
    assert_eq!(alert["labels"]["key"], "stuck/account_admin/r1");
    assert_eq!(alert["annotations"]["summary"], "公众号管理员须在微信里同意");
    assert_eq!(alert["annotations"]["description"], "请提醒管理员在微信里同意。");
    assert_eq!(alert["annotations"]["since"], "2026-11-19T11:03:08.000Z");
    assert_eq!(alert["startsAt"], "2026-11-22T11:03:08.000Z");
    assert_eq!(alert["generatorURL"], "https://amplinkd.example/alerts?rule=stuck");

    let english = Message { language: Language::En, link: Some("not a page".to_owned()), ..told(vec![facts(1)]) };
    channel.send(&english, NOW).await.unwrap();
    let alert = &server.received()[1].json()[0];
    assert_eq!(alert["annotations"]["summary"], "The account's administrator must agree");
    assert_eq!(alert.get("generatorURL"), None);
}

#[tokio::test]
async fn news_is_none_of_its_business() {
    let (_, server) = start().await;
    let news = Message { mood: Severity::News, ..told(Vec::new()) };
    assert_eq!(channel(Kind::Alertmanager, &server.url, &[]).send(&news, NOW).await, Ok(()));
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn thousands_come_in_several_posts() {
    let (alertmanager, server) = start().await;
    let many = told((0..3_000).map(facts).collect());
    channel(Kind::Alertmanager, &server.url, &[]).send(&many, NOW).await.unwrap();
    assert_eq!(alertmanager.counts(at(NOW.ms())), (3_000, 0));
    assert!(server.received().iter().all(|received| received.body.len() <= 512 << 10));
}

#[tokio::test]
async fn it_knows_who_we_are_and_our_errors_do_not_say() {
    let server = Server::start(|received| Reply::Status(401, received.header("authorization").to_owned())).await;
    let with_user = server.url.replace("http://", "http://am%40x@");
    for (url, said) in [(&with_user, "Basic YW1AeDpodW50ZXIyMw=="), (&server.url, "Bearer hunter23")] {
        let channel = channel(Kind::Alertmanager, url, &["hunter23"]);
        let (what, _, why) = outcome(channel.send(&told(vec![facts(1)]), NOW).await);
        assert_eq!(what, "refused");
        assert_eq!(server.received().last().unwrap().header("authorization"), said);
        let secret = said.split(' ').nth(1).unwrap();
        assert!(!format!("{why} {channel:?}").contains(secret), "{why}");
    }
}

#[tokio::test]
async fn what_it_answers_says_what_to_do() {
    for (status, what) in [
        (200, "sent"),
        (400, "refused"),
        (404, "refused"),
        (422, "refused"),
        (500, "later"),
        (503, "later"),
        (302, "refused"),
    ] {
        let said = if status == 200 { String::new() } else { "why".to_owned() };
        let server = Server::always(Reply::Status(status, said)).await;
        let sent = channel(Kind::Alertmanager, &server.url, &[]).send(&told(vec![facts(1)]), NOW).await;
        assert_eq!(outcome(sent).0, what, "{status}");
    }
    let page = Server::always(Reply::Status(200, "<html>log in</html>".to_owned())).await;
    let sent = channel(Kind::Alertmanager, &page.url, &[]).send(&told(vec![facts(1)]), NOW).await;
    assert_eq!(outcome(sent), ("unconfirmed", None, "HTTP 200 OK with a page: <html>log in</html>".to_owned()));
    let hangs = Server::always(Reply::Silence).await;
    let short =
        ChannelSettings { timeout: Duration::from_millis(200), ..settings(Kind::Alertmanager, &hangs.url, &[]) };
    let sent = Channel::new(&short).unwrap().send(&told(vec![facts(1)]), NOW).await;
    assert_eq!(outcome(sent).0, "later");
}

#[tokio::test]
async fn a_failed_post_in_the_middle_is_made_good_by_sending_all_again() {
    let (alertmanager, shared) = (Alertmanager::default(), Arc::new(Mutex::new(0)));
    let taken = alertmanager.clone();
    let server = Server::start(move |received| {
        let mut count = shared.lock().unwrap();
        *count += 1;
        if *count == 2 { Reply::Status(503, String::new()) } else { taken.take(received) }
    });
    let server = server.await;
    let channel = channel(Kind::Alertmanager, &server.url, &[]);
    let many = told((0..1_200).map(facts).collect());
    assert_eq!(outcome(channel.send(&many, NOW).await).0, "later");
    assert_eq!(outcome(channel.send(&many, NOW).await).0, "sent");
    assert_eq!(alertmanager.counts(at(NOW.ms())), (1_200, 0));
}
