//! `request show`, `history` and `explain`: everything about one request.

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, ExitStatus, Session, Usage, note},
        named::Named,
        output::{Column, Format},
        readers::to_stdout,
        time_format,
    },
    domain::id::RequestId,
    engine::{
        explanation::{Explained, explained},
        wish::AskError,
    },
    store::read::{
        id_suffix::Noun,
        proof::Proof,
        views::{ConflictFilter, ConflictView, RequestView, TransitionView},
    },
};

/// Conflicts told of one request: it meets a handful in its life.
const CONFLICTS_MAX: u32 = 100;

/// Characters in a line of prose where the terminal does not say: what an eye follows with ease.
const LINE: usize = 100;

/// Explain why a request is in its state, who must act, and what comes next
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  amplinkd request explain 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b

It reads only the database and does not call WeChat.")]
pub struct Explain {
    /// The request's id, or its last 6 characters or more
    pub id: Named,
}

/// List every step of one request, first to last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request history 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b -o csv
  amplinkd request history 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b --proof > proof.json

--proof prints one JSON document: the request, every step with its hash, and the head. Each hash covers the one before \
it, so a step that was changed, added or removed later breaks the chain; docs/database.md checks it with ten lines of \
Python. Exit code 3 if it is already broken. \
What it does not prove: whoever can write the database can create a whole new chain. Keep heads (the last hash of a \
request) where that person cannot write; a chain that still leads to a saved head was not rewritten before it.")]
pub struct History {
    /// The request's id, or its last 6 characters or more
    pub id: Named,
    /// Print one JSON document with the hashes, for somebody who does not trust us
    #[arg(long)]
    pub proof: bool,
}

const STEPS: [Column; 10] = [
    Column::hidden("request_id"),
    Column::hidden("seq"),
    Column::hidden("from_state"),
    Column::hidden("to_state"),
    Column::hidden("at"),
    Column::hidden("cause"),
    Column::hidden("status"),
    Column::hidden("errcode"),
    Column::hidden("detail"),
    Column::hidden("hash"),
];

/// A step begins where the one before it ended, so that a table need not say both.
const STEPS_TABLE: [Column; 7] = [
    Column::shown("number", "STEP"),
    Column::shown("at", "AT"),
    Column::shown("state", "TO"),
    Column::shown("cause", "BY"),
    Column::shown("status", "STATUS"),
    Column::shown("errcode", "CODE"),
    Column::shown("detail", "DETAIL"),
];

/// A step in a table.
#[derive(Debug, Serialize)]
struct Step<'s> {
    number: i64,
    at: String,
    state: &'s str,
    cause: &'s str,
    status: Option<i64>,
    errcode: Option<i64>,
    detail: Option<&'s str>,
}

impl<'s> Step<'s> {
    fn of(step: &'s TransitionView) -> Self {
        let TransitionView { seq, to_state, at, cause, status, errcode, detail, .. } = step;
        let at = time_format::to_the_second(at);
        Self { number: *seq, at, state: to_state, cause, status: *status, errcode: *errcode, detail: detail.as_deref() }
    }
}

const CONFLICTS: [Column; 6] = [
    Column::shown("id", "CONFLICT"),
    Column::shown("kind", "KIND"),
    Column::shown("errcode", "CODE"),
    Column::shown("our_state", "OUR STATE"),
    Column::shown("their_status", "THEIRS"),
    Column::shown("resolution", "RESOLVED"),
];

/// Prints a request; below its table also its history and its conflicts.
pub(super) async fn show(context: &Context, named: &Named) -> anyhow::Result<ExitStatus> {
    context
        .with_view(async |session| {
            let id = &session.id_of(Noun::Request, named).await?;
            let row =
                session.store().request_view(id.as_str()).await?.ok_or_else(|| AskError::NoRequest(id.clone()))?;
            let beside = if context.is_table() {
                Some((session.store().history(id.as_str()).await?, conflicts(session, id).await?))
            } else {
                None
            };
            print_one(context, &row, beside)?;
            Ok(ExitStatus::Success)
        })
        .await
}

/// Prints a request, and below its table its history and its conflicts.
pub(in crate::cli) fn print_one(
    context: &Context,
    row: &RequestView,
    beside: Option<(Vec<TransitionView>, Vec<ConflictView>)>,
) -> anyhow::Result<()> {
    context.print_one(row)?;
    let Some((history, conflicts)) = beside else { return Ok(()) };
    let steps: Vec<Step<'_>> = history.iter().map(Step::of).collect();
    context.print_beneath(&STEPS_TABLE, &steps)?;
    if conflicts.is_empty() { Ok(()) } else { context.print_beneath(&CONFLICTS, &conflicts) }
}

