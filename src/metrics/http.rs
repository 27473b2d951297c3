//! What is counted of requests over HTTP.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::page::{Page, Unit, count};
use crate::meters::{Counter, Histogram};

/// Upper bounds of how long a request takes, microseconds.
const BOUNDS_US: [u64; 11] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// Series of requests that are told apart. Patterns of paths and codes are few; that they are is not left to trust.
const SERIES_MAX: usize = 1_000;

/// Methods that are told apart.
const METHODS: [&str; 8] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The label of a method that is none of those.
const OTHER_METHOD: &str = "_OTHER";

/// The route of a request that matched none.
pub const OTHER_ROUTE: &str = "other";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// Programs.
    Api,
    /// People.
    Page,
    /// A part of a page.
    Asset,
    /// Monitoring.
    Metrics,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Api, Self::Page, Self::Asset, Self::Metrics];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Page => "page",
            Self::Asset => "asset",
            Self::Metrics => "metrics",
        }
    }

    /// By the pattern of the path.
    #[must_use]
    pub fn of_route(route: &str) -> Self {
        match route {
            _ if route.ends_with("/metrics") => Self::Metrics,
            _ if ["/livez", "/readyz"].iter().any(|probe| route.ends_with(probe)) => Self::Metrics,
            _ if route.contains("/api/") => Self::Api,
            _ if route.contains("/assets/") => Self::Asset,
            _ => Self::Page,
        }
    }
}

/// Why somebody was refused for who they said they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// There was no credential.
    Missing,
    /// A token or a session that is not known, or no longer good.
    Credential,
    /// A wrong name or password.
    Password,
    /// A credential that may not do this.
    Forbidden,
}

impl AuthFailure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Credential, Self::Password, Self::Forbidden];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Credential => "credential",
            Self::Password => "password",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Requests over HTTP since the start. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct HttpMeters(Arc<Inner>);

/// A method, a route and a status.
type Series = (&'static str, String, u16);

#[derive(Debug)]
struct Inner {
    requests: Mutex<BTreeMap<Series, u64>>,
    took: [Histogram<{ BOUNDS_US.len() }>; RequestKind::ALL.len()],
    streams: AtomicU64,
    refused: [Counter; AuthFailure::ALL.len()],
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            took: [const { Histogram::new(BOUNDS_US) }; RequestKind::ALL.len()],
            streams: AtomicU64::new(0),
            refused: Default::default(),
        }
    }
}

/// An event stream that is open; it counts until it is dropped.
#[derive(Debug)]
pub struct OpenStream(HttpMeters);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HttpMeters {
    /// A request was answered with this status. `route` is the pattern of the path that it matched.
    pub fn answered(&self, method: &str, route: Option<&str>, status: u16) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD);
        let route = route.unwrap_or(OTHER_ROUTE);
        // Nothing in here panics halfway through a change.
        let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut series = (method, route.to_owned(), status);
        if requests.len() >= SERIES_MAX && !requests.contains_key(&series) {
            OTHER_ROUTE.clone_into(&mut series.1);
        }
        *requests.entry(series).or_default() += 1;
    }

    /// A request took so long until its answer began.
    pub fn took(&self, kind: RequestKind, took: Duration) {
        self.0.took[kind as usize].note_duration(took);
    }

    /// An event stream is open from now on.
    #[must_use]
    pub fn stream(&self) -> OpenStream {
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// So many were turned away since the start, in the order of [`AuthFailure::ALL`].
    pub fn turned_away(&self, counts: [u64; AuthFailure::ALL.len()]) {
        for (counter, count) in self.0.refused.iter().zip(counts) {
            counter.raise_to(count);
        }
    }

    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let codes: Vec<(String, &Series, u64)> =
            requests.iter().map(|(series, count)| (series.2.to_string(), series, *count)).collect();
        let series = codes.iter().map(|(code, (method, route, _), count)| ([*method, route, code], *count));
        page.counters("amplinkd_http_requests_total", series)?;
        let took = RequestKind::ALL.map(|kind| ([kind.as_str()], self.0.took[kind as usize].read()));
        page.histograms("amplinkd_http_request_duration_seconds", Unit::Microseconds, took)?;
        page.gauge("amplinkd_http_event_streams", count(self.0.streams.load(Ordering::Relaxed)))?;
        let refused = AuthFailure::ALL.map(|why| ([why.as_str()], self.0.refused[why as usize].get()));
        page.counters("amplinkd_http_auth_failures_total", refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_paths_are_tried_the_series_are_bounded() {
        let meters = HttpMeters::default();
        for number in 0..5_000_u16 {
            meters.answered("GET", Some(&format!("/{number}")), 200);
            meters.answered("BREW", None, 404);
        }
        let requests = meters.0.requests.lock().unwrap();
        assert!(requests.len() <= SERIES_MAX + 1, "{}", requests.len());
        assert_eq!(requests.values().sum::<u64>(), 10_000, "none is lost");
        assert_eq!(requests[&(OTHER_METHOD, OTHER_ROUTE.to_owned(), 404)], 5_000);
    }

    #[test]
    fn a_stream_counts_until_it_is_dropped() {
        let meters = HttpMeters::default();
        let open = (meters.stream(), meters.stream());
        assert_eq!(meters.0.streams.load(Ordering::Relaxed), 2);
        drop(open);
        assert_eq!(meters.0.streams.load(Ordering::Relaxed), 0);
    }
}
