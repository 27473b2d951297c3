//! The one cookie: a session's secret. Where a browser came over TLS it is bound to that very host and to TLS; on this
//! machine, where there may be none, it has a plain name.

use axum::http::{HeaderMap, HeaderValue, header};

use super::front::name_of;

const SECURE: &str = "__Host-amplinkd";
const PLAIN: &str = "amplinkd";

/// The secret that a request brings.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs: Vec<(&str, &str)> =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    let named = |name: &str| pairs.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
    named(SECURE).or_else(|| named(PLAIN))
}

/// Sets it, for the browser that sent these headers.
pub(super) fn set(secret: &str, seconds: u64, base: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    let cookie = if is_secure(headers) {
        format!("{SECURE}={secret}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
    } else {
        let path = if base.is_empty() { "/" } else { base };
        format!("{PLAIN}={secret}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax")
    };
    let mut value = HeaderValue::try_from(cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes it away, by both of its names.
pub(super) fn cleared(base: &str) -> [Option<HeaderValue>; 2] {
    let path = if base.is_empty() { "/" } else { base };
    [
        format!("{SECURE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"),
        format!("{PLAIN}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax"),
    ]
    .map(|cookie| HeaderValue::try_from(cookie).ok())
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
    fn it_is_bound_to_tls_wherever_that_can_be() {
        let set = |pairs: &[(&'static str, &'static str)]| {
            set("s", 60, "/x", &headers(pairs)).unwrap().to_str().unwrap().to_owned()
        };
        for local in ["localhost:8750", "127.0.0.1:8750", "[::1]:8750"] {
            assert_eq!(set(&[("host", local)]), "amplinkd=s; Path=/x; Max-Age=60; HttpOnly; SameSite=Lax");
        }
        let secure = "__Host-amplinkd=s; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(set(&[("host", "links.example")]), secure);
        assert_eq!(set(&[("host", "127.0.0.1"), ("x-forwarded-proto", "https")]), secure);
    }
}
