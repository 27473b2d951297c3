//! What a world allows at a moment: how its quotas are used up and reset.

use super::world::World;

impl World {
    /// A moment of the month whose quotas hold at `now`.
    pub(super) fn in_month(&self, now: i64) -> i64 {
        now.saturating_sub(self.switches.month_rolls_late_by.as_millis())
    }

    /// A moment of the day whose quotas hold at `now`.
    pub(super) fn in_day(&self, now: i64) -> i64 {
        now.saturating_sub(self.switches.day_rolls_late_by.as_millis())
    }
}
