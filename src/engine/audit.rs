//! Proves that nothing stalls and that people are notified: a bounded set of queries. It only reports.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    alert_deadlines::{AlertDeadlines, OVERDUE_AFTER},
    record::Recorder,
};
use crate::{
    domain::time::Time,
    store::{
        StoreError,
        read::audit::{Finding, Histories},
    },
};

/// Findings of each rule in one report: the first hundred tell as much as a million, and one rule hides no other.
pub const FINDINGS_MAX: u32 = 100;

impl Recorder {
    /// Has the audit judge by these promises; without, by those that hold without any configuration.
    pub fn audit_by(&self, promised: AlertDeadlines) {
        // Nothing in here panics halfway through a change.
        *self.promised.lock().unwrap_or_else(PoisonError::into_inner) = promised;
    }

    /// Everything that is lost, stalled or inconsistent; nothing, when all is well. Of the histories one slice is
    /// compared with its requests, the next time the next one; a small database is one slice.
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
    pub async fn audit_all(&self) -> Result<Vec<Finding>, StoreError> {
        self.audited(Histories::All).await
    }

    /// [`Recorder::audit_all`] of a daemon that ended at this moment: what fell due later is nobody's fault.
    pub async fn audit_as_of(&self, ended: Time) -> Result<Vec<Finding>, StoreError> {
        self.audited_at(ended, Histories::All).await
    }

    /// [`Recorder::audit_all`] but for the histories.
    pub(super) async fn audit_beside_histories(&self) -> Result<Vec<Finding>, StoreError> {
        self.audited(Histories::Beside).await
    }

    async fn audited(&self, histories: Histories) -> Result<Vec<Finding>, StoreError> {
        self.audited_at(self.clock().now(), histories).await
    }

    async fn audited_at(&self, now: Time, histories: Histories) -> Result<Vec<Finding>, StoreError> {
        let (telling, keeps_tokens) = {
            let promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
            (promised.by(now), promised.keeps_tokens)
        };
        // While demand exceeds supply, a look is late by plan: that is told as what it is, by the rule `capacity`.
        let planned = self.store().pace().await?.map_or(Duration::ZERO, |pace| pace.late());
        let overdue_before = now - OVERDUE_AFTER - planned;
        let mut found = self.store().audit(overdue_before.ms(), histories, FINDINGS_MAX).await?;
        found.extend(self.store().audit_telling(&telling, FINDINGS_MAX).await?);
        if keeps_tokens {
            found.extend(self.store().audit_platform(overdue_before, FINDINGS_MAX).await?);
        }
        Ok(found)
    }
}

/// Numbers that follow each other become numbers that have nothing to do with each other (the step of `SplitMix64`).
const fn scrambled(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
