//! Logging to stderr. Stdout belongs to results, and a line that cannot be written is dropped: logging must not fail
//! the work it reports.
//!
//! Programs that watch lines go by their `event`, a dotted name that stays when the sentence is reworded. Where stderr is
//! the journal, every line begins with its priority as in `<3>` (sd-daemon(3)), and has no time stamp of its own.

#[cfg(feature = "otel")]
mod traces;

use std::{
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};

use rustix::fs::fstat;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{MakeWriter, writer::BoxMakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat, Telemetry, journal_stream};

/// Libraries that speak of every statement and connection: only their worries are of interest, unless the operator
/// names them.
const QUIET: &str = "sqlx=warn,hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,rustls=warn,tokio_cron_scheduler=warn";

/// Where stderr leads; it stays so.
static STDERR: LazyLock<Place> = LazyLock::new(Place::of_stderr);

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no filter.
    #[error("[log] filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Nobody listens any more.
    #[error("the filter of the log cannot be changed: {0}")]
    Gone(#[from] reload::Error),
    /// The collector of traces cannot be called.
    #[error("[telemetry] otlp_endpoint: {0}")]
    Traces(String),
    /// Somebody else listens already.
    #[error("logging was started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Changes what is told while it is told.
#[derive(Debug, Clone)]
pub struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Goes by another filter from now on.
    ///
    /// # Errors
    /// [`TelemetryError::Filter`] when it is illegal (a checked configuration's never is).
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        Ok(self.0.reload(env_filter(filter)?)?)
    }
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// To a person's screen.
    Terminal,
    /// To systemd's journal.
    Journal,
    /// To a file or a program.
    Elsewhere,
}

impl Place {
    fn of_stderr() -> Self {
        let stderr = io::stderr();
        let is_journal = journal_stream()
            .zip(fstat(&stderr).ok())
            .is_some_and(|(said, stat)| said == format!("{}:{}", stat.st_dev, stat.st_ino));
        match stderr.is_terminal() {
            true => Self::Terminal,
            false if is_journal => Self::Journal,
            false => Self::Elsewhere,
        }
    }
}

/// Begins to write log lines to stderr, for the whole process. Colours appear on a terminal only, and not under
/// `NO_COLOR`.
///
/// # Errors
/// [`TelemetryError`] when the filter is illegal (a checked configuration's never is) or when called twice.
pub fn start(log: &Log) -> Result<Filter, TelemetryError> {
    start_with_traces(log, &Telemetry::default()).map(|(filter, _)| filter)
}

/// The same, and begins to send traces where `[telemetry]` names a collector and this binary can.
///
/// # Errors
/// As [`start`]; and [`TelemetryError::Traces`] when the collector cannot be called, as without certificates.
pub fn start_with_traces(log: &Log, telemetry: &Telemetry) -> Result<(Filter, Traces), TelemetryError> {
    let (listener, filter) = listener(log, io::stderr, *STDERR)?;
    let traces = begun(listener, telemetry)?;
    if *STDERR == Place::Journal {
        std::panic::set_hook(Box::new(|panic| say(Level::ERROR, &panic.to_string())));
    }
    Ok((filter, traces))
}

/// Spans on their way to the collector.
#[cfg(feature = "otel")]
pub use self::traces::Traces;

/// What a binary without the feature `otel` has of them.
#[cfg(not(feature = "otel"))]
#[derive(Debug)]
pub struct Traces(());

#[cfg(not(feature = "otel"))]
impl Traces {
    /// Nothing is on its way.
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub async fn finish(self) {}
}

#[cfg(feature = "otel")]
fn begun(listener: impl LogListener, telemetry: &Telemetry) -> Result<Traces, TelemetryError> {
    let (traces, layer) = traces::begin(telemetry).map_err(TelemetryError::Traces)?;
    listener.with(layer).try_init()?;
    Ok(traces)
}

#[cfg(not(feature = "otel"))]
fn begun(listener: impl LogListener, _: &Telemetry) -> Result<Traces, TelemetryError> {
    listener.try_init()?;
    Ok(Traces(()))
}

/// What writes lines, and lets others listen beside it.
trait LogListener: Subscriber + for<'s> LookupSpan<'s> + Send + Sync + 'static {}

impl<S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync + 'static> LogListener for S {}

/// Says something beside the log, on stderr, as loud as this level is. What nobody can read is no failure.
pub fn say(level: Level, text: &str) {
    let lines = format!("{text}\n");
    let lines = if *STDERR == Place::Journal { with_priority(level, lines.as_bytes()) } else { lines.into_bytes() };
    let _ = io::stderr().write_all(&lines);
}

/// Whether stderr is the journal.
#[must_use]
pub fn is_journal() -> bool {
    *STDERR == Place::Journal
}

