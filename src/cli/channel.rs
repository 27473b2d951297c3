//! `amplinkd channel`: list notification channels, send a test message, resend dead letters. No URL or secret is
//! printed.

use anyhow::bail;
use serde::Serialize;

use super::{
    actor,
    context::{Context, ExitStatus, Session, note},
    named::Named,
    output::Column,
    time_format,
};
use crate::{
    clock::{Clock, SystemClock},
    config::ChannelConfig,
    domain::{
        id::{timed, uuid_v7},
        text::channel_test::{self, Receiver},
        time::Time,
    },
    notify::{Channel, Kind, SendError},
    store::read::{
        alert_views::{ChannelView, DeliveryView},
        id_suffix::Noun,
    },
    telemetry,
};

/// Rows read at once.
const PAGE: u32 = 500;

/// What a test message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Event {
    /// A firing alert.
    Alert,
    /// The same alert, resolved.
    Resolved,
    /// A step of a request.
    Transition,
    /// A conflict.
    Conflict,
}

impl From<Event> for channel_test::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::Alert => Self::Alert,
            Event::Resolved => Self::Resolved,
            Event::Transition => Self::Transition,
            Event::Conflict => Self::Conflict,
        }
    }
}

/// What can be done with channels.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List channels with their events, pending messages, dead letters and last error
    #[command(after_help = "Example:\n  amplinkd channel list")]
    List,
    /// Send a test message and print the result; exit code 1 if it is not accepted
    #[command(after_help = "\
Examples:
  amplinkd channel test ops
  amplinkd channel test ops --event resolved

The message is sent directly and at once, bypassing the daemon, quiet hours and the database. The daemon need not run. A \
test alert in Alertmanager ends with --event resolved, or by itself after some minutes.")]
    Test {
        /// The channel's name
        name: String,
        /// The event to test
        #[arg(long, value_enum, default_value_t = Event::Alert)]
        event: Event,
    },
    /// Resend the dead letters of a channel: these messages, or all; the daemon sends them within a second
    #[command(after_help = "\
Examples:
  amplinkd channel retry ops --dry-run
  amplinkd channel retry ops
  amplinkd channel retry ops 0197c2d7-3c4d-7e5f-8061-7c8d9e0f1a2b")]
    Retry {
        /// The channel's name
        name: String,
        /// Only these messages, as --dry-run and `amplinkd alert show` list them
        #[arg(value_name = "ID")]
        ids: Vec<Named>,
        /// Show what would be resent; send nothing
        #[arg(long)]
        dry_run: bool,
    },
}

const TABLE: [Column; 7] = [
    Column::shown("name", "NAME"),
    Column::shown("kind", "KIND"),
    Column::shown("events", "EVENTS"),
    Column::shown("pending", "PENDING"),
    Column::shown("dead", "DEAD"),
    Column::shown("delivered", "DELIVERED"),
    Column::shown("last_error", "LAST ERROR"),
];

const FIELDS: [Column; 7] = [
    Column::hidden("name"),
    Column::hidden("kind"),
    Column::hidden("events"),
    Column::hidden("pending"),
    Column::hidden("dead"),
    Column::hidden("delivered_at"),
    Column::hidden("last_error"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    #[serde(flatten)]
    row: ChannelView,
    delivered: Option<String>,
}

const DEAD_TABLE: [Column; 5] = [
    Column::shown("id", "ID"),
    Column::shown("event_type", "EVENT"),
    Column::shown("age", "AGE"),
    Column::shown("attempts", "TRIES"),
    Column::shown("last_error", "LAST ERROR"),
];

const DEAD_FIELDS: [Column; 11] = [
    Column::hidden("id"),
    Column::hidden("event_id"),
    Column::hidden("event_type"),
    Column::hidden("channel"),
    Column::hidden("state"),
    Column::hidden("attempts"),
    Column::hidden("next_at"),
    Column::hidden("delivered_at"),
    Column::hidden("last_error"),
    Column::hidden("subject"),
    Column::hidden("created_at"),
];

/// A message that was given up, in a table.
#[derive(Debug, Serialize)]
struct DeadLetterRow {
    #[serde(flatten)]
    row: DeliveryView,
    age: String,
}

/// What came of a test.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) channel: String,
    pub(super) kind: String,
    pub(super) event: String,
    pub(super) result: &'static str,
    pub(super) took_ms: u64,
}

