//! Corrects times that no rule allows, as left behind by a calendar that was years ahead: at startup, before anything
//! is due by them, and with a log line.

use std::time::Duration;

use super::Engine;
use crate::{
    domain::time::Time,
    store::{StoreError, write::clock_correction::Bounds},
};

/// How long after the first moment of a month what waits for it may be due: jitter, and what is waited because WeChat's month
/// rolls late.
const AFTER_THE_MONTH: Duration = Duration::from_hours(48);

/// How long calls that were refused may wait: well beyond the slowest pause between them.
const CALLS_WAIT_MAX: Duration = Duration::from_hours(48);

/// How far in the future something may have happened: clocks of machines differ by a little.
const AHEAD_MAX: Duration = Duration::from_mins(5);

/// Before this there was no amplinkd: a calendar that shows less is wrong itself, as on a board without a clock that has not
/// asked the network yet, and everything would seem to lie ahead. The first second of 2026 in UTC.
const NO_EARLIER: Time = Time::from_ms(1_767_225_600_000);

impl Engine {
    /// Corrects stored times that lie further ahead than their rules allow.
    ///
    /// # Errors
    /// [`StoreError`]: the next start corrects the rest.
    pub(super) async fn correct_times(&self) -> Result<(), StoreError> {
        let now = self.clock().now();
        if now < NO_EARLIER {
            tracing::error!(now = %now, "the clock is wrong: set it; until then nothing is due on time");
            return Ok(());
        }
        let month = now.next_beijing_month() + AFTER_THE_MONTH;
        let reread = self.policy().deadline.map_or(month, |deadline| month.max(now + deadline));
        let bounds = Bounds { month, reread, calls: now + CALLS_WAIT_MAX, past: now + AHEAD_MAX };
        for corrected in self.store().correct_times(&bounds, now).await? {
            tracing::warn!(
                column = corrected.column,
                rows = corrected.count,
                example = corrected.example,
                held = %corrected.held,
                "times too far in the future, probably set while the clock was ahead, were moved to now"
            );
        }
        Ok(())
    }
}
