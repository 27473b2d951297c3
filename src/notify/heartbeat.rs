//! Pings an outside service that notifies people when we are silent, as Healthchecks defines it
//! (<https://healthchecks.io/docs/http_api/>). The URL is a key and is never shown.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Url, header::HeaderMap, header::HeaderValue};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    ChannelSettings, Kind, SendError,
    http::{Http, Post},
};
use crate::domain::{
    id::{timed, uuid_v7},
    time::Time,
};

/// Bytes of findings that are sent: as many as an installation of one's own keeps unless told otherwise
/// (`PING_BODY_LIMIT`, <https://healthchecks.io/docs/self_hosted_configuration/#PING_BODY_LIMIT>).
const FINDINGS_BYTES_MAX: usize = 10_000;

/// Findings are words.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why there is no heartbeat: a sentence for the operator, without the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the heartbeat: {0}")]
pub struct BadHeartbeat(pub String);

/// One check of such a service.
#[derive(Debug)]
pub struct HeartbeatClient {
    http: Http,
    /// The run that was started and not ended yet. A start that never arrived does no harm: the service then knows no
    /// duration.
    run: Mutex<Option<Uuid>>,
}

impl HeartbeatClient {
    /// A heartbeat at the check's ping URL, such as `https://hc-ping.com/<uuid>`; nothing is sent. `timeout` is for one
    /// call.
    pub fn new(url: SecretString, timeout: Duration) -> Result<Self, BadHeartbeat> {
        let settings = ChannelSettings {
            name: "heartbeat".to_owned(),
            kind: Kind::Webhook,
            url: Some(url),
            secrets: Vec::new(),
            timeout,
            from: None,
            to: Vec::new(),
        };
        let http = Http::new(&settings).map_err(|error| BadHeartbeat(error.wrong))?;
        Ok(Self { http, run: Mutex::new(None) })
    }

    /// A run begins; the service measures it, and speaks up when it never ends.
    ///
    /// # Errors
    /// [`SendError`] when it was not taken. The run goes on all the same.
    pub async fn start(&self, now: Time) -> Result<(), SendError> {
        let run = uuid_v7(timed(now, rand::random()));
        self.set_run(Some(run));
        self.ping("/start", Some(run), "", now).await
    }

    /// All is well; it ends the run that was started, if one was.
    pub async fn ok(&self, now: Time) -> Result<(), SendError> {
        self.end("", "", now).await
    }

    /// Something is wrong: the service tells people at once. It ends the run that was started, if one was. Of the
    /// findings the first 10 kB are sent.
    pub async fn fail(&self, findings: &str, now: Time) -> Result<(), SendError> {
        self.end("/fail", &findings[..findings.floor_char_boundary(FINDINGS_BYTES_MAX)], now).await
    }

    /// Ends the run. When that is not taken it can be ended again.
    async fn end(&self, action: &str, body: &str, now: Time) -> Result<(), SendError> {
        let run = *self.run.lock().unwrap_or_else(PoisonError::into_inner);
        self.ping(action, run, body, now).await?;
        self.set_run(None);
        Ok(())
    }

    fn set_run(&self, run: Option<Uuid>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = run;
    }

    /// Always a POST: a check can be told to hear nothing else.
    async fn ping(&self, action: &str, run: Option<Uuid>, body: &str, now: Time) -> Result<(), SendError> {
        let url = address(self.http.url(), action, run);
        let post = Post { content_type: TEXT, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        let answer = self.http.post_to(url, post, now).await?;
        answer.accepted()?;
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
    fn the_address_is_never_shown() {
        let url = "https://hc-ping.com/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
        let heartbeat = HeartbeatClient::new(url.into(), Duration::from_secs(1)).unwrap();
        assert!(!format!("{heartbeat:?}").contains("5bf66975"));
        let wrong =
            HeartbeatClient::new("hc-ping.com/5bf66975".into(), Duration::from_secs(1)).unwrap_err().to_string();
        assert!(wrong.starts_with("the heartbeat: `url`") && !wrong.contains("5bf66975"), "{wrong}");
    }
}
