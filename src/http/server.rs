//! Listens and serves, within bounds: so many connections at once, and so long for each part of one, by [`Patience`]. Where
//! all places are taken, whoever has waited longest without a whole request gives way: slow connections hold up nobody.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::TaskTracker;

use super::{
    connection::{self, Connections, Manner, Patience},
    peer::Peer,
};
use crate::shutdown::Shutdown;

/// How long requests under way may take once the end is asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the system had no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Who may connect to a socket file: its user and its group.
const SOCKET_MODE: u32 = 0o660;

/// How often a place is made while all are taken.
const ROOM: Duration = Duration::from_millis(50);

/// What a listener may take whose connections are one request each.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; one more takes the place of another that has not sent its request.
    pub connections: usize,
    /// Until a head has come, and from there until a body has.
    pub request: Duration,
    /// From there to the end of the answer.
    pub answer: Duration,
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

    /// Listens at a socket file, which whoever is in its group may connect to; one that nobody listens at any more is
    /// replaced.
    ///
    /// # Errors
    /// The system's, as when something listens there already, or when what lies there is no socket: it is left alone.
    pub async fn unix(path: PathBuf) -> io::Result<Self> {
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !std::fs::symlink_metadata(&path)?.file_type().is_socket() {
                    let why = "there is a file already that is no socket: name another path";
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
                }
                if tokio::net::UnixStream::connect(&path).await.is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        // The umask of services lets nobody else write, and so connect: neither a proxy of the same group.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(SOCKET_MODE))?;
        Ok(Self::Unix(listener))
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
    let Limits { connections, request, answer } = limits;
    let patience = Patience { idle: request, head: request, body: request, answer, ..Patience::default() };
    serve_in(listener, app, (connections, Manner { patience, is_kept: false }), shutdown).await;
}

/// The same with connections that are kept, so many at once.
pub async fn serve_kept(
    listener: Listener,
    app: Router,
    (connections, patience): (usize, Patience),
    shutdown: &Shutdown,
) {
    serve_in(listener, app, (connections, Manner { patience, is_kept: true }), shutdown).await;
}

async fn serve_in(listener: Listener, app: Router, (connections, manner): (usize, Manner), shutdown: &Shutdown) {
    let (places, known) = (Arc::new(Semaphore::new(connections)), Connections::default());
    let (requests, mut is_told) = (TaskTracker::new(), false);
    while let Some(accepted) = shutdown.unless_asked(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                is_told = false;
                let Some(place) = shutdown.unless_asked(place(&places, &known)).await else { break };
                let (app, shutdown, at) = (app.clone(), shutdown.clone(), known.add());
                drop(requests.spawn(async move {
                    connection::keep((stream, at), (app, peer), manner, &shutdown).await;
                    drop(place);
                }));
            }
            // As when no file descriptor is left: it comes back by itself.
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(event = "http.not_accepted", error = %error, "could not accept a connection; will retry");
                }
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
    requests.close();
    let _ = tokio::time::timeout(DRAIN, requests.wait()).await;
}

/// A place for one more connection, as soon as one is free or has been made.
async fn place(places: &Arc<Semaphore>, known: &Connections) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        known.make_room();
        if let Ok(place) = tokio::time::timeout(ROOM, Arc::clone(places).acquire_owned()).await {
            return place.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (key, link) = (folder.path().join("database.key"), folder.path().join("link"));
        std::fs::write(&key, "secret").unwrap();
        std::os::unix::fs::symlink(&key, &link).unwrap();
        for path in [&key, &link, &folder.path().to_owned()] {
            let said = Listener::unix(path.clone()).await.unwrap_err();
            assert!(said.to_string().contains("no socket"), "{said}");
        }
        assert_eq!(std::fs::read_to_string(link).unwrap(), "secret");
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_at_is_replaced_and_one_that_somebody_does_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(Listener::unix(path.clone()).await.unwrap());
        let _listener = Listener::unix(path.clone()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660, "for a proxy of its group");
        assert_eq!(Listener::unix(path).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
