//! Messages that are due and not sent yet: alerts overtake everything else, those of the rule `daemon` first. Pure.

use std::collections::{VecDeque, vec_deque::Drain};

use crate::{
    alerting::fan_out::rule_of,
    domain::{
        alert_rules::Rule,
        event::{AlertPhase, EventType},
    },
    store::read::due_deliveries::DueDelivery,
};

/// The classes of messages, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// An alert of the rule `daemon`.
    Daemon,
    /// Any other alert.
    Alert,
    /// Steps, conflicts, reminders and digests.
    News,
}

impl Urgency {
    fn of(due: &DueDelivery) -> Self {
        match EventType::from_word(&due.kind) {
            Some(EventType::Alert(AlertPhase::Fired | AlertPhase::Repeated | AlertPhase::Resolved)) => {
                if rule_of(&due.partition_key) == Some(Rule::Daemon) { Self::Daemon } else { Self::Alert }
            }
            Some(EventType::Request(_) | EventType::Conflict(_) | EventType::Digest | EventType::Nudge) | None => {
                Self::News
            }
        }
    }
}

/// The queue, in the order in which messages are sent.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    rows: VecDeque<DueDelivery>,
}

impl ReadyQueue {
    /// Adds a message behind all that are at least as urgent.
    pub(super) fn push(&mut self, due: DueDelivery) {
        let urgency = Urgency::of(&due);
        let place = self.rows.partition_point(|row| Urgency::of(row) <= urgency);
        self.rows.insert(place, due);
    }

    /// Takes the next message.
    pub(super) fn pop(&mut self) -> Option<DueDelivery> {
        self.rows.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether an alert could overtake the next message.
    pub(super) fn can_be_overtaken(&self) -> bool {
        self.rows.front().is_some_and(|row| Urgency::of(row) != Urgency::Daemon)
    }

    /// Takes out all messages of a kind.
    pub(super) fn take(&mut self, of: impl Fn(&DueDelivery) -> bool) -> Vec<DueDelivery> {
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.rows).into_iter().partition(of);
        self.rows = rest.into();
        taken
    }

    /// Takes out all messages.
    pub(super) fn drain(&mut self) -> Drain<'_, DueDelivery> {
        self.rows.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(seq: i64, kind: &str, key: &str) -> DueDelivery {
        let text = String::new;
        DueDelivery {
            id: text(),
            event_id: text(),
            kind: kind.to_owned(),
            subject: text(),
            partition_key: key.to_owned(),
            seq,
            at: 0,
            data: text(),
            attempts: 0,
            refusals: 0,
            was_unconfirmed: false,
            created_at: 0,
        }
    }

    #[test]
    fn alerts_overtake_and_the_daemons_come_first() {
        let mut queue = ReadyQueue::default();
        for (seq, kind, key) in [
            (1, "amplinkd.nudge", "r1"),
            (2, "amplinkd.alert.fired", "stuck.unlink"),
            (3, "amplinkd.request.linked", "r2"),
            (4, "amplinkd.alert.resolved", "failed.refused"),
            (5, "amplinkd.alert.fired", "daemon.overdue"),
            (6, "amplinkd.later.version", "x"),
            (7, "amplinkd.alert.repeated", "daemon.unwritable"),
        ] {
            queue.push(due(seq, kind, key));
        }
        assert!(!queue.can_be_overtaken());
        let reminders = queue.take(|due| due.kind == "amplinkd.nudge");
        assert_eq!(reminders.iter().map(|due| due.seq).collect::<Vec<_>>(), [1]);
        let order: Vec<i64> = std::iter::from_fn(|| queue.pop()).map(|due| due.seq).collect();
        assert_eq!(order, [5, 7, 2, 4, 3, 6]);
    }
}
