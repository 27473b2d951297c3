//! Pings an outside service that notifies people when we are silent: as Healthchecks defines it
//! (<https://healthchecks.io/docs/http_api/>), as the push monitors of Uptime Kuma do, or by calling a URL. The URL is a key
//! and is never shown.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Url, header::HeaderMap, header::HeaderValue};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    ChannelSettings, Kind, SendError,
    post::{Answer, Http, Post, said},
};
use crate::{
    domain::{
        id::{timed, uuid_v7},
        time::Time,
    },
    net::egress::Egress,
};

/// Bytes of findings that are sent: as many as an installation of one's own keeps unless told otherwise
/// (`PING_BODY_LIMIT`, <https://healthchecks.io/docs/self_hosted_configuration/#PING_BODY_LIMIT>).
const FINDINGS_BYTES_MAX: usize = 10_000;

/// Bytes of findings in an address: percent-encoded they are thrice as many, and servers read some 8 kB of a first line.
const QUERY_BYTES_MAX: usize = 1_000;

/// What the path of a push monitor's address holds.
const PUSH_PATH: &str = "/api/push/";

/// Findings are words.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How a service is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeartbeatKind {
    /// The API of Healthchecks: a POST at the beginning of a look and one at its end, to the check's URL.
    #[default]
    Healthchecks,
    /// A push monitor of Uptime Kuma: a GET with `status`, `msg` and `ping`
    /// (<https://github.com/louislam/uptime-kuma/wiki/API-Documentation>).
    Kuma,
    /// A GET of the URL while all is well, and nothing else.
    Plain,
}

impl HeartbeatKind {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthchecks => "healthchecks",
            Self::Kuma => "kuma",
            Self::Plain => "plain",
        }
    }
}

/// What a heartbeat is made of.
#[derive(Debug, Clone)]
pub struct HeartbeatSettings {
    /// How the service is told.
    pub kind: HeartbeatKind,
    /// The address, such as `https://hc-ping.com/<uuid>`; it is a key.
    pub url: SecretString,
    /// How long one call may take.
    pub timeout: Duration,
    /// The way to it.
    pub egress: Egress,
}

impl HeartbeatSettings {
    /// A service that is reached directly.
    #[must_use]
    pub fn new(kind: HeartbeatKind, url: SecretString, timeout: Duration) -> Self {
        Self { kind, url, timeout, egress: Egress::default() }
    }
}

/// Why there is no heartbeat: a sentence for the operator, without the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the heartbeat: {0}")]
pub struct BadHeartbeat(pub String);

/// One check of such a service.
#[derive(Debug)]
pub struct HeartbeatClient {
    kind: HeartbeatKind,
    http: Http,
    /// The run that was started and not ended yet. A start that never arrived does no harm: the service then knows no
    /// duration.
    run: Mutex<Option<Run>>,
}

/// A look that was begun.
#[derive(Debug, Clone, Copy)]
struct Run {
    id: Uuid,
    begun: Time,
}

impl HeartbeatClient {
    /// A heartbeat with these settings; nothing is sent.
    pub fn new(settings: HeartbeatSettings) -> Result<Self, BadHeartbeat> {
        let HeartbeatSettings { kind, url, timeout, egress } = settings;
        let base = ChannelSettings::new("heartbeat", Kind::Webhook, timeout);
        let http = Http::new(&ChannelSettings { url: Some(url), egress, ..base });
        let http = http.map_err(|error| BadHeartbeat(error.wrong))?;
        Ok(Self { kind, http, run: Mutex::new(None) })
    }

