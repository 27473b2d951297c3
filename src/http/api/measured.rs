//! What is measured, for Prometheus.

use std::sync::atomic::Ordering;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{problem::Problem, state::Api, word::Word};
use crate::http::metrics::scrape;

/// The path, which is open where `[metrics] open` says so.
pub(super) const PATH: &str = "/metrics";

/// What is measured of the daemon, as Prometheus reads it. A token needs the scope metrics, unless `[metrics] open` lets
/// everybody in.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "text/plain", description = "The metrics in the text format 0.0.4, or as OpenMetrics by Accept")))]
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let Some(metrics) = api.metrics() else { return Problem::of(Word::NotFound).into_response() };
    let failures = &api.failures;
    let counted = [&failures.missing, &failures.refused, &failures.password, &failures.forbidden];
    metrics.http().turned_away(counted.map(|counter| counter.load(Ordering::Relaxed)));
    scrape(metrics, &headers).await
}
