//! `GET /metrics` for Prometheus, and the layer that counts what is asked over HTTP. Who may ask is decided where it is
//! mounted.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::metrics::{
    Format, Metrics,
    http::{OTHER_ROUTE, RequestKind},
};

/// Everything, in the format that is asked for.
pub async fn scrape(metrics: &Metrics, headers: &HeaderMap) -> Response {
    let format = wanted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default());
    let text = metrics.text(format).await;
    let head = [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store")];
    (head, [(header::VARY, "accept")], text).into_response()
}

/// The format that is wanted most of those that there are: `OpenMetrics` where it is named and plain text is not preferred.
fn wanted(accept: &str) -> Format {
    let weight = |name: &str, version: &str| {
        let ranges = accept.split(',').map(str::trim);
        let of = ranges.filter(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(name));
            is_named && parts.find_map(|part| part.strip_prefix("version=")).is_none_or(|asked| asked == version)
        });
        of.map(quality).max().unwrap_or(0)
    };
    let open = weight("application/openmetrics-text", "1.0.0");
    let plain = weight("text/plain", "0.0.4");
    if open > 0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
}

/// The `q` of a range of `Accept`, in thousandths.
fn quality(range: &str) -> u32 {
    let told = range.split(';').find_map(|part| part.trim().strip_prefix("q="));
    let told = told.map(|q| q.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    told.map_or(1_000, |q| (q * 1_000.0) as u32)
}

/// Counts a request by its method, the pattern of the path that it matched and its status, and how long it took until its
/// answer began. It stands around routes that are matched already.
pub async fn count(metrics: &Metrics, request: Request, next: Next) -> Response {
    let begun = metrics.clock().monotonic();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    tracing::Span::current().record("http.route", route.unwrap_or(OTHER_ROUTE));
    metrics.http().answered(method.as_str(), route, answer.status().as_u16());
    if !is_stream(&answer) {
        let took: Duration = metrics.clock().monotonic().saturating_sub(begun);
        metrics.http().took(RequestKind::of_route(route.unwrap_or(OTHER_ROUTE)), took);
    }
    answer
}

fn is_stream(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_who_asks_for_them() {
        for plain in ["", "*/*", "text/plain", "text/html,*/*;q=0.8", "application/openmetrics-text;version=0.0.1"] {
            assert_eq!(wanted(plain), Format::Prometheus, "{plain}");
        }
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for open in [prometheus, "application/openmetrics-text", "Application/OpenMetrics-Text; version=1.0.0; q=0.9"] {
            assert_eq!(wanted(open), Format::OpenMetrics, "{open}");
        }
        assert_eq!(wanted("application/openmetrics-text;q=0.1, text/plain"), Format::Prometheus);
        assert_eq!(wanted("application/openmetrics-text;q=0"), Format::Prometheus);
    }
}
