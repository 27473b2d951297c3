//! `request watch`: prints every step as it happens, with two database queries a second at most.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::filters::Filters;
use crate::{
    cli::{
        context::{Context, ExitStatus, Session, Usage, note},
        named::Named,
        output::{Column, Format, Printer},
        readers::stdout_is_abandoned,
        time_format,
    },
    domain::id::RequestId,
    engine::wish::AskError,
    shutdown::Shutdown,
    store::read::{id_suffix::Noun, pages::StepView},
};

/// How often the database is asked: soon enough for a person, nothing for the daemon beside.
const EVERY: Duration = Duration::from_millis(500);

/// Events read at once; a million-row import is followed in pages.
const EVENTS_PAGE: i64 = 1_000;

/// Print every step as it happens, until ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request watch --state linked,rejected,failed,lapsed
  amplinkd request watch -o jsonl | while read -r step; do …; done
  amplinkd request watch --until-settled 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b

It prints only steps that happen after it starts; `amplinkd request history` has the earlier ones. \
--state filters by the state a step leads to.")]
pub struct Watch {
    /// Which requests
    #[command(flatten)]
    pub filters: Filters,
    /// Watch only this request, and exit once it is finished
    #[arg(long, value_name = "ID", help_heading = "How long")]
    pub until_settled: Option<Named>,
}

const FIELDS: [Column; 13] = [
    Column::hidden("request_id"),
    Column::hidden("seq"),
    Column::hidden("from_state"),
    Column::hidden("to_state"),
    Column::hidden("at"),
    Column::hidden("cause"),
    Column::hidden("status"),
    Column::hidden("errcode"),
    Column::hidden("detail"),
    Column::hidden("kind"),
    Column::hidden("account"),
    Column::hidden("program"),
    Column::hidden("labels"),
];

/// Refuses filters that no step has an answer to.
///
/// # Errors
/// [`Usage`].
pub(in crate::cli) fn must_be_of_steps(filters: &Filters) -> Result<(), Usage> {
    if filters.has_standing() {
        let wrong = "watch prints steps as they happen: --since, --until, --read and --unread are for `request list`";
        return Err(Usage(wrong.to_owned()));
    }
    Ok(())
}

/// Prints steps until it is asked to end, its reader has gone, or the one request has settled.
pub(super) async fn run(context: &Context, watch: Watch) -> anyhow::Result<ExitStatus> {
    must_be_of_steps(&watch.filters)?;
    let shutdown = Shutdown::new();
    shutdown.listen()?;
    context.with_view(async |session| follow(context, session, &watch, &shutdown).await).await?;
    Ok(ExitStatus::Success)
}

async fn follow(context: &Context, session: &Session, watch: &Watch, shutdown: &Shutdown) -> anyhow::Result<()> {
    anyhow::ensure!(
        !session.store().is_frozen(),
        "no daemon works on this database, and you may not write it, so steps could not be followed: `amplinkd request list` \
         shows it as it is"
    );
    // First the place, then the state: a step in between is seen by both, never by neither.
    let only = match &watch.until_settled {
        Some(named) => Some(session.id_of(Noun::Request, named).await?),
        None => None,
    };
    let mut seen = session.store().last_event().await?;
    let mut lines = Lines::new(context);
    session.note_without_daemon("there are no steps before one starts").await;
    let mut is_settled = settled(session, only.as_ref()).await?;
    if is_settled {
        note("already finished: `amplinkd request history` shows how");
    }
    loop {
        let last = session.store().last_event().await?;
        while seen < last {
            let page = (seen + EVENTS_PAGE).min(last);
            for step in session.store().steps_between(seen, page).await? {
                let is_meant = only.as_ref().is_none_or(|id| id.as_str() == step.request_id);
                if is_meant && watch.filters.take(&step) {
                    lines.print(&step)?;
                }
            }
            seen = page;
        }
        if is_settled
            || lines.reader_gone()
            || stdout_is_abandoned()
            || shutdown.unless_asked(tokio::time::sleep(EVERY)).await.is_none()
        {
            return lines.finish();
        }
        // Its last step is in the next page, which is still printed.
        is_settled = settled(session, only.as_ref()).await?;
    }
}

async fn settled(session: &Session, only: Option<&RequestId>) -> anyhow::Result<bool> {
    let Some(id) = only else { return Ok(false) };
    let row = session.store().request_view(id.as_str()).await?.ok_or_else(|| AskError::NoRequest(id.clone()))?;
    Ok(row.finished_at.is_some())
}

/// Where steps go: rows for programs, a line each for people, who must not wait for a table to end.
pub(in crate::cli) enum Lines {
    Rows(Box<Printer<'static, io::Stdout>>),
    People { gone: bool },
}

impl Lines {
    pub(in crate::cli) fn new(context: &Context) -> Self {
        match context.format {
            Format::Table => Self::People { gone: false },
            format @ (Format::Json | Format::Jsonl | Format::Csv) => {
                Self::Rows(Box::new(Printer::new(io::stdout(), format, context.look, &FIELDS)))
            }
        }
    }

    pub(in crate::cli) fn print(&mut self, step: &StepView) -> anyhow::Result<()> {
        match self {
            Self::Rows(printer) => Ok(printer.row(step)?),
            Self::People { gone } => match writeln!(io::stdout(), "{}", line(step)) {
                Err(wrong) if wrong.kind() == io::ErrorKind::BrokenPipe => {
                    *gone = true;
                    Ok(())
                }
                written => Ok(written?),
            },
        }
    }

    pub(in crate::cli) fn reader_gone(&self) -> bool {
        match self {
            Self::Rows(printer) => printer.reader_gone(),
            Self::People { gone } => *gone,
        }
    }

    pub(in crate::cli) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Rows(printer) => Ok(printer.finish()?),
            Self::People { .. } => Ok(()),
        }
    }
}

/// One step in one line: when, where to, which, and why.
fn line(step: &StepView) -> String {
    let at = time_format::to_the_second(&step.at);
    let code = step.errcode.map(|code| format!(" code {code}")).unwrap_or_default();
    let status = step.status.map(|status| format!(" status {status}")).unwrap_or_default();
    let unlink = if step.kind == "link" { "" } else { " (unlink)" };
    let StepView { to_state, account, program, request_id, cause, .. } = step;
    format!("{at}  {to_state:<22} {account} {program} {request_id} {cause}{status}{code}{unlink}")
}
