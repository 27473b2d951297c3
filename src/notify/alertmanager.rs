//! The channel `alertmanager`: alerts for Prometheus Alertmanager's API v2. An alert keeps the same labels when it is
//! resolved: they are its identity there.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;
use tokio::sync::Mutex;

use super::{
    ChannelError, ChannelSettings, Pace, SendError,
    post::{Answer, Http, Post, said},
};
use crate::domain::{
    event::ALARM,
    message::{AlertFacts, Message, Severity},
    text::{
        Language,
        format::{clip, one_line},
    },
    time::Time,
};

/// Prometheus itself sends one batch after the other.
pub(super) const PACE: Pace = Pace { at_once: 1, most: None };

/// How long a firing alert lasts in Alertmanager without `resend_every`. Without an end time Alertmanager would use its own
/// `resolve_timeout`, five minutes, and resolve the alert between two repeats.
const FIRING_FOR: Duration = Duration::from_hours(8 * 24);

/// How many resends an alert lasts, as with Prometheus
/// (<https://github.com/prometheus/prometheus/blob/main/rules/alerting.go>),
const RESENDS: u32 = 4;

/// but at least as long as Alertmanager keeps an alert without an end time
/// (<https://prometheus.io/docs/alerting/latest/configuration/>, `resolve_timeout`).
const FIRING_FOR_LEAST: Duration = Duration::from_mins(5);

/// Alerts in one POST, at about 1 kB each.
const BATCH_ALERTS_MAX: usize = 500;

/// Bytes in one POST. Alertmanager knows no limit; nginx before it takes 1 MiB unless told otherwise
/// (<https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size>).
const BATCH_BYTES_MAX: usize = 512 << 10;

/// Characters of one annotation: a sentence or two.
const TEXT_CHARS_MAX: usize = 1_000;

/// Where alerts are taken, below the address of Alertmanager
/// (<https://prometheus.io/docs/alerting/latest/alerts_api/>).
const ALERTS: &str = "/api/v2/alerts";

/// A Prometheus Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    name: String,
    http: Http,
    /// Marked as sensitive, so that it is never shown.
    authorization: Option<HeaderValue>,
    /// All POSTs of one message together.
    timeout: Duration,
    /// How often firing alerts are sent again.
    resend_every: Option<Duration>,
    /// One message at a time: a resend that was read earlier must not arrive after the end of an alert.
    turn: Mutex<()>,
}

impl Alertmanager {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let wrong = |wrong: &str| ChannelError { name: settings.name.clone(), wrong: wrong.to_owned() };
        let mut settings = settings.clone();
        let url = settings.url.as_ref().ok_or_else(|| wrong("`url` is missing: http://alertmanager:9093"))?;
        let mut url = Url::parse(url.expose_secret().trim()).map_err(|_| wrong("`url` is no URL"))?;
        let authorization = authorization(&mut url, settings.secrets.first()).map_err(wrong)?;
        complete(&mut url).map_err(wrong)?;
        settings.url = Some(SecretString::from(String::from(url)));
        // What stands in the header is hidden as what it is made of.
        settings.secrets.extend(authorization.as_ref().and_then(|value| Some(value.to_str().ok()?.into())));
        let http = Http::new(&settings)?;
        let ChannelSettings { name, timeout, resend_every, .. } = settings;
        Ok(Self { name, http, authorization, timeout, resend_every, turn: Mutex::new(()) })
    }

    /// The address of its service.
    pub(super) fn address(&self) -> &str {
        self.http.url().as_str()
    }

    /// Sends the alerts of a message. One that is about no alert, such as news, is none of Alertmanager's business and
    /// counts as taken.
    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        if message.alerts.is_empty() {
            tracing::debug!(channel = %self.name, event.id = %message.id, "no alert, nothing for Alertmanager");
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        self.post_in_time(std::slice::from_ref(message), now).await
    }

    pub(super) const fn resend_every(&self) -> Option<Duration> {
        self.resend_every
    }

    /// Sends all firing alerts together. Returns how many.
    pub(super) async fn resend<E>(
        &self,
        firing: impl Future<Output = Result<Vec<Message>, E>>,
        now: Time,
    ) -> Result<Result<usize, SendError>, E> {
        let _turn = self.turn.lock().await;
        let messages = firing.await?;
        let alerts = messages.iter().map(|message| message.alerts.len()).sum();
        if alerts == 0 {
            return Ok(Ok(0));
        }
        Ok(self.post_in_time(&messages, now).await.map(|()| alerts))
    }

    async fn post_in_time(&self, messages: &[Message], now: Time) -> Result<(), SendError> {
        let sent = tokio::time::timeout(self.timeout, self.post_all(messages, now)).await;
        sent.unwrap_or_else(|_| {
            let words = crate::domain::text::format::duration(self.timeout);
            Err(SendError::Later { why: format!("not all alerts were taken within {words}"), after: None })
        })
    }

    /// How long firing alerts of a message last. An alarm that could not be written is not resent.
    fn firing_for(&self, message: &Message) -> Duration {
        match self.resend_every.filter(|_| message.partition_key != ALARM) {
            Some(every) => every.saturating_mul(RESENDS).max(FIRING_FOR_LEAST),
            None => FIRING_FOR,
        }
    }

    /// One POST after the other. Where one fails the whole message is sent again, which changes nothing in those that
    /// were taken.
    async fn post_all(&self, messages: &[Message], now: Time) -> Result<(), SendError> {
        let lasting = messages.iter().map(|message| (message, now + self.firing_for(message)));
        for body in batches(lasting) {
            let mut post = Post::json(body.into_bytes());
            post.headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
            taken(&self.http.post(post, now).await?)?;
        }
        Ok(())
    }
}

