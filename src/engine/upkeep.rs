//! Coarse work that cron wakes: the drift check of linked accounts, housekeeping. It must never hold anything up: it works
//! in pages.

use std::{sync::atomic::Ordering, time::Duration};

use super::Engine;
use crate::store::{StoreError, upkeep::Keep};

/// Accounts that one transaction makes due: a few milliseconds of the writer's time.
const DRIFT_PAGE: u32 = 5_000;

/// A drift check of all accounts is spread over at least this time, so that it leaves room for open requests.
const DRIFT_SPREAD: Duration = Duration::from_hours(1);

/// Of all turns, the part that a drift check may take on average.
const DRIFT_PART: f64 = 0.25;

/// It is over before the next one begins.
const DRIFT_SPREAD_MAX: Duration = Duration::from_hours(20);

/// How long messages to the outside are kept that nobody is owed any more.
const KEEP_EVENTS: Duration = Duration::from_hours(24 * 30);

/// How long messages are kept that were given up: a person who looks once a quarter still finds them.
const KEEP_DEAD: Duration = Duration::from_hours(24 * 90);

impl Engine {
    /// Makes every account due that has linked requests and nothing open, spread over the next hour: links can be
    /// removed by anybody at any time, and the list alone tells.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are due, the rest is not.
    #[tracing::instrument(name = "engine.drift", skip_all, err)]
    pub async fn begin_drift(&self) -> Result<(), StoreError> {
        let now = self.clock().now();
        let linked = self.store().linked_accounts().await?;
        self.note_linked(linked);
        let spread = DRIFT_SPREAD.max(self.time_for_looks(linked).mul_f64(1.0 / DRIFT_PART)).min(DRIFT_SPREAD_MAX);
        let spread_ms = i64::try_from(spread.as_millis()).unwrap_or(i64::MAX);
        let mut after = 0;
        loop {
            let last = self.store().begin_drift(after, DRIFT_PAGE, now, spread_ms).await?;
            self.reload.store(true, Ordering::Release);
            match i64::try_from(last) {
                Ok(last) if last > after => after = last,
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    /// Takes spent rows away, a bounded number at a time.
    ///
    /// # Errors
    /// [`StoreError`]: what was taken so far is gone, the rest stays for the next time.
    #[tracing::instrument(name = "engine.housekeeping", skip_all, err)]
    pub async fn keep_house(&self) -> Result<u64, StoreError> {
        let now = self.clock().now();
        let keep = Keep { events: now - KEEP_EVENTS, dead: now - KEEP_DEAD };
        let mut taken = 0;
        loop {
            match self.store().prune(keep, now).await? {
                0 => return Ok(taken),
                some => taken += some,
            }
        }
    }
}
