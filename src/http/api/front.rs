//! What every request passes first and every answer last: an id, a name that we are called by, the path below the base,
//! the headers that bind browsers, and problems in words. Nothing here knows who asks.

use std::net::IpAddr;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next as Inside,
    response::{IntoResponse, Response},
};
use tracing::{Instrument as _, field::Empty};

use super::{
    health,
    page::{self, Next},
    problem::Problem,
    state::Api,
    tag, text,
    word::Word,
};
use crate::{domain::text::Language, http::peer::Peer, store::row_id::new_id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What binds browsers: nothing may be loaded, framed, guessed, sent on or kept.
const HEADERS: [(HeaderName, &str); 9] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "Accept-Language, Cookie, Authorization"),
];

/// What is known of a request when its answer leaves.
struct Asked {
    id: String,
    language: Language,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// The outermost layer.
pub(super) async fn front(State(api): State<Api>, mut request: Request, inside: Inside) -> Response {
    let asked = Asked {
        id: new_id(api.now()),
        language: text::language(request.headers()),
        method: request.method().clone(),
        uri: request.uri().clone(),
        headers: request.headers().clone(),
    };
    let response = match enter(&api, &mut request) {
        Ok(()) => {
            let span = tracing::info_span!("http.request", instance = asked.id);
            traced(&asked, inside.run(request)).instrument(span).await
        }
        Err(problem) => {
            let response = problem.into_response();
            // It comes to no route, behind which requests are counted.
            if let Some(metrics) = api.metrics() {
                metrics.http().answered(asked.method.as_str(), None, response.status().as_u16());
            }
            response
        }
    };
    asked.finish(response)
}

/// Has an answer of the API measured as one span. Probes and scrapes come too often to tell anything.
async fn traced(asked: &Asked, answer: impl Future<Output = Response>) -> Response {
    if !asked.uri.path().contains("/api/") {
        return answer.await;
    }
    let span = tracing::debug_span!(
        "api.request",
        otel.kind = "server",
        instance = asked.id,
        http.request.method = %asked.method,
        http.route = Empty,
        http.response.status_code = Empty,
    );
    let answer = answer.instrument(span.clone()).await;
    span.record("http.response.status_code", answer.status().as_u16());
    answer
}

/// Checks the name and takes the base off the path.
fn enter(api: &Api, request: &mut Request) -> Result<(), Problem> {
    let path = request.uri().path();
    let below = below(path, &api.http.base_path).map(str::to_owned);
    let is_probe =
        health::PROBES.contains(&path) || below.as_deref().is_some_and(|below| health::PROBES.contains(&below));
    // Under another name a probe says nothing but its status: a page that was led here by that name reads no more.
    let is_bare = is_probe && !health::is_verbose(request.uri().query());
    if !is_bare && !is_called_rightly(request, &api.http.hosts) {
        return Err(Problem::of(Word::Host));
    }
    match below {
        Some(below) => rewrite(request, &below),
        None if is_probe => Ok(()),
        None => Err(Problem::of(Word::NotFound)),
    }
}

fn rewrite(request: &mut Request, path: &str) -> Result<(), Problem> {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    *request.uri_mut() = Uri::try_from(format!("{path}{query}")).map_err(|_| Problem::of(Word::NotFound))?;
    Ok(())
}

/// The path below a base; nothing where it is elsewhere.
fn below<'p>(path: &'p str, base: &str) -> Option<&'p str> {
    match path.strip_prefix(base)? {
        "" => Some("/"),
        below => below.starts_with('/').then_some(below),
    }
}

/// Whether every name that the request gives for us is ours: one of `hosts`, or this machine's own for a peer on it.
fn is_called_rightly(request: &Request, hosts: &[String]) -> bool {
    let peer = request.extensions().get::<Peer>().copied();
    let is_local = peer.is_some_and(Peer::is_local);
    let target = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let headers = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut names = target.into_iter().chain(headers).map(name_of).peekable();
    names.peek().is_some() && names.all(|name| is_ours(&name, hosts, is_local))
}

fn is_ours(name: &str, hosts: &[String], is_local: bool) -> bool {
    let is_loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (is_local && is_loopback) || hosts.iter().any(|host| host == name)
}

