//! Maintains the database file while the daemon runs: keeps its log small, and checks a large file in the background.
//! Damage stops every call at once: what is written to a damaged file may be lost, and take more with it.

use std::{sync::atomic::Ordering, time::Duration};

use super::Engine;
use crate::{
    shutdown::Shutdown,
    store::{OpenError, file::check::Checked},
};

/// How often the log is looked at: a busy writer fills some megabytes meanwhile.
const LOG_EVERY: Duration = Duration::from_secs(15);

/// How long until a file that could not be read to its end is checked again.
const CHECK_AGAIN: Duration = Duration::from_mins(10);

impl Engine {
    /// Keeps the log small until the end is asked for.
    pub async fn keep_log(&self, shutdown: &Shutdown) {
        let mut is_told = false;
        loop {
            match self.store().keep_log_small(self.clock().now()).await {
                Ok(health) => {
                    if let (Some(since), false) = (health.large_since, is_told) {
                        tracing::warn!(bytes = health.bytes, since = %since, "the write-ahead log cannot be truncated: some process keeps a read transaction open");
                    }
                    is_told = health.large_since.is_some();
                }
                // Whether anything can be written is told by whoever writes.
                Err(error) => {
                    tracing::debug!(event = "db.fold", error = %error, "could not truncate the write-ahead log");
                }
            }
            if shutdown.unless_asked(self.pause(LOG_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Checks a file that was too large to be checked at the start.
    ///
    /// # Errors
    /// [`OpenError::Damaged`]: nothing is called any more, and the daemon must end.
    pub async fn check_file(&self, shutdown: &Shutdown) -> Result<(), OpenError> {
        if !self.store().is_unchecked() {
            return Ok(());
        }
        let begun = self.clock().monotonic();
        loop {
            let asked = shutdown.clone();
            match self.store().check_beside(move || asked.asked()).await {
                Ok(Checked::Whole) => {
                    let took = self.clock().monotonic().saturating_sub(begun);
                    tracing::info!(
                        event = "db.whole",
                        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                        "database check passed"
                    );
                    return Ok(());
                }
                Ok(Checked::Stopped) => return Ok(()),
                Err(error @ OpenError::Damaged { .. }) => {
                    self.is_ending.store(true, Ordering::Relaxed);
                    tracing::error!(error = %error, "sending stopped");
                    return Err(error);
                }
                Err(error) => tracing::error!(error = %error, "could not check the database; will retry later"),
            }
            if shutdown.unless_asked(self.pause(CHECK_AGAIN)).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn pause(&self, wait: Duration) {
        self.clock().sleep_until(self.clock().monotonic() + wait).await;
    }
}
