//! `amplinkd audit`: whether anything is lost, stalled or inconsistent. It must never repair what it finds.

use super::{
    context::{Context, ExitStatus, note},
    output::Column,
};
use crate::{engine::audit::FINDINGS_MAX, store::Store};

/// Check that nothing is lost, stalled or inconsistent
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, for a cron job or a monitor:
  amplinkd audit -o json || mail-the-operator

What is looked for; a step counts as overdue 15 minutes after its time:
  no_next_step           an open request whose account has no due time
  overdue                an account that should have been looked at
  deferred_overdue       a request whose quota has rolled over and that was not taken up
  call_unanswered        a call that is out and neither answered nor given up
  conflict_left_open     a conflict that its request has left behind
  wakeup_left            a command that the daemon has not noticed
  delivery_stuck         a message that was neither sent nor given up
  event_unread           an event that nobody has looked at: alerts and messages stand still
  unread                 an account with open requests whose list cannot be read ([alerts] unread_after)
  alert_untold           an alert that was due and that nobody was told, outside of quiet hours
  vigil_overdue          a request whose time for an alert has come, and nobody looked
  cron_silent            a cron job that did not run
  bad_row                a row that somebody changed into one that is not legal: it is left alone
  copy_waits             a copy that was put back and on which no daemon has started
  import_left            a request of an import that is accepted and was not moved to the others
  state_without_history  a request whose last transition is missing
  state_differs          a request that does not stand where its last transition led
  chain_broken           a last transition that is not the one which was written

Indexes answer all but bad_row, which reads 5,000 rows of every table in one audit, and the last three, which compare the \
end of every history with its request: 20,000 in one audit; other ones each time (docs/database.md has the figures). \
--all reads and compares all of them, `amplinkd db verify` replays every history from the first step.

Exit codes: 0 no findings, 1 error, 2 usage error, 3 problems found")]
pub struct Audit {
    /// Compare the end of every history, however many there are
    #[arg(long)]
    pub all: bool,
}

const COLUMNS: [Column; 3] =
    [Column::shown("rule", "RULE"), Column::shown("subject", "SUBJECT"), Column::shown("finding", "FINDING")];

/// Prints every finding.
///
/// # Errors
/// When the database cannot be asked.
pub async fn run(context: &Context, audit: Audit) -> anyhow::Result<ExitStatus> {
    let (findings, is_driven) = context
        .with_database(async |session| {
            let found = if audit.all { session.recorder.audit_all().await? } else { session.recorder.audit().await? };
            // Asked only when there is something to explain; who may not look at the lock is told nothing about it.
            let is_driven = found.is_empty() || Store::is_driven(&session.config.database.path).unwrap_or(true);
            Ok((found, is_driven))
        })
        .await?;
    if findings.is_empty() {
        if !context.is_table() {
            context.print_rows(&COLUMNS, &findings)?;
        }
        note("all is well");
        return Ok(ExitStatus::Success);
    }
    context.print_rows(&COLUMNS, &findings)?;
    if !is_driven {
        note("no amplinkd runs on this database: start it, for much of this is its work left undone");
    }
    let flood = |rule: &str| findings.iter().filter(|found| found.rule == rule).count() == FINDINGS_MAX as usize;
    if findings.iter().any(|found| flood(&found.rule)) {
        note(format!("only the first {FINDINGS_MAX} of a rule are shown; there may be more"));
    }
    Ok(ExitStatus::ProblemsFound)
}
