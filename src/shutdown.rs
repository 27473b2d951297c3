//! Shutdown: the first signal finishes the work in flight, the second exits at once.

use std::{future::Future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// "File size limit exceeded" (signal(7)); a handler, once installed, stays.
const SIGXFSZ: i32 = 25;

/// What a shell adds to a signal's number when the signal ended a program.
const ENDED_BY_SIGNAL: i32 = 128;

/// The wish that the daemon end, shared by all its tasks.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Nobody wishes to end yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on SIGINT and SIGTERM ask for the end; the second one ends the process at once, with the exit code
    /// that shells give (130 or 143). Whatever is durable by then stays; the next start takes up the rest.
    pub fn listen(&self) -> io::Result<()> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        outlive_file_limits()?;
        tokio::spawn(obey(self.clone(), interrupt, terminate));
        Ok(())
    }

    /// Asks for the end.
    pub fn ask(&self) {
        self.token.cancel();
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the end is asked for. It can be dropped and called again at any time.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// Runs `work` until it is done or the end is asked for; `None` means that it was dropped half way. Never give it
    /// a write to the database: a dropped write may still happen.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(work).await
    }
}

/// A file that may not grow further is a full disk to us, not a reason to die without a word: whoever listens, lives.
pub fn outlive_file_limits() -> io::Result<()> {
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

async fn obey(shutdown: Shutdown, mut interrupt: Signal, mut terminate: Signal) {
    let first = either(&mut interrupt, &mut terminate).await;
    tracing::info!(signal = first.as_raw_value(), "stopping: finishing work in flight; signal again to stop at once");
    shutdown.ask();
    let second = either(&mut interrupt, &mut terminate).await;
    tracing::warn!(signal = second.as_raw_value(), "stopping at once");
    std::process::exit(ENDED_BY_SIGNAL + second.as_raw_value());
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_asks_for_the_end() {
        let shutdown = Shutdown::new();
        shutdown.listen().unwrap();
        assert!(!shutdown.asked());
        let own_id = std::process::id().to_string();
        let sent = tokio::process::Command::new("kill").args(["-TERM", &own_id]).status().await.unwrap();
        assert!(sent.success());
        shutdown.wait().await;
        assert!(shutdown.asked());
    }

    #[tokio::test]
    async fn a_wish_to_end_drops_what_waits() {
        let shutdown = Shutdown::new();
        shutdown.ask();
        assert_eq!(shutdown.unless_asked(std::future::pending::<()>()).await, None);
    }
}
