//! HTTP clients: common settings, bounded bodies, errors in words. No second try, no redirects, and no URL in
//! an error, because it holds a token.

use std::{error::Error as _, fmt::Write as _, time::Duration};

use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret as _, SecretString};

/// What we are called in other people's logs.
const USER_AGENT: &str = concat!("amplinkd/", env!("CARGO_PKG_VERSION"));

/// Installs the one TLS provider of this process, ring. Calling it again, or after another part installed one, does
/// nothing; without any, the first client would panic.
pub fn install_tls() {
    // The error says that there is a provider already, which is all we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How connections are made and kept.
#[derive(Debug)]
pub(crate) struct ClientOptions<'a> {
    /// From the first byte out to the last byte in.
    pub(crate) timeout: Duration,
    /// Name lookup, TCP and TLS together.
    pub(crate) connect_timeout: Duration,
    /// How long a connection may lie idle before it is closed from our side.
    pub(crate) idle_timeout: Duration,
    /// Idle connections kept per host.
    pub(crate) idle_per_host: usize,
    /// A proxy to go through; the environment's are never used.
    pub(crate) proxy: Option<&'a SecretString>,
    /// Whether certificates are needed at all.
    pub(crate) tls: bool,
}

/// A client with these options. The error never shows the proxy's address, which may hold a password.
pub(crate) fn client(options: &ClientOptions<'_>) -> Result<reqwest::Client, String> {
    install_tls();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        // HTTP/1.1 is faster here, and its only automatic repetition is of requests that were never begun: hyper gives a
        // request back only if it still lay in the queue of a connection that turned out to be dead. HTTP/2 repeats
        // more, so it stays off, and so does reqwest's own policy.
        .http1_only()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // reqwest reads HTTP_PROXY and its kin even without its `system-proxy` feature.
        .no_proxy()
        .timeout(options.timeout)
        // A wait that ends while connecting is known to have sent nothing only if the connector itself ends it.
        .connect_timeout(options.connect_timeout.min(options.timeout * 3 / 4))
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_per_host)
        .tcp_nodelay(true);
    if let Some(proxy) = options.proxy {
        let proxy = reqwest::Proxy::all(proxy.expose_secret()).map_err(|_| "the proxy is no URL".to_owned())?;
        builder = builder.proxy(proxy);
    } else if !options.tls {
        // Plain HTTP works on a machine without any CA certificates, where building a TLS client fails.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(explain)
}

/// Why a body could not be had.
#[derive(Debug)]
pub(crate) enum BodyFault {
    /// It is longer than the limit, in bytes.
    TooLong(usize),
    /// The connection failed.
    Broken(reqwest::Error),
}

/// The whole body, at most `max` bytes of it.
pub(crate) async fn body(mut response: reqwest::Response, max: usize) -> Result<Bytes, BodyFault> {
    let Some(first) = response.chunk().await.map_err(BodyFault::Broken)? else { return Ok(Bytes::new()) };
    let mut length = first.len();
    let mut joined: Option<BytesMut> = None;
    while length <= max {
        let Some(next) = response.chunk().await.map_err(BodyFault::Broken)? else {
            return Ok(joined.map_or(first, BytesMut::freeze));
        };
        length += next.len();
        joined.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&next);
    }
    Err(BodyFault::TooLong(max))
}

/// The error and its causes in one line, without the URL.
pub(crate) fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a String cannot fail.
        let _ = write!(line, ": {inner}");
        cause = inner.source();
    }
    line
}
