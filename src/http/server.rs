//! Listens and serves, within bounds: so many connections, and so long for each. Where a connection is one request, so long
//! from its first byte to its last; where it is kept, by [`Patience`]. Who is slow costs a place for that long and nothing
//! else.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;

use super::{
    connection::{self, Patience},
    peer::Peer,
};
use crate::shutdown::Shutdown;

/// How long requests under way may take once the end is asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the system had no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// What a listener may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// From accepting a connection to the last byte of its answer.
    pub request: Duration,
}

/// How connections are served.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// A request each, and so long for it.
    One(Duration),
    /// Requests after each other.
    Kept(Patience),
}

/// A listener that is bound.
#[derive(Debug)]
pub enum Listener {
    /// At an address.
    Tcp(TcpListener),
    /// At a socket file.
    Unix(UnixListener),
}

impl Listener {
    /// Listens at an address and port; port 0 is any free one.
    ///
    /// # Errors
    /// The system's, as when something listens there already.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Listens at a socket file; one that nobody listens at any more is replaced.
    ///
    /// # Errors
    /// The system's, as when something listens there already.
    pub async fn unix(path: PathBuf) -> io::Result<Self> {
        match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if tokio::net::UnixStream::connect(&path).await.is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(&path)?;
                UnixListener::bind(path).map(Self::Unix)
            }
            bound => bound.map(Self::Unix),
        }
    }

    /// Where it listens, when that is an address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are whole: none waits for a second packet.
                stream.set_nodelay(true)?;
                (Box::new(stream), Peer(Some(address.ip())))
            }
            Self::Unix(listener) => (Box::new(listener.accept().await?.0), Peer(None)),
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Serves until the end is asked for; what is under way then is finished.
pub async fn serve(listener: Listener, app: Router, limits: Limits, shutdown: &Shutdown) {
    serve_in(listener, app, (limits.connections, Manner::One(limits.request)), shutdown).await;
}

/// The same with connections that are kept, so many at once.
pub async fn serve_kept(
    listener: Listener,
    app: Router,
    (connections, patience): (usize, Patience),
    shutdown: &Shutdown,
) {
    serve_in(listener, app, (connections, Manner::Kept(patience)), shutdown).await;
}

async fn serve_in(listener: Listener, app: Router, (connections, manner): (usize, Manner), shutdown: &Shutdown) {
    let places = Arc::new(Semaphore::new(connections));
    let requests = TaskTracker::new();
    while let Some(Ok(place)) = shutdown.unless_asked(Arc::clone(&places).acquire_owned()).await {
        match shutdown.unless_asked(listener.accept()).await {
            Some(Ok((stream, peer))) => {
                let (app, shutdown) = (app.clone(), shutdown.clone());
                drop(requests.spawn(async move {
                    match manner {
                        Manner::One(within) => answer(stream, app, within).await,
                        Manner::Kept(patience) => connection::keep(stream, (app, peer), patience, &shutdown).await,
                    }
                    drop(place);
                }));
            }
            // As when no file descriptor is left: it comes back by itself.
            Some(Err(error)) => {
                tracing::warn!(event = "http.not_accepted", error = %error, "could not accept a connection; will retry");
                tokio::time::sleep(NO_ROOM).await;
            }
            None => break,
        }
    }
    requests.close();
    let _ = tokio::time::timeout(DRAIN, requests.wait()).await;
}

/// Answers the one request of a connection.
async fn answer(stream: Box<dyn Stream>, app: Router, within: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(within).keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    // Who broke off, or was too slow, learns nothing.
    let _ = tokio::time::timeout(within, connection).await;
}
