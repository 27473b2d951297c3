//! What an account is after a look, and when it is looked at next. It must never look itself.

use std::time::Duration;

use super::{
    Engine,
    agenda::Facts,
    poll::{Due, Look, Polled},
    rounds::{next_round, put_off},
};
use crate::{
    domain::{
        plan::{AccountPlan, plan_account},
        policy::LOOK_EVERY_MAX,
        request::Request,
        time::Time,
    },
    store::{
        Record, StoreError,
        accounts::{AccountUpdate, Standing},
    },
};

/// How often a suspended account is asked whether it may be called again.
pub(super) const PROBE_EVERY: Duration = Duration::from_hours(1);

/// "From now on", in a way that no step of the calendar turns into "later".
pub(super) const AT_ONCE: Time = Time::from_ms(0);

impl Engine {
    /// One plan from all requests of one account, spread: what is written is what is done.
    pub(super) fn plan(&self, row: i64, requests: &[Request], now: Time) -> AccountPlan {
        let plan = plan_account(requests, self.policy(), now);
        AccountPlan {
            due: plan.due.map(|due| if due > now { next_round(row, now, now.until(due)) } else { due }),
            reread_at: plan.reread_at.map(|at| if at <= now { AT_ONCE } else { at }),
            ..plan
        }
    }

    /// Writes what the account is from now on, and nothing else.
    pub(super) async fn rest(
        &self,
        look: &Look<'_>,
        plan: AccountPlan,
        hash: Option<i64>,
    ) -> Result<Polled, StoreError> {
        let account = Some(Self::account_update(look, plan, hash));
        self.recorder.write(Record { account, ..Record::default() }).await?;
        Ok(Self::polled(&look.facts, plan, look.now, hash))
    }

    /// Writes when the account is due after a look that needed no list: nothing else is known anew.
    pub(super) async fn rest_unasked(&self, look: &Look<'_>, plan: AccountPlan) -> Result<Polled, StoreError> {
        let account = Some(AccountUpdate {
            account: look.account.clone(),
            next_check_at: plan.due,
            pace_from: plan.pace_from,
            reread_at: plan.reread_at,
            checked_at: look.facts.checked_at,
            listing_hash: look.facts.listing_hash,
            failures: look.facts.failures,
            last_error: None,
            trouble: None,
            unread_since: None,
            standing: None,
        });
        self.recorder.write(Record { account, ..Record::default() }).await?;
        let facts = Facts { pace_from: plan.pace_from, reread_at: plan.reread_at, ..look.facts.clone() };
        Ok(Polled { facts, due: plan.due.map_or(Due::Never, Due::At) })
    }

    /// Nothing of this account is open: it leaves the agenda until cron or a request brings it back.
    pub(super) async fn nothing_waits(&self, look: &Look<'_>) -> Result<Due, StoreError> {
        self.rest(look, AccountPlan::default(), look.facts.listing_hash).await.map(|polled| polled.due)
    }

    pub(super) fn polled(facts: &Facts, plan: AccountPlan, now: Time, hash: Option<i64>) -> Polled {
        let facts = Facts {
            row: facts.row,
            listing_hash: hash,
            pace_from: plan.pace_from,
            reread_at: plan.reread_at,
            checked_at: Some(now),
            failures: 0,
            is_suspended: false,
            budget_day: facts.budget_day,
            budget_used: facts.budget_used,
        };
        Polled { facts, due: plan.due.map_or(Due::Never, Due::At) }
    }

    pub(super) fn account_update(look: &Look<'_>, plan: AccountPlan, hash: Option<i64>) -> AccountUpdate {
        if look.facts.is_suspended {
            tracing::warn!(account = %look.account, "the account answers again: resumed");
        }
        AccountUpdate {
            account: look.account.clone(),
            next_check_at: plan.due,
            pace_from: plan.pace_from,
            reread_at: plan.reread_at,
            checked_at: Some(look.now),
            listing_hash: hash,
            failures: 0,
            last_error: None,
            trouble: None,
            unread_since: None,
            standing: look.facts.is_suspended.then_some((Standing::Active, look.now)),
        }
    }

    /// When an account is due after a poll at `now` that changes nothing.
    pub(super) fn due_if_unchanged(&self, facts: &Facts, now: Time) -> Time {
        let policy = self.policy();
        let every = match (facts.pace_from, facts.reread_at) {
            _ if facts.is_suspended => PROBE_EVERY,
            // Something waits for this very poll: if the process does not live to record it, the next one makes it soon.
            (_, Some(at)) if at <= now => policy.steps.every(Duration::ZERO),
            (Some(from), _) => policy.steps.every(now.since(from)),
            // A month that rolls over is all that is waited for: now and then somebody else may link it meanwhile.
            (None, Some(_)) => LOOK_EVERY_MAX,
            (None, None) => policy.steps.every(Duration::MAX),
        };
        let due = next_round(facts.row, now, every);
        // A time limit is kept although the list does not change.
        facts.reread_at.filter(|at| *at > now).map_or(due, |at| at.min(due))
    }

    /// Spreads what would otherwise come up together: later by up to a tenth of the wait, and never by much.
    pub(super) fn jittered(&self, now: Time, due: Time) -> Time {
        due + self.spread(put_off(now.until(due)))
    }
}
