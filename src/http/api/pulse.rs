//! Whether the loop of polls goes round, as seen once a second.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Looks without a round after which a loop is stuck: twenty seconds, twice what the log complains of.
const STUCK_AFTER: u32 = 20;

/// Whether the loop goes round.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    turns: AtomicU64,
    still: AtomicU32,
    is_ending: AtomicBool,
}

impl Pulse {
    /// Takes note of how often the loop has gone round by now.
    pub(super) fn note(&self, turns: u64) {
        if self.turns.swap(turns, Ordering::Relaxed) == turns {
            self.still.fetch_add(1, Ordering::Relaxed);
        } else {
            self.still.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it goes round.
    pub(super) fn beats(&self) -> bool {
        self.still.load(Ordering::Relaxed) < STUCK_AFTER
    }

    /// The end was asked for.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_is_known_after_twenty_looks() {
        let pulse = Pulse::default();
        pulse.note(7);
        for _ in 1..STUCK_AFTER {
            pulse.note(7);
            assert!(pulse.beats());
        }
        pulse.note(7);
        assert!(!pulse.beats());
        pulse.note(8);
        assert!(pulse.beats());
    }
}
