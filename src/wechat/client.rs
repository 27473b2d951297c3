//! The three link APIs of `WeChat` as calls. Each is sent once: a retry inside the client could invite twice.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue},
};

use super::{
    answer::{self, CallError, RawListing, cleaned},
    meters::{Api, CallMeters, Missing},
    token::Token,
};
use crate::{
    domain::id::ProgramId,
    net::{
        client::{self, BodyFault, ClientOptions},
        egress::Egress,
    },
};

/// Bytes of one listing: `ITEMS_MAX` items of the documented size.
pub const LISTING_BYTES_MAX: usize = 4 << 20;

/// Bytes of any other answer; documented ones have under a hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The longest a connection for calls that may not be made twice lies idle. The shorter, the rarer the race in which the server closes it
/// just as we send, which leaves the call's outcome unknown. Servers keep theirs 5 seconds or longer.
const EFFECT_IDLE_MAX: Duration = Duration::from_secs(4);

/// A form's type answers -1 for ever.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// How to reach `WeChat`.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Scheme, host and perhaps a path of a reverse proxy, as in `https://api.weixin.qq.com`.
    pub base_url: String,
    /// From sending to the last byte of the answer.
    pub timeout: Duration,
    /// Name lookup, TCP and TLS; at most three quarters of `timeout` count.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept; those for other calls than listings 4 seconds at most.
    pub idle_timeout: Duration,
    /// Idle connections kept for reuse.
    pub idle_per_host: usize,
    /// The way out of every call. The environment's proxies are never used.
    pub egress: Egress,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            base_url: "https://api.weixin.qq.com".to_owned(),
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            idle_per_host: 64,
            egress: Egress::default(),
        }
    }
}

/// Why no client could be made. Mend the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// The base URL cannot be called.
    #[error("the base URL of WeChat {0}")]
    BaseUrl(&'static str),
    /// A part of the HTTP client did not start, as without CA certificates.
    #[error("no HTTP client: {0}")]
    Http(String),
}

/// Two choices of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkOptions {
    /// Messages every follower of the account about the link. Never a default.
    pub notify_users: bool,
    /// Shows the program on the account's page.
    pub show_profile: bool,
}

/// Calls `WeChat`. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// For listings, which may be asked for again at any time.
    listings: reqwest::Client,
    /// For link and unlink, which may not: its connections are younger.
    effects: reqwest::Client,
    wxamplinkget: Url,
    wxamplink: Url,
    wxampunlink: Url,
    meters: Arc<CallMeters>,
}

impl Client {
    /// A client of this `WeChat`. It connects when it is first used.
    ///
    /// # Errors
    ///
    /// When the base URL cannot be used, or there are no CA certificates for `https`.
    pub fn new(config: &ClientConfig) -> Result<Self, BadClient> {
        let base = base_url(&config.base_url)?;
        let endpoint = |name: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{}/cgi-bin/wxopen/{name}", base.path().trim_end_matches('/')));
            url
        };
        Ok(Self {
            listings: client::client(&habits(config, &base)).map_err(BadClient::Http)?,
            effects: careful(config, &base)?,
            wxamplinkget: endpoint("wxamplinkget"),
            wxamplink: endpoint("wxamplink"),
            wxampunlink: endpoint("wxampunlink"),
            meters: Arc::default(),
        })
    }

    /// What is counted of its calls.
    #[must_use]
    pub const fn meters(&self) -> &Arc<CallMeters> {
        &self.meters
    }

    /// The same client, which goes on counting where another one does.
    #[must_use]
    pub(super) fn counting(self, meters: Arc<CallMeters>) -> Self {
        Self { meters, ..self }
    }

    /// Asks for every program of the token's account (`wxamplinkget`). The body is not read beyond its first bytes; a
    /// short refusal is an error right here, a longer one when the listing is read.
    ///
    /// # Errors
    ///
    /// Whatever came of the call that is no answer with HTTP 200 and an object in it.
    pub async fn listing(&self, token: &Token) -> Result<RawListing, CallError> {
        // An empty object, not an empty body: that one has answered 44002.
        let sent = Bytes::from_static(b"{}");
        let answered = exchange(request(&self.listings, &self.wxamplinkget, token, sent), LISTING_BYTES_MAX).await;
        let (status, body) = self.arrived(Api::Listing, answered, token)?;
        let listing = answer::to_listing(status, body, token);
        self.meters.answered(Api::Listing, listing.as_ref().err());
        listing
    }

    /// Invites the administrators to link `program` to the token's account (`wxamplink`). Sent at most once per call.
    /// Dropping the future after it was polled leaves the outcome unknown, as [`CallError::Lost`] does.
    ///
    /// # Errors
    ///
    /// Anything but an explicit `errcode` of 0.
    pub async fn link(&self, token: &Token, program: &ProgramId, options: LinkOptions) -> Result<(), CallError> {
        // The documented example sends the flags as texts.
        let flag = |on: bool| if on { "1" } else { "0" };
        let sent = serde_json::json!({
            "appid": program.as_str(),
            "notify_users": flag(options.notify_users),
            "show_profile": flag(options.show_profile),
        });
        self.effect(Api::Link, &self.wxamplink, token, &sent).await
    }

    /// Asks to unlink `program` from the token's account (`wxampunlink`); the account's administrator must agree too.
    /// Sent at most once per call, as [`Self::link`].
    ///
    /// # Errors
    ///
    /// Anything but an explicit `errcode` of 0.
    pub async fn unlink(&self, token: &Token, program: &ProgramId) -> Result<(), CallError> {
        self.effect(Api::Unlink, &self.wxampunlink, token, &serde_json::json!({ "appid": program.as_str() })).await
    }

    async fn effect(&self, api: Api, url: &Url, token: &Token, sent: &serde_json::Value) -> Result<(), CallError> {
        let sent = Bytes::from(sent.to_string());
        let answered = exchange(request(&self.effects, url, token, sent), ANSWER_BYTES_MAX).await;
        let (status, body) = self.arrived(api, answered, token)?;
        let effect = answer::to_effect(status, &body, token);
        self.meters.answered(api, effect.as_ref().err());
        effect
    }

    /// Counts a call to which no answer came.
    fn arrived(&self, api: Api, answered: Exchanged, token: &Token) -> Result<(StatusCode, Bytes), CallError> {
        answered.map_err(|(missing, error)| {
            self.meters.missed(api, missing);
            cleaned(error, token)
        })
    }
}

