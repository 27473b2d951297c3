//! `amplinkd gate`: lists what holds calls back for more than one request, and lets an operator open a gate.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::{
    actor,
    context::{Context, ExitStatus, Session, Usage, note},
    many::REQUESTS,
    output::Column,
    pages, time_format,
};
use crate::{
    domain::{errcode, gate::GateKind, time::Time},
    engine::open_gate::Opened,
    store::write::gates::GateView,
};

/// Rows read at once.
const PAGE: u32 = 500;

/// Reads the words of `v_gate.kind`.
fn kind() -> impl TypedValueParser<Value = GateKind> {
    PossibleValuesParser::new(GateKind::ALL.map(GateKind::as_str)).try_map(GateKind::try_from)
}

/// What can be done with gates.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what holds calls back, by kind and subject
    List(List),
    /// Open a gate early: quota was bought, or its cause is fixed
    Open(Open),
}

/// List what holds calls back, by kind and subject
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd gate list
  amplinkd gate list --kind program_month -o csv > used-up.csv

The kinds, and what SUBJECT names:
  program_month   PROGRAM        no more links this month, on any account (89007)
  account_month   ACCOUNT/CODE   a monthly quota of the account is used up
  api_day         ACCOUNT/API    no more calls of that API today (45009)
  ip              all            WeChat does not allow our address (61004, 40164)

OPENS is when the gate opens by itself, `due` if the next call probes it. While a new month may not have started at WeChat, \
one call probes every half hour. JSON and CSV have every column of v_gate.")]
pub struct List {
    /// Only gates of these kinds
    #[arg(long = "kind", value_name = "KIND,…", value_delimiter = ',', value_parser = kind())]
    pub kinds: Vec<GateKind>,
    /// At most this many, 0 for all [default: 50 in a table, otherwise all]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

/// Open a gate early: quota was bought, or its cause is fixed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd gate open program_month wxfedcba9876543210
  amplinkd gate open account_month wx0123456789abcdef/89017
  amplinkd gate open ip

Whatever waited for it resumes: deferred requests are called once their accounts have been polled. A running daemon \
notices within a second. If the quota is still used up, the first call closes the gate again.")]
pub struct Open {
    /// The kind, as `amplinkd gate list` shows it
    #[arg(value_parser = kind())]
    pub kind: GateKind,
    /// The subject, as `amplinkd gate list` shows it; not needed for `ip`
    pub subject: Option<String>,
}

/// A gate that was opened.
#[derive(Debug, Serialize)]
struct Opening {
    kind: GateKind,
    subject: String,
    errcode: i64,
    errmsg: String,
    /// When it would have opened by itself.
    until: String,
    /// Requests that were deferred by it and go on.
    requests: u64,
}

const TABLE: [Column; 6] = [
    Column::shown("kind", "KIND"),
    Column::shown("subject", "SUBJECT"),
    Column::shown("errcode", "CODE"),
    Column::shown("closed", "CLOSED"),
    Column::shown("opens", "OPENS"),
    Column::shown("why", "WHY"),
];

const FIELDS: [Column; 7] = [
    Column::hidden("kind"),
    Column::hidden("subject"),
    Column::hidden("until"),
    Column::hidden("errcode"),
    Column::hidden("errmsg"),
    Column::hidden("at"),
    Column::hidden("early"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct TableRow {
    kind: String,
    subject: String,
    errcode: i64,
    closed: String,
    opens: Option<String>,
    why: String,
}

impl TableRow {
    fn of(row: GateView, now: Time) -> Self {
        let opens = time_format::ahead(Some(&row.until), now);
        let verb = if row.early { "probed in" } else { "in" };
        let opens = opens.map(|wait| if wait == "due" { wait } else { format!("{verb} {wait}") });
        let closed = format!("{} ago", time_format::age(&row.at, now));
        let why = errcode::meaning(row.errcode).map_or(row.errmsg, |known| known.means.to_owned());
        Self { kind: row.kind, subject: row.subject, errcode: row.errcode, closed, opens, why }
    }
}

/// Does what the command says.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::List(wanted) => context.with_view(async |session| list(context, session, &wanted).await).await?,
        Command::Open(wanted) => open(context, &wanted).await?,
    }
    Ok(ExitStatus::Success)
}

async fn open(context: &Context, wanted: &Open) -> anyhow::Result<()> {
    let Open { kind, subject } = wanted;
    let subject = match (subject.as_deref(), kind) {
        (Some(subject), _) => subject,
        (None, GateKind::Ip) => GateKind::EVERYONE,
        (None, GateKind::ProgramMonth | GateKind::AccountMonth | GateKind::ApiDay) => {
            return Err(Usage(format!("{kind} needs a subject: `amplinkd gate list` shows them")).into());
        }
    };
    context
        .with_database(async |session| {
            let Opened { gate, requests } = session.recorder.by(actor::by()).open_gate(*kind, subject).await?;
            context.print_one(&Opening {
                kind: gate.kind,
                subject: gate.subject,
                errcode: gate.errcode,
                errmsg: gate.errmsg,
                until: time_format::text(Time::from_ms(gate.until)),
                requests,
            })?;
            if requests > 0 {
                let count = usize::try_from(requests).unwrap_or(usize::MAX);
                note(format!("{} waiting for it resumed", REQUESTS.counted(count)));
            }
            session.note_without_daemon("calls resume when one starts").await;
            Ok(())
        })
        .await
}

async fn list(context: &Context, session: &Session, wanted: &List) -> anyhow::Result<()> {
    let next = async |last: Option<&GateView>| {
        let after = last.map_or(("", ""), |last| (last.kind.as_str(), last.subject.as_str()));
        session.store().gate_page(&wanted.kinds, after, session.now(), PAGE).await
    };
    print(context, wanted, session.now(), next).await
}

/// Prints the gates that `next` has after one.
pub(super) async fn print<E: Into<anyhow::Error>>(
    context: &Context,
    wanted: &List,
    now: Time,
    next: impl AsyncFnMut(Option<&GateView>) -> Result<Vec<GateView>, E>,
) -> anyhow::Result<()> {
    let glance = |row| TableRow::of(row, now);
    let shown = pages::print(context, (&TABLE, &FIELDS), wanted.limit, next, glance).await?;
    context.note_if_empty(shown, nothing(wanted));
    Ok(())
}

/// Why there are no rows.
fn nothing(wanted: &List) -> &'static str {
    if wanted.kinds.is_empty() {
        "no gate is closed: nothing holds calls back. The daemon closes one when WeChat says that a quota is used up or our \
         address is not allowed; `amplinkd gate open` opens it early"
    } else {
        "no gate of this kind is closed; `amplinkd gate list` lists all"
    }
}
