//! `amplinkd gate`: what holds calls back for more than one request, and the word of an operator who knows better.

use serde::Serialize;

use super::{
    context::{Context, Desk, Ending, note},
    moment,
    output::Column,
};
use crate::{
    domain::{errcode, time::Time},
    store::gates::GateView,
};

/// Rows read at once.
const PAGE: u32 = 500;

/// Rows of a table when no limit is given: two screens; who wants more says so.
const TABLE_ROWS: u32 = 50;

/// The words of `v_gate.kind`.
const KINDS: [&str; 4] = ["program_month", "account_month", "api_day", "ip"];

/// What can be done with gates.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what holds calls back, by kind and subject
    List(List),
}

/// List what holds calls back, by kind and subject
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd gate list
  amplinkd gate list --kind program_month -o csv > used-up.csv

The kinds, and what SUBJECT names:
  program_month   PROGRAM        no more links of it this month, on any account (89007)
  account_month   ACCOUNT/CODE   a quota of the account's month is used up
  api_day         ACCOUNT/API    no more calls of that API today (45009)
  ip              all            WeChat does not allow our address (61004, 40164)

OPENS is when that is over by itself, `due` when the next call finds out. JSON and CSV have every column of v_gate.")]
pub struct List {
    /// Only of these kinds
    #[arg(long = "kind", value_name = "KIND,…", value_delimiter = ',', value_parser = KINDS)]
    pub kinds: Vec<String>,
    /// At most so many, 0 for all [default: 50 in a table, else all]
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

const TABLE: [Column; 6] = [
    Column::shown("kind", "KIND"),
    Column::shown("subject", "SUBJECT"),
    Column::shown("errcode", "CODE"),
    Column::shown("closed", "CLOSED"),
    Column::shown("opens", "OPENS"),
    Column::shown("why", "WHY"),
];

const FIELDS: [Column; 6] = [
    Column::hidden("kind"),
    Column::hidden("subject"),
    Column::hidden("until"),
    Column::hidden("errcode"),
    Column::hidden("errmsg"),
    Column::hidden("at"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct Glance {
    kind: String,
    subject: String,
    errcode: i64,
    closed: String,
    opens: Option<String>,
    why: String,
}

impl Glance {
    fn of(row: GateView, now: Time) -> Self {
        let opens = moment::ahead(Some(&row.until), now);
        let opens = opens.map(|wait| if wait == "due" { wait } else { format!("in {wait}") });
        let closed = format!("{} ago", moment::age(&row.at, now));
        let why = errcode::meaning(row.errcode).map_or(row.errmsg, |known| known.means.to_owned());
        Self { kind: row.kind, subject: row.subject, errcode: row.errcode, closed, opens, why }
    }
}

/// Does what the command says.
///
/// # Errors
/// When the database cannot be used.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::List(wanted) => context.at_desk(async |desk| list(context, desk, &wanted).await).await?,
    }
    Ok(Ending::Well)
}

async fn list(context: &Context, desk: &Desk, wanted: &List) -> anyhow::Result<()> {
    let is_table = context.is_table();
    let limit = match wanted.limit.unwrap_or(if is_table { TABLE_ROWS } else { 0 }) {
        0 => u32::MAX,
        limit => limit,
    };
    let mut printer = context.printer(if is_table { &TABLE[..] } else { &FIELDS[..] });
    let (mut after, mut printed, mut there_are_more) = ((String::new(), String::new()), 0, false);
    while !printer.reader_gone() && !there_are_more {
        let page = desk.store().gate_page(&wanted.kinds, (&after.0, &after.1), desk.now().ms(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.kind.clone(), last.subject.clone());
        for row in page {
            there_are_more = printed == limit;
            if there_are_more {
                break;
            }
            printed += 1;
            if is_table {
                printer.row(&Glance::of(row, desk.now()))?;
            } else {
                printer.row(&row)?;
            }
        }
    }
    printer.finish()?;
    if is_table && there_are_more {
        note(format!("showing {limit} of more; --limit 0 for all"));
    }
    Ok(())
}
