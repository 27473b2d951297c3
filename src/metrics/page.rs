//! Writes metrics of the catalog, whatever the text format.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::catalog::{Kind, Metric, metric};
use crate::{domain::time::Time, meters::HistogramReading};

/// What one unit of a histogram's values is worth.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// They are microseconds, and shown as seconds.
    Microseconds,
    /// They are what they are.
    One,
}

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page<'e>(DescriptorEncoder<'e>);

impl<'e> Page<'e> {
    pub(super) const fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    /// A counter's series, each with the values of its labels.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &'static str,
        series: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) -> fmt::Result {
        let (metric, mut encoder) = self.begin(name)?;
        for (values, value) in series {
            let labels = labels(metric, values);
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &'static str, value: u64) -> fmt::Result {
        self.counters(name, [([], value)])
    }

    /// A counter of seconds.
    pub(super) fn seconds_counter(&mut self, name: &'static str, value: f64) -> fmt::Result {
        let (_, encoder) = self.begin(name)?;
        ConstCounter::new(value).encode(encoder)
    }

    /// A gauge's series, each with the values of its labels.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &'static str,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> fmt::Result {
        let (metric, mut encoder) = self.begin(name)?;
        for (values, value) in series {
            let labels = labels(metric, values);
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &'static str, value: f64) -> fmt::Result {
        self.gauges(name, [([], value)])
    }

    /// A histogram's series, each with the values of its labels.
    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        name: &'static str,
        unit: Unit,
        series: impl IntoIterator<Item = ([&'a str; N], HistogramReading)>,
    ) -> fmt::Result {
        let (metric, mut encoder) = self.begin(name)?;
        for (values, reading) in series {
            let labels = labels(metric, values);
            let mut buckets: Vec<(f64, u64)> =
                reading.buckets.iter().map(|(bound, count)| (unit.of(*bound), *count)).collect();
            buckets.push((f64::INFINITY, reading.above));
            let count = buckets.iter().map(|(_, count)| count).sum();
            let mut encoder = encoder.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(unit.of(reading.sum), count, &buckets, None)?;
        }
        Ok(())
    }

    /// A histogram without labels.
    pub(super) fn histogram(&mut self, name: &'static str, unit: Unit, reading: HistogramReading) -> fmt::Result {
        self.histograms(name, unit, [([], reading)])
    }

    /// Writes what a metric is. One that is not in the catalog is none.
    fn begin(&mut self, name: &'static str) -> Result<(&'static Metric, MetricEncoder<'_>), fmt::Error> {
        let metric = metric(name).ok_or(fmt::Error)?;
        let (stem, kind) = match metric.kind {
            // The formats add it by themselves.
            Kind::Counter => (name.strip_suffix("_total").unwrap_or(name), MetricType::Counter),
            Kind::Gauge => (name, MetricType::Gauge),
            Kind::Histogram => (name, MetricType::Histogram),
        };
        Ok((metric, self.0.encode_descriptor(stem, metric.help, None, kind)?))
    }
}

fn labels<'a, const N: usize>(metric: &Metric, values: [&'a str; N]) -> Vec<(&'static str, &'a str)> {
    debug_assert_eq!(metric.labels.len(), N, "{} has other labels", metric.name);
    metric.labels.iter().copied().zip(values).collect()
}

impl Unit {
    #[expect(clippy::cast_precision_loss, reason = "sums are told to as many digits as a float has")]
    const fn of(self, value: u64) -> f64 {
        match self {
            Self::Microseconds => value as f64 / 1e6,
            Self::One => value as f64,
        }
    }
}

/// A count as a gauge has it.
#[expect(clippy::cast_precision_loss, reason = "counts of rows, files and bytes are far below 2^53")]
pub(super) const fn count(value: u64) -> f64 {
    value as f64
}

/// A time as a gauge has it: Unix time in seconds, 0 for none.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
pub(super) fn timestamp(at: Option<Time>) -> f64 {
    at.map_or(0.0, |at| at.ms() as f64 / 1_000.0)
}