/// Alertmanager responds with an empty body; login and maintenance pages in front of it return 200 too.
fn taken(answer: &Answer<'_>) -> Result<(), SendError> {
    answer.accepted()?;
    let is_its_own = answer.body.trim_ascii().is_empty() || serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok();
    if is_its_own {
        return Ok(());
    }
    Err(SendError::Unconfirmed { why: said(&format!("HTTP {} with a page", answer.status), &answer.words()) })
}

/// Takes the user out of the URL: with the secret it is Basic authorization; a secret without a user is a bearer token.
fn authorization(url: &mut Url, secret: Option<&SecretString>) -> Result<Option<HeaderValue>, &'static str> {
    if url.password().is_some() {
        return Err("`url` must not hold the password: put it into `secret`");
    }
    let user = percent_encoding::percent_decode_str(url.username()).decode_utf8();
    let user = user.map_err(|_| "the user in `url` is not UTF-8")?.into_owned();
    let value = match (user.as_str(), secret) {
        ("", None) => return Ok(None),
        ("", Some(token)) => format!("Bearer {}", token.expose_secret()),
        (_, None) => return Err("`secret` is missing: the password of the user in `url`"),
        (user, Some(_)) if user.contains(':') => return Err("the user in `url` must not hold a colon"),
        (user, Some(password)) => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret())))
        }
    };
    let _ = url.set_username("");
    let mut value = HeaderValue::from_str(&value).map_err(|_| "`secret` holds a character that no token may")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Completes the address of Alertmanager, or of a path prefix before it, to where alerts are taken.
fn complete(url: &mut Url) -> Result<(), &'static str> {
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`url` must end before any ? or #");
    }
    let path = url.path().trim_end_matches('/');
    let path = format!("{}{ALERTS}", path.strip_suffix(ALERTS).unwrap_or(path));
    url.set_path(&path);
    Ok(())
}

/// An alert as API v2 takes it.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'m> {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'m str>,
}

impl<'m> Alert<'m> {
    /// `until` is the end time of a firing alert.
    fn of(facts: &AlertFacts, message: &'m Message, until: Time) -> Self {
        let over = facts.resolved_at.map(Time::from_ms);
        let over = over.or_else(|| (message.mood == Severity::Resolved).then_some(message.at));
        let starts_at = Time::from_ms(facts.fired_at);
        // An end before its start is refused, as could be after our clock was stepped back.
        let ends_at = over.unwrap_or(until).max(starts_at);
        // Whoever clicks must get to a page.
        let is_page = |link: &&str| Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        Self {
            labels: labels(facts),
            annotations: annotations(facts, message),
            starts_at: starts_at.to_string(),
            ends_at: ends_at.to_string(),
            generator_url: message.link.as_deref().filter(is_page),
        }
    }
}

