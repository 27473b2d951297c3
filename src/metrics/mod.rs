//! What monitoring systems see of a daemon: what its rooms count in passing, and the figures of its database, as texts for
//! Prometheus. [`catalog`] has the names, `figures` says where each number comes from, `snapshots` reads the database at
//! most every 15 seconds, [`http`] counts requests. Nothing here is waited for by a poll.

pub mod catalog;
mod figures;
pub mod http;
mod page;
mod process;
mod snapshots;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    registry::Registry,
};

use self::{http::HttpMeters, page::Page, snapshots::Snapshots};
use crate::{
    alerting::meters::{AlertMeters, DeliveryMeters, LastHeard},
    clock::SharedClock,
    domain::time::Time,
    engine::Engine,
    store::read::snapshot::Snapshot,
};

/// Where the numbers come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What polls, calls and writes.
    pub engine: Arc<Engine>,
    /// What alerting counted.
    pub alerting: Arc<AlertMeters>,
    /// What each channel was sent.
    pub deliveries: DeliveryMeters,
    /// When the heartbeat was last heard.
    pub heartbeat: LastHeard,
    /// Requests over HTTP.
    pub http: HttpMeters,
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The type of a body.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that is measured of a daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Sources,
    snapshots: Snapshots,
    started_at: Time,
}

impl Metrics {
    /// Of a daemon that has just begun.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let (snapshots, started_at) = (Snapshots::new(Arc::clone(&sources.engine)), sources.engine.clock().now());
        Self(Arc::new(Inner { sources, snapshots, started_at }))
    }

    /// What counts requests over HTTP.
    #[must_use]
    pub fn http(&self) -> &HttpMeters {
        &self.0.sources.http
    }

    /// The time that everything is measured by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        self.0.sources.engine.clock()
    }

    /// The figures of the database, at most 15 seconds old; older ones while it cannot be read.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.snapshots.get().await
    }

    /// Everything, as a text.
    pub async fn text(&self, format: Format) -> String {
        let snapshot = self.snapshot().await;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape { inner: Arc::clone(&self.0), snapshot }));
        let mut written = String::new();
        let done = match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry),
            Format::OpenMetrics => text::encode(&mut written, &registry),
        };
        if let Err(error) = done {
            // Half a text would be taken for all there is.
            tracing::error!(event = "metrics.defect", error = %error, "a metric is not in the catalog: this is a defect of amplinkd");
            written.clear();
        }
        written
    }
}

/// One reading of everything.
#[derive(Debug)]
struct Scrape {
    inner: Arc<Inner>,
    snapshot: Option<Arc<Snapshot>>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Inner { sources, started_at, .. } = &*self.inner;
        figures::write(&mut Page::new(encoder), sources, *started_at, self.snapshot.as_deref())
    }
}
