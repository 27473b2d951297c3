//! Queues each event for the channels that want it. Type, key and level are enough for that.

use std::time::Duration;

use crate::{
    domain::{
        alert_rules::Rule,
        event::{AlertPhase, EventType},
        time::Time,
    },
    store::{read::news::News, row_id::new_id, write::alerts::NewDelivery},
};

/// What a channel asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel's name.
    pub channel: String,
    /// Whether it gets alerts; of these rules alone, when any is named.
    pub alerts: Option<Vec<Rule>>,
    /// From which age of an alert on it is told.
    pub after: Duration,
    /// Whether it gets every transition.
    pub transitions: bool,
    /// Whether it gets conflicts.
    pub conflicts: bool,
    /// Whether it gets the summary of the day.
    pub digests: bool,
}

impl Subscription {
    /// The age as events write it.
    pub(super) fn after_ms(&self) -> i64 {
        i64::try_from(self.after.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether it gets alerts of this rule.
    pub(super) fn gets(&self, rule: Rule) -> bool {
        self.alerts.as_ref().is_some_and(|rules| rules.is_empty() || rules.contains(&rule))
    }

    /// The same by the rule's word.
    pub(super) fn gets_word(&self, rule: &str) -> bool {
        Rule::from_word(rule).is_some_and(|rule| self.gets(rule))
    }

    fn wants(&self, event: &News) -> bool {
        match event.kind {
            Some(EventType::Request(_)) => self.transitions,
            Some(EventType::Conflict(_)) => self.conflicts,
            Some(EventType::Digest) => self.digests,
            Some(EventType::Alert(phase)) => self.wants_alert(phase, event),
            // A reminder is queued for its channel when it is made. Of another version's events nothing is known.
            Some(EventType::Nudge) | None => false,
        }
    }

    fn wants_alert(&self, phase: AlertPhase, event: &News) -> bool {
        let (Some(rule), Some(reach)) = (rule_of(&event.partition_key), event.reach) else { return false };
        let is_for_me = match phase {
            // Each age is told for the first time by an event of its own.
            AlertPhase::Fired => self.after_ms() == reach,
            AlertPhase::Repeated | AlertPhase::Resolved => self.after_ms() <= reach,
        };
        is_for_me && self.gets(rule)
    }
}

/// The rule of a reason such as `stuck.account_admin`.
pub(super) fn rule_of(reason: &str) -> Option<Rule> {
    Rule::from_word(reason.split('.').next().unwrap_or_default())
}

/// A message for every channel that wants one of these events.
pub(super) fn deliveries(subscriptions: &[Subscription], news: &[News], now: Time) -> Vec<NewDelivery> {
    let wanted = news.iter().flat_map(|event| {
        subscriptions
            .iter()
            .filter(|subscription| subscription.wants(event))
            .map(move |subscription| (event, subscription))
    });
    wanted
        .map(|(event, subscription)| NewDelivery {
            id: new_id(now),
            event_id: event.id.clone(),
            seq: event.seq,
            partition_key: event.partition_key.clone(),
            channel: subscription.channel.clone(),
            created_at: now.ms(),
        })
        .collect()
}
