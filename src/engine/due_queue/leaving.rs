//! How accounts leave the queue that others are to poll: what was written down for them is given back.

use std::time::Duration;

use super::{DueQueue, slot::Phase};
use crate::domain::account::AccountState;

/// A poll that was written down and will not be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Unmade {
    /// How the account stands, the look given back.
    pub state: AccountState,
    /// When the poll was due, on the stopwatch.
    pub due: Duration,
}

impl DueQueue {
    /// Polls of these rows that were written down and are not begun: they will not be made.
    pub fn unmade(&mut self, is_meant: impl Fn(i64) -> bool) -> Vec<Unmade> {
        let slots = self.slots.iter_mut().filter(|slot| slot.phase == Phase::Reserved && is_meant(slot.id));
        slots
            .map(|slot| {
                slot.phase = Phase::Waiting;
                let state = slot.state();
                Unmade { state: AccountState { budget: state.budget.given_back(), ..state }, due: slot.due.into() }
            })
            .collect()
    }

    /// Takes accounts in these rows off the agenda unless they are being worked on; answers whether any are.
    pub fn drop_idle(&mut self, is_meant: impl Fn(i64) -> bool) -> bool {
        let meant: Vec<i64> = self.places.keys().copied().filter(|row| is_meant(*row)).collect();
        let (busy, idle): (Vec<i64>, Vec<i64>) = meant.into_iter().partition(|row| self.is_at_work(*row));
        for row in idle {
            self.remove(row);
        }
        !busy.is_empty()
    }
}
