//! How much time has passed on a machine that may be suspended and whose calendar may be stepped. No clock here: readings
//! of both are arguments.

use std::time::Duration;

use crate::domain::time::Time;

/// So far apart are the readings that are kept: the calendar is read in whole milliseconds, and what is rounded away
/// between two of them must not add up.
const KEPT_APART: Duration = Duration::from_millis(100);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The calendar, which goes on while the machine is suspended, and may be stepped.
    pub calendar: Time,
    /// The stopwatch, which only ever moves forward, and stands still while the machine is suspended.
    pub stopwatch: Duration,
}

impl Reading {
    /// By whichever clock shows more.
    fn since(self, earlier: Self) -> Duration {
        let stopwatch = self.stopwatch.saturating_sub(earlier.stopwatch);
        stopwatch.max(self.calendar.since(earlier.calendar))
    }
}

/// Time that has passed, never less than really did: between any two readings it is what the clock that moved further
/// says. A calendar that is stepped ahead makes it more, one that is stepped back takes nothing away again.
///
/// What happens between two readings is one step: a calendar that is stepped back while the machine is suspended hides
/// so much of the time it was suspended. Readings are therefore to be [noted](Self::note) several times a second.
#[derive(Debug, Clone)]
pub struct Elapsed {
    kept: Reading,
    by_then: Duration,
}

impl Elapsed {
    /// Nothing has passed yet.
    #[must_use]
    pub const fn beginning(now: Reading) -> Self {
        Self { kept: now, by_then: Duration::ZERO }
    }

    /// What has passed since the beginning.
    #[must_use]
    pub fn at(&self, now: Reading) -> Duration {
        self.by_then + now.since(self.kept)
    }

    /// Keeps what has passed, whatever becomes of the calendar.
    pub fn note(&mut self, now: Reading) {
        let passed = now.since(self.kept);
        if passed >= KEPT_APART {
            *self = Self { kept: now, by_then: self.by_then + passed };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading(calendar_s: u64, stopwatch_s: u64) -> Reading {
        Reading {
            calendar: Time::from_ms(1_800_000_000_000) + Duration::from_secs(calendar_s),
            stopwatch: Duration::from_secs(stopwatch_s),
        }
    }

    fn after(readings: &[(u64, u64)]) -> u64 {
        let mut elapsed = Elapsed::beginning(reading(1_000, 0));
        for (calendar, stopwatch) in readings {
            elapsed.note(reading(*calendar, *stopwatch));
        }
        let (calendar, stopwatch) = readings.last().expect("a reading");
        elapsed.at(reading(*calendar, *stopwatch)).as_secs()
    }

    #[test]
    fn the_clock_that_moved_further_counts() {
        assert_eq!(after(&[(1_004, 4)]), 4);
        assert_eq!(after(&[(1_064, 4)]), 64, "suspended for a minute");
        assert_eq!(after(&[(1_004, 64)]), 64, "stepped back by a minute");
    }

    #[test]
    fn a_step_back_does_not_hide_a_suspension_before_or_after_it() {
        assert_eq!(after(&[(1_060, 0), (1_001, 1)]), 61);
        assert_eq!(after(&[(941, 1), (1_001, 1)]), 61);
    }

    proptest! {
        #[test]
        fn it_is_never_less_than_what_passed_nor_much_more_while_nobody_steps_the_calendar(
            waits in prop::collection::vec((1..400_000_u64, any::<bool>()), 1..400),
        ) {
            let start = reading(0, 0);
            let mut elapsed = Elapsed::beginning(start);
            let (mut passed, mut suspended) = (Duration::ZERO, Duration::ZERO);
            let mut now = start;
            for (micros, is_suspended) in waits {
                let wait = Duration::from_micros(micros);
                passed += wait;
                suspended += if is_suspended { wait } else { Duration::ZERO };
                now = Reading { calendar: start.calendar + passed, stopwatch: passed.saturating_sub(suspended) };
                elapsed.note(now);
            }
            let counted = elapsed.at(now);
            // A millisecond of rounding for each reading that is kept.
            let rounding = passed / 100 + Duration::from_millis(1);
            prop_assert!(counted + rounding >= passed, "{counted:?} of {passed:?}");
            if suspended.is_zero() {
                prop_assert!(counted <= passed + rounding, "{counted:?} of {passed:?}");
            }
        }
    }
}
