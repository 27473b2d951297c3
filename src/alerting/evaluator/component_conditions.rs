//! What people must know about the platform itself, when the daemon keeps its tokens: from its rows, so that a restart
//! forgets nothing.

use std::time::Duration;

use super::AlertEvaluator;
use crate::{
    domain::{
        alert_rules::{Count, SystemCondition},
        authorizer::ComponentRefusal,
        time::Time,
    },
    store::{StoreError, write::component::ComponentRow},
};

/// How long there may be no usable ticket, or no push at all, before that is told: gaps of real pushes are shorter, mostly.
const TICKET_MISSING_AFTER: Duration = Duration::from_mins(30);

/// Accounts whose tokens die early within an hour that are taken for another system's doing.
const FOREIGN_FROM: u64 = 3;

const FOREIGN_WITHIN: Duration = Duration::from_hours(1);

impl AlertEvaluator {
    pub(super) async fn component(&self, now: Time) -> Result<Vec<SystemCondition>, StoreError> {
        let Some(appid) = &self.settings.component else { return Ok(Vec::new()) };
        let Some(row) = self.store().component(appid).await? else { return Ok(Vec::new()) };
        let mut conditions: Vec<SystemCondition> = ticket_missing(&row, now).into_iter().collect();
        if let (Some(refusal), Some(since)) = (&row.refusal, row.refused_since) {
            match ComponentRefusal::of(refusal.errcode) {
                // These are told in other words.
                ComponentRefusal::Ticket | ComponentRefusal::Address => {}
                ComponentRefusal::Secret
                | ComponentRefusal::DayUsedUp
                | ComponentRefusal::ComponentToken
                | ComponentRefusal::RefreshToken
                | ComponentRefusal::Unauthorized
                | ComponentRefusal::Code
                | ComponentRefusal::Other => conditions.push(SystemCondition::ComponentRefused {
                    component: appid.clone(),
                    refusal: refusal.clone(),
                    since,
                }),
            }
        }
        let (count, example) = self.store().killed_tokens(now - FOREIGN_WITHIN).await?;
        if let Some(example) = example.filter(|_| count >= FOREIGN_FROM) {
            let (component, since) = (appid.clone(), Time::default());
            conditions.push(SystemCondition::ForeignRefresher { component, count: Count(count), example, since });
        }
        Ok(conditions)
    }
}

fn ticket_missing(row: &ComponentRow, now: Time) -> Option<SystemCondition> {
    let silent_since = row.ticket_at.filter(|at| now.since(*at) >= TICKET_MISSING_AFTER);
    let since = row.ticketless_since.or(silent_since)?;
    let is_long = now.since(since) >= TICKET_MISSING_AFTER;
    is_long.then(|| SystemCondition::TicketMissing { component: row.appid.clone(), last: row.ticket_at, since })
}
