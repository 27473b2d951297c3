//! How the loop handles its tasks' reports: an account goes back onto the due queue, waits for permits of its calls, or
//! stays off it.

use std::sync::Arc;

use super::{
    completion_guard::{ClockReading, CompletionGuard, Report, Work},
    drive::{DISK_PAUSE, Driver},
    polled::{Due, Polled},
};
use crate::domain::{
    account::{AccountState, RETRY_MAX},
    backoff::Backoff,
};

/// Pauses of an account whose poll could not be written down.
const UNWRITTEN: Backoff = Backoff::new(DISK_PAUSE, RETRY_MAX);

impl Driver {
    pub(super) fn take(&mut self, report: Report) {
        match report {
            Report::Reserved(ids, Ok(left_out)) => {
                self.reserving = false;
                // What could not be written down is not done.
                self.agenda.unreserved(&left_out, self.engine.clock().monotonic() + UNWRITTEN.max());
                self.agenda.reserved(&ids);
            }
            Report::Reserved(ids, Err(error)) => {
                self.reserving = false;
                self.rest_after(&error);
                self.agenda.unreserved(&ids, self.engine.clock().monotonic() + DISK_PAUSE);
            }
            Report::Polled(id, begun, polled) => {
                self.busy = self.busy.saturating_sub(1);
                match polled {
                    Some(Ok(Polled::Calls(pending))) => self.calls.push_back((id, begun, pending)),
                    Some(Ok(Polled::Done { state, due })) => self.back(id, begun, &state, due),
                    Some(Err(error)) if error.is_of_disk() => {
                        self.rest_after(&error);
                        self.back_unwritten(id);
                    }
                    Some(Err(error)) => {
                        tracing::error!(
                            event = "engine.poll.unwritten",
                            error = %error,
                            "could not write the poll's result; the account will be polled again"
                        );
                        self.note_broken(id, begun, error.to_string());
                    }
                    None => {
                        tracing::error!(
                            event = "engine.poll.panicked",
                            account.row = id,
                            "a poll panicked (a defect of amplinkd): the account pauses"
                        );
                        self.note_broken(id, begun, "the poll hit a defect of amplinkd: see its log".to_owned());
                    }
                }
            }
            Report::Broken(id, begun, noted) => {
                self.busy = self.busy.saturating_sub(1);
                match noted {
                    Some(Ok(Polled::Done { state, due })) => self.back(id, begun, &state, due),
                    Some(Ok(Polled::Calls(_)) | Err(_)) | None => self.back_unwritten(id),
                }
            }
        }
    }

    fn back(&mut self, id: i64, begun: ClockReading, state: &AccountState, due: Due) {
        let class = state.class(self.engine.clock().now());
        match due {
            Due::AsReserved => self.agenda.back(id, state, None, class),
            Due::At(due) => {
                // A poll during which the calendar was stepped back wrote a time that lies that much too far ahead.
                let due = self.on_stopwatch(due).min(begun.stopwatch + begun.calendar.until(due));
                self.agenda.back(id, state, Some(due), class);
            }
            Due::Never => self.left.extend(self.agenda.remove(id)),
        }
    }

    /// Nothing could be written of it: it is tried again after a pause.
    fn back_unwritten(&mut self, id: i64) {
        let Some(before) = self.agenda.state(id) else { return };
        let clock = self.engine.clock();
        let (due, class) = (clock.monotonic() + UNWRITTEN.after(before.failures), before.class(clock.now()));
        let failures = before.failures.saturating_add(1);
        self.agenda.back(id, &AccountState { failures, ..before }, Some(due), class);
    }

    /// A look ended in a defect, or in a row that would not be written: that is written down as any other failure is.
    fn note_broken(&mut self, id: i64, begun: ClockReading, why: String) {
        let (Some(state), Some(account)) = (self.agenda.state(id), self.agenda.name(id).cloned()) else { return };
        let engine = Arc::clone(&self.engine);
        let mut guard = CompletionGuard::new(id, Work::Note, begun, None, self.reporter.clone());
        self.busy += 1;
        tokio::spawn(async move {
            guard.report(engine.broken(&account, state, why).await);
        });
    }
}
