//! One connection: requests after each other or a single one, and how long each part of it may take. Who says nothing is let
//! go after a while, who is slow sooner; a stream may last as long as somebody takes what it sends. While a whole request has
//! not come, a connection gives way to others that want its place.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, response::Response};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, watch},
};

use super::peer::Peer;
use crate::shutdown::Shutdown;

/// How long each part of a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without a request: longer than proxies keep connections, so that theirs is the one that ends.
    pub idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// From there to the end of its body.
    pub body: Duration,
    /// From there to the end of the answer.
    pub answer: Duration,
    /// A stream whose reader takes nothing.
    pub stalled: Duration,
}

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How long each part may take.
    pub patience: Patience,
    /// Whether another request may follow the first.
    pub is_kept: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            body: Duration::from_mins(1),
            answer: Duration::from_mins(1),
            stalled: Duration::from_mins(1),
        }
    }
}

/// Marks an answer that does not end by itself.
#[derive(Debug, Clone, Copy)]
pub struct Endless;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Body,
    Answer,
    Stream,
}

impl Phase {
    /// Whether nothing is being done for whoever is at the other end.
    const fn is_waiting(self) -> bool {
        match self {
            Self::Idle | Self::Head | Self::Body => true,
            Self::Answer | Self::Stream => false,
        }
    }
}

impl Patience {
    const fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Idle => self.idle,
            Phase::Head => self.head,
            Phase::Body => self.body,
            Phase::Answer => self.answer,
            Phase::Stream => self.stalled,
        }
    }
}

/// The connections of a listener, so that one that waits can give way.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    all: Mutex<Vec<Weak<At>>>,
    /// Counts changes of phases: a smaller number is an earlier one.
    turns: AtomicU64,
}

/// What a connection is at.
#[derive(Debug)]
pub(super) struct At {
    phase: watch::Sender<Phase>,
    since: AtomicU64,
    gives_way: Notify,
    of: Connections,
}

impl Connections {
    /// One more.
    pub(super) fn add(&self) -> Arc<At> {
        let (phase, gives_way) = (watch::Sender::new(Phase::Idle), Notify::new());
        let at = Arc::new(At { phase, since: AtomicU64::new(self.turn()), gives_way, of: self.clone() });
        let mut all = self.all();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&at));
        at
    }

    /// Ends the connection that has waited longest for the rest of a request, if one waits.
    pub(super) fn make_room(&self) {
        let all: Vec<Arc<At>> = self.all().iter().filter_map(Weak::upgrade).collect();
        let waiting = all.iter().filter(|at| at.phase.borrow().is_waiting());
        if let Some(longest) = waiting.min_by_key(|at| at.since.load(Ordering::Relaxed)) {
            longest.gives_way.notify_one();
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Weak<At>>> {
        // Nothing in here panics halfway through a change.
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> u64 {
        self.0.turns.fetch_add(1, Ordering::Relaxed)
    }
}

impl At {
    fn enter(&self, phase: Phase) {
        self.since.store(self.of.turn(), Ordering::Relaxed);
        self.phase.send_replace(phase);
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }
}

/// Answers the requests of a connection until one side ends it. When the end is asked for, what is under way is finished.
pub(super) async fn keep(
    (stream, at): (impl AsyncRead + AsyncWrite + Unpin + Send, Arc<At>),
    (app, peer): (Router, Peer),
    Manner { patience, is_kept }: Manner,
    shutdown: &Shutdown,
) {
    let app = TowerToHyperService::new(app);
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let (app, at) = (app.clone(), Arc::clone(&at));
        async move { answer(&app, request, peer, at).await }
    });
    let io = TokioIo::new(Watched { stream, at: Arc::clone(&at) });
    let mut connection = std::pin::pin!(http1::Builder::new().keep_alive(is_kept).serve_connection(io, answer));
    let mut over = std::pin::pin!(over(&at, patience));
    tokio::select! {
        // Who broke off learns nothing.
        _ = connection.as_mut() => return,
        () = over.as_mut() => return,
        () = shutdown.wait() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = over => {}
    }
}

