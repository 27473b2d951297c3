//! `amplinkd audit`: whether anything is lost or stalled. It must never repair what it finds.

use super::{
    context::{Context, Ending, note},
    output::Column,
};
use crate::engine::audit::FINDINGS_MAX;

/// Prove that every open request has a next step; exit code 3 when one has not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, for a cron job or a monitor:
  amplinkd audit -o json || mail-the-operator

Exit codes: 0 all is well, 3 problems found, 1 it could not look.")]
pub struct Audit {}

const COLUMNS: [Column; 3] =
    [Column::shown("rule", "RULE"), Column::shown("subject", "SUBJECT"), Column::shown("finding", "FINDING")];

/// Prints every finding.
///
/// # Errors
/// When the database cannot be asked.
pub async fn run(context: &Context, _: Audit) -> anyhow::Result<Ending> {
    let findings = context.at_desk(async |desk| Ok(desk.recorder.audit().await?)).await?;
    if findings.is_empty() {
        if !context.is_table() {
            context.print_rows(&COLUMNS, &findings)?;
        }
        note("all is well");
        return Ok(Ending::Well);
    }
    context.print_rows(&COLUMNS, &findings)?;
    if findings.len() == FINDINGS_MAX as usize {
        note(format!("these are the first {FINDINGS_MAX}; there may be more"));
    }
    Ok(Ending::ProblemsFound)
}