/// Prints every step of a request.
pub(super) async fn history(context: &Context, history: &History) -> anyhow::Result<ExitStatus> {
    if history.proof {
        return proof(context, &history.id).await;
    }
    let steps = context
        .with_view(async |session| {
            let id = session.id_of(Noun::Request, &history.id).await?;
            let steps: Vec<TransitionView> = session.store().history(id.as_str()).await?;
            if steps.is_empty() {
                return Err(AskError::NoRequest(id).into());
            }
            Ok(steps)
        })
        .await?;
    print_steps(context, &steps)?;
    Ok(ExitStatus::Success)
}

/// Prints steps.
pub(in crate::cli) fn print_steps(context: &Context, steps: &[TransitionView]) -> anyhow::Result<()> {
    if context.is_table() {
        let steps: Vec<Step<'_>> = steps.iter().map(Step::of).collect();
        context.print_rows(&STEPS_TABLE, &steps)
    } else {
        context.print_rows(&STEPS, steps)
    }
}

async fn proof(context: &Context, named: &Named) -> anyhow::Result<ExitStatus> {
    let proved = in_form_of_a_proof(context)?;
    let proof = context
        .with_view(async |session| {
            let id = session.id_of(Noun::Request, named).await?;
            Ok(session.store().proof(&id).await?.ok_or(AskError::NoRequest(id))?)
        })
        .await?;
    print_proof(&proved, &proof)
}

/// The same context in a form that a proof has.
///
/// # Errors
/// [`Usage`]: it has no such form.
pub(in crate::cli) fn in_form_of_a_proof(context: &Context) -> Result<Context, Usage> {
    let format = match context.format {
        Format::Table | Format::Json => Format::Json,
        Format::Jsonl => Format::Jsonl,
        Format::Csv => {
            return Err(Usage("a proof is one JSON document: -o json, or -o jsonl for one line".to_owned()));
        }
    };
    Ok(Context { format, ..context.clone() })
}

/// Prints a proof, and says by the exit code whether it holds.
pub(in crate::cli) fn print_proof(context: &Context, proof: &Proof) -> anyhow::Result<ExitStatus> {
    context.print_one(proof)?;
    if proof.findings.is_empty() {
        return Ok(ExitStatus::Success);
    }
    note(format!("this history does not verify: {}", proof.findings.join("; ")));
    Ok(ExitStatus::ProblemsFound)
}

async fn conflicts(session: &Session, id: &RequestId) -> anyhow::Result<Vec<ConflictView>> {
    let filter = ConflictFilter { request: Some(id.to_string()), ..ConflictFilter::default() };
    Ok(session.store().conflict_page(&filter, None, CONFLICTS_MAX).await?)
}

/// Prints sentences.
pub(super) async fn explain(context: &Context, explain: &Explain) -> anyhow::Result<ExitStatus> {
    let explained = context
        .with_view(async |session| {
            let id = session.id_of(Noun::Request, &explain.id).await?;
            // Programs get the same times as everywhere else.
            let zone = if context.is_table() { time_format::zone() } else { &TimeZone::UTC };
            let explained = explained(&session.recorder, &id, session.config.polling.daily_budget, zone).await?;
            session.note_without_daemon("what is due is done when one starts").await;
            Ok(explained)
        })
        .await?;
    print_explained(context, &explained)?;
    Ok(ExitStatus::Success)
}

/// Prints sentences for people, or the document.
pub(in crate::cli) fn print_explained(context: &Context, explained: &Explained) -> anyhow::Result<()> {
    match context.format {
        Format::Table => {
            let width = context.look.width.map_or(LINE, |width| LINE.min(usize::from(width)));
            let lines = explained.sentences.iter().map(|sentence| format!("{}\n", wrapped(sentence, width)));
            to_stdout(lines.collect::<String>().as_bytes())?;
        }
        Format::Json | Format::Jsonl | Format::Csv => context.print_one(explained)?,
    }
    Ok(())
}

/// Broken at spaces so that no line is longer than `width` unless a word is; later lines are indented.
fn wrapped(sentence: &str, width: usize) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            text.push_str("\n  ");
            used = 2;
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.extend(word.chars().filter(|c| !c.is_control()));
        used += length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three four", 9), "one two\n  three\n  four");
        assert_eq!(wrapped("averyveryverylongword b", 9), "averyveryverylongword\n  b");
    }
}
