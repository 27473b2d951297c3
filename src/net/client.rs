//! HTTP clients: common settings, bounded bodies, errors in words. No second try, no redirects, and no URL in
//! an error, because it holds a token.

use std::{error::Error as _, fmt::Write as _, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{
    egress::Egress,
    proxy::WANTS_A_LOGIN,
    trust::{advice, tls_fault},
};

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
    /// The way out; the environment's proxies are never used.
    pub(crate) egress: &'a Egress,
    /// Whether certificates are needed at all.
    pub(crate) tls: bool,
}

/// A client with these options. The error never shows the proxy's password.
pub(crate) fn client(options: &ClientOptions<'_>) -> Result<reqwest::Client, String> {
    builder(options)?.build().map_err(explain)
}

/// The same, for whoever listens at a socket of this machine: what stands in an address as the host only names it.
pub(crate) fn client_of_socket(options: &ClientOptions<'_>, socket: &Path) -> Result<reqwest::Client, String> {
    builder(options)?.unix_socket(socket).build().map_err(explain)
}

fn builder(options: &ClientOptions<'_>) -> Result<reqwest::ClientBuilder, String> {
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
    if let Some(proxy) = &options.egress.proxy {
        builder = builder.proxy(proxy.for_reqwest().map_err(explain)?);
    }
    // Plain HTTP works on a machine without any CA certificates, where building a TLS client fails.
    Ok(if options.tls { builder.tls_certs_merge(roots(options.egress)?) } else { builder.tls_certs_only([]) })
}

fn roots(egress: &Egress) -> Result<Vec<reqwest::Certificate>, String> {
    let found = egress.authorities.certificates().map(|der| reqwest::Certificate::from_der(der));
    found.collect::<Result<_, _>>().map_err(explain)
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

/// The error and its causes in one line, without the URL; and what a person must change, where one must.
pub(crate) fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let line = causes(&error);
    match remedy(&error) {
        Some(remedy) => format!("{remedy} ({line})"),
        None => line,
    }
}

/// The error and its causes in one line, without the URL.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a String cannot fail.
        let _ = write!(line, ": {inner}");
        cause = inner.source();
    }
    // hyper's words say not that it is the proxy that fails.
    line.replace("tunnel error: unsuccessful", "the proxy opens no tunnel to this host and port")
        .replace("tunnel error: failed to create underlying connection", "the proxy cannot be reached")
}

/// What a person must change; nothing when the fault may pass by itself.
pub(crate) fn remedy(error: &reqwest::Error) -> Option<String> {
    if let Some(fault) = tls_fault(error) {
        return match fault {
            rustls::Error::InvalidMessage(_) => {
                Some("the server speaks no TLS on this port: is it http://?".to_owned())
            }
            fault => advice(fault),
        };
    }
    // hyper's own words: its types are not ours to name.
    causes(error).contains("proxy authorization required").then(|| WANTS_A_LOGIN.to_owned())
}
