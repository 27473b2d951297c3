//! `request cancel` and `request retry`: requests by id, or all that match filters, after a confirmation.

use tokio::task::JoinSet;

use super::{filters::Filters, list};
use crate::{
    cli::{
        actor,
        context::{Context, Database, ExitStatus, Session, Usage, agree, note, progress},
        many::{Caution, Given, REQUESTS, reason},
        named::Named,
        sentence,
    },
    domain::{action::By, id::RequestId, time::Time},
    engine::accept::Cancelled,
    store::read::{id_suffix::Noun, request_page::RequestFilter, views::RequestView},
};

/// Changes under way at once: they share their syncs.
const AT_ONCE: usize = 64;

/// Rows read at once.
const PAGE: u32 = 1_000;

/// Cancel requests; an invitation that was already sent cannot be withdrawn
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request cancel 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b
  amplinkd request cancel --account wx0123456789abcdef --dry-run
  amplinkd request cancel --state requested --label shop=12 --yes

Before the call, nothing is sent. After it, WeChat has the invitation and no way to withdraw it: the request is no longer \
tracked, and an administrator may still agree.")]
pub struct Cancel {
    /// Which requests, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Retry finished requests, each as a new request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd request retry 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b
  amplinkd request retry --state failed,lapsed --label shop=12 --dry-run

Each retry is a new request that refers to the old one: it invites both administrators again and uses monthly quota. \
With filters only the latest request of a pair is retried, and one that was linked or unlinked only if --state says so.")]
pub struct Retry {
    /// Which requests, and how
    #[command(flatten)]
    pub choice: Choice,
}

/// Some by id, or all that filters name.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Requests by id, or by its last 6 characters; without any, filters select them
    #[arg(value_name = "ID")]
    pub ids: Vec<Named>,
    /// Which requests
    #[command(flatten)]
    pub filters: Filters,
    /// Safety options
    #[command(flatten)]
    pub caution: Caution,
    /// Why, for the record: `v_action` and the step of the history keep it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

impl Choice {
    /// On whose word it is, for the record.
    pub(super) fn by(&self) -> By {
        let by = actor::by().because(self.reason.clone());
        if self.ids.is_empty() { by.of_all(self.filters.record()) } else { by }
    }

