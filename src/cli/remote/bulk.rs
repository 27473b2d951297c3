//! Changes of all that filters choose: shown first, then begun at the daemon, which does them whatever becomes of us, and
//! followed to their end.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use crate::{
    cli::{
        context::{ExitStatus, agree, note, progress},
        many::{Caution, Things},
    },
    remote::{Query, Repeat},
    store::read::actions::ActionView,
};

/// How often it is asked how far an action has come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

/// Does it after asking, or shows what it would be done to: `show` prints the first of them by their ids.
///
/// # Errors
/// Nobody agreed, the daemon refused, or some could not be changed.
pub(super) async fn run(
    desk: &Desk<'_>,
    mut asked: Asked,
    (things, word, caution): (Things, &str, Caution),
    show: impl AsyncFnOnce(Vec<String>) -> anyhow::Result<()>,
) -> anyhow::Result<ExitStatus> {
    let path = "/api/v1/actions";
    let until = asked.until.take();
    asked.dry_run = true;
    let preview: Preview = desk.server.post(path, &asked, Repeat::Once).await?;
    if caution.dry_run || preview.count == 0 {
        note(format!("{} to {word}; nothing was changed", things.counted(preview.count)));
        if preview.count > preview.sample.len() {
            note(format!("showing the first {}", preview.sample.len()));
        }
        show(preview.sample).await?;
        return Ok(ExitStatus::Success);
    }
    agree(&format!("{word} {} on {}", things.counted(preview.count), desk.server.name()), "which", caution.yes)?;
    desk.name_server();
    let asked = Asked { dry_run: false, cutoff: Some(preview.cutoff), digest: Some(preview.digest), until, ..asked };
    // Begun a second time it would find nothing left to do, but there would be two actions on record.
    let Begun { id } = desk.server.post(path, &asked, Repeat::Never).await.context("nothing may have been begun")?;
    note(format!("action {id}: the daemon goes on with it also without this command"));
    followed(desk, &id, (things, word)).await
}

/// Waits for the end of an action, and prints it.
async fn followed(desk: &Desk<'_>, id: &str, (things, word): (Things, &str)) -> anyhow::Result<ExitStatus> {
    let mut bar = None;
    let row = loop {
        let row: ActionView = desk.server.get(&format!("/api/v1/actions/{id}"), &Query::new()).await?;
        let done = u64::try_from(row.done + row.failed).unwrap_or_default();
        let all = done + u64::try_from(row.left.unwrap_or_default()).unwrap_or_default();
        bar.get_or_insert_with(|| progress(all, "changing")).set_position(done);
        if row.finished_at.is_some() {
            break row;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    desk.context.print_one(&row)?;
    if row.failed > 0 {
        let failed = things.counted(usize::try_from(row.failed).unwrap_or_default());
        bail!("could not {word} {failed}: they had moved on, or could not be changed so");
    }
    Ok(ExitStatus::Success)
}