/// A host without its port, in small letters; an IPv6 address without its brackets.
pub(super) fn name_of(host: &str) -> String {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => {
            return address.parse::<IpAddr>().map_or_else(|_| String::new(), |address| address.to_string());
        }
        Some(_) => return String::new(),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Asked {
    fn finish(self, mut response: Response) -> Response {
        if let Some(problem) = problem_of(&mut response) {
            response = self.word(&problem, response);
        }
        if let Some(next) = response.extensions_mut().remove::<Next>() {
            page::link(&self.uri, &next, response.headers_mut());
        }
        let is_known = |tag| tag::is_known(tag, &self.headers);
        if response.status() == StatusCode::OK && response.headers().get(header::ETAG).is_some_and(is_known) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        headers.extend(HeaderValue::from_str(&self.id).map(|id| (REQUEST_ID, id)));
        let status = response.status().as_u16();
        tracing::debug!(
            event = "http.answered",
            instance = self.id,
            method = %self.method,
            path = self.uri.path(),
            status,
            "answered"
        );
        response
    }

    fn word(&self, problem: &Problem, response: Response) -> Response {
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let language = HeaderValue::from_static(self.language.pick("en", "zh"));
        parts.headers.insert(header::CONTENT_LANGUAGE, language);
        Response::from_parts(parts, Body::from(problem.told(self.language, &self.id)))
    }
}

/// The problem of an answer; one that came from elsewhere is known by its status.
fn problem_of(response: &mut Response) -> Option<Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    // A page tells of its problem itself.
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        return None;
    }
    Some(Problem::of(match response.status() {
        status if !status.is_client_error() && !status.is_server_error() => return None,
        StatusCode::NOT_FOUND => Word::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Word::Method,
        StatusCode::PAYLOAD_TOO_LARGE => Word::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Word::MediaType,
        status if status.is_client_error() => Word::Malformed,
        _ => Word::Defect,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_without_its_port() {
        for (host, name) in [
            ("Links.Example:8750", "links.example"),
            ("localhost", "localhost"),
            ("127.0.0.1:8750", "127.0.0.1"),
            ("[::1]:8750", "::1"),
            ("[0:0::1]", "::1"),
            ("links.example.", "links.example"),
            ("[::1].evil.example", ""),
            ("[links.example]", ""),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }

    #[test]
    fn only_a_peer_on_this_machine_may_use_its_own_names() {
        let request = |host: &[&str], peer: Option<&str>, uri: &str| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = uri.parse().unwrap();
            for host in host {
                request.headers_mut().append(header::HOST, host.parse().unwrap());
            }
            request.extensions_mut().insert(Peer(peer.map(|peer| peer.parse().unwrap())));
            request
        };
        let ours = ["links.example".to_owned(), "10.0.0.7".to_owned()];
        let is = |host: &[&str], peer, uri| is_called_rightly(&request(host, peer, uri), &ours);
        for local in [Some("127.0.0.1"), Some("::1"), Some("::ffff:127.0.0.1"), None] {
            for host in ["localhost:8750", "127.0.0.1", "127.8.8.8:1", "[::1]:8750", "links.example"] {
                assert!(is(&[host], local, "/"), "{host} {local:?}");
            }
        }
        for host in ["links.example", "LINKS.example:443", "10.0.0.7:8750"] {
            assert!(is(&[host], Some("10.0.0.9"), "/"), "{host}");
        }
        for host in
            ["localhost", "127.0.0.1", "evil.example", "links.example.evil.example", "xlinks.example", "10.0.0.8", ""]
        {
            assert!(!is(&[host], Some("10.0.0.9"), "/"), "{host}");
        }
        assert!(!is(&["evil.example"], Some("127.0.0.1"), "/"));
        assert!(!is(&[], Some("127.0.0.1"), "/"), "no name is no name of ours");
        assert!(!is(&["links.example", "evil.example"], Some("127.0.0.1"), "/"), "all names count");
        assert!(!is(&["links.example"], Some("127.0.0.1"), "http://evil.example/"), "the target counts, too");
        assert!(is(&["links.example"], Some("127.0.0.1"), "http://links.example/"));
    }

    #[test]
    fn a_base_is_whole_parts_of_a_path() {
        assert_eq!(below("/x/api", "/x"), Some("/api"));
        assert_eq!(below("/x", "/x"), Some("/"));
        assert_eq!(below("/xy/api", "/x"), None);
        assert_eq!(below("/api", "/x"), None);
        assert_eq!(below("/api", ""), Some("/api"));
    }
}
