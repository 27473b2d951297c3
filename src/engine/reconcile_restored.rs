//! Reconciles a restored backup: every request that may have been called since it was made is treated as called, so
//! that the lists decide before any call. No call is made before this is complete: it could invite twice.

use super::{Engine, bad_row::warn_of_bad_row, change};
use crate::{
    domain::{decide::decide, observation::Observation, time::Time},
    store::{Record, Recorded, StoreError, file::backup::RestoredRequest, write::record::Change},
};

/// Requests decided in one transaction. Killed between two, the next start begins again and finds the same: the mark
/// goes with the last.
const PAGE: u32 = 2_000;

/// Takes up a copy that was put back; nothing, when the database is none.
///
/// # Errors
/// [`StoreError`]: the mark stands, and the next start begins again.
pub(super) async fn reconcile(engine: &Engine) -> Result<(), StoreError> {
    let Some(copied) = engine.store().copied().await? else { return Ok(()) };
    tracing::warn!(
        made_at = %copied.made_at,
        restored_at = copied.restored_at.map(tracing::field::display),
        "the database was restored from a copy: calls made since the copy are first looked for in WeChat's lists"
    );
    let (mut after, mut moved) = (String::new(), 0);
    loop {
        let page = engine.store().to_reconcile(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        let last = last.id.clone();
        let now = engine.clock().now();
        let changes: Vec<Change> = page.iter().filter_map(|unsure| decided(engine, unsure, now)).collect();
        moved += changes.len();
        match write(engine, changes).await? {
            Recorded::Written => after = last,
            // A command changed one meanwhile: the page is read and decided again, which changes nothing twice.
            Recorded::Stale => {}
        }
    }
    let end = Record { reconciled: Some(engine.clock().now()), ..Record::default() };
    engine.recorder.write(end).await?;
    tracing::warn!(requests = moved, "restored copy reconciled with WeChat's lists");
    Ok(())
}

fn decided(engine: &Engine, unsure: &RestoredRequest, now: Time) -> Option<Change> {
    let request = match &unsure.request {
        Ok(request) => request,
        // Nothing moves a row that is not legal: it holds up itself alone.
        Err(error) => {
            warn_of_bad_row(&unsure.id, &error);
            return None;
        }
    };
    let seen = Observation::Restored { since: unsure.since, baseline: unsure.baseline };
    let decision = decide(request, &seen, &engine.policy(), now);
    change::change(request, &seen, decision, now).1
}

/// Writes a page; when one row refuses, each alone, so that it holds up only itself.
async fn write(engine: &Engine, changes: Vec<Change>) -> Result<Recorded, StoreError> {
    match engine.recorder.write(Record { changes: changes.clone(), ..Record::default() }).await {
        Err(error) if error.is_of_one_row() => {}
        written => return written,
    }
    for change in changes {
        let id = change.request.id.clone();
        match engine.recorder.write(Record { changes: vec![change], ..Record::default() }).await {
            Ok(Recorded::Written) => {}
            Ok(Recorded::Stale) => return Ok(Recorded::Stale),
            Err(error) if error.is_of_one_row() => warn_of_bad_row(&id, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(Recorded::Written)
}
