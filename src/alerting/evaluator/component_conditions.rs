//! What people must know about the platform itself, when the daemon keeps its tokens: from its rows, so that a restart
//! forgets nothing.

use std::time::Duration;

use super::AlertEvaluator;
use crate::{
    domain::{
        alert_rules::{Count, SystemCondition},
        authorizer::{CALLS_PER_DAY, ComponentRefusal, LIST_CALLS_PER_DAY, OWN_CAP},
        errcode::Refusal,
        quota::Period,
        time::Time,
    },
    store::{StoreError, write::component::ComponentRow},
};

/// How long there may be no usable ticket, or no push at all, before that is told: gaps of real pushes are shorter, mostly.
const TICKET_MISSING_AFTER: Duration = Duration::from_mins(30);

/// Accounts whose tokens die early within an hour that are taken for another system's doing.
const FOREIGN_FROM: u64 = 3;

const FOREIGN_WITHIN: Duration = Duration::from_hours(1);

/// How long a push may take that says that an owner did it: a new authorization kills the tokens before it.
const FOREIGN_GRACE: Duration = Duration::from_mins(2);

/// How long accounts take to be looked at once a process has begun.
const JUST_BEGUN: Duration = Duration::from_mins(2);

impl AlertEvaluator {
    /// Whether the component may have failed until a moment before this process began, which its row does not say any more.
    pub(super) fn may_have_been_tokenless(&self) -> bool {
        self.settings.component.is_some() && self.watched_for() < JUST_BEGUN
    }

    /// The component whose tokens the daemon keeps itself, once it is known; none, while its row is not valid: the audit tells
    /// that, and the other rules go on.
    pub(super) async fn component_row(&self) -> Result<Option<ComponentRow>, StoreError> {
        let Some(appid) = &self.settings.component else { return Ok(None) };
        match self.store().component(appid).await {
            Err(error) if error.is_of_one_row() => {
                tracing::error!(event = "db.bad_row", table = "component", error = %error, "the platform's own alerts are not evaluated");
                Ok(None)
            }
            row => row,
        }
    }

    pub(super) async fn component(
        &self,
        row: Option<ComponentRow>,
        now: Time,
    ) -> Result<Vec<SystemCondition>, StoreError> {
        let Some(row) = row else { return Ok(Vec::new()) };
        let appid = &row.appid;
        let mut conditions: Vec<SystemCondition> = ticket_missing(&row, now).into_iter().collect();
        if let (Some(refusal), Some(since)) = (&row.refusal, row.refused_since) {
            let is_long = now.since(since) >= self.settings.attention.unread_after;
            let refused =
                || SystemCondition::ComponentRefused { component: appid.clone(), refusal: refusal.clone(), since };
            match ComponentRefusal::of(refusal.errcode) {
                // These are told in other words.
                ComponentRefusal::Ticket | ComponentRefusal::Address => {}
                ComponentRefusal::Secret | ComponentRefusal::DayUsedUp => conditions.push(refused()),
                // A busy system is over before anybody could act.
                ComponentRefusal::ComponentToken
                | ComponentRefusal::RefreshToken
                | ComponentRefusal::Unauthorized
                | ComponentRefusal::Code
                | ComponentRefusal::Other => conditions.extend(is_long.then(refused)),
            }
        }
        conditions.extend(own_cap(&row, now));
        let (count, example) = self.store().killed_tokens(now - FOREIGN_WITHIN, now - FOREIGN_GRACE).await?;
        if let Some(example) = example.filter(|_| count >= FOREIGN_FROM) {
            let (component, since) = (appid.clone(), Time::default());
            conditions.push(SystemCondition::ForeignRefresher { component, count: Count(count), example, since });
        }
        Ok(conditions)
    }

    /// Listeners at which keys are tried that nobody has.
    pub(super) fn keys_refused(&self) -> impl Iterator<Item = SystemCondition> {
        let many = self.engine.refused_keys().many(self.engine.clock().monotonic());
        many.into_iter().map(|listener| SystemCondition::TokenKeyRefused { listener, since: Time::default() })
    }
}

/// Whether no token may come because of the component itself.
pub(super) fn is_in_trouble(row: &ComponentRow) -> bool {
    row.ticketless_since.is_some() || row.refusal.is_some()
}

/// The list has had its part of the day's calls, or there are none at all any more.
fn own_cap(row: &ComponentRow, now: Time) -> Option<SystemCondition> {
    let (day, used, _) = row.calls;
    let is_reached = day == now.beijing_day() && used >= LIST_CALLS_PER_DAY;
    is_reached.then(|| {
        let left =
            if used < CALLS_PER_DAY { "the rest is for the platform's own token" } else { "no token is renewed" };
        let refusal = Refusal { errcode: OWN_CAP, errmsg: format!("{used} of {CALLS_PER_DAY}: {left}") };
        SystemCondition::ComponentRefused { component: row.appid.clone(), refusal, since: Period::Day.began(now) }
    })
}

fn ticket_missing(row: &ComponentRow, now: Time) -> Option<SystemCondition> {
    let silent_since = row.ticket_at.filter(|at| now.since(*at) >= TICKET_MISSING_AFTER);
    // When the last ticket dies of which nobody has heard for hours, nothing new begins.
    let since = row.ticketless_since.into_iter().chain(silent_since).min()?;
    let is_long = now.since(since) >= TICKET_MISSING_AFTER;
    is_long.then(|| SystemCondition::TicketMissing { component: row.appid.clone(), last: row.ticket_at, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(calls: (i64, i64, i64)) -> ComponentRow {
        ComponentRow {
            appid: "wxcccccccccccccccc".to_owned(),
            key_check: Vec::new(),
            ticket: None,
            ticket_at: None,
            ticketless_since: None,
            ticket_refused: None,
            token: None,
            generation: 0,
            refusal: None,
            refused_since: None,
            held_until: None,
            swept_at: None,
            sweep_offset: None,
            calls,
            open_keys: None,
        }
    }

    #[test]
    fn the_day_s_own_cap_is_told_when_the_list_has_had_its_part() {
        let now = Time::from_ms(1_773_100_800_000);
        let today = now.beijing_day();
        assert_eq!(own_cap(&row((today, LIST_CALLS_PER_DAY - 1, 0)), now), None);
        assert_eq!(own_cap(&row((today - 1, CALLS_PER_DAY, 0)), now), None, "yesterday's");
        let said = |used| match own_cap(&row((today, used, 0)), now) {
            Some(SystemCondition::ComponentRefused { refusal, .. }) => refusal.errmsg,
            other => panic!("{other:?}"),
        };
        assert!(said(LIST_CALLS_PER_DAY).contains("own token"));
        assert!(said(CALLS_PER_DAY).contains("no token is renewed"));
    }
}
