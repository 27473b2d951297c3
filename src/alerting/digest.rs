//! The summary of a day, as an event for the channels that want it. It must never count anything itself: the store does.

use std::time::Duration;

use serde::Serialize;

use super::fan_out::DIGEST;
use crate::{
    domain::{digest::Digest, message::Language, telling::Words},
    engine::Engine,
    store::{
        StoreError,
        write::{
            alerts::WatchRecord,
            record::{Event, new_id},
        },
    },
};

/// What the first digest of a database looks back on.
const FIRST_SPAN: Duration = Duration::from_hours(24);

/// The event's data: figures for machines, words for people.
#[derive(Serialize)]
struct Data<'a> {
    figures: &'a Digest,
    en: Words,
    zh: Words,
}

/// Records what came of the time since the job of this name last ran.
///
/// # Errors
/// [`StoreError`]: nothing was told.
pub async fn record(engine: &Engine, job: &str) -> Result<(), StoreError> {
    let now = engine.clock().now();
    let ran_at = engine.store().jobs().await?.into_iter().find(|row| row.name == job).and_then(|row| row.ran_at);
    let figures = engine.store().digest(ran_at.unwrap_or(now - FIRST_SPAN), now).await?;
    let (en, zh) = (figures.words(Language::En), figures.words(Language::Zh));
    let data = Data { figures: &figures, en, zh };
    let event = Event {
        id: new_id(),
        kind: DIGEST.to_owned(),
        subject: "digest".to_owned(),
        partition_key: "digest".to_owned(),
        reach: None,
        at: now.ms(),
        // Figures and texts: nothing of them can fail to be written.
        data: serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned()),
    };
    engine.store().watch(WatchRecord { events: vec![event], ..WatchRecord::default() }).await
}
