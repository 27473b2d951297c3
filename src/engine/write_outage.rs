//! Whether anything can be written: one prominent log line when that stops, one when it works again, and metrics in
//! between. Writers wait and retry by their own rules.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use super::Engine;
use crate::{domain::time::Time, store::Health};

/// Since when nothing can be written.
#[derive(Debug, Default)]
pub(super) struct WriteOutage {
    since: Mutex<Option<Time>>,
    /// The last one that is over: when it began, when it ended.
    last: Mutex<Option<(Time, Time)>>,
}

impl WriteOutage {
    /// Since when nothing can be written; `None` when the last write was taken.
    pub(super) fn since(&self) -> Option<Time> {
        // Nothing in here panics halfway through a change.
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last one that is over: when it began, when it ended.
    pub(super) fn last(&self) -> Option<(Time, Time)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self, now: Time) {
        if let Some(since) = self.since() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, now));
        }
        self.set(None);
    }

    fn set(&self, since: Option<Time>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Engine {
    /// Watches the writer, for as long as somebody waits for it. It can be dropped at any time.
    pub(super) async fn watch_writes(&self) -> Infallible {
        let mut health = self.store().health();
        let mut began = None;
        loop {
            let Health { refused, wrong } = health.borrow_and_update().clone();
            match (wrong, began) {
                (Some(error), None) => {
                    let clock = self.clock();
                    began = Some((clock.monotonic(), refused.saturating_sub(1)));
                    self.outage.set(Some(clock.now()));
                    tracing::error!(
                        event = "db.unwritable",
                        error = %error,
                        "database not writable: calls paused until it is"
                    );
                }
                (None, Some((at, before))) => {
                    began = None;
                    self.outage.over(self.clock().now());
                    let lasted = self.clock().monotonic().saturating_sub(at);
                    tracing::warn!(
                        event = "db.writable",
                        lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
                        refused = refused.saturating_sub(before),
                        "database writable again: calls resume"
                    );
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
            if health.changed().await.is_err() {
                // The store was closed.
                return std::future::pending().await;
            }
        }
    }
}
