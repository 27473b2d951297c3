//! Parses the mail server's URL. It never falls back to less protection than the URL asks for, and its errors do not
//! repeat the URL.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// The port of mail over TLS from the first byte (RFC 8314, section 3.3).
pub(super) const PORT_WRAPPED: u16 = 465;

/// The port of mail handed in by programs (RFC 6409, section 3.1).
const PORT_SUBMISSION: u16 = 587;

/// The port of mail between servers (RFC 5321, section 4.5.4.2); what a relay without TLS listens on.
const PORT_RELAY: u16 = 25;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte.
    Wrapped,
    /// A plain greeting, then TLS or nothing.
    StartTls,
    /// None at all, as asked for by `?tls=none`.
    Plain,
}

/// A server that takes mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name or address; an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// Who we are there; `None` where nobody asks.
    pub(super) user: Option<String>,
}

impl Server {
    /// Reads `smtps://user@host:465`, `smtp+starttls://user@host:587` or, for the same, `smtp://user@host:587`. The
    /// error is a sentence about the URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| "`url` is no URL: write smtps://user@host:465".to_owned())?;
        if url.password().is_some() {
            return Err("`url` must not hold the password: put it into `secret`".to_owned());
        }
        let security = security(&url)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("`url` must end after the host and its port".to_owned());
        }
        let host = url.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("`url` names no host: write smtps://user@host:465".to_owned());
        }
        let user = percent_decode_str(url.username()).decode_utf8();
        let user = user.map_err(|_| "the user in `url` is not UTF-8".to_owned())?.into_owned();
        if user.contains(char::is_control) {
            return Err("the user in `url` holds a control character".to_owned());
        }
        let user = (!user.is_empty()).then_some(user);
        let port = url.port().unwrap_or(match security {
            Security::Wrapped => PORT_WRAPPED,
            Security::StartTls => PORT_SUBMISSION,
            Security::Plain => PORT_RELAY,
        });
        let server = Self { host, port, security, user };
        if server.security == Security::Plain && server.user.is_some() && !server.is_this_machine() {
            return Err("tls=none with a user would send the password readable by everybody on the way: \
                        leave the user or tls=none out"
                .to_owned());
        }
        Ok(server)
    }

    /// Whether what we send never leaves this machine.
    fn is_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

fn security(url: &Url) -> Result<Security, String> {
    match (url.scheme(), url.query()) {
        ("smtps", None) => Ok(Security::Wrapped),
        ("smtp" | "smtp+starttls", None) => Ok(Security::StartTls),
        ("smtp", Some("tls=none")) => Ok(Security::Plain),
        ("smtp", Some(_)) => Err("after the ? of `url` stands tls=none or nothing".to_owned()),
        ("smtps" | "smtp+starttls", Some(_)) => {
            Err("`url` must end before any ?: only smtp:// knows tls=none".to_owned())
        }
        _ => Err("`url` must begin with smtps://, smtp+starttls:// or smtp://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server::parse(url).unwrap()
    }

    #[test]
    fn protection_is_what_the_url_asks_for() {
        let read = |url| (server(url).security, server(url).port);
        assert_eq!(read("smtps://mail.example"), (Security::Wrapped, 465));
        assert_eq!(read("smtp://mail.example"), (Security::StartTls, 587));
        assert_eq!(read("smtp+starttls://mail.example:2587"), (Security::StartTls, 2587));
        assert_eq!(read("smtp://mail.example?tls=none"), (Security::Plain, 25));
    }

    #[test]
    fn users_may_be_addresses() {
        let user = |url| server(url).user.unwrap();
        assert_eq!(user("smtps://alerts%40example.com@mail.example"), "alerts@example.com");
        assert_eq!(user("smtps://alerts@example.com@mail.example"), "alerts@example.com");
        assert_eq!(server("smtps://mail.example").user, None);
        assert_eq!(server("smtps://[::1]:465/").host, "::1");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for (url, word) in [
            ("mail.example:465", "begin with"),
            ("nonsense", "no URL"),
            ("https://mail.example", "begin with"),
            ("smtps://user:hunter2@mail.example", "must not hold the password"),
            ("smtps://user@mail.example?tls=none", "only smtp://"),
            ("smtp://mail.example?tls=maybe", "tls=none or nothing"),
            ("smtp://user@mail.example?tls=none", "readable by everybody"),
            ("smtps://mail.example/inbox", "must end after"),
            ("smtps:///", "names no host"),
            ("smtps://a%0d%0ab@mail.example", "control character"),
            ("smtps://%ff@mail.example", "not UTF-8"),
        ] {
            let wrong = Server::parse(url).unwrap_err();
            assert!(wrong.contains(word), "{url}: {wrong}");
            assert!(!wrong.contains("hunter2") && !wrong.contains("mail.example"), "{wrong}");
        }
    }

    #[test]
    fn a_password_may_go_plain_to_this_machine_only() {
        assert_eq!(server("smtp://me@127.0.0.1:2525?tls=none").security, Security::Plain);
        assert_eq!(server("smtp://me@[::1]:2525?tls=none").security, Security::Plain);
        assert!(Server::parse("smtp://me@10.0.0.1?tls=none").is_err());
    }
}
