//! Traces for an OpenTelemetry collector, by OTLP over HTTP: of requests to the API and of messages to channels all, of polls
//! and of calls to `WeChat` a share. A span has names, ids, codes and times; never a token, an address or a body.
//!
//! Batches are sent from a thread of the library's own, where no runtime is: [`Courier`] hands them to ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TracerProvider as _},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample},
};
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, Filtered},
    registry::LookupSpan,
};

use crate::{
    config::Telemetry,
    net::{
        client::{self, ClientOptions},
        egress::Egress,
    },
};

/// Spans that are always traced.
const ALWAYS: [&str; 2] = ["api.request", "alerting.deliver"];

/// Spans of which a share is traced, with what they contain.
const SAMPLED: [&str; 6] =
    ["engine.poll", "engine.submit", "wechat.listing", "wechat.ticket", "wechat.link", "wechat.unlink"];

/// How long the collector may take with a batch, and the last one with the end of the daemon.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the protocol has spans, below the collector's address.
const PATH: &str = "v1/traces";

/// Bytes of an answer that are read; it has a few.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Spans on their way to the collector; nothing where there is none.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what has not been sent yet.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // It blocks its thread until the runtime has sent the last batch. What cannot be sent was told when it was tried.
        let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(TIMEOUT)).await;
    }
}

/// What listens to spans.
pub(super) type Listener<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn, S>;

/// Begins to send spans to the collector, if one is named. Called within the runtime that is to send them.
pub(super) fn begin<S>(telemetry: &Telemetry) -> Result<(Traces, Option<Listener<S>>), String>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let Some(endpoint) = &telemetry.endpoint else { return Ok((Traces(None), None)) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Courier::new(endpoint.scheme() == "https", &telemetry.egress)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/{PATH}", endpoint.as_str().trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|wrong| wrong.to_string())?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Share(Sampler::TraceIdRatioBased(telemetry.sample_ratio)))))
        .with_resource(Resource::builder().with_service_name("amplinkd").with_attribute(version).build())
        .build();
    let layer = OpenTelemetryLayer::new(provider.tracer("amplinkd"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    let filter = filter(telemetry.sample_ratio > 0.0);
    Ok((Traces(Some(provider)), Some(layer.with_filter(filter))))
}

/// Spans by their names, and no events. What no share is wanted of costs nothing: it is not even made.
fn filter(is_sampled: bool) -> FilterFn {
    let filter: fn(&Metadata<'_>) -> bool = if is_sampled { is_any } else { is_always };
    FilterFn::new(filter).with_max_level_hint(LevelFilter::DEBUG)
}

fn is_always(of: &Metadata<'_>) -> bool {
    of.is_span() && ALWAYS.contains(&of.name())
}

fn is_any(of: &Metadata<'_>) -> bool {
    is_always(of) || (of.is_span() && SAMPLED.contains(&of.name()))
}

/// All of what is always traced, and a share of everything else.
#[derive(Debug, Clone)]
struct Share(Sampler);

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if ALWAYS.contains(&name) { &Sampler::AlwaysOn } else { &self.0 };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Takes batches to the collector with a client as all of ours are, on the runtime that it was made in.
#[derive(Debug)]
struct Courier {
    client: reqwest::Client,
    runtime: Handle,
    /// Whether it was said that the collector gets nothing.
    is_told: Arc<AtomicBool>,
}

impl Courier {
    fn new(tls: bool, egress: &Egress) -> Result<Self, String> {
        let client = client::client(&ClientOptions {
            timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            idle_timeout: TIMEOUT,
            idle_per_host: 1,
            egress,
            tls,
        })?;
        Ok(Self { client, runtime: Handle::current(), is_told: Arc::default() })
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, is_told) = (self.client.clone(), Arc::clone(&self.is_told));
        let sent = self.runtime.spawn(async move {
            let sent = exchange(&client, request).await;
            note(&is_told, &sent);
            sent
        });
        Ok(sent.await??)
    }
}

async fn exchange(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let request = reqwest::Request::try_from(request).map_err(client::explain)?;
    let answer = client.execute(request).await.map_err(client::explain)?;
    let status = answer.status();
    let body = client::body(answer, ANSWER_BYTES_MAX).await.map_err(|_| "its answer cannot be read".to_owned())?;
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    Ok(answer)
}

/// Says once that the collector gets nothing, and once that it does again.
fn note(is_told: &AtomicBool, sent: &Result<Response<Bytes>, String>) {
    let wrong = match sent {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(format!("HTTP {}", answer.status().as_u16())),
        Err(error) => Some(error.clone()),
    };
    match (wrong, is_told.load(Ordering::Relaxed)) {
        (Some(error), false) => {
            tracing::warn!(
                event = "telemetry.not_sent",
                error,
                "the collector takes no traces; will retry with the next"
            );
            is_told.store(true, Ordering::Relaxed);
        }
        (None, true) => {
            tracing::info!(event = "telemetry.sent", "the collector takes traces again");
            is_told.store(false, Ordering::Relaxed);
        }
        (Some(_), true) | (None, false) => {}
    }
}
