//! `amplinkd status`: one page for whoever is on call. It only reads the file, with the daemon up or down.

mod page;

mod text;

use super::{
    context::{Context, ExitStatus, Usage},
    output::Format,
    time_format,
};
use crate::engine::status::{self, Report, figures::Asked};

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

/// Prints the page.
pub async fn run(context: &Context) -> anyhow::Result<ExitStatus> {
    must_be_a_document(context)?;
    let report = context
        .with_reader(async |session| {
            let channels: Vec<&str> =
                session.config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
            let asked = Asked {
                recorder: &session.recorder,
                unread_after: session.config.alerts.unread_after,
                channels: &channels,
                now: session.now(),
            };
            Ok(status::report(&asked).await?)
        })
        .await?;
    print(context, &report)
}

/// Refuses a form that the page does not have.
///
/// # Errors
/// [`Usage`].
pub(super) fn must_be_a_document(context: &Context) -> Result<(), Usage> {
    if context.format == Format::Csv {
        return Err(Usage("the status is one JSON document: -o json, or -o jsonl for one line".to_owned()));
    }
    Ok(())
}

/// Prints a page, and says by the exit code whether it needs a person.
pub(super) fn print(context: &Context, report: &Report) -> anyhow::Result<ExitStatus> {
    if context.is_table() {
        page::print(report, time_format::parse(&report.at).unwrap_or_default(), context.look)?;
    } else {
        context.print_one(report)?;
    }
    Ok(if report.ok { ExitStatus::Success } else { ExitStatus::ProblemsFound })
}
