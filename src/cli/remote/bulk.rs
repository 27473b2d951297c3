//! Changes of all that filters choose: shown first, then begun at the daemon, which does them whatever becomes of us, and
//! followed to their end.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::desk::Desk;
use crate::{
    cli::{
        context::{agree, note, progress},
        many::{Caution, Things},
    },
    remote::{Query, Repeat},
    store::read::actions::ActionView,
};

/// How often it is asked how far an action has come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many of what is chosen a preview names at most.
const NAMED_MAX: usize = 10_000;

/// Filters by their names, as commands keep them for the record.
pub(super) type Filters = BTreeMap<String, Vec<String>>;

/// What is to be done, as the API takes it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Asked {
    /// The API's word.
    pub(super) action: &'static str,
    /// To what.
    pub(super) filter: Filters,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    /// Set here alone.
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Set here alone.
    pub(super) sample: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Set here alone.
    pub(super) cutoff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Set here alone.
    pub(super) digest: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Of a snooze: until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Preview {
    count: usize,
    cutoff: String,
    sample: Vec<String>,
    digest: String,
}

#[derive(Debug, Deserialize)]
struct Begun {
    id: String,
}

/// Filters of the record of a command.
pub(super) fn filters(record: &str) -> Filters {
    serde_json::from_str(record).unwrap_or_default()
}

/// What is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nouns<T> {
    /// In words.
    pub(super) things: Things,
    /// What is done to them, in words.
    pub(super) word: &'static str,
    /// Their list below the API's root, and below an action.
    pub(super) list: &'static str,
    /// A filter of the list that all of them pass, whatever else is given.
    pub(super) all: Option<&'static str>,
    /// What one is named by.
    pub(super) name: fn(&T) -> &str,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Came<T> {
    /// Nothing was changed: these would be, as the list has them.
    Shown(Vec<T>),
    /// These are changed, in the order in which it came to them; and what is to be said of the others.
    Changed(Vec<T>, Vec<String>),
}

/// Does it after asking, or finds what it would be done to.
///
/// # Errors
/// Nobody agreed, or the daemon refused.
pub(super) async fn run<T: DeserializeOwned>(
    desk: &Desk<'_>,
    mut asked: Asked,
    nouns: Nouns<T>,
    caution: Caution,
) -> anyhow::Result<Came<T>> {
    let Nouns { things, word, .. } = nouns;
    let path = "/api/v1/actions";
    let until = asked.until.take();
    (asked.dry_run, asked.sample) = (true, caution.dry_run.then_some(NAMED_MAX));
    let preview: Preview = desk.server.post(path, &asked, Repeat::Once).await?;
    if caution.dry_run || preview.count == 0 {
        note(format!("{} to {word}; nothing was changed", things.counted(preview.count)));
        if caution.dry_run && preview.count > preview.sample.len() {
            note(format!("showing the first {}", preview.sample.len()));
        }
        return chosen(desk, &asked, nouns, preview.sample).await.map(Came::Shown);
    }
    agree(&format!("{word} {} on {}", things.counted(preview.count), desk.server.name()), "which", caution.yes)?;
    desk.name_server();
    let (cutoff, digest) = (Some(preview.cutoff), Some(preview.digest));
    let asked = Asked { dry_run: false, sample: None, cutoff, digest, until, ..asked };
    // Begun a second time it would find nothing left to do, but there would be two actions on record.
    let Begun { id } = desk.server.post(path, &asked, Repeat::Never).await.context("nothing may have been begun")?;
    note(format!("action {id}: the daemon goes on with it also without this command"));
    let row = finished(desk, &id, "changing").await?;
    let list = format!("{path}/{id}/{}", nouns.list);
    let changed = desk.pages(&list, Query::new(), usize::MAX).rest().await?;
    let failed = usize::try_from(row.failed).unwrap_or_default();
    let failures = (failed > 0)
        .then(|| format!("could not {word} {}: they had moved on, or could not be changed so", things.counted(failed)));
    Ok(Came::Changed(changed, failures.into_iter().collect()))
}

/// The rows with these names, as the list has them.
async fn chosen<T: DeserializeOwned>(
    desk: &Desk<'_>,
    asked: &Asked,
    Nouns { list, all, name, .. }: Nouns<T>,
    names: Vec<String>,
) -> anyhow::Result<Vec<T>> {
    let (mut names, mut rows): (HashSet<String>, Vec<T>) = (names.into_iter().collect(), Vec::new());
    let query = Query::of_filters(&asked.filter);
    let query = match all.filter(|all| !asked.filter.contains_key(*all)) {
        Some(all) => query.with_flag(all, true),
        None => query,
    };
    let mut pages = desk.pages(&format!("/api/v1/{list}"), query, usize::MAX);
    while !names.is_empty() {
        let page: Vec<T> = pages.next().await?;
        if page.is_empty() {
            break;
        }
        rows.extend(page.into_iter().filter(|row| names.remove(name(row))));
    }
    Ok(rows)
}

/// Waits for the end of an action.
///
/// # Errors
/// The daemon cannot be asked for it.
pub(super) async fn finished(desk: &Desk<'_>, id: &str, doing: &'static str) -> anyhow::Result<ActionView> {
    let mut bar = None;
    loop {
        let row: ActionView = desk.server.get(&format!("/api/v1/actions/{id}"), &Query::new()).await?;
        let done = u64::try_from(row.done + row.failed).unwrap_or_default();
        let all = done + u64::try_from(row.left.unwrap_or_default()).unwrap_or_default();
        let bar = bar.get_or_insert_with(|| progress(all, doing));
        bar.set_length(all);
        bar.set_position(done);
        if row.finished_at.is_some() {
            bar.finish_and_clear();
            return Ok(row);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