    /// What is odd about the address for this kind: a sentence, when it looks like another kind's.
    #[must_use]
    pub fn oddity(&self) -> Option<&'static str> {
        let is_push = self.http.url().path().contains(PUSH_PATH);
        match self.kind {
            HeartbeatKind::Healthchecks if is_push => {
                Some("the URL looks like a push monitor of Uptime Kuma, which is told by kind = \"kuma\"")
            }
            HeartbeatKind::Kuma if !is_push => {
                Some("the URL does not look like a push monitor of Uptime Kuma, which has /api/push/ in it")
            }
            HeartbeatKind::Healthchecks | HeartbeatKind::Kuma | HeartbeatKind::Plain => None,
        }
    }

    /// A run begins; a service that can measures it, and speaks up when it never ends.
    ///
    /// # Errors
    /// [`SendError`] when it was not taken. The run goes on all the same.
    pub async fn start(&self, now: Time) -> Result<(), SendError> {
        let run = Run { id: uuid_v7(timed(now, rand::random())), begun: now };
        self.set_run(Some(run));
        match self.kind {
            HeartbeatKind::Healthchecks => self.ping("/start", Some(run), "", now).await,
            // They know of no beginning.
            HeartbeatKind::Kuma | HeartbeatKind::Plain => Ok(()),
        }
    }

    /// All is well; it ends the run that was started, if one was.
    pub async fn ok(&self, now: Time) -> Result<(), SendError> {
        let run = self.run();
        match self.kind {
            HeartbeatKind::Healthchecks => self.ping("", run, "", now).await?,
            HeartbeatKind::Kuma => self.push("up", "OK", run, now).await?,
            HeartbeatKind::Plain => self.http.get_from(self.http.url().clone(), now).await?.accepted()?,
        }
        self.set_run(None);
        Ok(())
    }

    /// Something is wrong: the service tells people at once, or misses the ping that a URL alone does not get. It ends the
    /// run that was started, if one was. Of the findings the first 10 kB are sent, to Uptime Kuma the first.
    pub async fn fail(&self, findings: &str, now: Time) -> Result<(), SendError> {
        let run = self.run();
        match self.kind {
            HeartbeatKind::Healthchecks => self.ping("/fail", run, cut(findings, FINDINGS_BYTES_MAX), now).await?,
            HeartbeatKind::Kuma => {
                let line = findings.trim().replace('\n', "; ");
                self.push("down", cut(&line, QUERY_BYTES_MAX), run, now).await?;
            }
            HeartbeatKind::Plain => {}
        }
        // When an end is not taken it can be told again.
        self.set_run(None);
        Ok(())
    }

    fn run(&self) -> Option<Run> {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_run(&self, run: Option<Run>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = run;
    }

    /// Always a POST: a check can be told to hear nothing else.
    async fn ping(&self, action: &str, run: Option<Run>, body: &str, now: Time) -> Result<(), SendError> {
        let url = address(self.http.url(), action, run.map(|run| run.id));
        let post = Post { content_type: TEXT, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        let answer = self.http.post_to(url, post, now).await?;
        answer.accepted().map_err(|error| self.with_oddity(error))?;
        // Older servers say 200 to everything and mean it here only.
        match answer.words() {
            words if words.starts_with("OK (not found)") => {
                Err(SendError::Refused { why: "the heartbeat's service knows no such check".to_owned() })
            }
            words if words.starts_with("OK (rate limited)") => {
                Err(SendError::Later { why: "too many heartbeats in a minute".to_owned(), after: None })
            }
            _ => Ok(()),
        }
    }

    /// A GET of a push monitor, with how long the look took in milliseconds.
    async fn push(&self, status: &str, words: &str, run: Option<Run>, now: Time) -> Result<(), SendError> {
        let took = run.map(|run| now.since(run.begun).as_millis().to_string()).unwrap_or_default();
        let url = push_address(self.http.url(), status, words, &took);
        let answer = self.http.get_from(url, now).await?;
        let taken = answer.accepted().and_then(|()| says_ok(&answer));
        taken.map_err(|error| self.with_oddity(error))
    }

    /// The refusal, with what may be its cause.
    fn with_oddity(&self, error: SendError) -> SendError {
        match (error, self.oddity()) {
            (SendError::Refused { why }, Some(oddity)) => SendError::Refused { why: format!("{why}; {oddity}") },
            (error, _) => error,
        }
    }
}

/// Uptime Kuma says `{"ok":true}`. Older ones answer 200 with `{"ok":false}` when no monitor has this key, and a page to
/// whatever is no push address.
fn says_ok(answer: &Answer<'_>) -> Result<(), SendError> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if body["ok"] == true {
        return Ok(());
    }
    let why = said(&format!("HTTP {} without \"ok\":true", answer.status), &answer.words());
    Err(SendError::Refused { why })
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The address of a push monitor with these values in place of those that Uptime Kuma shows it with.
fn push_address(monitor: &Url, status: &str, words: &str, ping: &str) -> Url {
    let ours = [("status", status), ("msg", words), ("ping", ping)];
    let others: Vec<(String, String)> = monitor.query_pairs().into_owned().collect();
    let mut url = monitor.clone();
    url.set_fragment(None);
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others.iter().filter(|(name, _)| ours.iter().all(|(known, _)| known != name)))
        .extend_pairs(ours);
    url
}

