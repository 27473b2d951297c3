//! What tasks report to the loop, and the guard by which every poll reports its end: even a dropped one does, or an
//! account would stay in flight forever.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Engine, polled::Polled};
use crate::{clock::SharedClock, domain::time::Time, store::StoreError};

/// What tasks tell the loop.
#[derive(Debug)]
pub(super) enum Report {
    /// Polls were written down, or could not be.
    Reserved(Vec<i64>, Result<Vec<i64>, StoreError>),
    /// A poll is over; when it began, and what came of it. Nothing came of one that panicked.
    Polled(i64, ClockReading, Option<Result<Polled, StoreError>>),
    /// That a poll broke was written down, or could not be.
    Broken(i64, ClockReading, Option<Result<Polled, StoreError>>),
}

/// What a task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A look, or a call that followed from one.
    Poll,
    /// Writing down that a poll broke.
    Note,
}

/// When a poll began, as both clocks showed it: the calendar may be stepped before it is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockReading {
    pub(super) calendar: Time,
    pub(super) stopwatch: Duration,
}

impl ClockReading {
    pub(super) fn now(clock: &SharedClock) -> Self {
        Self { calendar: clock.now(), stopwatch: clock.monotonic() }
    }

    /// How far the two clocks have come apart since: a step of the calendar, or a sleep that the stopwatch did not see.
    pub(super) fn apart(self, later: Self) -> Duration {
        let expected = self.calendar + later.stopwatch.saturating_sub(self.stopwatch);
        expected.since(later.calendar).max(later.calendar.since(expected))
    }
}

/// Tells the loop that a poll is over, also when it panicked or was dropped.
#[derive(Debug)]
pub(super) struct CompletionGuard {
    /// The row of its account, until the end is told.
    id: Option<i64>,
    work: Work,
    begun: ClockReading,
    /// When it is the one poll that probes a closed address gate.
    probe: Option<Arc<Engine>>,
    reporter: mpsc::UnboundedSender<Report>,
}

impl CompletionGuard {
    pub(super) const fn new(
        id: i64,
        work: Work,
        begun: ClockReading,
        probe: Option<Arc<Engine>>,
        reporter: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self { id: Some(id), work, begun, probe, reporter }
    }

    pub(super) fn report(&mut self, polled: Result<Polled, StoreError>) {
        self.end(Some(polled));
    }

    fn end(&mut self, polled: Option<Result<Polled, StoreError>>) {
        if let Some(engine) = self.probe.take() {
            engine.gates.probe_over(engine.clock().now());
        }
        if let Some(id) = self.id.take() {
            let report = match self.work {
                Work::Poll => Report::Polled(id, self.begun, polled),
                Work::Note => Report::Broken(id, self.begun, polled),
            };
            // The loop is gone when the daemon has ended.
            let _ = self.reporter.send(report);
        }
    }
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        self.end(None);
    }
}