/// What an alert is known by. Nothing here may change in its life.
fn labels(facts: &AlertFacts) -> BTreeMap<&'static str, String> {
    let all = [
        ("alertname", Some(alert_name(&facts.rule))),
        ("service", Some("amplinkd".to_owned())),
        ("rule", Some(facts.rule.clone())),
        ("reason", Some(facts.reason.clone())),
        ("key", Some(facts.key.clone())),
        ("account", facts.account.clone()),
        ("program", facts.program.clone()),
        ("request", facts.request.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect()
}

/// `stuck` as `AmplinkdStuck`, `quota_low` as `AmplinkdQuotaLow`: the manner of Prometheus.
fn alert_name(rule: &str) -> String {
    let words = rule.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    std::iter::once("Amplinkd".to_owned()).chain(words.map(capital)).collect()
}

/// What people read. It may change with every repeat.
fn annotations(facts: &AlertFacts, message: &Message) -> BTreeMap<&'static str, String> {
    let summary = match message.language {
        Language::En => &facts.message_en,
        Language::Zh => &facts.message_zh,
    };
    let description = if message.lead.is_empty() { &message.title } else { &message.lead };
    let all = [
        ("summary", summary.clone()),
        ("description", description.clone()),
        ("since", Time::from_ms(facts.since).to_string()),
        ("hint", message.hint.clone()),
    ];
    let shown = all.into_iter().map(|(name, text)| (name, clip(&one_line(&text), TEXT_CHARS_MAX)));
    shown.filter(|(_, text)| !text.is_empty()).collect()
}

