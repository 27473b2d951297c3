//! The simulator's clock. The only place in this module that reads the system's clock.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time in milliseconds UTC, whenever it is asked.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Time that starts at the system's and runs `speed` times as fast; it never runs backwards.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator shares no clock with the rest of the house, and must start somewhere"
)]
pub fn accelerated(speed: f64) -> Now {
    let begun = Instant::now();
    let origin =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    Arc::new(move || {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from a float saturates, which is as far as time can go"
        )]
        let gone = (begun.elapsed().as_secs_f64() * speed * 1_000.0) as i64;
        origin.saturating_add(gone)
    })
}
