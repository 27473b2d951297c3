//! Event streams: one reader looks for new events every quarter of a second, however many streams there are. A stream that
//! falls behind reads the database itself, by the sequence that it has come to: it holds up nobody, and misses nothing.

use std::{
    convert::Infallible,
    pin::Pin,
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
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    feed::{Batch, PAGE, encoded},
    state::Api,
};
use crate::{metrics::http::OpenStream, shutdown::Shutdown};

/// How often it is looked for new events, as the watch does.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Pieces that wait for a client to take them.
const WAITING: usize = 4;

/// A line that says nothing comes after so long, so that nobody in between takes the connection for dead.
const SILENCE: Duration = Duration::from_secs(15);

/// How long a stream waits before it tries again to read.
const RETRY: Duration = Duration::from_secs(1);

/// Looks for new events while anybody follows, until the end is asked for.
pub(super) async fn run(api: &Api, shutdown: &Shutdown) {
    let mut place = None;
    while shutdown.unless_asked(sleep(LOOK_EVERY)).await.is_some() {
        if !api.feed.is_followed() {
            place = None;
            continue;
        }
        match api.feed.look(api.store(), place).await {
            Ok(upto) => place = Some(upto),
            // That nothing can be read is said where it is watched.
            Err(error) => tracing::debug!(event = "http.feed", error = %error, "could not read events; will retry"),
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
        let feed = api.feed.follow();
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
        let mut silence = interval(SILENCE);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once.
        silence.tick().await;
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
