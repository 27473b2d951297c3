//! `amplinkd health`: whether the daemon on this machine is alive and ready. For containers and supervisors, which have no
//! other way to ask.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use super::{
    context::{Context, ExitStatus, Session},
    time_format,
};
use crate::{config::Listen, engine::presence::SILENT_AFTER, store::read::status::DaemonView};

/// How long the daemon may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer that are looked at: its first line is among them.
const ANSWER_BYTES: usize = 1 << 10;

/// Tell whether the daemon is alive and ready, for containers and supervisors; exit code 1 if it is not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  amplinkd health
  HEALTHCHECK CMD [\"amplinkd\", \"health\"]

Where [http] listen is configured, the daemon is asked (GET /readyz). Elsewhere the database tells: a daemon holds its \
lock, and has written within 100 seconds. Alerts and people who must act do not count: no restart mends those. \
`amplinkd status` shows them.

Exit codes: 0 alive and ready, 1 not, with a sentence that says why, 2 usage error")]
pub struct Health {}

/// Says nothing where all is well.
///
/// # Errors
/// What is wrong with the daemon.
pub async fn run(context: &Context) -> anyhow::Result<ExitStatus> {
    match context.config()?.http {
        Some(http) => by_http(&http.listen, "/readyz").await?,
        None => context.with_reader(async |session| by_database(session).await).await?,
    }
    Ok(ExitStatus::Success)
}

/// What the database tells of the daemon that drives it.
async fn by_database(session: &Session) -> anyhow::Result<()> {
    let store = session.store();
    if let Some(made) = store.copy_waiting().await? {
        bail!("not ready: no daemon has started on this restored backup, made at {made}");
    }
    let last = store.daemon().await?;
    // Whoever may not look at the lock sees a daemon by its mark.
    let is_driven =
        store.has_daemon().await.unwrap_or_else(|_| last.as_ref().is_some_and(|last| last.stopped_at.is_none()));
    if !is_driven {
        bail!("not alive: no daemon runs on {}; the log says why it stopped", session.config.database.location);
    }
    let is_recent = |last: &DaemonView| {
        time_format::parse(&last.written_at).is_some_and(|at| session.now().since(at) < SILENT_AFTER)
    };
    match last {
        Some(last) if is_recent(&last) => Ok(()),
        Some(last) => bail!(
            "not ready: the daemon has written nothing since {}: check the disk, and the daemon's log",
            last.written_at
        ),
        None => bail!("not ready: the daemon has not begun its work yet"),
    }
}

/// Asks a daemon that listens here.
///
/// # Errors
/// It does not answer, or answers that it is not ready.
pub async fn by_http(listen: &Listen, path: &str) -> anyhow::Result<()> {
    let answered = tokio::time::timeout(ANSWER_WITHIN, async {
        match listen {
            Listen::Tcp(address) => {
                let address = reachable(*address);
                ask(TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?, path)
                    .await
            }
            Listen::Unix(socket) => {
                let stream = UnixStream::connect(socket).await;
                ask(stream.with_context(|| format!("no connection to {}", socket.display()))?, path).await
            }
        }
    });
    match answered.await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(503)) => bail!("not ready: the daemon says so; its log and `amplinkd status` say why"),
        Ok(Ok(status)) => bail!("not ready: {path} answered {status}"),
        Ok(Err(error)) => Err(error.context("not alive")),
        Err(_) => bail!("not alive: no answer within {} seconds", ANSWER_WITHIN.as_secs()),
    }
}

/// Where a daemon is reached that listens at all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// The status of one GET.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("the request could not be sent")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES as u64).read_to_end(&mut answer).await.context("the answer broke off")?;
    status(&answer).context("the answer is none of an HTTP server")
}

/// The status in the first line of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line_alone() {
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\nx: 200\r\n\r\n"), Some(503));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Some(200));
        for other in [b"SSH-2.0-x\r\n".as_slice(), b"", b"\xff\xff", b"HTTP/1.1 abc\r\n"] {
            assert_eq!(status(other), None);
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_at_home() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:8750"), "127.0.0.1:8750");
        assert_eq!(at("[::]:8750"), "[::1]:8750");
        assert_eq!(at("10.0.0.7:8750"), "10.0.0.7:8750");
    }
}
