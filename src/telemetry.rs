//! Logging to stderr. Stdout belongs to results, and a line that cannot be written is dropped: logging must not fail
//! the work it reports.
//!
//! Programs that watch lines go by their `event`, a dotted name that stays when the sentence is reworded.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Libraries that speak of every statement and connection: only their worries are of interest, unless the operator
/// names them.
const QUIET: &str = "sqlx=warn,hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,rustls=warn,tokio_cron_scheduler=warn";

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no filter.
    #[error("[log] filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else listens already.
    #[error("logging was started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins to write log lines to stderr, for the whole process. Colours appear on a terminal only, and not under
/// `NO_COLOR`.
///
/// # Errors
/// [`TelemetryError`] when the filter is illegal (a checked configuration's never is) or when called twice.
pub fn start(log: &Log) -> Result<(), TelemetryError> {
    Ok(listener(log, io::stderr, io::stderr().is_terminal())?.try_init()?)
}

/// What listens to `tracing`; apart from [`start`] so that a test can listen too.
fn listener<W>(log: &Log, writer: W, terminal: bool) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(format!("{QUIET},{}", log.filter))?;
    // A failed write must not be reported by printing to the same broken pipe: that print would panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    // Left alone, the layer itself heeds NO_COLOR.
    let lines = if terminal { lines } else { lines.with_ansi(false) };
    let layer = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(layer.with_filter(filter)))
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
        let paper = Paper::default();
        let pen = paper.clone();
        let log = Log { filter: filter.to_owned(), format };
        tracing::subscriber::with_default(listener(&log, move || pen.clone(), false).unwrap(), speak);
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
        assert!(written("info", LogFormat::Text, speak).contains("a row is not legal event=\"db.bad_row\""));
        let line: serde_json::Value = serde_json::from_str(&written("info", LogFormat::Json, speak)).unwrap();
        assert_eq!(line["event"], "db.bad_row");
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
        let listener = listener(&Log::default(), || Broken, false).unwrap();
        tracing::subscriber::with_default(listener, || tracing::error!("unheard"));
    }
}
