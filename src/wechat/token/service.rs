//! Tokens from a token service over HTTP. Its headers go nowhere else, and its URL is not shown: both may be secrets.

use std::{fmt, time::Duration};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret as _;

use super::{BadTokenSource, GRANT_BYTES_MAX, Grant, GrantNames, HttpSource, TokenError};
use crate::{
    domain::id::AccountId,
    net::{
        client::{self, BodyFault, ClientOptions},
        proxy::Proxy,
        secrets::percent_encoded,
    },
};

/// Where the account's appid goes.
const PLACE: &str = "{account}";

/// How long a connection to the token service lies idle; short, so that one the service has closed is rarely used.
const IDLE: Duration = Duration::from_secs(4);

/// Idle connections to the token service: it is asked once per account in two hours.
const IDLE_MAX: usize = 8;

/// Bytes of the shortest value taken for a secret: a `v=1` would take every 1 out of a rid.
const SECRET_BYTES_MIN: usize = 4;

pub(super) struct Service {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
    names: GrantNames,
    proxy_secrets: Vec<String>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
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
        let http = client::client(&ClientOptions {
            timeout: source.timeout,
            connect_timeout: source.timeout,
            idle_timeout: IDLE,
            idle_per_host: IDLE_MAX,
            egress: &source.egress,
            tls: sample.scheme() == "https",
        })
        .map_err(BadTokenSource)?;
        let proxy_secrets = source.egress.proxy.iter().flat_map(Proxy::secrets).collect();
        Ok(Self { http, url: source.url.clone(), headers, names: source.names.clone(), proxy_secrets })
    }

    pub(super) async fn fetch(&self, account: &AccountId) -> Result<Grant, TokenError> {
        let url = self.url.replace(PLACE, &percent_encoded(account.as_str()));
        let unreachable = |error: reqwest::Error| {
            TokenError::Unavailable(format!("the token source does not answer: {}", client::explain(error)))
        };
        let response = self.http.get(&url).headers(self.headers.clone()).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = client::body(response, GRANT_BYTES_MAX).await.map_err(|fault| match fault {
            BodyFault::TooLong(max) => {
                TokenError::Unavailable(format!("the token source answers more than {max} bytes"))
            }
            BodyFault::Broken(error) => unreachable(error),
        })?;
        let sent = self.secrets(&url, account);
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        Grant::of_service(status, &body, &self.names, &sent)
    }

    /// What the service or the proxy was sent that may be a secret, for it may quote that back: the headers' values and
    /// their words, as of `Bearer …`, a password in the URL, and the values in its query, as they were spelt and as they are meant.
    /// Longest first, for one may lie within another.
    fn secrets(&self, url: &str, account: &AccountId) -> Vec<String> {
        let mut found = self.proxy_secrets.clone();
        for value in self.headers.values().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()) {
            found.push(value.to_owned());
            found.extend(value.split_whitespace().map(str::to_owned));
        }
        if let Ok(url) = Url::parse(url) {
            found.extend(url.password().map(str::to_owned));
            for pair in url.query().unwrap_or_default().split('&') {
                found.push(pair.split_once('=').map_or(pair, |(_, value)| value).to_owned());
            }
            // A key without a value is the secret itself.
            found.extend(url.query_pairs().map(|(key, value)| if value.is_empty() { key } else { value }.into_owned()));
        }
        found.retain(|secret| secret.len() >= SECRET_BYTES_MIN && secret != account.as_str());
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found.dedup();
        found
    }
}
