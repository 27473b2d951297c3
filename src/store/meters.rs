//! What is counted of commits: how long each took, and how much it took in.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{clock::SharedClock, meters::Histogram};

/// Upper bounds of how long a commit takes, microseconds: from a fast disk's sync to one that is drowning.
const TOOK_US: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// Upper bounds of the pieces of work in one transaction.
const PIECES: [u64; 8] = [1, 2, 4, 8, 16, 64, 256, 512];

/// Commits since the start.
#[derive(Debug)]
pub struct CommitMeters {
    /// From the beginning of a transaction to its end on disk; without what it waited for its turn.
    pub took: Histogram<{ TOOK_US.len() }>,
    /// Pieces of work in one transaction.
    pub pieces: Histogram<{ PIECES.len() }>,
    /// What times them; without one only pieces are counted.
    clock: OnceLock<SharedClock>,
}

impl Default for CommitMeters {
    fn default() -> Self {
        Self { took: Histogram::new(TOOK_US), pieces: Histogram::new(PIECES), clock: OnceLock::new() }
    }
}

impl CommitMeters {
    /// Times commits from now on.
    pub(super) fn time_by(&self, clock: &SharedClock) {
        // A database is driven by one clock for as long as it is open.
        let _ = self.clock.set(Arc::clone(clock));
    }

    /// The stopwatch, where there is one.
    pub(super) fn begun(&self) -> Option<Duration> {
        self.clock.get().map(|clock| clock.monotonic())
    }

    /// A transaction of so many pieces is on disk.
    pub(super) fn committed(&self, pieces: usize, begun: Option<Duration>) {
        self.pieces.note(pieces as u64);
        if let (Some(begun), Some(now)) = (begun, self.begun()) {
            self.took.note_duration(now.saturating_sub(begun));
        }
    }
}

/// The queue before the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Pieces of work that wait in it.
    pub pieces: usize,
    /// As many as there is room for; who comes then waits outside.
    pub limit: usize,
}
