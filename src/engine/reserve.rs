//! What is written down ahead of a poll: when its account is due afterwards, and what it costs of the day's budget. It
//! must never let a poll through that the budget or a quota forbids.

use std::time::Duration;

use super::{
    Engine,
    agenda::{Candidate, Prepared},
    poll::LISTING_API,
};
use crate::{clock::moment_within, domain::time::Time, store::accounts::Reservation};

impl Engine {
    /// When an account is due after the poll that is about to be made, and whether its budget allows that poll.
    pub(super) fn prepare(
        &self,
        candidate: Candidate<'_>,
        stopwatch: Duration,
        now: Time,
        rows: &mut Vec<Reservation>,
    ) -> Prepared {
        let Candidate { account, facts, due: begins, then } = candidate;
        let today = now.beijing_day();
        // A calendar that was stepped back by hours does not give a spent budget back; a day that lies further ahead
        // was never true.
        if today > facts.budget_day || facts.budget_day > today + 1 {
            (facts.budget_day, facts.budget_used) = (today, 0);
        }
        let exhausted = facts.budget_used >= i64::from(self.settings.daily_budget)
            || self.gates.api(account, LISTING_API, now).is_some();
        let due = if exhausted {
            self.note_spent_budget(now);
            tracing::warn!(
                account = %account,
                used = facts.budget_used,
                budget = self.settings.daily_budget,
                "the account's polls of this Beijing day are used up; they go on tomorrow"
            );
            now.next_beijing_day() + self.spread(Duration::from_mins(10))
        } else {
            facts.budget_used += 1;
            // It is written down a moment before its time, and waits from its time on.
            self.due_if_unchanged(facts, now + begins.saturating_sub(stopwatch))
        };
        *then = stopwatch + now.until(due);
        rows.push(Reservation(
            facts.row,
            due.ms(),
            facts.budget_day,
            facts.budget_used,
            facts.checked_at.map(Time::ms),
        ));
        if exhausted { Prepared::Wait } else { Prepared::Poll }
    }

    /// A moment within `within`, so that what was held back together does not go on together.
    pub(super) fn spread(&self, within: Duration) -> Duration {
        moment_within(&**self.clock(), within)
    }
}
