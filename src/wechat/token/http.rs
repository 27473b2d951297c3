//! Tokens from a token service over HTTP. It must never send its headers anywhere else, nor show its address.

use std::time::Duration;

use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret as _;

use super::{BadTokenSource, GRANT_BYTES_MAX, Grant, HttpSource, TokenError, grant, refused};
use crate::{
    domain::id::AccountId,
    wechat::{
        errmsg::percent_encoded,
        transport::{self, BodyFault, Habits},
        wire,
    },
};

/// Where the account's appid goes.
const PLACE: &str = "{account}";

/// How long a connection to the token service lies idle; short, so that one the service has closed is rarely used.
const IDLE: Duration = Duration::from_secs(4);

/// Idle connections to the token service: it is asked once per account in two hours.
const IDLE_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Service {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
}

impl Service {
    pub(super) fn new(source: &HttpSource) -> Result<Self, BadTokenSource> {
        let bad = |what: &str| BadTokenSource(what.to_owned());
        if !source.url.contains(PLACE) {
            return Err(bad("needs {account} in its URL: every account has its own token"));
        }
        let sample =
            Url::parse(&source.url.replace(PLACE, "wx0123456789abcdef")).map_err(|_| bad("has no valid URL"))?;
        if !matches!(sample.scheme(), "http" | "https") {
            return Err(bad("needs a URL that begins with http:// or https://"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &source.headers {
            let name: HeaderName = name.parse().map_err(|_| bad("has a header whose name is none"))?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| BadTokenSource(format!("has a header {name} whose value holds an illegal character")))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let http = transport::client(&Habits {
            timeout: source.timeout,
            connect_timeout: source.timeout,
            idle_timeout: IDLE,
            idle_per_host: IDLE_MAX,
            proxy: None,
            tls: sample.scheme() == "https",
        })
        .map_err(BadTokenSource)?;
        Ok(Self { http, url: source.url.clone(), headers })
    }

    pub(super) async fn fetch(&self, account: &AccountId) -> Result<Grant, TokenError> {
        let url = self.url.replace(PLACE, &percent_encoded(account.as_str()));
        let unreachable = |error: reqwest::Error| {
            TokenError::Unavailable(format!("the token source does not answer: {}", transport::explain(error)))
        };
        let response = self.http.get(url).headers(self.headers.clone()).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = transport::body(response, GRANT_BYTES_MAX).await.map_err(|fault| match fault {
            BodyFault::TooLong(max) => {
                TokenError::Unavailable(format!("the token source answers more than {max} bytes"))
            }
            BodyFault::Broken(error) => unreachable(error),
        })?;
        if status == StatusCode::OK {
            return grant(&body);
        }
        Err(match wire::refused(&body) {
            Some(refusal) => refused(&refusal),
            None => TokenError::Unavailable(format!("the token source answers HTTP {status}")),
        })
    }
}
