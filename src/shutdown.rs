//! Shutdown: the first signal finishes the work in flight, the second exits at once. A closed terminal (SIGHUP) ends
//! whatever somebody watches there; the daemon reads its configuration again instead.

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

    /// From now on SIGINT, SIGTERM and SIGHUP ask for the end; the second one ends the process at once, with the exit code
    /// that shells give (130, 143 or 129). Whatever is durable by then stays; the next start takes up the rest. Under
    /// `nohup` a closed terminal ends nothing.
    pub fn listen(&self) -> io::Result<()> {
        let hangup = if ignores_hangups() { None } else { Some(signal(SignalKind::hangup())?) };
        self.obey(hangup)
    }

    /// [`Shutdown::listen`], except that SIGHUP asks for something else.
    pub fn listen_but_for_hangups(&self) -> io::Result<Hangups> {
        let hangups = Hangups(signal(SignalKind::hangup())?);
        self.obey(None)?;
        Ok(hangups)
    }

    /// Outlives the signals by which other daemons reopen their logs (SIGUSR1, SIGUSR2): without a word they would end this one.
    pub fn outlive_user_signals(&self) -> io::Result<()> {
        for (kind, name) in [(SignalKind::user_defined1(), "SIGUSR1"), (SignalKind::user_defined2(), "SIGUSR2")] {
            let mut signals = signal(kind)?;
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    tracing::warn!(
                        event = "signal.ignored",
                        signal = name,
                        "ignored: SIGHUP reloads the configuration, SIGTERM stops"
                    );
                }
            });
        }
        Ok(())
    }

    fn obey(&self, hangup: Option<Signal>) -> io::Result<()> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        outlive_file_limits()?;
        tokio::spawn(obey(self.clone(), Signals { interrupt, terminate, hangup }));
        Ok(())
    }

    /// The wish that one part of it end, which this one includes.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token() }
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

/// SIGHUPs, of which several that come together count as one.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Waits for the next one. It can be dropped and called again at any time.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether whoever started this process wants it to outlive its terminal.
fn ignores_hangups() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_hangup_ignored(&status))
}

fn is_hangup_ignored(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    // Signals are counted from 1, and SIGHUP is the first.
    mask & 1 != 0
}

async fn obey(shutdown: Shutdown, mut signals: Signals) {
    let first = signals.next().await;
    tracing::info!(signal = first.as_raw_value(), "stopping: finishing work in flight; signal again to stop at once");
    shutdown.ask();
    let second = signals.next().await;
    tracing::warn!(signal = second.as_raw_value(), "stopping at once");
    std::process::exit(ENDED_BY_SIGNAL + second.as_raw_value());
}

/// What asks for the end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) -> SignalKind {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = hung_up => SignalKind::hangup(),
        }
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

    #[test]
    fn under_nohup_hangups_are_ignored() {
        assert!(is_hangup_ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!is_hangup_ignored("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!is_hangup_ignored(""));
    }

    #[tokio::test]
    async fn a_wish_to_end_drops_what_waits() {
        let shutdown = Shutdown::new();
        shutdown.ask();
        assert_eq!(shutdown.unless_asked(std::future::pending::<()>()).await, None);
    }
}
