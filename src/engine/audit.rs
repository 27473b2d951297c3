//! The proof that nothing stalls: one bounded query set. It must never repair what it finds.

use std::{sync::atomic::Ordering, time::Duration};

use super::record::Recorder;
use crate::store::{
    StoreError,
    audit::{Finding, Histories},
};

/// How far past its time a step may be before it counts as stalled: longer than a full agenda takes to be worked off
/// after a restart, shorter than anybody's patience.
pub const OVERDUE_AFTER: Duration = Duration::from_mins(15);

/// Findings of each rule in one report: the first hundred tell as much as a million, and one rule hides no other.
pub const FINDINGS_MAX: u32 = 100;

impl Recorder {
    /// Everything that is lost, stalled or inconsistent; nothing, when all is well. Of the histories one slice is
    /// compared with its requests, the next time the next one; a small database is one slice.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn audit(&self) -> Result<Vec<Finding>, StoreError> {
        // A command lives for one audit: where it begins is as good as chance, so that every slice comes up.
        let begun = scrambled(self.clock().now().ms().cast_unsigned());
        let turn = match self.audits.load(Ordering::Relaxed) {
            0 => begun,
            next => next,
        };
        self.audits.store(turn.wrapping_add(1), Ordering::Relaxed);
        self.audited(Histories::Turn(turn)).await
    }

    /// [`Recorder::audit`] with every history.
    ///
    /// # Errors
    /// As there.
    pub async fn audit_all(&self) -> Result<Vec<Finding>, StoreError> {
        self.audited(Histories::All).await
    }

    async fn audited(&self, histories: Histories) -> Result<Vec<Finding>, StoreError> {
        let overdue_before = self.clock().now() - OVERDUE_AFTER;
        self.store().audit(overdue_before.ms(), histories, FINDINGS_MAX).await
    }
}

/// Numbers that follow each other become numbers that have nothing to do with each other (the step of `SplitMix64`).
const fn scrambled(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