/// What was made due again.
#[derive(Debug, Serialize)]
struct Retried {
    channel: String,
    retried: u64,
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List => context.with_view(async |session| list(context, session).await).await?,
        Command::Test { name, event } => test(context, &name, event.into()).await?,
        Command::Retry { name, ids, dry_run: true } => {
            context.with_view(async |session| dead(context, session, &name, &ids).await).await?;
        }
        Command::Retry { name, ids, dry_run: false } => {
            context.with_database(async |session| retry(context, session, name, ids).await).await?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn list(context: &Context, session: &Session) -> anyhow::Result<()> {
    let channels = &session.config.alerts.channels;
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    let figures = session.store().channel_figures(&names).await?;
    let rows = figures.into_iter().map(|figures| {
        let channel = channels.iter().find(|channel| channel.name == figures.channel);
        figures.view(channel.map(|channel| (channel.kind_word(), channel.event_words())))
    });
    print(context, rows.collect(), session.now())
}

/// Prints channels.
pub(super) fn print(context: &Context, rows: Vec<ChannelView>, now: Time) -> anyhow::Result<()> {
    for row in rows.iter().filter(|row| row.kind.is_none()) {
        note(format!("channel {} is no longer configured; its pending messages are not sent", row.name));
    }
    if !context.is_table() {
        return context.print_rows(&FIELDS, &rows);
    }
    if rows.is_empty() {
        note("no channels: nobody is notified; config/amplinkd.example.toml shows how to add one");
    }
    let glance = |row: ChannelView| {
        let delivered = row.delivered_at.as_deref().map(|at| format!("{} ago", time_format::age(at, now)));
        TableRow { row, delivered }
    };
    context.print_rows(&TABLE, &rows.into_iter().map(glance).collect::<Vec<_>>())
}

async fn test(context: &Context, name: &str, event: channel_test::Event) -> anyhow::Result<()> {
    // A name that is wrong needs no secret to be found out.
    known(&context.config()?.alerts.channels, name)?;
    let config = context.config_with_channels()?;
    let settings = known(&config.alerts.channels, name)?;
    let channel = Channel::new(&settings.settings())?;
    if settings.kind == Kind::Log {
        // Our own log is where this channel writes.
        telemetry::start(&config.log)?;
    }
    let clock = SystemClock::new();
    let began = clock.now();
    let id = uuid_v7(timed(began, u128::from(clock.random()) << u64::BITS)).to_string();
    let to = Receiver {
        channel: name,
        language: settings.language,
        zone: &config.alerts.zone,
        link: config.alerts.link.as_deref(),
    };
    let message = channel_test::message(to, event, id, began);
    if let Err(wrong) = channel.send(&message, began).await {
        let meaning = match &wrong {
            SendError::Later { .. } => "the daemon would retry it",
            SendError::Unconfirmed { why } => bail!(
                "channel {name}: sent, unconfirmed: {why} (check whether it arrived; after such a response the daemon sends a \
                 message a second time and then counts it as delivered)"
            ),
            SendError::Refused { .. } => "the service refuses it: fix the configuration",
            SendError::Gone { .. } => "the daemon would give it up at once",
        };
        bail!("channel {name} did not accept the test: {wrong} ({meaning})");
    }
    let took_ms = u64::try_from(clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
    let (channel, kind, event) = (name.to_owned(), settings.kind_word().to_owned(), event.as_str().to_owned());
    context.print_one(&Tested { channel, kind, event, result: "taken", took_ms })
}

async fn dead(context: &Context, session: &Session, name: &str, ids: &[Named]) -> anyhow::Result<()> {
    known(&session.config.alerts.channels, name)?;
    let ids = whole(session, name, ids).await?;
    let next = async |last: Option<&DeliveryView>| {
        session.store().given_up(name, last.map_or("", |last| &last.id), PAGE).await
    };
    print_dead(context, &ids, session.now(), next).await
}

/// Prints what was given up, which `next` has after one: these messages, or all.
pub(super) async fn print_dead<E: Into<anyhow::Error>>(
    context: &Context,
    ids: &[String],
    now: Time,
    mut next: impl AsyncFnMut(Option<&DeliveryView>) -> Result<Vec<DeliveryView>, E>,
) -> anyhow::Result<()> {
    let is_table = context.is_table();
    let mut printer = context.printer(if is_table { &DEAD_TABLE[..] } else { &DEAD_FIELDS[..] });
    let (mut last, mut count) = (None, 0_u64);
    loop {
        let page = next(last.as_ref()).await.map_err(Into::into)?;
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        for row in page.into_iter().filter(|row| ids.is_empty() || ids.contains(&row.id)) {
            count += 1;
            if is_table {
                printer.row(&DeadLetterRow::of(row, now))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    printer.finish()?;
    note(format!("{} to resend; nothing was changed", messages(count)));
    Ok(())
}

impl DeadLetterRow {
    fn of(row: DeliveryView, now: Time) -> Self {
        let age = time_format::age(&row.created_at, now);
        Self { row, age }
    }
}

async fn retry(context: &Context, session: &Session, name: String, ids: Vec<Named>) -> anyhow::Result<()> {
    known(&session.config.alerts.channels, &name)?;
    let ids = whole(session, &name, &ids).await?;
    let wanted = ids.len() as u64;
    let some = (!ids.is_empty()).then_some(ids);
    let retried = session.store().retry_deliveries(name.clone(), some, actor::by(), session.now()).await?;
    if retried > 0 {
        session.note_without_daemon("they are sent when one starts").await;
    }
    print_retried(context, &name, retried, wanted)
}

/// Prints how many messages are due again of those that were wanted by name.
///
/// # Errors
/// Some of these were not given up.
pub(super) fn print_retried(context: &Context, name: &str, retried: u64, wanted: u64) -> anyhow::Result<()> {
    context.print_one(&Retried { channel: name.to_owned(), retried })?;
    if retried < wanted {
        let missing = messages(wanted - retried);
        bail!(
            "cannot resend {missing} of these on {name}: not given up; `amplinkd channel retry {name} --dry-run` lists the rest"
        );
    }
    Ok(())
}

async fn whole(session: &Session, channel: &str, ids: &[Named]) -> anyhow::Result<Vec<String>> {
    Ok(session.ids_of(Noun::GivenUp(channel), ids).await?.into_iter().map(String::from).collect())
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// The channel of this name.
fn known<'c>(channels: &'c [ChannelConfig], name: &str) -> anyhow::Result<&'c ChannelConfig> {
    if let Some(channel) = channels.iter().find(|channel| channel.name == name) {
        return Ok(channel);
    }
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    bail!(unknown(&names, name))
}

/// That there is no such channel among these.
pub(super) fn unknown(names: &[&str], name: &str) -> String {
    match names {
        [] => format!("there is no channel {name:?}, nor any other: add an [[alerts.channel]] with this name"),
        names => format!("there is no channel {name:?}; the channels are {}", names.join(", ")),
    }
}
