//! Requests: asked for, looked at, cancelled, tried again, reminded of.

use serde::{Deserialize, Serialize};

use super::{
    bulk::{self, Asked, Came, Nouns},
    desk::{Desk, new_key, of_one},
    import, watch,
    wire::{NewRequest, path},
};
use crate::{
    cli::{
        context::{ExitStatus, Usage, agree, note, progress},
        many::REQUESTS,
        request::{
            Command, Filters,
            ask::{self, tell_existing},
            change::{self, Act, Choice, Outcome},
            list, nudge, show,
        },
    },
    domain::{id::RequestId, request::Kind},
    engine::{
        explanation::{Explained, Explanation},
        nudge::DraftedNudge,
        wish::{AskError, Wish},
    },
    remote::{Query, Repeat},
    store::read::{
        id_suffix::Noun,
        proof::Proof,
        views::{ConflictView, RequestView, TransitionView},
    },
};

#[derive(Debug, Deserialize)]
struct Answered {
    #[serde(flatten)]
    row: RequestView,
    existing: bool,
}

#[derive(Debug, Deserialize)]
struct CancelledRequest {
    #[serde(flatten)]
    row: RequestView,
    effect: String,
}

#[derive(Debug, Deserialize)]
struct Shown {
    #[serde(flatten)]
    row: RequestView,
    #[serde(default)]
    history: Vec<TransitionView>,
    #[serde(default)]
    conflicts: Vec<ConflictView>,
}

#[derive(Debug, Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Debug, Serialize)]
struct Reason<'r> {
    reason: Option<&'r str>,
}

#[derive(Debug, Clone, Serialize)]
struct Nudging<'n> {
    language: Option<&'n str>,
    print_only: bool,
    force: bool,
    dry_run: bool,
}

/// Does what a command says.
pub(super) async fn run(desk: &Desk<'_>, command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Link(link) => {
            let kind = link.kind();
            ask(desk, ask::wish(kind, link.account, link.program, link.username, link.words)?).await?;
        }
        Command::Unlink(unlink) => {
            ask(desk, ask::wish(Kind::Unlink, unlink.account, unlink.program, None, unlink.words)?).await?;
        }
        Command::Import(file) => return import::run(desk, &file).await,
        Command::List(wanted) => list_all(desk, &wanted).await?,
        Command::Show { id } => show_one(desk, &desk.id_of(Noun::Request, &id).await?).await?,
        Command::History(wanted) => {
            let id = desk.id_of(Noun::Request, &wanted.id).await?;
            return if wanted.proof { proof(desk, &id).await } else { history(desk, &id).await };
        }
        Command::Watch(wanted) => return watch::run(desk, &wanted).await,
        Command::Cancel(cancel) => return change(desk, cancel.choice, Act::Cancel).await,
        Command::Retry(retry) => return change(desk, retry.choice, Act::Retry).await,
        Command::Nudge(wanted) => remind(desk, &wanted).await?,
        Command::Explain(wanted) => explain(desk, &desk.id_of(Noun::Request, &wanted.id).await?).await?,
    }
    Ok(ExitStatus::Success)
}

/// Asks for one. By a key of ours it is one, also where the answer is lost and it is sent again.
async fn ask(desk: &Desk<'_>, mut wish: Wish) -> anyhow::Result<()> {
    desk.name_server();
    let own_key = wish.key.clone();
    wish.key.get_or_insert_with(new_key);
    let Answered { row, existing } = desk.server.post("/api/v1/requests", &NewRequest::of(&wish), Repeat::Once).await?;
    // By the key that we made up, it is the one that was sent before.
    if existing && (own_key.is_some() || row.key != wish.key) {
        tell_existing(&row, wish.kind, own_key.as_deref());
    }
    desk.context.print_one(&row)
}

