//! The figures of the database, read at most every 15 seconds however many ask for them, by one at a time. What cannot be
//! read is not asked for again before that time is over: who asks gets the figures of before, with their age.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    engine::{Engine, alert_deadlines::OVERDUE_AFTER},
    store::{
        StoreError,
        read::snapshot::{Limits, Snapshot},
    },
};

/// How old figures may be.
const FRESH: Duration = Duration::from_secs(15);

/// How long reading them may take: a scrape waits ten seconds by default.
const READ_MAX: Duration = Duration::from_secs(5);

/// The last figures, and when they were last asked for, on the stopwatch.
#[derive(Debug, Default)]
struct Last {
    asked_at: Option<Duration>,
    snapshot: Option<Arc<Snapshot>>,
}

/// Keeps the figures. Shared by all who show them.
#[derive(Debug)]
pub(super) struct Snapshots {
    engine: Arc<Engine>,
    last: Mutex<Last>,
}

impl Snapshots {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, last: Mutex::default() }
    }

    /// The figures of now, or of at most 15 seconds ago; older ones while they cannot be read, and none before they first
    /// could.
    pub(super) async fn get(&self) -> Option<Arc<Snapshot>> {
        let mut last = self.last.lock().await;
        let now = self.engine.clock().monotonic();
        if last.asked_at.is_none_or(|at| now.saturating_sub(at) >= FRESH) {
            match tokio::time::timeout(READ_MAX, self.read()).await {
                Ok(Ok(snapshot)) => last.snapshot = Some(Arc::new(snapshot)),
                Ok(Err(error)) => {
                    tracing::warn!(event = "metrics.stale", error = %error, "could not read the figures of the database");
                }
                Err(_) => tracing::warn!(event = "metrics.stale", "reading the figures of the database took too long"),
            }
            // From the end of reading, so that a database under load is left alone for as long.
            last.asked_at = Some(self.engine.clock().monotonic());
        }
        last.snapshot.clone()
    }

    async fn read(&self) -> Result<Snapshot, StoreError> {
        let (store, now) = (self.engine.store(), self.engine.clock().now());
        let planned = store.pace().await?.map_or(Duration::ZERO, |pace| pace.late());
        store.snapshot(Limits { now, overdue_before: now - OVERDUE_AFTER - planned }).await
    }
}
