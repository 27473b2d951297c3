//! Rechecks requests that did not move: those that are still not called, and those with an alert based on what was
//! known of their account before. One page per evaluation, round after round.

use super::{AlertEvaluator, PAGE};
use crate::{
    domain::{
        alert_rules::{AGING, Stage},
        event::EventType,
        request::StateKind,
        time::Time,
    },
    store::{
        StoreError,
        read::{
            news::News,
            recheck::{Aged, Recheck},
        },
    },
};

/// How far each round has come; from the beginning, when it is empty.
#[derive(Debug)]
pub(super) struct RecheckCursors {
    stale: (String, String),
    uncalled: (String, String),
    /// Of each of [`AGING`].
    pub(super) aged: [Aged; AGING.len()],
}

/// Requests that have got old.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) requests: Vec<String>,
    /// How far each of [`AGING`] is looked through once they are looked at.
    pub(super) places: [Aged; AGING.len()],
    /// Whether there may be more.
    pub(super) more: bool,
}

impl Default for RecheckCursors {
    fn default() -> Self {
        let aged = [(i64::MIN, 0); AGING.len()];
        Self { stale: Default::default(), uncalled: Default::default(), aged }
    }
}

impl AlertEvaluator {
    /// Whether what this step led to may concern somebody at this moment. Most steps lead to where somebody is only waited
    /// for: what gets too old there is found by its age ([`AlertEvaluator::aged`]), what was told of it before by its alert.
    pub(super) fn may_concern(&self, event: &News, now: Time) -> bool {
        match event.kind {
            Some(EventType::Request(StateKind::Requested | StateKind::Linked | StateKind::Cancelled)) => false,
            Some(EventType::Request(state)) => {
                self.settings.attention.ages(state).is_none_or(|age| event.at + age <= now)
            }
            Some(EventType::Conflict(_)) => true,
            Some(EventType::Alert(_) | EventType::Digest | EventType::Nudge) | None => false,
        }
    }

    /// A page of requests that have got as old as may concern somebody. What is done with them is written before
    /// [`RecheckCursors::aged`] moves on: otherwise nobody would look at them again.
    pub(super) async fn aged(&self, now: Time) -> Result<Old, StoreError> {
        let mut old = Old { requests: Vec::new(), places: self.rounds.aged, more: false };
        for (place, (state, _)) in old.places.iter_mut().zip(AGING) {
            let Some(age) = self.settings.attention.ages(state) else { continue };
            let until = (now - age).ms();
            // The clock was set back, or patience has grown: what comes to be of that age is found again.
            let from = if place.0 > until { (until, i64::MAX) } else { *place };
            let page = self.store().aged(state.as_str(), from, until, PAGE).await?;
            *place = page.place;
            old.requests.extend(page.requests);
            old.more |= page.is_full;
        }
        Ok(old)
    }

    /// When the next request gets as old as may concern somebody.
    pub(super) async fn next_aged(&self) -> Result<Option<Time>, StoreError> {
        let mut next = None;
        for ((after, _), (state, _)) in self.rounds.aged.iter().zip(AGING) {
            let Some(age) = self.settings.attention.ages(state) else { continue };
            if let Some(since) = self.store().next_to_age(state.as_str(), *after).await? {
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
        let Recheck { mut requests, last } = self.store().stale_stuck(&self.rounds.stale, unread_before, PAGE).await?;
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