    /// Refuses a choice of nothing, and one of ids and filters at once.
    ///
    /// # Errors
    /// [`Usage`], with `word` for what would be done.
    pub(in crate::cli) fn must_name_some(&self, word: &str) -> Result<(), Usage> {
        REQUESTS.must_choose(word, Given { names: !self.ids.is_empty(), filters: !self.filters.is_empty() })
    }
}

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Act {
    Cancel,
    Retry,
}

impl Act {
    pub(in crate::cli) const fn word(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

/// What came of the changes.
#[derive(Debug, Default)]
pub(in crate::cli) struct Outcome {
    /// The requests to show: the cancelled, or the new.
    pub(in crate::cli) ids: Vec<String>,
    /// Cancelled after a call.
    pub(in crate::cli) no_longer_followed: usize,
    /// Retries that found an open request.
    pub(in crate::cli) existing: usize,
    pub(in crate::cli) failures: Vec<String>,
}

/// Cancels.
///
/// # Errors
/// When any could not be cancelled; the others are.
pub(super) async fn cancel(context: &Context, cancel: Cancel) -> anyhow::Result<ExitStatus> {
    change(context, cancel.choice, Act::Cancel).await
}

/// Retries.
///
/// # Errors
/// When any could not be retried; the others are.
pub(super) async fn retry(context: &Context, retry: Retry) -> anyhow::Result<ExitStatus> {
    change(context, retry.choice, Act::Retry).await
}

async fn change(context: &Context, choice: Choice, act: Act) -> anyhow::Result<ExitStatus> {
    choice.must_name_some(act.word())?;
    let by = choice.by();
    context
        .with_session(Database::unless_dry_run(choice.caution.dry_run), async |session| {
            let ids = if choice.ids.is_empty() {
                let meant = meant(session, &choice.filters, act).await?;
                if choice.caution.dry_run || meant.is_empty() {
                    note(format!("{} to {}; nothing was changed", REQUESTS.counted(meant.len()), act.word()));
                    return list::glance(context, meant, session.now());
                }
                agree(&format!("{} {}", act.word(), REQUESTS.counted(meant.len())), "which", choice.caution.yes)?;
                meant.into_iter().map(|row| Ok(row.id.parse()?)).collect::<anyhow::Result<_>>()?
            } else {
                let ids = session.ids_of(Noun::Request, &choice.ids).await?;
                if choice.caution.dry_run {
                    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                    note("nothing was changed");
                    return list::glance(context, in_order(session, &ids).await?, session.now());
                }
                ids
            };
            let outcome = change_all(session, ids, act, &by).await?;
            if act == Act::Retry {
                session.note_without_daemon("retries begin when one starts").await;
            }
            report(context, session, outcome, act).await
        })
        .await?;
    Ok(ExitStatus::Success)
}

/// Refuses filters that name only what cannot be changed so.
///
/// # Errors
/// [`Usage`].
pub(in crate::cli) fn must_fit(filters: &Filters, act: Act) -> Result<(), Usage> {
    if (filters.open && act == Act::Retry) || (filters.finished && act == Act::Cancel) {
        return Err(Usage("cancel takes open requests, retry takes finished ones".to_owned()));
    }
    Ok(())
}

/// Everything that the filters name and that can be changed so.
async fn meant(session: &Session, filters: &Filters, act: Act) -> anyhow::Result<Vec<RequestView>> {
    let mut filter = RequestFilter { open: Some(act == Act::Cancel), ..filters.for_store(session.now()) };
    must_fit(filters, act)?;
    let mut rows = Vec::new();
    loop {
        let page = session.store().list_requests(&filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        filter.after = Some(last.id.clone());
        for row in page {
            let reached = ["linked", "unlinked"].contains(&row.state.as_str()) && filters.states.is_empty();
            if act == Act::Cancel || (!reached && is_latest_of_its_pair(session, &row).await?) {
                rows.push(row);
            }
        }
    }
}

/// Whether nobody asked for the same again since: an old failure that was retried needs no second retry.
async fn is_latest_of_its_pair(session: &Session, row: &RequestView) -> anyhow::Result<bool> {
    let pair = RequestFilter {
        account: Some(row.account.clone()),
        program: Some(row.program.clone()),
        kind: Some(row.kind.clone()),
        ..RequestFilter::default()
    };
    let latest = session.store().list_requests(&pair, 1).await?;
    Ok(latest.first().is_some_and(|latest| latest.id == row.id))
}

async fn change_all(session: &Session, ids: Vec<RequestId>, act: Act, by: &By) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let bar = progress(ids.len() as u64, act.word());
    let mut waiting = ids.into_iter();
    let mut under_way = JoinSet::new();
    loop {
        for id in waiting.by_ref().take(AT_ONCE - under_way.len()) {
            let (session, by) = (session.clone(), by.clone());
            under_way.spawn(async move { one(&session, &id, act, by).await });
        }
        let Some(done) = under_way.join_next().await else { break };
        bar.inc(1);
        match done? {
            Ok(done) => outcome.count(done),
            Err(error) => outcome.failures.push(sentence(&error)),
        }
    }
    bar.finish_and_clear();
    Ok(outcome)
}

/// What was done to one request.
#[derive(Debug)]
enum Done {
    Cancelled(String, Cancelled),
    Retried { id: String, existing: bool },
}

impl Outcome {
    fn count(&mut self, done: Done) {
        match done {
            Done::Cancelled(id, how) => {
                self.ids.push(id);
                self.no_longer_followed += usize::from(how == Cancelled::NoLongerFollowed);
            }
            Done::Retried { id, existing } => {
                self.ids.push(id);
                self.existing += usize::from(existing);
            }
        }
    }
}

async fn one(session: &Session, id: &RequestId, act: Act, by: By) -> anyhow::Result<Done> {
    let operator = session.recorder.by(by);
    Ok(match act {
        Act::Cancel => Done::Cancelled(id.to_string(), operator.cancel(id).await?),
        Act::Retry => {
            let accepted = operator.retry(id).await?;
            Done::Retried { id: accepted.id, existing: accepted.existing }
        }
    })
}

async fn report(context: &Context, session: &Session, outcome: Outcome, act: Act) -> anyhow::Result<()> {
    let rows = in_order(session, &outcome.ids).await?;
    tell(context, rows, &outcome, session.now(), act)
}

/// Prints what was changed, and says what is to be known of it.
///
/// # Errors
/// When some could not be changed.
pub(in crate::cli) fn tell(
    context: &Context,
    rows: Vec<RequestView>,
    outcome: &Outcome,
    now: Time,
    act: Act,
) -> anyhow::Result<()> {
    let Outcome { no_longer_followed, existing, failures, .. } = outcome;
    let (no_longer_followed, existing) = (*no_longer_followed, *existing);
    if !rows.is_empty() || !context.is_table() {
        list::glance(context, rows, now)?;
    }
    if no_longer_followed > 0 {
        note(format!(
            "{} no longer tracked after a call: WeChat cannot withdraw an invitation, so an administrator may still agree",
            REQUESTS.counted(no_longer_followed)
        ));
    }
    if existing > 0 {
        note(format!("{} with a pair that is already open again: the open one is shown", REQUESTS.counted(existing)));
    }
    REQUESTS.fail(act.word(), failures)
}

/// The rows of these requests, each once.
async fn in_order(session: &Session, ids: &[String]) -> anyhow::Result<Vec<RequestView>> {
    let mut rows = session.store().request_views(ids).await?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rows)
}
