//! Cookies: a session's secret, and a word of what was done just now. Where a browser came over TLS they are bound to that very
//! host and to TLS; on this machine, where there may be none, they have plain names. A browser sends those of a host to all of
//! its ports: their names have the port that it came to, so that daemons beside each other do not take each other's.

use axum::http::{HeaderMap, HeaderValue, header};

use super::front::name_of;

const SECURE: &str = "__Host-amplinkd";
const PLAIN: &str = "amplinkd";

/// How long what was done is told, in seconds: a page comes at once.
const DONE_KEPT: u64 = 30;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Session,
    Done,
}

impl Use {
    /// What it is called for the browser that sends these headers.
    fn name(self, first: &str, headers: &HeaderMap) -> String {
        let what = match self {
            Self::Session => "",
            Self::Done => "-done",
        };
        let port = port(headers).map(|port| format!("-{port}")).unwrap_or_default();
        format!("{first}{what}{port}")
    }

    fn of(self, headers: &HeaderMap) -> Option<&str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let pairs: Vec<(&str, &str)> =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
        let named = |name: &str| pairs.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        named(&self.name(SECURE, headers)).or_else(|| named(&self.name(PLAIN, headers)))
    }

    fn set(self, value: &str, seconds: u64, base: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        let cookie = if is_secure(headers) {
            let name = self.name(SECURE, headers);
            format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
        } else {
            let (name, path) = (self.name(PLAIN, headers), if base.is_empty() { "/" } else { base });
            format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax")
        };
        let mut value = HeaderValue::try_from(cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The secret that a request brings.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    Use::Session.of(headers)
}

/// Sets it, for the browser that sent these headers.
pub(super) fn set(secret: &str, seconds: u64, base: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    Use::Session.set(secret, seconds, base, headers)
}

/// Takes it away, by both of its names.
pub(super) fn cleared(base: &str, headers: &HeaderMap) -> [Option<HeaderValue>; 2] {
    let path = if base.is_empty() { "/" } else { base };
    [
        format!("{}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax", Use::Session.name(SECURE, headers)),
        format!("{}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax", Use::Session.name(PLAIN, headers)),
    ]
    .map(|cookie| HeaderValue::try_from(cookie).ok())
}

/// The word of what this browser did just now. No address has it: a link of somebody else's would tell of what nobody did.
pub(in crate::http) fn done(headers: &HeaderMap) -> Option<&str> {
    Use::Done.of(headers)
}

/// Has the next page tell what was done; with an empty word none does any more.
pub(in crate::http) fn tell_done(word: &str, base: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    Use::Done.set(word, if word.is_empty() { 0 } else { DONE_KEPT }, base, headers)
}

/// The port of the name that a browser called us by; none where it is the usual one of its scheme.
fn port(headers: &HeaderMap) -> Option<u16> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let (_, port) = host.rsplit_once(':')?;
    port.parse().ok()
}

/// Whether the browser came over TLS: a proxy says so, or the name is not this machine's own. Who claims the former falsely
/// spoils a cookie of their own.
fn is_secure(headers: &HeaderMap) -> bool {
    if headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https")) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(name_of).unwrap_or_default();
    host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn it_is_found_among_others_by_its_whole_name() {
        assert_eq!(of(&headers(&[("cookie", "a=1; amplinkd=two; xamplinkd=3")])), Some("two"));
        assert_eq!(of(&headers(&[("cookie", "amplinkd=two; __Host-amplinkd=one")])), Some("one"));
        assert_eq!(of(&headers(&[("cookie", "xamplinkd=3; amplinkdx=4; amplinkd")])), None);
        assert_eq!(of(&headers(&[])), None);
    }

    #[test]
    fn that_of_another_port_is_another_daemons() {
        let sent = "amplinkd-8750=one; amplinkd-8751=two; amplinkd-done-8750=cancel";
        let at = |host: &'static str| headers(&[("cookie", sent), ("host", host)]);
        assert_eq!((of(&at("127.0.0.1:8750")), of(&at("127.0.0.1:8751"))), (Some("one"), Some("two")));
        assert_eq!((of(&at("127.0.0.1:8752")), of(&at("127.0.0.1"))), (None, None));
        assert_eq!((done(&at("127.0.0.1:8750")), done(&at("127.0.0.1:8751"))), (Some("cancel"), None));
        let [secure, plain] = cleared("", &at("127.0.0.1:8751")).map(|cookie| cookie.unwrap());
        assert!(secure.to_str().unwrap().starts_with("__Host-amplinkd-8751=;"), "{secure:?}");
        assert!(plain.to_str().unwrap().starts_with("amplinkd-8751=;"), "{plain:?}");
    }

    #[test]
    fn it_is_bound_to_tls_wherever_that_can_be() {
        let set = |pairs: &[(&'static str, &'static str)]| {
            set("s", 60, "/x", &headers(pairs)).unwrap().to_str().unwrap().to_owned()
        };
        for (local, name) in [
            ("localhost:8750", "amplinkd-8750"),
            ("127.0.0.1:8751", "amplinkd-8751"),
            ("[::1]:8750", "amplinkd-8750"),
            ("127.0.0.1", "amplinkd"),
            ("[::1]", "amplinkd"),
        ] {
            let expected = format!("{name}=s; Path=/x; Max-Age=60; HttpOnly; SameSite=Lax");
            assert_eq!(set(&[("host", local)]), expected);
        }
        let secure = "__Host-amplinkd=s; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(set(&[("host", "links.example")]), secure);
        assert_eq!(set(&[("host", "127.0.0.1"), ("x-forwarded-proto", "https")]), secure);
    }
}
