//! What is sent as one message: a single delivery, or several reminders for a channel that people read. Pure.

use crate::{
    domain::{
        event::{EventType, OutboxEvent},
        text::reminders::{ReminderLine, together},
        time::Time,
    },
    store::read::due_deliveries::DueDelivery,
};

/// Deliveries that are sent as one message and share its result.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) first: DueDelivery,
    pub(super) others: Vec<DueDelivery>,
}

impl Parcel {
    /// One message by itself.
    pub(super) const fn of(first: DueDelivery) -> Self {
        Self { first, others: Vec::new() }
    }

    /// A reminder together with as many others as fit into `bytes`. Returns the rest as well.
    pub(super) fn of_reminders(
        first: DueDelivery,
        mut others: Vec<DueDelivery>,
        bytes: usize,
    ) -> (Self, Vec<DueDelivery>) {
        let Some(line) = ReminderLine::read(&first.data) else { return (Self::of(first), others) };
        others.sort_by_key(|due| due.seq);
        let (mut taken, mut left, mut size) = (Vec::new(), Vec::new(), line.bytes());
        for due in others {
            let other = ReminderLine::read(&due.data).filter(|other| other.language() == line.language());
            match other.map(|other| size + other.bytes()).filter(|size| *size <= bytes) {
                Some(grown) => {
                    size = grown;
                    taken.push(due);
                }
                None => left.push(due),
            }
        }
        (Self { first, others: taken }, left)
    }

    /// The event that is sent.
    pub(super) fn event(&self) -> OutboxEvent {
        let due = &self.first;
        let event = OutboxEvent {
            id: due.event_id.clone(),
            kind: due.kind.clone(),
            subject: due.subject.clone(),
            partition_key: due.partition_key.clone(),
            sequence: due.seq,
            at: Time::from_ms(due.at),
            data: due.data.clone(),
        };
        if self.others.is_empty() {
            return event;
        }
        let lines = std::iter::once(&self.first).chain(&self.others).filter_map(|due| ReminderLine::read(&due.data));
        together(event, &lines.collect::<Vec<_>>())
    }

    /// All deliveries.
    pub(super) fn into_deliveries(self) -> impl Iterator<Item = DueDelivery> {
        std::iter::once(self.first).chain(self.others)
    }
}

/// Whether this may be sent together with other reminders. One that was refused is sent alone, as it may be the cause.
pub(super) fn is_reminder(due: &DueDelivery) -> bool {
    EventType::from_word(&due.kind) == Some(EventType::Nudge) && due.refusals == 0
}
