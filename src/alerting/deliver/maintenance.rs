//! What one channel's loop does besides sending: the calendar, the rate limit across restarts, the count of dead
//! letters.

use std::{sync::Arc, time::Duration};

use super::worker::ChannelWorker;
use crate::store::StoreError;

/// How often the dead are counted anew: a person may have asked for them again.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// How far the calendar must fall behind the stopwatch to count as stepped back, and not as being set right slowly.
const STEP: Duration = Duration::from_secs(10);

impl ChannelWorker {
    /// What was put off while the calendar was ahead would wait too long now.
    pub(super) async fn watch_calendar(&mut self) {
        let (seat, stopwatch) = (Arc::clone(&self.seat), self.now());
        let now = seat.clock.now();
        let expected = self.together.0 + stopwatch.saturating_sub(self.together.1);
        if expected.since(now) > STEP {
            if let Err(error) = seat.store.pull_forward(self.name(), now).await {
                // What was not put off is sent all the same.
                tracing::debug!(
                    event = "alerting.deliver.calendar",
                    channel = self.name(),
                    error = %error,
                    "the times cannot be changed yet"
                );
                return;
            }
            tracing::info!(channel = self.name(), "the clock was stepped back: postponed work is due now");
        } else if expected > now {
            return;
        }
        self.together = (now, stopwatch);
    }

    /// What the process before sent counts, too.
    pub(super) async fn recall(&mut self) -> Result<(), StoreError> {
        let (false, Some((most, within))) = (self.recalled, self.window.most()) else { return Ok(()) };
        let (seat, stopwatch) = (Arc::clone(&self.seat), self.now());
        let now = seat.clock.now();
        let taken = seat.store.delivered_since(self.name(), now - within, most).await?;
        for at in taken.into_iter().rev() {
            self.window.begun(stopwatch, now.since(at));
        }
        self.recalled = true;
        Ok(())
    }

    pub(super) async fn count(&mut self) -> Result<(), StoreError> {
        let (seat, now) = (Arc::clone(&self.seat), self.now());
        if now < self.count_at {
            return Ok(());
        }
        self.count_at = now + COUNT_EVERY;
        let dead = seat.store.dead_of(self.name()).await?;
        seat.channels.note(self.name(), |health| health.dead = dead);
        Ok(())
    }
}
