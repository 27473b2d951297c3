//! What event streams are fed from: one reader looks for new events every quarter of a second, however many streams there
//! are, and hands each to all of them. A stream that falls behind loses its place there and reads the database itself, by
//! the sequence that it has come to: it holds up nobody, and misses nothing.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

use super::state::Api;
use crate::{
    domain::time::Time,
    metrics::http::OpenStream,
    notify::cloudevents::{BareEvent, cloud_event},
    shutdown::Shutdown,
    store::{StoreError, read::events::LoggedEvent},
};

/// How often it is looked for new events, as the watch does.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Events that are read at once.
const PAGE: u32 = 100;

/// Pages by which a stream may be behind before it reads by itself.
const KEPT: usize = 32;

/// Pieces that wait for a client to take them.
const WAITING: usize = 4;

/// A line that says nothing comes after so long, so that nobody in between takes the connection for dead.
const SILENCE: Duration = Duration::from_secs(15);

/// How long a stream waits before it tries again to read.
const RETRY: Duration = Duration::from_secs(1);

/// New events, and between which sequences they are all there is.
#[derive(Debug, Clone)]
struct Batch {
    after: i64,
    upto: i64,
    events: Arc<[Encoded]>,
}

/// An event as a stream sends it.
#[derive(Debug)]
struct Encoded {
    seq: i64,
    text: String,
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

fn encoded(event: &LoggedEvent) -> String {
    block(event.seq, &event.kind, &bytes_of(event))
}

/// An event of a stream. A line break would end it: data that has one is several lines, which clients join again.
pub(super) fn block(seq: i64, kind: &str, data: &str) -> String {
    let data = data.replace('\n', "\ndata: ");
    format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n")
}

/// Looks for new events while anybody follows, until the end is asked for.
pub(super) async fn run(api: &Api, shutdown: &Shutdown) {
    let mut place = None;
    while shutdown.unless_asked(sleep(LOOK_EVERY)).await.is_some() {
        if api.feed.0.receiver_count() == 0 {
            place = None;
            continue;
        }
        match look(api, place).await {
            Ok(upto) => place = Some(upto),
            // That nothing can be read is said where it is watched.
            Err(error) => tracing::debug!(event = "http.feed", error = %error, "could not read events; will retry"),
        }
    }
}

/// Hands on what is new after `place`; without one, only tells where it begins. Answers how far it has come.
async fn look(api: &Api, place: Option<i64>) -> Result<i64, StoreError> {
    let Some(mut place) = place else {
        let last = api.store().newest_event().await?;
        // Whoever has come less far reads up to there.
        api.feed.send(last, last, &[]);
        return Ok(last);
    };
    loop {
        let page = api.store().events_after(place, PAGE).await?;
        let Some(upto) = page.upto else { return Ok(place) };
        api.feed.send(place, upto, &page.events);
        place = upto;
        if !page.is_full {
            return Ok(place);
        }
    }
}

/// One stream, on the side that fills it.
#[derive(Debug)]
pub(super) struct Follower {
    api: Api,
    feed: broadcast::Receiver<Batch>,
    out: mpsc::Sender<Bytes>,
    /// The sequence up to which everything was sent.
    seen: i64,
}

/// The same on the side that is sent. As long as it lives, its place is taken.
#[derive(Debug)]
pub(super) struct EventBody {
    pieces: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
    _counted: Option<OpenStream>,
}

impl Follower {
    /// A stream of what comes after `seen`.
    pub(super) fn new(api: &Api, seen: i64, place: OwnedSemaphorePermit) -> (Self, EventBody) {
        let (out, pieces) = mpsc::channel(WAITING);
        let feed = api.feed.0.subscribe();
        let counted = api.metrics().map(|metrics| metrics.http().stream());
        (Self { api: api.clone(), feed, out, seen }, EventBody { pieces, _place: place, _counted: counted })
    }

    /// Sends `first`, then every event, until the client has gone or `end` comes.
    pub(super) async fn run(mut self, first: String, end: impl Future<Output = ()>) {
        let out = self.out.clone();
        tokio::select! {
            _ = self.send_all(first) => {}
            () = out.closed() => {}
            () = end => {}
        }
    }

    /// `None` when nobody takes it any more.
    async fn send_all(&mut self, first: String) -> Option<()> {
        self.send(first).await?;
        let mut silence = interval_at(Instant::now() + SILENCE, SILENCE);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.catch_up().await?;
            loop {
                let batch = tokio::select! {
                    batch = self.feed.recv() => batch,
                    _ = silence.tick() => {
                        self.send(":\n\n".to_owned()).await?;
                        continue;
                    }
                };
                match batch {
                    Ok(batch) if batch.after <= self.seen => self.pass(&batch).await?,
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    }

    /// Sends what the database has and this stream has not.
    async fn catch_up(&mut self) -> Option<()> {
        loop {
            match self.api.reading(self.api.store().events_after(self.seen, PAGE)).await {
                Ok(page) => {
                    let Some(upto) = page.upto else { return Some(()) };
                    self.send(page.events.iter().map(encoded).collect()).await?;
                    self.seen = upto;
                    if !page.is_full {
                        return Some(());
                    }
                }
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    async fn pass(&mut self, batch: &Batch) -> Option<()> {
        let new = batch.events.iter().filter(|event| event.seq > self.seen);
        let text: String = new.map(|event| event.text.as_str()).collect();
        self.send(text).await?;
        self.seen = self.seen.max(batch.upto);
        Some(())
    }

    async fn send(&self, text: String) -> Option<()> {
        if text.is_empty() { Some(()) } else { self.out.send(text.into()).await.ok() }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
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
