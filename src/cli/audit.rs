//! `amplinkd audit`: checks for lost, stalled or inconsistent work. It only reports.

use super::{
    context::{Context, ExitStatus, note},
    output::Column,
};
use crate::{engine::audit::FINDINGS_MAX, store::read::audit::Finding};

/// Check for lost, stalled or inconsistent work; exit code 3 if any is found
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, for a cron job or monitoring:
  amplinkd audit -o json || mail-the-operator

The rules; anything counts as overdue 15 minutes after it was due:
  no_next_step           an open request whose account has no next poll
  overdue                an account that should have been polled
  deferred_overdue       a request whose quota has reset and that was not resumed
  call_unanswered        a call in flight that was neither answered nor given up
  conflict_left_open     an open conflict of a request that has moved on
  wakeup_left            a command that the daemon has not noticed
  delivery_stuck         a message that was neither sent nor given up
  event_unread           an event that was not processed: alerts and messages are stalled
  unread                 an account with open requests whose list cannot be read ([alerts] unread_after)
  alert_untold           an alert that was due and was not sent, outside of quiet hours
  aged_unchecked         a request that has waited long enough to alert and was never checked for it
  vigil_overdue          a request that was due for an alert check that did not happen
  cron_silent            a cron job that did not run
  bad_row                a row that somebody edited into an invalid one: it is left alone
  copy_waits             a restored backup on which no daemon has started
  import_left            an accepted request of an import that was not moved to the others
  push_left              a push about an authorization that was not taken up within an hour
  token_task_left        an `authorizer sync` or `refresh` that the daemon did not do
  claim_left             a fetch of a token that began more than a day ago and did not end
  unauthorized_active    an account that is polled although it is not authorized
  authorized_suspended   an account that is suspended although it is authorized (61003)
  state_without_history  a request whose last transition is missing
  state_differs          a request whose state is not the one its last transition led to
  chain_broken           a last transition that is not the one that was written

The five about authorizations apply with [tokens] source = \"component\". All rules use indexes except bad_row, which reads 5,000 rows of every table per audit, and the last three, which compare \
the end of every history with its request: 20,000 per audit, different ones each time (docs/database.md has the figures). \
--all reads and compares all of them; `amplinkd db verify` replays every history from the first step.

Exit codes: 0 no findings, 1 error, 2 usage error, 3 problems found")]
pub struct Audit {
    /// Check every row and the end of every history, however many there are
    #[arg(long)]
    pub all: bool,
}

const COLUMNS: [Column; 3] =
    [Column::shown("rule", "RULE"), Column::shown("subject", "SUBJECT"), Column::shown("finding", "FINDING")];

/// Prints every finding.
pub async fn run(context: &Context, audit: Audit) -> anyhow::Result<ExitStatus> {
    let (findings, is_driven) = context
        .with_view(async |session| {
            let found = if audit.all { session.recorder.audit_all().await? } else { session.recorder.audit().await? };
            // Asked only when there is something to explain; who may not look at the lock is told nothing about it.
            let is_driven = found.is_empty() || session.has_daemon().await;
            Ok((found, is_driven))
        })
        .await?;
    print(context, findings, is_driven)
}

/// What is found by comparing histories with their requests, which a daemon does before everything else.
const OF_HISTORIES: [&str; 3] = ["state_without_history", "state_differs", "chain_broken"];

/// Prints findings, those of histories last, and says by the exit code whether there are any.
pub(super) fn print(context: &Context, mut findings: Vec<Finding>, is_driven: bool) -> anyhow::Result<ExitStatus> {
    findings.sort_by_key(|found| OF_HISTORIES.contains(&found.rule.as_str()));
    let findings = findings.as_slice();
    if findings.is_empty() {
        if !context.is_table() {
            context.print_rows(&COLUMNS, findings)?;
        }
        note("no problems found");
        return Ok(ExitStatus::Success);
    }
    context.print_rows(&COLUMNS, findings)?;
    if !is_driven {
        note("no daemon runs on this database: start it first, since much of this is work it has not done");
    }
    let flood = |rule: &str| findings.iter().filter(|found| found.rule == rule).count() == FINDINGS_MAX as usize;
    if findings.iter().any(|found| flood(&found.rule)) {
        note(format!("showing at most {FINDINGS_MAX} findings of each rule; there may be more"));
    }
    Ok(ExitStatus::ProblemsFound)
}
