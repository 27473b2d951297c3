//! Encodes an event as a `CloudEvent` for other systems, with the same bytes on every retry.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::{message::Message, time::Time};

/// The version of `CloudEvents` that we write
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#specversion>).
const SPEC_VERSION: &str = "1.0";

/// Where our events come from. With `id` it names an event once and for all.
const SOURCE: &str = "/amplinkd";

/// The type of the data.
const DATA_TYPE: &str = "application/json";

/// What a structured event is called over HTTP
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#3-envelope>).
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Digits of `sequence`: as many as the largest number has, so that texts compare as the numbers do
/// (<https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/sequence.md>).
const SEQUENCE_DIGITS: usize = 19;

/// The attributes in the order in which they are written. An attribute must not be empty: such a one is left out.
#[derive(Serialize)]
struct CloudEvent<'m> {
    specversion: &'static str,
    id: &'m str,
    source: &'static str,
    r#type: &'m str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'m str,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    partitionkey: &'m str,
    sequence: String,
    data: Data<'m>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'m> {
    /// JSON, byte for byte.
    Json(&'m RawValue),
    /// What is no JSON, as a JSON string: it is passed on rather than lost.
    Text(&'m str),
}

/// An event as machines read it, without words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareEvent<'e> {
    /// Its id.
    pub id: &'e str,
    /// Its type.
    pub kind: &'e str,
    /// What it is about.
    pub subject: &'e str,
    /// Its key of order.
    pub partition_key: &'e str,
    /// Its place among all events.
    pub sequence: i64,
    /// When it happened.
    pub at: Time,
    /// Its data: a JSON object as text.
    pub data: &'e str,
}

impl<'m> From<&'m Message> for BareEvent<'m> {
    fn from(message: &'m Message) -> Self {
        let Message { id, kind, subject, partition_key, sequence, at, data, .. } = message;
        Self { id, kind, subject, partition_key, sequence: *sequence, at: *at, data }
    }
}

/// The event as a JSON object, in the structured mode of `CloudEvents` 1.0. `partitionkey` and `sequence` are its
/// extensions: events with the same key come in the order of their sequences.
#[must_use]
pub fn cloud_event<'e>(event: impl Into<BareEvent<'e>>) -> String {
    let BareEvent { id, kind, subject, partition_key, sequence, at, data } = event.into();
    let event = CloudEvent {
        specversion: SPEC_VERSION,
        id,
        source: SOURCE,
        r#type: kind,
        subject,
        time: at.to_string(),
        datacontenttype: DATA_TYPE,
        partitionkey: partition_key,
        sequence: format!("{sequence:0SEQUENCE_DIGITS$}"),
        data: serde_json::from_str(data).map_or(Data::Text(data), Data::Json),
    };
    // Texts and numbers always become JSON.
    serde_json::to_string(&event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fixture::message;

    #[test]
    fn the_exact_bytes() {
        assert_eq!(
            cloud_event(&message()),
            concat!(
                r#"{"specversion":"1.0","id":"0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b","source":"/amplinkd","#,
                r#""type":"amplinkd.alert.fired","subject":"wx0123456789abcdef","time":"2026-11-22T19:03:07.042Z","#,
                r#""datacontenttype":"application/json","partitionkey":"stuck/account_admin","#,
                r#""sequence":"0000000000000000042","data":{"alerts": [1, 2.50, "公众号"]}}"#,
            )
        );
    }

    #[test]
    fn an_empty_attribute_is_left_out_and_no_data_is_lost() {
        let mut message = message();
        message.subject = String::new();
        message.partition_key = String::new();
        message.data = "{not json".to_owned();
        let event: serde_json::Value = serde_json::from_str(&cloud_event(&message)).unwrap();
        assert!(event.get("subject").is_none() && event.get("partitionkey").is_none());
        assert_eq!(event["data"], "{not json");
    }

    #[test]
    fn later_events_have_later_texts() {
        let sequence = |number| {
            let event = cloud_event(&Message { sequence: number, ..message() });
            serde_json::from_str::<serde_json::Value>(&event).unwrap()["sequence"].as_str().unwrap().to_owned()
        };
        assert!(sequence(9) < sequence(10) && sequence(10) < sequence(i64::MAX));
    }
}
