//! The channel `log`: each message as one line of our own log, for machines whose logs are already monitored.

use super::{ChannelError, ChannelSettings, Pace, SendError};
use crate::domain::{
    message::{Message, Severity},
    text::format::{clip, one_line},
    time::Time,
};

/// Our own log takes whatever comes.
pub(super) const PACE: Pace = Pace { at_once: 1, most: None };

/// Rows of a table in a line. More would bury the rest; the hint's command shows all.
const ROWS_MAX: usize = 5;

/// Characters of one text in a line; journald splits lines at 48 KiB (`LineMax=` of journald.conf).
const TEXT_CHARS_MAX: usize = 500;

/// Lines in our own log.
#[derive(Debug)]
pub struct Log {
    name: String,
}

impl Log {
    #[expect(clippy::unnecessary_wraps, reason = "as every channel; this one needs nothing")]
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        Ok(Self { name: settings.name.clone() })
    }

    #[expect(clippy::unused_async, reason = "as every channel; this one waits for nothing")]
    pub(super) async fn send(&self, message: &Message, _: Time) -> Result<(), SendError> {
        let line = Line::of(message);
        // The level of a line is fixed where it is written, so there are two of them. Texts are given as texts, which are
        // written in quotes: no title can pretend to be a field.
        macro_rules! write_line {
            ($level:ident) => {
                tracing::$level!(
                    channel = %self.name,
                    event.id = %line.id,
                    event.type = %line.kind,
                    event.sequence = message.sequence,
                    subject = line.subject.as_str(),
                    total = message.total,
                    title = line.title.as_str(),
                    lead = line.lead.as_str(),
                    rows = line.rows,
                    hint = line.hint.as_str(),
                    link = line.link,
                    "{}",
                    line.what
                )
            };
        }
        match message.mood {
            Severity::Fired | Severity::Repeated => write_line!(warn),
            Severity::Resolved | Severity::News => write_line!(info),
        }
        Ok(())
    }
}

/// The texts of a line.
struct Line {
    what: &'static str,
    id: String,
    kind: String,
    subject: String,
    title: String,
    lead: String,
    /// The first rows; `None` without a table.
    rows: Option<String>,
    hint: String,
    link: Option<String>,
}

impl Line {
    fn of(message: &Message) -> Self {
        let text = |text: &str| clip(&one_line(text), TEXT_CHARS_MAX);
        let rows = message.rows.iter().take(ROWS_MAX).map(|row| text(&row.join(" | "))).collect::<Vec<_>>();
        Self {
            what: match message.mood {
                Severity::Fired => "an alert fires",
                Severity::Repeated => "an alert still fires",
                Severity::Resolved => "an alert is over",
                Severity::News => "news",
            },
            id: text(&message.id),
            kind: text(&message.kind),
            subject: text(&message.subject),
            title: text(&message.title),
            lead: text(&message.lead),
            rows: (!rows.is_empty()).then(|| rows.join("; ")),
            hint: text(&message.hint),
            link: message.link.as_deref().map(text),
        }
    }
}
