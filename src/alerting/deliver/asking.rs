//! The queries of one channel's worker: messages that are due, alerts that overtake them, reminders that are sent together.

use std::{sync::Arc, time::Duration};

use super::{
    circuit_breaker::Admission,
    parcel::{Parcel, is_reminder},
    retry_policy::WAIT_MAX,
    worker::{ChannelWorker, TICK},
};
use crate::{
    domain::alert_rules::Rule,
    store::{
        StoreError,
        read::due_deliveries::{Due, DueDelivery},
    },
};

/// Asking takes at most one part in so many of the time, also where much waits behind one message.
const ASKING_SHARE: u32 = 10;

/// Messages read ahead: enough that a fast service never waits for the database.
const PAGE: usize = 64;

/// Due messages that are searched for reminders to send together.
const REMINDERS_AMONG: u32 = 2_000;

impl ChannelWorker {
    /// Fills the queue with due messages, when it is time to ask for them.
    pub(super) async fn look(&mut self, admission: Admission, now: Duration) -> Result<(), StoreError> {
        if self.ready.is_empty() {
            return if now >= self.ask_at { self.ask(admission).await } else { Ok(()) };
        }
        let is_late = now >= self.ask_urgent_at && self.ready.can_be_overtaken();
        if is_late && admission == Admission::All { self.ask_urgent().await } else { Ok(()) }
    }

    /// Asks for due alerts, which overtake what is queued.
    async fn ask_urgent(&mut self) -> Result<(), StoreError> {
        let (seat, rules) = (Arc::clone(&self.seat), Rule::ALL.map(Rule::as_str));
        self.ask_urgent_at = self.now() + TICK;
        let urgent = seat.store.urgent_deliveries(self.name(), &rules, seat.clock.now(), self.passing.passed());
        let urgent = urgent.await?;
        self.enqueue_ready(urgent);
        Ok(())
    }

    /// A message, or a reminder with all others that are due for the same readers.
    pub(super) async fn parcel(&mut self, due: DueDelivery) -> Result<Parcel, StoreError> {
        let seat = Arc::clone(&self.seat);
        let Some(bytes) = seat.outlet.channel.reminder_bytes().filter(|_| is_reminder(&due)) else {
            return Ok(Parcel::of(due));
        };
        let found = seat.store.due_reminders(self.name(), seat.clock.now(), REMINDERS_AMONG, self.passing.passed());
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                self.busy.remove(&due.partition_key);
                return Err(error);
            }
        };
        let mut others = self.ready.take(is_reminder);
        others.extend(found.into_iter().filter(|other| self.busy.insert(other.partition_key.clone())));
        let (parcel, left) = Parcel::of_reminders(due, others, bytes);
        for due in left {
            self.ready.push(due);
        }
        Ok(parcel)
    }

    /// Asks the database what is due.
    async fn ask(&mut self, admission: Admission) -> Result<(), StoreError> {
        let (seat, before) = (Arc::clone(&self.seat), self.now());
        let now = seat.clock.now();
        let page = if admission == Admission::All { PAGE } else { 1 };
        let limit = page.saturating_add(self.busy.len());
        let rows = u32::try_from(limit).unwrap_or(u32::MAX);
        let passed = self.passing.passed().clone();
        let any = Due { now, unbelievable: now + WAIT_MAX, attempts_max: i64::MAX, passed: &passed };
        // Also when it fails, it is asked again no sooner.
        self.ask_at = before + TICK;
        if admission == Admission::FreshProbe {
            let fresh = Due { attempts_max: 0, ..any };
            let due = seat.store.due_deliveries(self.name(), fresh, rows).await?;
            self.enqueue_ready(due);
        }
        if self.ready.is_empty() {
            let due = seat.store.due_deliveries(self.name(), any, rows).await?;
            let is_all = due.len() < limit;
            self.enqueue_ready(due);
            let after = self.now();
            let pause = TICK.max(after.saturating_sub(before) * ASKING_SHARE);
            self.ask_at = if is_all { after + pause } else { after };
            if !is_all && admission == Admission::All {
                self.ask_urgent().await?;
            }
        }
        Ok(())
    }

    pub(super) fn enqueue_ready(&mut self, due: Vec<DueDelivery>) {
        for due in due {
            if self.busy.insert(due.partition_key.clone()) {
                self.ready.push(due);
            }
        }
    }

    /// Queues the message behind one that keeps failing, once after each of its tries: if it is accepted, the fault lies with
    /// the failing message.
    pub(super) async fn try_behind(&mut self) {
        let (seat, ahead) = (Arc::clone(&self.seat), self.passing.ahead());
        for (key, seq) in ahead {
            if self.circuit.admits(self.now()) != Admission::All || self.busy.contains(&key) {
                continue;
            }
            match seat.store.next_behind(self.name(), (&key, seq), seat.clock.now()).await {
                Ok(due) => self.enqueue_ready(due.into_iter().collect()),
                // It is tried again after the next failure.
                Err(error) => {
                    tracing::debug!(event = "alerting.deliver.next", error = %error, "could not read the next delivery");
                }
            }
        }
    }
}