async fn list_all(desk: &Desk<'_>, wanted: &list::List) -> anyhow::Result<()> {
    let query = Query::of_filters(&bulk::filters(&wanted.filters.record()));
    if !desk.context.is_table() {
        let limit = wanted.limit.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
        let mut pages = desk.pages("/api/v1/requests", query, limit);
        return list::print_rows(desk.context, wanted, async |_, _| pages.next().await).await;
    }
    let limit = list::rows_of_table(wanted);
    let mut pages = desk.pages("/api/v1/requests", query, limit);
    let mut rows = Vec::new();
    while rows.len() <= limit {
        let page: Vec<RequestView> = pages.next().await?;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    list::print_table(desk.context, wanted, rows, desk.now())
}

async fn show_one(desk: &Desk<'_>, id: &RequestId) -> anyhow::Result<()> {
    let include = if desk.context.is_table() { "?include=history,conflicts" } else { "" };
    let found: Option<Shown> = desk.server.find(&format!("{}{include}", path(id.as_str()))).await?;
    let Shown { row, history, conflicts } = found.ok_or_else(|| AskError::NoRequest(id.clone()))?;
    show::print_one(desk.context, &row, desk.context.is_table().then_some((history, conflicts)))
}

async fn history(desk: &Desk<'_>, id: &RequestId) -> anyhow::Result<ExitStatus> {
    let found: Option<Items<TransitionView>> = desk.server.find(&format!("{}/history", path(id.as_str()))).await?;
    show::print_steps(desk.context, &found.ok_or_else(|| AskError::NoRequest(id.clone()))?.items)?;
    Ok(ExitStatus::Success)
}

async fn proof(desk: &Desk<'_>, id: &RequestId) -> anyhow::Result<ExitStatus> {
    let context = show::in_form_of_a_proof(desk.context)?;
    let found: Option<Proof> = desk.server.find(&format!("{}/history?proof=true", path(id.as_str()))).await?;
    show::print_proof(&context, &found.ok_or_else(|| AskError::NoRequest(id.clone()))?)
}

async fn explain(desk: &Desk<'_>, id: &RequestId) -> anyhow::Result<()> {
    let found: Option<Explanation> = desk.server.find(&format!("{}/explanation", path(id.as_str()))).await?;
    let Explanation { id, state, sentences_en, .. } = found.ok_or_else(|| AskError::NoRequest(id.clone()))?;
    show::print_explained(desk.context, &Explained { id, state, sentences: sentences_en })
}

/// Rows by their ids, in order; one that is gone is left out.
pub(super) async fn rows(desk: &Desk<'_>, ids: &[String]) -> anyhow::Result<Vec<RequestView>> {
    let mut rows: Vec<RequestView> = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(desk.server.find(&path(id)).await?);
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rows)
}