/// Where an action is reported: below the check's own path, before its query.
fn address(check: &Url, action: &str, run: Option<Uuid>) -> Url {
    let mut url = check.clone();
    url.set_fragment(None);
    url.set_path(&format!("{}{action}", check.path().trim_end_matches('/')));
    if let Some(run) = run {
        url.query_pairs_mut().append_pair("rid", &run.to_string());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_stands_before_the_query() {
        let run = Uuid::from_u128(1);
        let made = |check: &str, action, run| address(&check.parse().unwrap(), action, run).to_string();
        assert_eq!(made("https://hc.example/u", "", None), "https://hc.example/u");
        assert_eq!(made("https://hc.example/u/", "/fail", None), "https://hc.example/u/fail");
        assert_eq!(
            made("https://hc.example/key/slug/?create=1#x", "/start", Some(run)),
            format!("https://hc.example/key/slug/start?create=1&rid={run}")
        );
    }

    #[test]
    fn a_push_address_is_taken_as_it_was_copied() {
        let made = |monitor: &str| push_address(&monitor.parse().unwrap(), "up", "OK", "12").to_string();
        let expected = "https://kuma.example/api/push/Ab3?status=up&msg=OK&ping=12";
        assert_eq!(made("https://kuma.example/api/push/Ab3?status=up&msg=OK&ping="), expected);
        assert_eq!(made("https://kuma.example/api/push/Ab3#x"), expected);
        assert_eq!(made("https://kuma.example/api/push/Ab3?a=1&msg=x"), expected.replace('?', "?a=1&"));
    }

    #[test]
    fn an_address_of_another_kind_is_noticed() {
        let oddity = |kind, url| client(kind, url).unwrap().oddity();
        let (push, check) = ("https://kuma.example/api/push/Ab3", "https://hc-ping.com/5bf66975");
        assert!(oddity(HeartbeatKind::Healthchecks, push).unwrap().contains("kind = \"kuma\""));
        assert!(oddity(HeartbeatKind::Kuma, check).unwrap().contains("/api/push/"));
        let fitting = [(HeartbeatKind::Healthchecks, check), (HeartbeatKind::Kuma, push), (HeartbeatKind::Plain, push)];
        assert!(fitting.into_iter().all(|(kind, url)| oddity(kind, url).is_none()));
    }

    fn client(kind: HeartbeatKind, url: &str) -> Result<HeartbeatClient, BadHeartbeat> {
        HeartbeatClient::new(HeartbeatSettings::new(kind, url.into(), Duration::from_secs(1)))
    }

    #[test]
    fn the_address_is_never_shown() {
        let url = "https://hc-ping.com/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
        let heartbeat = client(HeartbeatKind::Healthchecks, url).unwrap();
        assert!(!format!("{heartbeat:?}").contains("5bf66975"));
        let wrong = client(HeartbeatKind::Healthchecks, "hc-ping.com/5bf66975").unwrap_err().to_string();
        assert!(wrong.starts_with("the heartbeat: `url`") && !wrong.contains("5bf66975"), "{wrong}");
    }
}
