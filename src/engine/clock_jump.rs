//! Detects calendar steps against the monotonic clock. It corrects nothing: it only says that ages cannot be trusted
//! for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::completion_guard::ClockReading;
use crate::domain::time::Time;

/// A difference that slewing, load and rounding explain. A step is larger.
const TOLERATED: Duration = Duration::from_secs(5);

/// Calendar and stopwatch, as they were last seen to run together.
#[derive(Debug)]
pub(super) struct ClockJumps {
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    together: ClockReading,
    /// When the last step was noticed, on the stopwatch.
    stepped: Option<Duration>,
}

impl ClockJumps {
    /// Both run together from here on.
    pub(super) const fn beginning(calendar: Time, stopwatch: Duration) -> Self {
        Self { seen: Mutex::new(Seen { together: ClockReading { calendar, stopwatch }, stepped: None }) }
    }

    /// Whether a step was noticed within the last `span` of the stopwatch.
    pub(super) fn doubtful(&self, calendar: Time, stopwatch: Duration, span: Duration) -> bool {
        // Nothing in here panics halfway through a change.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = ClockReading { calendar, stopwatch };
        let stepped = if seen.together.apart(now) > TOLERATED { Some(stopwatch) } else { seen.stepped };
        *seen = Seen { together: now, stepped };
        stepped.is_some_and(|at| stopwatch.saturating_sub(at) < span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_either_way_is_doubted_for_a_while() {
        const NOON: Time = Time::from_ms(1_000_000_000);
        let (s, ten) = (Duration::from_secs, Duration::from_mins(10));
        for step in [3_600_000_i64, -3_600_000] {
            let steps = ClockJumps::beginning(NOON, s(0));
            assert!(!steps.doubtful(NOON + s(60), s(60), ten));
            let stepped = |at: u64| Time::from_ms((NOON + s(at)).ms() + step);
            assert!(steps.doubtful(stepped(61), s(61), ten));
            assert!(steps.doubtful(stepped(600), s(600), ten));
            assert!(!steps.doubtful(stepped(700), s(700), ten));
        }
    }
}
