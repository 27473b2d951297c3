//! Where event streams hear of new events: each page that the one reader has read is handed to all of them. A stream that
//! falls behind loses its place here and reads the database itself.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::{
    domain::time::Time,
    notify::cloudevents::{BareEvent, cloud_event},
    store::{Store, StoreError, read::events::LoggedEvent},
};

/// Events that are read at once.
pub(super) const PAGE: u32 = 100;

/// Pages by which a stream may be behind before it reads by itself.
const KEPT: usize = 32;

/// New events, and between which sequences they are all there is.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) after: i64,
    pub(super) upto: i64,
    pub(super) events: Arc<[Encoded]>,
}

/// An event as a stream sends it.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) seq: i64,
    pub(super) text: String,
}

/// Where new events come from.
#[derive(Debug)]
pub(super) struct Feed(broadcast::Sender<Batch>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Feed {
    /// A place from which everything new is heard.
    pub(super) fn follow(&self) -> broadcast::Receiver<Batch> {
        self.0.subscribe()
    }

    /// Whether anybody follows.
    pub(super) fn is_followed(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Hands on what is new after `place`; without one, only tells where it begins. Answers how far it has come.
    pub(super) async fn look(&self, store: &Store, place: Option<i64>) -> Result<i64, StoreError> {
        let Some(mut place) = place else {
            let last = store.newest_event().await?;
            // Whoever has come less far reads up to there.
            self.send(last, last, &[]);
            return Ok(last);
        };
        loop {
            let page = store.events_after(place, PAGE).await?;
            let Some(upto) = page.upto else { return Ok(place) };
            self.send(place, upto, &page.events);
            place = upto;
            if !page.is_full {
                return Ok(place);
            }
        }
    }

    fn send(&self, after: i64, upto: i64, events: &[LoggedEvent]) {
        let events = events.iter().map(|event| Encoded { seq: event.seq, text: encoded(event) }).collect();
        // The last stream may just have ended.
        let _ = self.0.send(Batch { after, upto, events });
    }
}

/// The bytes that webhooks get.
pub(super) fn bytes_of(event: &LoggedEvent) -> String {
    let LoggedEvent { seq, id, kind, subject, partition_key, at, data } = event;
    let (sequence, at) = (*seq, Time::from_ms(*at));
    cloud_event(BareEvent { id, kind, subject, partition_key, sequence, at, data })
}

/// An event as a stream sends it.
pub(super) fn encoded(event: &LoggedEvent) -> String {
    block(event.seq, &event.kind, &bytes_of(event))
}

/// An event of a stream. A line break would end it: data that has one is several lines, which clients join again.
pub(super) fn block(seq: i64, kind: &str, data: &str) -> String {
    let data = data.replace('\n', "\ndata: ");
    format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_stream_has_its_bytes_on_one_line_or_on_lines_that_clients_join() {
        assert_eq!(block(7, "a.b", "{\"x\":1}"), "id: 7\nevent: a.b\ndata: {\"x\":1}\n\n");
        assert_eq!(block(7, "a.b", "{\n}"), "id: 7\nevent: a.b\ndata: {\ndata: }\n\n");
    }
}
