//! What is written before a poll: when its account is due next, and what it takes from the daily budget. No poll
//! without it, so that a crash loop spends no more than the budget; a poll that was written and not made is given back
//! at a clean shutdown.

use std::time::Duration;

use super::{
    Engine,
    drive::Driver,
    due_queue::{Batching, Candidate, Prepared, Unmade},
    poll::LISTING_API,
};
use crate::{
    clock::moment_within,
    domain::{account::AccountState, alignment::put_off, pace::Pace, time::Time},
    store::{StoreError, write::accounts::Reservation},
};

/// How long before the first of them that is done: longer than a disk takes for it.
const BEGIN_AHEAD: Duration = Duration::from_millis(500);

/// Polls of one class written down in one transaction: a few milliseconds of the writer's time.
const RESERVE_MAX: usize = 2_000;

/// Polls written down and not yet begun, for every one that can be under way, at which the next batch is begun. Of those
/// that answer in a few milliseconds, so many take longer than a transaction of a batch.
const SPARE_POLLS: usize = 16;

/// Seconds of turns that are written down at most: what waits longer for its turn need not be on disk yet.
const TURNS_AHEAD_S: usize = 4;

impl Engine {
    /// The next batch is begun while so many are still to be made that none of them waits for a disk.
    pub(super) fn batching(&self) -> Batching {
        let turns = usize::try_from(self.per_second()).unwrap_or(usize::MAX).saturating_mul(TURNS_AHEAD_S);
        let most = RESERVE_MAX.min(turns);
        let enough = self.in_flight_max().saturating_mul(SPARE_POLLS).min(most);
        Batching { begin_ahead: BEGIN_AHEAD, enough, most }
    }

    /// When an account is due after the poll that is about to be made, and whether its budget allows that poll.
    pub(super) fn prepare(
        &self,
        candidate: Candidate<'_>,
        stopwatch: Duration,
        now: Time,
        rows: &mut Vec<Reservation>,
    ) -> Prepared {
        let Candidate { account, state, due: begins, then } = candidate;
        state.budget = state.budget.on(now.beijing_day());
        let budget = self.in_force().settings.daily_budget;
        let is_spent = state.budget.used >= i64::from(budget);
        // It is written down a moment before its time, and waits from its time on.
        let begins_at = now + begins.saturating_sub(stopwatch);
        let gate = self.gates.api(account, LISTING_API, begins_at).filter(|_| !is_spent);
        let exhausted = is_spent || gate.is_some();
        let due = if gate.as_ref().is_some_and(|gate| gate.early) {
            self.day_goes_on(gate.as_ref(), begins_at)
        } else if exhausted {
            tracing::warn!(
                account = %account,
                used = state.budget.used,
                budget,
                "the account's daily polling budget is used up; polling resumes tomorrow (Beijing time)"
            );
            self.day_goes_on(None, now)
        } else {
            state.budget = state.budget.taken();
            let pace = Pace { policy: &self.policy(), stretch: self.stretch() };
            state.due_if_unchanged(pace, begins_at)
        };
        *then = stopwatch + now.until(due);
        rows.push(self.reservation(state, due));
        if exhausted { Prepared::Wait } else { Prepared::Poll }
    }

    fn reservation(&self, state: &AccountState, due: Time) -> Reservation {
        let is_spent = state.budget.used >= i64::from(self.in_force().settings.daily_budget);
        Reservation {
            row: state.row,
            due,
            day: state.budget.day,
            used: state.budget.used,
            read: state.read_at,
            spent: is_spent.then_some(state.budget.day),
        }
    }

    /// Spreads what would otherwise come up together: later by up to a tenth of the wait, and never by much.
    pub(super) fn jittered(&self, now: Time, due: Time) -> Time {
        due + self.spread(put_off(now.until(due)))
    }

    /// A moment within `within`, so that what was held back together does not go on together.
    pub(super) fn spread(&self, within: Duration) -> Duration {
        moment_within(&**self.clock(), within)
    }
}

impl Driver {
    /// Gives back polls that were written down and will not be made: their accounts are due as they were.
    ///
    /// # Errors
    /// [`StoreError`]: they count as made.
    pub(super) async fn give_back(&self, unmade: Vec<Unmade>) -> Result<(), StoreError> {
        let clock = self.engine.clock();
        let (calendar, stopwatch) = (clock.now(), clock.monotonic());
        let rows: Vec<Reservation> = unmade
            .into_iter()
            .map(|unmade| self.engine.reservation(&unmade.state, calendar + unmade.due.saturating_sub(stopwatch)))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        tracing::debug!(
            event = "engine.drive.gave_back",
            polls = rows.len(),
            "polls that were not made are given back"
        );
        self.engine.store().reserve(rows).await.map(drop)
    }
}
