//! An HTTP proxy as the way out: its address, which may hold a password and is never shown with it, and the tunnel
//! through it for what is no HTTP. The environment's proxies are never used.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The port of a proxy that names none, as every HTTP client takes it.
const PORT: u16 = 80;

/// Bytes of a proxy's answer to CONNECT that are read. Real ones have a hundred or two.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// What a proxy's address looks like.
const SHAPE: &str = "write http://proxy.example:3128 or http://user:password@proxy.example:3128";

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name or address; an IPv6 address without brackets.
    host: String,
    port: u16,
    user: Option<String>,
    password: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Proxy {
    /// Reads `http://user:password@host:port`; user, password and port may be missing.
    ///
    /// # Errors
    /// A sentence that says what is wrong and never repeats the text.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let text = text.expose_secret().trim();
        let Some(("http", _)) = text.split_once("://") else { return Err(not_http(text)) };
        let url = Url::parse(text).map_err(|wrong| format!("the proxy is no URL ({wrong}): {SHAPE}"))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("the proxy's address must end after its port: {SHAPE}"));
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let odd = || format!("the proxy's user or password is not UTF-8 or holds a control character: {SHAPE}");
        let user = meant(url.username()).ok_or_else(odd)?;
        let password = meant(url.password().unwrap_or_default()).ok_or_else(odd)?;
        if user.contains(':') {
            return Err("the proxy's user must not hold a colon: Basic authentication cannot say it".to_owned());
        }
        let user = (!user.is_empty() || !password.is_empty()).then_some(user);
        Ok(Self { host, port: url.port().unwrap_or(PORT), user, password })
    }

    /// The address as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        let user = if self.user.is_some() { "(hidden)@" } else { "" };
        format!("http://{user}{}", authority(&self.host, self.port))
    }

    /// The same for reqwest, which sends user and password only to the proxy itself.
    pub(crate) fn for_reqwest(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(format!("http://{}", authority(&self.host, self.port)))?;
        Ok(match &self.user {
            Some(user) => proxy.basic_auth(user, &self.password),
            None => proxy,
        })
    }

    /// What must be in no text: user and password, and both as a header carries them.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let Some(user) = &self.user else { return Vec::new() };
        let all = [self.password.clone(), self.credentials(user), user.clone()];
        all.into_iter().filter(|secret| !secret.is_empty()).collect()
    }

    fn credentials(&self, user: &str) -> String {
        BASE64_STANDARD.encode(format!("{user}:{}", self.password))
    }

    /// A connection to this host and port through the proxy, by CONNECT (RFC 9110, section 9.3.6). Whoever calls it
    /// limits the time.
    ///
    /// # Errors
    /// [`TunnelError`] without user or password.
    pub(crate) async fn tunnel(&self, host: &str, port: u16) -> Result<TcpStream, TunnelError> {
        let unreachable = |error: std::io::Error| TunnelError::Passing(format!("the proxy cannot be reached: {error}"));
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        let to = authority(host, port);
        let login = self.user.as_ref().map(|user| format!("Proxy-Authorization: Basic {}\r\n", self.credentials(user)));
        let ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{}\r\n", login.unwrap_or_default());
        stream.write_all(ask.as_bytes()).await.map_err(unreachable)?;
        let broken = |error: std::io::Error| TunnelError::Passing(format!("the proxy answers nothing: {error}"));
        verdict(&head(&mut stream).await.map_err(broken)?)?;
        Ok(stream)
    }
}

/// Why there is no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TunnelError {
    /// No connection, or trouble at the proxy: it may pass.
    #[error("{0}")]
    Passing(String),
    /// The proxy does not let us: a person must look.
    #[error("{0}")]
    Refused(String),
}

/// What to do when a proxy wants to know who we are.
pub(crate) const WANTS_A_LOGIN: &str =
    "the proxy wants a user and a password, or others: `proxy` holds them, as in http://user:password@host:port";

