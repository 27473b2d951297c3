//! Results of tries that are not on disk yet. One that the database refuses does not hold up the others.

use std::time::Duration;

use crate::store::{Store, StoreError, read::due_deliveries::DueDelivery, write::deliveries::DeliveryResult};

/// How long we wait after a result could not be written.
const DISK_PAUSE: Duration = Duration::from_secs(5);

/// Results that the database refuses one by one, at which nothing more is sent: it would be sent twice after a restart.
const REFUSED_MAX: usize = 1_000;

/// A message that was tried, and what became of it.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) due: DueDelivery,
    pub(super) result: DeliveryResult,
}

/// Results on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct ResultBuffer {
    fresh: Vec<Tried>,
    /// Refused alone, while others could be written.
    refused: Vec<Tried>,
    /// Nothing is written before this, on the stopwatch.
    rest_until: Duration,
    /// The refused are not written before this.
    refused_until: Duration,
}

impl ResultBuffer {
    pub(super) fn add(&mut self, tried: Tried) {
        self.fresh.push(tried);
    }

    /// Whether more may be sent: what cannot be written down is not done.
    pub(super) fn may_grow(&self, now: Duration) -> bool {
        self.fresh.is_empty() && now >= self.rest_until && self.refused.len() < REFUSED_MAX
    }

    /// When something is to be written next; `None`: nothing waits.
    pub(super) fn next(&self) -> Option<Duration> {
        let fresh = (!self.fresh.is_empty()).then_some(self.rest_until);
        let refused = (!self.refused.is_empty()).then_some(self.refused_until);
        fresh.into_iter().chain(refused).min()
    }

    /// Writes what waits and may be written now; what is on disk is given back.
    pub(super) async fn save(&mut self, store: &Store, now: Duration) -> Vec<Tried> {
        let mut saved = Vec::new();
        if !self.refused.is_empty() && now >= self.refused_until {
            let refused = std::mem::take(&mut self.refused);
            saved.extend(self.save_singly(store, refused, now).await);
        }
        if self.fresh.is_empty() || now < self.rest_until {
            return saved;
        }
        let fresh = std::mem::take(&mut self.fresh);
        match write(store, &fresh).await {
            Ok(()) => saved.extend(fresh),
            Err(error) if error.is_of_one_row() => saved.extend(self.save_singly(store, fresh, now).await),
            Err(error) => self.rest(fresh, &error, now),
        }
        saved
    }

    async fn save_singly(&mut self, store: &Store, waiting: Vec<Tried>, now: Duration) -> Vec<Tried> {
        let mut saved = Vec::new();
        let mut waiting = waiting.into_iter();
        while let Some(tried) = waiting.next() {
            match write(store, std::slice::from_ref(&tried)).await {
                Ok(()) => saved.push(tried),
                Err(error) if error.is_of_one_row() => {
                    let id = &tried.result.id;
                    tracing::error!(delivery.id = %id, error = %error, "could not write a delivery result");
                    self.refused.push(tried);
                    self.refused_until = now + DISK_PAUSE;
                }
                Err(error) => {
                    let rest = std::iter::once(tried).chain(waiting).collect();
                    self.rest(rest, &error, now);
                    return saved;
                }
            }
        }
        saved
    }

    fn rest(&mut self, waiting: Vec<Tried>, error: &StoreError, now: Duration) {
        // The writer tells of a disk that fails, once.
        tracing::debug!(results = waiting.len(), error = %error, "nothing is sent until results can be written");
        self.fresh.extend(waiting);
        self.rest_until = now + DISK_PAUSE;
    }
}

async fn write(store: &Store, tried: &[Tried]) -> Result<(), StoreError> {
    store.delivered(tried.iter().map(|tried| tried.result.clone()).collect()).await.map(drop)
}
