//! Where a daemon is: an address on the network, or a socket on this machine. A token travels without TLS only to this
//! machine, unless its owner says otherwise.

use std::{fmt, net::IpAddr, path::PathBuf};

use reqwest::Url;

/// Where a daemon's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without a slash at its end.
    base: String,
    socket: Option<PathBuf>,
    is_tls: bool,
}

/// Whether a token may be sent to another machine without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// It may not.
    Refused,
    /// Its owner says that it may.
    Allowed,
}

impl Address {
    /// Reads `https://HOST`, `http://HOST` or `unix:/PATH`, with `[http] base_path` behind a host where there is one.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str, plain: Plain) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::socket(path);
        }
        let expected =
            || "expected an address such as https://amplinkd.example or unix:/run/amplinkd/http.sock".to_owned();
        let url = Url::parse(text).map_err(|_| expected())?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(expected());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address holds no user and no password: the token stands in its file".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected an address without ? and #".to_owned());
        }
        let is_tls = url.scheme() == "https";
        if !is_tls && plain == Plain::Refused && !is_loopback(&url) {
            return Err("http:// to another machine would show the token to the network: use https://, or a profile \
                        with insecure = true"
                .to_owned());
        }
        let base = url.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/api/v1").unwrap_or(base).to_owned();
        Ok(Self { base, socket: None, is_tls })
    }

    fn socket(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err("expected the whole path of a socket, such as unix:/run/amplinkd/http.sock".to_owned());
        }
        Ok(Self { base: "http://localhost".to_owned(), socket: Some(PathBuf::from(path)), is_tls: false })
    }

    /// The socket, where it is one.
    #[must_use]
    pub const fn as_socket(&self) -> Option<&PathBuf> {
        self.socket.as_ref()
    }

    /// Whether certificates are needed.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The address of a path of the API, which begins with a slash.
    #[must_use]
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => f.write_str(&self.base),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_safe_or_refused() {
        let shown = |text: &str, plain| Address::parse(text, plain).map(|address| address.to_string());
        for good in [
            "https://a.example",
            "http://127.0.0.1:8750",
            "http://[::1]:8750",
            "http://localhost:1",
            "unix:/run/a.sock",
        ] {
            assert_eq!(shown(good, Plain::Refused).as_deref(), Ok(good));
        }
        assert_eq!(shown("https://a.example/ops/", Plain::Refused).as_deref(), Ok("https://a.example/ops"));
        assert_eq!(shown("https://a.example/api/v1", Plain::Refused).as_deref(), Ok("https://a.example"));
        assert!(shown("http://a.example", Plain::Refused).unwrap_err().contains("insecure = true"));
        assert_eq!(shown("http://a.example", Plain::Allowed).as_deref(), Ok("http://a.example"));
        for wrong in [
            "a.example",
            "ftp://a.example",
            "https://",
            "https://u:p@a.example",
            "https://a.example/?x",
            "unix:run",
            "",
        ] {
            assert!(Address::parse(wrong, Plain::Allowed).is_err(), "{wrong}");
        }
        assert!(shown("http://localhost.evil.example", Plain::Refused).is_err());
        assert_eq!(
            Address::parse("https://a.example/x", Plain::Refused).unwrap().of("/livez"),
            "https://a.example/x/livez"
        );
    }
}