async fn change(desk: &Desk<'_>, choice: Choice, act: Act) -> anyhow::Result<ExitStatus> {
    choice.must_name_some(act.word())?;
    if choice.ids.is_empty() {
        return change_all(desk, choice, act).await;
    }
    let ids: Vec<String> = desk.ids_of(Noun::Request, &choice.ids).await?.into_iter().map(String::from).collect();
    if choice.caution.dry_run {
        note("nothing was changed");
        list::glance(desk.context, rows(desk, &ids).await?, desk.now())?;
        return Ok(ExitStatus::Success);
    }
    desk.name_server();
    let reason = Reason { reason: choice.reason.as_deref() };
    let (mut outcome, mut found) = (Outcome::default(), Vec::new());
    let bar = progress(ids.len() as u64, act.word());
    for id in &ids {
        found.extend(one(desk, id, &reason, act, &mut outcome).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    found.sort_by(|a: &RequestView, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    change::tell(desk.context, found, &outcome, desk.now(), act)?;
    Ok(ExitStatus::Success)
}

/// Changes one; its row, or the new one's.
async fn one(
    desk: &Desk<'_>,
    id: &str,
    reason: &Reason<'_>,
    act: Act,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<RequestView>> {
    let to = format!("{}/{}", path(id), act.word());
    let done = match act {
        Act::Cancel => desk.server.post(&to, reason, Repeat::Once).await.map(|done: CancelledRequest| {
            outcome.no_longer_followed += usize::from(done.effect == "no_longer_followed");
            done.row
        }),
        Act::Retry => desk.server.post(&to, reason, Repeat::Once).await.map(|done: Answered| {
            outcome.existing += usize::from(done.existing);
            done.row
        }),
    };
    match done {
        Ok(row) => Ok(Some(row)),
        Err(failure) if failure.is("not_found") => {
            outcome.failures.push(AskError::NoRequest(id.parse()?).to_string());
            Ok(None)
        }
        Err(failure) => {
            outcome.failures.push(of_one(failure)?);
            Ok(None)
        }
    }
}

async fn change_all(desk: &Desk<'_>, choice: Choice, act: Act) -> anyhow::Result<ExitStatus> {
    change::must_fit(&choice.filters, act)?;
    let asked = Asked {
        action: act.word(),
        filter: bulk::filters(&choice.filters.record()),
        reason: choice.reason,
        ..Asked::default()
    };
    let all = if act == Act::Cancel { "open" } else { "finished" };
    let nouns = Nouns {
        things: REQUESTS,
        word: act.word(),
        list: "requests",
        all: Some(all),
        name: |row: &RequestView| &row.id,
    };
    match bulk::run(desk, asked, nouns, choice.caution).await? {
        Came::Shown(rows) => list::glance(desk.context, rows, desk.now())?,
        Came::Changed(mut rows, failures) => {
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            let called = rows.iter().filter(|row| act == Act::Cancel && row.attempt > 0).count();
            let outcome = Outcome { no_longer_followed: called, failures, ..Outcome::default() };
            change::tell(desk.context, rows, &outcome, desk.now(), act)?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn remind(desk: &Desk<'_>, wanted: &nudge::Nudge) -> anyhow::Result<()> {
    let choice = &wanted.choice;
    choice.must_name_some("nudge")?;
    let ids = match choice.ids.as_slice() {
        [] => who_waits(desk, &choice.filters).await?,
        named => desk.ids_of(Noun::Request, named).await?.into_iter().map(String::from).collect(),
    };
    let asked = Nudging {
        language: wanted.language.as_deref(),
        print_only: wanted.print_only,
        force: wanted.force,
        dry_run: true,
    };
    if choice.caution.dry_run {
        let (said, failures) = remind_all(desk, &ids, &asked, choice.ids.is_empty()).await?;
        note(format!("{} to nudge; nothing was recorded or sent", REQUESTS.counted(said.len())));
        nudge::print(desk.context, &said)?;
        return REQUESTS.fail("nudge", &failures);
    }
    if choice.ids.is_empty() && !ids.is_empty() {
        let what = format!("nudge up to {} on {}", REQUESTS.counted(ids.len()), desk.server.name());
        agree(&what, "which, and the messages", choice.caution.yes)?;
    }
    desk.name_server();
    let asked = Nudging { dry_run: false, ..asked };
    let (said, failures) = remind_all(desk, &ids, &asked, choice.ids.is_empty()).await?;
    if !said.is_empty() || !desk.context.is_table() {
        nudge::print(desk.context, &said)?;
    }
    REQUESTS.fail("nudge", &failures)
}

/// Everything that the filters name and that waits for an administrator.
async fn who_waits(desk: &Desk<'_>, filters: &Filters) -> anyhow::Result<Vec<String>> {
    if filters.finished {
        return Err(Usage("nudge takes requests that wait for an administrator, not finished ones".to_owned()).into());
    }
    let mut filters = Filters { open: true, ..filters.clone() };
    if filters.states.is_empty() {
        filters.states = nudge::STATES.map(str::to_owned).to_vec();
    }
    let query = Query::of_filters(&bulk::filters(&filters.record()));
    let rows: Vec<RequestView> = desk.pages("/api/v1/requests", query, usize::MAX).rest().await?;
    let waits = |row: &RequestView| matches!(row.waiting_on.as_deref(), Some("account_admin" | "program_admin"));
    Ok(rows.into_iter().filter(waits).map(|row| row.id).collect())
}

/// Reminds of each; of many that filters chose, those who may not be nudged now are left alone.
async fn remind_all(
    desk: &Desk<'_>,
    ids: &[String],
    asked: &Nudging<'_>,
    are_many: bool,
) -> anyhow::Result<(Vec<DraftedNudge>, Vec<String>)> {
    let (mut said, mut failures, mut skipped, mut is_quiet) = (Vec::new(), Vec::new(), 0, false);
    for id in ids {
        let to = format!("{}/nudge", path(id));
        let mut answer = desk.server.post(&to, asked, Repeat::Never).await;
        if answer.as_ref().is_err_and(|failure| failure.is("quiet_hours")) {
            is_quiet = true;
            answer = desk.server.post(&to, &Nudging { print_only: true, ..asked.clone() }, Repeat::Never).await;
        }
        match answer {
            Ok(one) => said.push(one),
            Err(failure) if are_many && (failure.is("too_soon") || failure.is("nobody_to_nudge")) => skipped += 1,
            Err(failure) => failures.push(of_one(failure)?),
        }
    }
    if is_quiet {
        note("quiet hours ([alerts] quiet_hours): printed, but not sent; --force overrides");
    }
    if skipped > 0 {
        note(format!("{} skipped: nudged a short while ago, or not readable now", REQUESTS.counted(skipped)));
    }
    Ok((said, failures))
}