/// What listens to `tracing`; apart from [`start`] so that a test can listen too.
fn listener<W>(log: &Log, writer: W, place: Place) -> Result<(impl LogListener, Filter), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(env_filter(&log.filter)?);
    let is_journal = place == Place::Journal;
    let writer = if is_journal { BoxMakeWriter::new(Prioritized(writer)) } else { BoxMakeWriter::new(writer) };
    // A failed write must not be reported by printing to the same broken pipe: that print would panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    // Left alone, the layer itself heeds NO_COLOR.
    let lines = if place == Place::Terminal { lines } else { lines.with_ansi(false) };
    let layer = match log.format {
        LogFormat::Text if is_journal => lines.without_time().boxed(),
        LogFormat::Text => lines.boxed(),
        LogFormat::Json if is_journal => lines.json().flatten_event(true).without_time().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok((tracing_subscriber::registry().with(layer.with_filter(filter)), Filter(handle)))
}

fn env_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    Ok(EnvFilter::builder().parse(format!("{QUIET},{filter}"))?)
}

/// Every line of a text behind its priority: one without would be taken for information.
fn with_priority(level: Level, text: &[u8]) -> Vec<u8> {
    let priority = match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"\n");
    lines.flat_map(|line| [priority.as_bytes(), line]).flatten().copied().collect()
}

/// Makes writers for the journal.
struct Prioritized<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Prioritized<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Lines { writer: self.0.make_writer(), level: Level::INFO }
    }

    fn make_writer_for(&'w self, of: &Metadata<'_>) -> Self::Writer {
        Lines { writer: self.0.make_writer_for(of), level: *of.level() }
    }
}

/// Writes an event's lines at once, so that no other's come between.
struct Lines<W> {
    writer: W,
    level: Level,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.writer.write_all(&with_priority(self.level, text))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, format: LogFormat, speak: impl FnOnce()) -> String {
        written_to(Place::Elsewhere, filter, format, speak)
    }

    fn written_to(place: Place, filter: &str, format: LogFormat, speak: impl FnOnce()) -> String {
        let paper = Paper::default();
        let pen = paper.clone();
        let log = Log { filter: filter.to_owned(), format };
        tracing::subscriber::with_default(listener(&log, move || pen.clone(), place).unwrap().0, speak);
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn libraries_are_quiet_until_named() {
        let chatter = || tracing::info!(target: "sqlx::query", "SELECT");
        assert_eq!(written("debug", LogFormat::Text, chatter), "");
        assert!(written("debug,sqlx=info", LogFormat::Text, chatter).contains("SELECT"));
        assert!(written("info", LogFormat::Text, || tracing::warn!(target: "sqlx", "slow")).contains("slow"));
    }

    #[test]
    fn a_collector_gets_one_object_a_line() {
        let text = written("info", LogFormat::Json, || tracing::info!(account = "wx1", "polled"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((line["message"].as_str(), line["account"].as_str()), (Some("polled"), Some("wx1")));
    }

    #[test]
    fn an_event_shows_its_name_to_people_and_programs() {
        let speak = || tracing::error!(event = "db.bad_row", "invalid row");
        assert!(written("info", LogFormat::Text, speak).contains("invalid row event=\"db.bad_row\""));
        let line: serde_json::Value = serde_json::from_str(&written("info", LogFormat::Json, speak)).unwrap();
        assert_eq!(line["event"], "db.bad_row");
    }

    #[test]
    fn the_journal_gets_the_priority_of_every_line_and_no_time() {
        let speak = || {
            tracing::error!("no\nway");
            tracing::warn!("hm");
            tracing::info!("well");
            tracing::debug!("so");
        };
        let text = written_to(Place::Journal, "debug", LogFormat::Text, speak);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.iter().map(|line| &line[..3]).collect::<Vec<_>>(), ["<3>", "<3>", "<4>", "<6>", "<7>"]);
        assert!(lines[0].starts_with("<3>ERROR amplinkd::telemetry::tests: no") && lines[1] == "<3>way", "{text}");
        let json = written_to(Place::Journal, "info", LogFormat::Json, || tracing::warn!(event = "a.b", "hm"));
        let line: serde_json::Value = serde_json::from_str(json.strip_prefix("<4>").unwrap()).unwrap();
        assert_eq!((line["event"].as_str(), line.get("timestamp")), (Some("a.b"), None));
    }

    #[test]
    fn what_is_told_can_be_changed_meanwhile() {
        let paper = Paper::default();
        let pen = paper.clone();
        let (listener, filter) = listener(&Log::default(), move || pen.clone(), Place::Elsewhere).unwrap();
        tracing::subscriber::with_default(listener, || {
            tracing::debug!("one");
            filter.set("debug").unwrap();
            tracing::debug!("two");
            assert!(filter.set("a=b=c").is_err());
            filter.set("warn").unwrap();
            tracing::info!("three");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("one") && text.contains("two") && !text.contains("three"), "{text}");
    }

    #[test]
    fn a_broken_pipe_is_no_reason_to_die() {
        struct Broken;
        impl io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (listener, _) = listener(&Log::default(), || Broken, Place::Elsewhere).unwrap();
        tracing::subscriber::with_default(listener, || tracing::error!("unheard"));
    }
}
