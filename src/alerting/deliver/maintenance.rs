//! What one channel's loop does besides sending: the calendar, the rate limit across restarts, the count of dead
//! letters, messages that are passed.

use std::{sync::Arc, time::Duration};

use super::{
    passing::{PASSED_MAX, Passing, REFUSALS},
    worker::ChannelWorker,
};
use crate::store::{StoreError, read::due_deliveries::DueDelivery, write::deliveries::Outcome};

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

    /// After a new configuration everything that waits is due: a person wants to see whether it works now.
    pub(super) async fn hasten(&mut self) -> Result<(), StoreError> {
        if self.is_new {
            let (seat, now) = (Arc::clone(&self.seat), self.seat.clock.now());
            seat.store.pull_forward(self.name(), now).await?;
            self.is_new = false;
        }
        Ok(())
    }

    /// Counts what the previous process sent to the address, and restores the messages that it passed.
    pub(super) async fn recall(&mut self) -> Result<(), StoreError> {
        let (false, seat) = (self.recalled, Arc::clone(&self.seat)) else { return Ok(()) };
        let (now, stopwatch) = (seat.clock.now(), self.now());
        let mut recalled = seat.address.recalled.lock().await;
        if let (false, Some((most, within))) = (*recalled, self.pace.most()) {
            let mut taken = Vec::new();
            for channel in &seat.address.channels() {
                taken.extend(seat.store.delivered_since(channel, now - within, most).await?);
            }
            for at in taken {
                self.pace.begun(stopwatch, now.since(at));
            }
        }
        *recalled = true;
        self.passing = Passing::known(seat.store.passed_deliveries(self.name(), REFUSALS, PASSED_MAX).await?);
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

    /// A message counts as delivered although its response was not understood.
    pub(super) fn unconfirmed(&mut self, due: &DueDelivery, answer: &str) {
        self.succeeded(due.seq);
        if !std::mem::replace(&mut self.is_unconfirmed, true) {
            tracing::warn!(
                event = "alerting.deliver.unconfirmed",
                channel = self.name(),
                event.id = due.event_id,
                event.kind = due.kind,
                answer,
                "unconfirmed response: messages count as delivered after two tries; check that they arrive"
            );
        }
    }

    /// Updates which messages block their key.
    pub(super) fn pass(&mut self, due: &DueDelivery, outcome: &Outcome) {
        match outcome {
            Outcome::Again { refusals, .. } => {
                self.passing.failed(&due.partition_key, due.seq, (due.attempts.saturating_add(1), *refusals));
            }
            Outcome::Dead { .. } => self.passing.over(&due.partition_key, due.seq),
            Outcome::Delivered { .. } => {
                let passed = self.passing.taken(&due.partition_key, due.seq);
                if !passed.is_empty() {
                    tracing::warn!(
                        event = "alerting.deliver.passed",
                        channel = self.name(),
                        key = due.partition_key,
                        messages = passed.len(),
                        "message passed over: later messages of its key are accepted; it is still retried"
                    );
                }
            }
        }
    }
}
