//! The daemon's record in the database: which process drives it, since when, and when it could last write. Commands
//! cannot see into the daemon's memory; this is what they rely on.

use std::{sync::Arc, time::Duration};

use super::Engine;
use crate::{
    domain::{tenure::lease::Lease, time::Time},
    shutdown::Shutdown,
    store::{StoreError, write::daemon_mark::DaemonMark},
};

/// How often the mark is written anew: one row, so that a daemon that cannot write is seen within two minutes.
const MARK_EVERY: Duration = Duration::from_secs(30);

/// A running daemon whose mark is older than this cannot write: three marks are missing.
pub const SILENT_AFTER: Duration = Duration::from_secs(100);

/// One daemon's mark.
#[derive(Debug)]
pub struct Presence {
    engine: Arc<Engine>,
    started_at: Time,
}

impl Presence {
    /// Leaves the first mark. A daemon that starts on a full disk begins its work all the same, and leaves it later.
    pub async fn begin(engine: Arc<Engine>) -> Self {
        let started_at = engine.clock().now();
        let presence = Self { engine, started_at };
        presence.renew().await;
        presence
    }

    /// Renews the mark until the end is asked for. One that cannot be written is told by whoever watches all writes.
    pub async fn run(&self, shutdown: &Shutdown) {
        while !shutdown.asked() {
            let next = self.engine.clock().monotonic() + MARK_EVERY;
            tokio::select! {
                () = shutdown.wait() => return,
                () = self.engine.clock().sleep_until(next) => {}
            }
            self.renew().await;
        }
    }

    async fn renew(&self) {
        // Of several daemons the one that tells people is who they look for; each has its row of `v_node`.
        if !self.engine.ownership().open().contains(Lease::House) {
            return;
        }
        if let Err(error) = self.mark(None).await {
            tracing::debug!(event = "engine.presence.old", error = %error, "the mark stays old");
        }
    }

    /// Says that this daemon ended in good order.
    pub async fn end(self) {
        let now = self.engine.clock().now();
        if !self.engine.ownership().open().contains(Lease::House) {
            return;
        }
        if let Err(error) = self.mark(Some(now)).await {
            tracing::warn!(
                event = "engine.presence.end_unwritten",
                error = %error,
                "could not write that the daemon ended"
            );
        }
    }

    async fn mark(&self, stopped_at: Option<Time>) -> Result<(), StoreError> {
        let mark = DaemonMark {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            written_at: self.engine.clock().now(),
            stopped_at,
        };
        self.engine.store().mark_daemon(mark).await
    }
}
