//! Looks again at requests of which nothing moved: those that are still not called, and those that are told by what was
//! known of their account before. A page of each at every look around, one round after the other.

use super::{PAGE, Watch};
use crate::{
    domain::{
        attention::{AGING, Stage},
        time::Time,
    },
    store::{
        StoreError,
        attention::News,
        relook::{Aged, Relook},
    },
};

/// How far each round has come; from the beginning, when it is empty.
#[derive(Debug)]
pub(super) struct Rounds {
    stale: (String, String),
    uncalled: (String, String),
    /// Of each of [`AGING`].
    aged: [Aged; AGING.len()],
}

impl Default for Rounds {
    fn default() -> Self {
        let aged = [(i64::MIN, 0); AGING.len()];
        Self { stale: Default::default(), uncalled: Default::default(), aged }
    }
}

impl Watch {
    /// Whether what this step led to may concern somebody at this moment. Most steps lead to where somebody is only waited
    /// for: what gets too old there is found by its age ([`Watch::aged`]), what was told of it before by its alert.
    pub(super) fn may_concern(&self, event: &News, now: Time) -> bool {
        match event.kind.strip_prefix("amplinkd.request.") {
            Some("requested" | "linked" | "cancelled") => false,
            Some(state) => self.settings.attention.ages(state).is_none_or(|age| event.at + age <= now),
            None => event.kind.starts_with("amplinkd.conflict."),
        }
    }

    /// A page of requests that have got as old as may concern somebody. Answers whether there may be more.
    pub(super) async fn aged(&mut self, now: Time) -> Result<(Vec<String>, bool), StoreError> {
        let (mut requests, mut more) = (Vec::new(), false);
        for (place, (state, _)) in self.rounds.aged.iter_mut().zip(AGING) {
            let Some(age) = self.settings.attention.ages(state) else { continue };
            let until = (now - age).ms();
            // The clock was set back, or patience has grown: what comes to be of that age is found again.
            if place.0 > until {
                *place = (until, i64::MAX);
            }
            let (found, is_full) = self.engine.store().aged(state, place, until, PAGE).await?;
            requests.extend(found);
            more |= is_full;
        }
        Ok((requests, more))
    }

    /// When the next request gets as old as may concern somebody.
    pub(super) async fn next_aged(&self) -> Result<Option<Time>, StoreError> {
        let mut next = None;
        for ((after, _), (state, _)) in self.rounds.aged.iter().zip(AGING) {
            let Some(age) = self.settings.attention.ages(state) else { continue };
            if let Some(since) = self.store().next_to_age(state, *after).await? {
                let at = Time::from_ms(since) + age;
                next = Some(next.map_or(at, |next: Time| next.min(at)));
            }
        }
        Ok(next)
    }

    /// Looks at the next page of both.
    pub(super) async fn look_again(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let attention = &self.settings.attention;
        let unread_before = now - attention.unread_after;
        let asked_before = now - attention.shortest(Stage::Requested);
        let Relook { mut requests, last } = self.store().stale_stuck(&self.rounds.stale, unread_before, PAGE).await?;
        self.rounds.stale = last.unwrap_or_default();
        let uncalled = self.store().uncalled(&self.rounds.uncalled, asked_before, PAGE).await?;
        self.rounds.uncalled = uncalled.last.unwrap_or_default();
        requests.extend(uncalled.requests);
        if requests.is_empty() {
            return Ok(());
        }
        let step = self.look_at(&[], requests, now).await?;
        self.write(step).await
    }
}