/// What a proxy's answer means for the tunnel.
fn verdict(head: &[u8]) -> Result<(), TunnelError> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let status = line.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err(TunnelError::Refused(format!("HTTP 407: {WANTS_A_LOGIN}"))),
        Some(status @ (400..=406 | 410..=428 | 430..=499)) => Err(TunnelError::Refused(format!(
            "the proxy refuses the connection with HTTP {status}: it must allow CONNECT to this host and port"
        ))),
        Some(status) => Err(TunnelError::Passing(format!("the proxy answers HTTP {status}"))),
        None => Err(TunnelError::Refused("what `proxy` names is no HTTP proxy: its answer is no HTTP".to_owned())),
    }
}

/// The answer's head, byte by byte: whatever follows it belongs to the server behind the proxy, which may speak first.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < ANSWER_BYTES_MAX {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// `host:port`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A part of an address as it is meant; nothing when no header could hold it.
fn meant(part: &str) -> Option<String> {
    let meant = percent_decode_str(part).decode_utf8().ok()?.into_owned();
    (!meant.contains(char::is_control)).then_some(meant)
}

fn not_http(text: &str) -> String {
    match text.split_once("://") {
        Some(("https", _)) => format!(
            "the proxy itself is spoken to without TLS (what goes through it to https:// is encrypted all the same): {SHAPE}"
        ),
        Some((scheme, _)) if scheme.starts_with("socks") => format!("SOCKS proxies are not supported: {SHAPE}"),
        Some(_) | None => format!("the proxy's address must begin with http://: {SHAPE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Proxy {
        Proxy::parse(&text.into()).unwrap()
    }

    #[test]
    fn user_and_password_are_read_and_never_shown() {
        let proxy = proxy("http://us%65r:p%40ss%3aword@proxy.example:3128");
        assert_eq!((proxy.user.as_deref(), proxy.password.as_str()), (Some("user"), "p@ss:word"));
        assert_eq!(format!("{proxy:?}"), "http://(hidden)@proxy.example:3128");
        assert_eq!(proxy.secrets()[1], BASE64_STANDARD.encode("user:p@ss:word"));
        assert_eq!(self::proxy("http://[::1]:8080/").shown(), "http://[::1]:8080");
        assert_eq!(self::proxy("http://proxy").shown(), "http://proxy:80");
    }

    #[test]
    fn what_is_no_proxy_is_said_without_the_address() {
        for (text, word) in [
            ("hush.example:3128", "must begin with http://"),
            ("hush", "must begin with http://"),
            ("https://user:hush@proxy.example", "without TLS"),
            ("socks5h://user:hush@proxy.example", "SOCKS"),
            ("http://user:hush@proxy.example/path", "must end after its port"),
            ("http://user:hush@", "no URL"),
            ("http://user:hush@proxy.example:99999", "no URL"),
            ("http://a%3ab:hush@proxy.example", "colon"),
            ("http://user:hush%0d@proxy.example", "control character"),
        ] {
            let wrong = Proxy::parse(&text.into()).unwrap_err();
            assert!(wrong.contains(word) && !wrong.contains("hush"), "{text}: {wrong}");
        }
    }

    #[test]
    fn an_answer_says_whether_a_person_must_look() {
        let is_refused = |head: &str| match verdict(head.as_bytes()) {
            Ok(()) => None,
            Err(TunnelError::Refused(_)) => Some(true),
            Err(TunnelError::Passing(_)) => Some(false),
        };
        assert_eq!(is_refused("HTTP/1.1 200 Connection established\r\n\r\n"), None);
        for head in ["HTTP/1.0 407 x\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n", "220 mail.example\r\n\r\n"] {
            assert_eq!(is_refused(head), Some(true), "{head}");
        }
        for head in ["HTTP/1.1 429 x\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 504\r\n\r\n"] {
            assert_eq!(is_refused(head), Some(false), "{head}");
        }
    }
}
