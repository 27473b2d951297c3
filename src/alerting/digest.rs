//! Writes the daily digest as an event for the channels that want it.

use std::time::Duration;

use crate::{
    domain::{
        event::{DaySummary, EventType, to_json},
        text::{Language, Localized},
    },
    engine::Engine,
    store::{
        StoreError,
        row_id::new_id,
        write::{alerts::WatchRecord, record::Event},
    },
};

/// What the first digest of a database looks back on.
const FIRST_SPAN: Duration = Duration::from_hours(24);

/// Records what came of the time since the job of this name last ran.
///
/// # Errors
/// [`StoreError`]: nothing was told.
pub async fn record(engine: &Engine, job: &str) -> Result<(), StoreError> {
    let now = engine.clock().now();
    let ran_at = engine.store().jobs().await?.into_iter().find(|row| row.name == job).and_then(|row| row.ran_at);
    let figures = engine.store().digest(ran_at.unwrap_or(now - FIRST_SPAN), now).await?;
    let words = Localized { en: figures.words(Language::En), zh: figures.words(Language::Zh) };
    let data = to_json(&DaySummary { figures: &figures, words });
    let event = Event {
        id: new_id(now),
        kind: EventType::Digest.to_string(),
        subject: "digest".to_owned(),
        partition_key: "digest".to_owned(),
        reach: None,
        at: now.ms(),
        data,
    };
    engine.store().watch(WatchRecord { events: vec![event], ..WatchRecord::default() }).await
}
