//! `amplinkd status`: one page for whoever is on call. It only reads the file, with the daemon up or down.

mod figures;

mod page;

mod problems;

mod text;

use std::time::Duration;

use serde::Serialize;

use self::{figures::Figures, problems::Need};
use super::{
    context::{Context, ExitStatus, Usage},
    output::Format,
    time_format,
};
use crate::{domain::text::format::duration, store::write::pace::PaceRow};

/// Show health, open work and required actions on one page; exit code 3 if action is required
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd status
  amplinkd status -o json | jq '.problems[] | .problem'

Required actions come first, each with the command that shows more:
  no_daemon            no daemon runs on this database
  cannot_write         a daemon runs and has written nothing for 100 seconds
  address_blocked      WeChat does not allow our IP address
  accounts_unread      accounts whose list could not be read for [alerts] unread_after (15m)
  accounts_suspended   accounts for which WeChat refuses us; not those an operator suspended
  alerts_firing        alerts that need action and that nobody has acknowledged
  audit_findings       what `amplinkd audit` finds
  messages_dead        dead letters of a configured channel

Accounts and messages do not count while all their alerts are acknowledged or snoozed. \
The command changes nothing: permission to read the database is enough. Times are in the zone of [alerts] timezone, and in UTC with -o json. \
An id after an ellipsis is shortened to its end, which every command accepts.

Exit codes: 0 no action needed, 1 error, 2 usage error, 3 action required")]
pub struct Status {}

/// The page as programs read it.
#[derive(Debug, Serialize)]
struct Report {
    at: String,
    ok: bool,
    problems: Vec<Need>,
    #[serde(flatten)]
    figures: Figures,
}

/// Prints the page.
pub async fn run(context: &Context) -> anyhow::Result<ExitStatus> {
    if context.format == Format::Csv {
        return Err(Usage("the status is one JSON document: -o json, or -o jsonl for one line".to_owned()).into());
    }
    let (now, figures) =
        context.with_reader(async |session| Ok((session.now(), Figures::read(session).await?))).await?;
    let problems = problems::of(&figures, now);
    let ending = if problems.is_empty() { ExitStatus::Success } else { ExitStatus::ProblemsFound };
    let report = Report { at: time_format::text(now), ok: problems.is_empty(), problems, figures };
    if context.is_table() {
        page::print(&report, now, context.look)?;
    } else {
        context.print_one(&report)?;
    }
    Ok(ending)
}

/// The plan in two sentences: whether waits are stretched, and how late a look may be by it.
fn plan_lines(pace: Option<PaceRow>) -> [String; 2] {
    /// The stretch of the row is in thousandths.
    const PLAIN: u32 = 1_000;
    let Some(PaceRow { stretch, late_ms, .. }) = pace else {
        return ["unknown: no daemon has recorded one".to_owned(), "amplinkd plan computes it".to_owned()];
    };
    let first = if stretch <= PLAIN {
        "every poll is on schedule".to_owned()
    } else {
        format!(
            "demand exceeds supply, so every interval is {}.{} times the configured one",
            stretch / PLAIN,
            stretch % PLAIN / 100
        )
    };
    let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
    let late = Duration::from_secs(late.as_secs());
    let second = if late.is_zero() {
        "none is planned to be late".to_owned()
    } else {
        format!("a poll may be {} late", duration(late))
    };
    [first, second]
}
