//! `request watch` by the stream of events: what leads to a step is fetched with it, so that both have the same columns.

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{desk::Desk, wire::path};
use crate::{
    cli::{
        context::{ExitStatus, note},
        readers::stdout_is_abandoned,
        request::{
            Watch,
            watch::{self, Lines},
        },
    },
    domain::id::RequestId,
    engine::wish::AskError,
    remote::{Event, Stream},
    shutdown::Shutdown,
    store::read::{
        id_suffix::Noun,
        pages::StepView,
        views::{RequestView, TransitionView},
    },
};

/// What the types of steps begin with.
const STEPS: &str = "amplinkd.request.";

/// How often it is looked whether somebody still reads.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Debug, Deserialize)]
struct Told {
    data: Step,
}

/// What an event says of a step (docs/events.md).
#[derive(Debug, Deserialize)]
struct Step {
    request: String,
    at: String,
    to: String,
    kind: String,
    account: String,
    program: String,
    #[serde(default)]
    labels: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct History {
    items: Vec<TransitionView>,
}

/// Prints steps until it is asked to end, its reader has gone, or the one request has settled.
pub(super) async fn run(desk: &Desk<'_>, watch: &Watch) -> anyhow::Result<ExitStatus> {
    watch::must_be_of_steps(&watch.filters)?;
    let shutdown = Shutdown::new();
    shutdown.listen()?;
    let only = match &watch.until_settled {
        Some(named) => Some(desk.id_of(Noun::Request, named).await?),
        None => None,
    };
    // First the stream, then the state: a step in between is seen by both, never by neither.
    let mut stream = Stream::open(&desk.server).await?;
    let mut lines = Lines::new(desk.context);
    let mut is_settled = settled(desk, only.as_ref()).await?;
    if is_settled {
        note("already finished: `amplinkd request history` shows how");
    }
    while !is_settled {
        let Some(event) = next(&mut stream, &lines, &shutdown).await? else { break };
        ensure!(
            event.kind != "reset",
            "the daemon keeps no longer what happened meanwhile: `amplinkd request list` shows how things are"
        );
        let Some(step) = step(desk, watch, only.as_ref(), &event).await? else { continue };
        lines.print(&step)?;
        is_settled = settled(desk, only.as_ref()).await?;
    }
    lines.finish()?;
    Ok(ExitStatus::Success)
}

/// The next event; none when the end is asked for, or nobody reads any more.
async fn next(stream: &mut Stream<'_>, lines: &Lines, shutdown: &Shutdown) -> anyhow::Result<Option<Event>> {
    let mut next = std::pin::pin!(stream.next());
    loop {
        if lines.reader_gone() || stdout_is_abandoned() {
            return Ok(None);
        }
        tokio::select! {
            event = &mut next => return Ok(Some(event?)),
            () = shutdown.wait() => return Ok(None),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// The step that an event tells of, when it is meant.
async fn step(
    desk: &Desk<'_>,
    watch: &Watch,
    only: Option<&RequestId>,
    event: &Event,
) -> anyhow::Result<Option<StepView>> {
    if !event.kind.starts_with(STEPS) {
        return Ok(None);
    }
    let Ok(Told { data: step }) = serde_json::from_str::<Told>(&event.data) else { return Ok(None) };
    if only.is_some_and(|id| id.as_str() != step.request) {
        return Ok(None);
    }
    let found: Option<History> = desk.server.find(&format!("{}/history", path(&step.request))).await?;
    let is_it = |row: &TransitionView| row.at == step.at && row.to_state == step.to;
    let row = found.and_then(|found| found.items.into_iter().find(is_it));
    Ok(row.map(|row| view(step, row)).filter(|view| watch.filters.take(view)))
}

fn view(step: Step, row: TransitionView) -> StepView {
    let TransitionView { request_id, seq, from_state, to_state, at, cause, status, errcode, detail, .. } = row;
    let Step { kind, account, program, labels, .. } = step;
    StepView {
        event: 0,
        request_id,
        seq,
        from_state,
        to_state,
        at,
        cause,
        status,
        errcode,
        detail,
        kind,
        account,
        program,
        labels,
    }
}

async fn settled(desk: &Desk<'_>, only: Option<&RequestId>) -> anyhow::Result<bool> {
    let Some(id) = only else { return Ok(false) };
    let row: Option<RequestView> = desk.server.find(&path(id.as_str())).await?;
    Ok(row.ok_or_else(|| AskError::NoRequest(id.clone()))?.finished_at.is_some())
}
