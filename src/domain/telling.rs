//! The words for what happened: an event becomes the message that every channel writes down. It must never know how a
//! channel does that, nor when it is sent.

use super::{
    message::{Language, Message, Mood},
    time::Time,
};

/// An event as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id: the same in every try and on every channel.
    pub id: String,
    /// Its type, such as `amplinkd.request.linked`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Events with the same key come in order.
    pub partition_key: String,
    /// Its place among all events.
    pub sequence: i64,
    /// When it happened.
    pub at: Time,
    /// Its data: a JSON object as text.
    pub data: String,
}

/// The message for people and systems, in one language, with the times of one zone.
#[must_use]
pub fn message(event: &Told, language: Language, _zone: chrono_tz::Tz, link: Option<&str>) -> Message {
    Message {
        id: event.id.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        partition_key: event.partition_key.clone(),
        sequence: event.sequence,
        at: event.at,
        data: event.data.clone(),
        mood: Mood::News,
        language,
        title: event.kind.clone(),
        lead: String::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        total: 1,
        link: link.map(str::to_owned),
        hint: String::new(),
        alerts: Vec::new(),
    }
}