async fn answer(
    app: &TowerToHyperService<Router>,
    mut request: hyper::Request<Incoming>,
    peer: Peer,
    at: Arc<At>,
) -> Result<hyper::Response<Told>, std::convert::Infallible> {
    at.enter(if request.body().is_end_stream() { Phase::Answer } else { Phase::Body });
    request.extensions_mut().insert(peer);
    let request: Request = request.map(|body| axum::body::Body::new(Heard { body, at: Arc::clone(&at) }));
    let response: Response = app.call(request).await?;
    let is_endless = response.extensions().get::<Endless>().is_some();
    at.enter(if is_endless { Phase::Stream } else { Phase::Answer });
    Ok(response.map(|body| Told { body, _end: End(at) }))
}

/// Ends when a part of the connection has taken too long, or its place is wanted.
async fn over(at: &At, patience: Patience) {
    tokio::select! {
        () = outlast(at.phase.subscribe(), patience) => {}
        () = give_way(at) => {}
    }
}

/// Ends when the place is wanted while nothing is done for whoever has it.
async fn give_way(at: &At) {
    loop {
        at.gives_way.notified().await;
        if at.phase().is_waiting() {
            return;
        }
    }
}

/// Ends when a part of the connection has taken too long.
async fn outlast(mut phases: watch::Receiver<Phase>, patience: Patience) {
    loop {
        let phase = *phases.borrow_and_update();
        match tokio::time::timeout(patience.of(phase), phases.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// A request's body that tells when all of it has come.
struct Heard {
    body: Incoming,
    at: Arc<At>,
}

impl Body for Heard {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_over = match &frame {
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Pending => false,
        };
        if is_over && self.at.phase() == Phase::Body {
            self.at.enter(Phase::Answer);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that tells when all of it was taken, or nobody wants more.
struct Told {
    body: axum::body::Body,
    _end: End,
}

struct End(Arc<At>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells when a request begins, and that what is streamed is taken.
struct Watched<S> {
    stream: S,
    at: Arc<At>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.at.phase() == Phase::Idle {
            self.at.enter(Phase::Head);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) && self.at.phase() == Phase::Stream {
            self.at.enter(Phase::Stream);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn kept(patience: Patience, shutdown: &Shutdown) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (ours, theirs) = duplex(4 << 10);
        let slow = || async {
            tokio::time::sleep(MS(400)).await;
            "slow"
        };
        let app = Router::new().route("/", get(async || "hello")).route("/slow", get(slow));
        let shutdown = shutdown.clone();
        let manner = Manner { patience, is_kept: true };
        let at = Connections::default().add();
        let serving = async move { keep((theirs, at), (app, Peer(None)), manner, &shutdown).await };
        (ours, tokio::spawn(serving))
    }

    async fn ask(stream: &mut DuplexStream, path: &str) -> String {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"hello") && !said.ends_with(b"slow") {
            let mut bytes = [0; 512];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "it ended after {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn requests_come_after_each_other_until_nothing_comes() {
        let patience = Patience { idle: MS(600), head: MS(100), ..Patience::default() };
        let (mut stream, serving) = kept(patience, &Shutdown::new());
        assert!(ask(&mut stream, "/").await.contains("200 OK"));
        // Longer than a head may take, and nothing is begun.
        tokio::time::sleep(MS(250)).await;
        assert!(ask(&mut stream, "/").await.contains("200 OK"));
        serving.await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_that_dawdles_and_an_answer_that_takes_too_long_end_the_connection() {
        let patience = Patience { head: MS(100), answer: MS(150), ..Patience::default() };
        for begun in ["GET / HTTP/1.1\r\nHost", "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let (mut stream, serving) = kept(patience, &Shutdown::new());
            stream.write_all(begun.as_bytes()).await.unwrap();
            tokio::time::timeout(Duration::from_secs(20), serving).await.expect("it ends").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "{begun}");
        }
    }

    #[tokio::test]
    async fn the_end_waits_for_what_is_under_way_and_for_nothing_else() {
        let shutdown = Shutdown::new();
        let (mut busy, serving) = kept(Patience::default(), &shutdown);
        let (idle, idling) = kept(Patience::default(), &shutdown);
        let end = async {
            tokio::time::sleep(MS(100)).await;
            shutdown.ask();
        };
        let (said, ()) = tokio::join!(ask(&mut busy, "/slow"), end);
        assert!(said.contains("connection: close"), "{said}");
        let ended = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(serving, idling) }).await;
        assert!(matches!(ended, Ok((Ok(()), Ok(())))), "{ended:?}");
        drop(idle);
    }
}