fn habits<'c>(config: &'c ClientConfig, base: &Url) -> ClientOptions<'c> {
    ClientOptions {
        timeout: config.timeout,
        connect_timeout: config.connect_timeout,
        idle_timeout: config.idle_timeout,
        idle_per_host: config.idle_per_host,
        egress: &config.egress,
        tls: base.scheme() == "https",
    }
}

/// An HTTP client for calls that may not be made twice.
pub(super) fn careful(config: &ClientConfig, base: &Url) -> Result<reqwest::Client, BadClient> {
    let idle_timeout = config.idle_timeout.min(EFFECT_IDLE_MAX);
    client::client(&ClientOptions { idle_timeout, ..habits(config, base) }).map_err(BadClient::Http)
}

fn request(http: &reqwest::Client, url: &Url, token: &Token, sent: Bytes) -> reqwest::RequestBuilder {
    let mut url = url.clone();
    url.set_query(Some(&format!("access_token={}", token.in_url())));
    post(http, url, sent)
}

/// A POST of this JSON.
pub(super) fn post(http: &reqwest::Client, url: Url, sent: Bytes) -> reqwest::RequestBuilder {
    http.post(url).header(CONTENT_TYPE, JSON).body(sent)
}

/// Why there is no answer.
fn missing(error: &reqwest::Error) -> Missing {
    match () {
        () if error.is_builder() => Missing::NotSent,
        () if error.is_connect() => Missing::Connect,
        () if error.is_timeout() => Missing::Timeout,
        () => Missing::BrokenOff,
    }
}

/// Status and body, or why they did not come.
type Exchanged = Result<(StatusCode, Bytes), (Missing, CallError)>;

/// [`exchange`], without telling the kinds of faults apart.
pub(super) async fn call(request: reqwest::RequestBuilder, max: usize) -> Result<(StatusCode, Bytes), CallError> {
    exchange(request, max).await.map_err(|(_, error)| error)
}

/// Sends and waits for status and body; from the first byte out, every fault leaves the outcome unknown.
async fn exchange(request: reqwest::RequestBuilder, max: usize) -> Exchanged {
    let response = request.send().await.map_err(|error| {
        let fault = missing(&error);
        let why = client::explain(error);
        let unsent = matches!(fault, Missing::NotSent | Missing::Connect);
        (fault, if unsent { CallError::NotSent(why) } else { CallError::Lost(why) })
    })?;
    let status = response.status();
    let body = client::body(response, max).await.map_err(|fault| match fault {
        BodyFault::TooLong(_) if status != StatusCode::OK => (Missing::BrokenOff, answer::not_wechats(status)),
        BodyFault::TooLong(max) => {
            (Missing::BrokenOff, CallError::Unreadable(format!("the answer has more than {max} bytes")))
        }
        BodyFault::Broken(error) => (missing(&error), CallError::Lost(client::explain(error))),
    })?;
    Ok((status, body))
}

/// The base URL, if calls can be made below it.
pub(super) fn base_url(text: &str) -> Result<Url, BadClient> {
    let url = Url::parse(text).map_err(|_| BadClient::BaseUrl("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadClient::BaseUrl("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadClient::BaseUrl("must not hold a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BadClient::BaseUrl("must end before any ? or #"));
    }
    Ok(url)
}
