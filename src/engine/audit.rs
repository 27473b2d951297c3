//! The proof that nothing stalls: one bounded query set. It must never repair what it finds.

use std::time::Duration;

use super::record::Recorder;
use crate::store::{StoreError, views::Finding};

/// How far past its time a step may be before it counts as stalled: longer than a full agenda takes to be worked off
/// after a restart, shorter than anybody's patience.
pub const OVERDUE_AFTER: Duration = Duration::from_mins(15);

/// Findings in one report: the first hundred tell as much as a million.
pub const FINDINGS_MAX: u32 = 100;

impl Recorder {
    /// Everything that is lost or stalled; nothing, when all is well.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn audit(&self) -> Result<Vec<Finding>, StoreError> {
        let overdue_before = self.clock().now() - OVERDUE_AFTER;
        self.store().audit(overdue_before.ms(), FINDINGS_MAX).await
    }
}