/// The bodies with all alerts of these messages, each a JSON array. Beside each message is the end time of its firing
/// alerts.
fn batches<'m>(messages: impl Iterator<Item = (&'m Message, Time)>) -> Vec<String> {
    let mut bodies = Vec::new();
    let (mut body, mut count) = (String::new(), 0);
    for (facts, message, until) in
        messages.flat_map(|(message, until)| message.alerts.iter().map(move |facts| (facts, message, until)))
    {
        // Texts in maps are always JSON.
        let alert = serde_json::to_string(&Alert::of(facts, message, until)).unwrap_or_default();
        if count == BATCH_ALERTS_MAX || count > 0 && body.len() + alert.len() + 2 > BATCH_BYTES_MAX {
            bodies.push(format!("[{}]", std::mem::take(&mut body)));
            count = 0;
        }
        if count > 0 {
            body.push(',');
        }
        body.push_str(&alert);
        count += 1;
    }
    bodies.push(format!("[{body}]"));
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Kind;

    fn settings(url: &str, secret: Option<&str>) -> ChannelSettings {
        ChannelSettings {
            url: Some(url.into()),
            secrets: secret.into_iter().map(SecretString::from).collect(),
            ..ChannelSettings::new("prometheus", Kind::Alertmanager, Duration::from_secs(1))
        }
    }

    fn facts(key: &str) -> AlertFacts {
        AlertFacts {
            alert: "1".to_owned(),
            key: key.to_owned(),
            rule: "stuck".to_owned(),
            reason: "stuck.account_admin".to_owned(),
            request: Some("r1".to_owned()),
            account: Some(String::new()),
            program: None,
            since: 0,
            fired_at: 1_000,
            resolved_at: None,
            resolution: None,
            message_en: "The administrator must agree".to_owned(),
            message_zh: "管理员须同意".to_owned(),
        }
    }

    fn message(alerts: Vec<AlertFacts>) -> Message {
        Message { alerts, ..crate::notify::fixture::message() }
    }

    #[test]
    fn names_are_written_as_prometheus_writes_them() {
        let names = ["stuck", "quota_low", "a.b-2c", ""].map(alert_name);
        assert_eq!(names, ["AmplinkdStuck", "AmplinkdQuotaLow", "AmplinkdAB2c", "Amplinkd"]);
    }

    #[test]
    fn an_alert_keeps_its_labels_to_its_end_and_never_ends_before_it_began() {
        let now = Time::from_ms(5_000);
        let firing = message(vec![facts("k")]);
        let over = message(vec![AlertFacts { resolved_at: Some(500), ..facts("k") }]);
        let until = now + FIRING_FOR;
        let of = |message: &Message| serde_json::to_value(Alert::of(&message.alerts[0], message, until)).unwrap();
        assert_eq!(of(&firing)["labels"], of(&over)["labels"]);
        assert_eq!(of(&firing)["labels"].as_object().unwrap().len(), 6, "without the empty and the missing");
        assert_eq!(of(&firing)["startsAt"], "1970-01-01T00:00:01.000Z");
        assert_eq!(of(&firing)["endsAt"], "1970-01-09T00:00:05.000Z");
        assert_eq!(of(&over)["endsAt"], "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn batches_hold_every_alert_once_and_stay_small() {
        let many = message((0..1_201).map(|n| facts(&format!("k{n}"))).collect());
        let long = message((0..40).map(|n| facts(&format!("k{n}{}", "x".repeat(60_000)))).collect());
        for message in [many, long] {
            let bodies = batches([(&message, Time::from_ms(0))].into_iter());
            let mut keys = Vec::new();
            for body in &bodies {
                let alerts: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
                assert!(alerts.len() <= BATCH_ALERTS_MAX && body.len() <= BATCH_BYTES_MAX);
                keys.extend(alerts.iter().map(|alert| alert["labels"]["key"].as_str().unwrap().to_owned()));
            }
            assert_eq!(keys, message.alerts.iter().map(|facts| facts.key.clone()).collect::<Vec<_>>());
            assert!(bodies.len() > 2);
        }
    }

    #[test]
    fn what_is_told_again_and_again_lasts_for_minutes_and_an_alarm_for_days() {
        let lasting = |every: Option<u64>, key: &str| {
            let resend_every = every.map(Duration::from_secs);
            let settings = ChannelSettings { resend_every, ..settings("http://a.example:9093", None) };
            let message = Message { partition_key: key.to_owned(), ..message(vec![facts("k")]) };
            Alertmanager::new(&settings).unwrap().firing_for(&message).as_secs()
        };
        assert_eq!([60, 10, 120].map(|every| lasting(Some(every), "stuck.unlink")), [300, 300, 480]);
        assert_eq!((lasting(None, "stuck.unlink"), lasting(Some(60), ALARM)), (8 * 86_400, 8 * 86_400));
    }

    #[test]
    fn the_address_is_completed_and_its_user_taken_out() {
        let url = |text: &str, secret| Alertmanager::new(&settings(text, secret)).unwrap().http.url().to_string();
        assert_eq!(url("http://a.example:9093", None), "http://a.example:9093/api/v2/alerts");
        assert_eq!(url("http://a.example/am/", None), "http://a.example/am/api/v2/alerts");
        assert_eq!(url("http://me@a.example/api/v2/alerts/", Some("x")), "http://a.example/api/v2/alerts");
    }

    #[test]
    fn who_we_are_is_never_shown() {
        for (url, secret, wrong) in [
            ("http://me:hunter2@a.example", None, "must not hold the password"),
            ("http://me@a.example", None, "`secret` is missing"),
            ("http://a.example?x=hunter2", None, "must end before"),
            ("http://a.example", Some("hunter2\n"), "no token may"),
            ("ftp://a.example", None, "must begin with"),
        ] {
            let said = Alertmanager::new(&settings(url, secret)).unwrap_err().to_string();
            assert!(said.contains(wrong) && !said.contains("hunter2"), "{said}");
        }
        for url in ["http://me@a.example", "http://a.example"] {
            let shown = format!("{:?}", Alertmanager::new(&settings(url, Some("hunter2"))).unwrap());
            assert!(!shown.contains("hunter2") && !shown.contains(&BASE64_STANDARD.encode("me:hunter2")), "{shown}");
        }
    }
}
