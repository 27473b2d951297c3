//! The heartbeat: reports on schedule that all is well, and only after checking: whoever hears nothing must be able to
//! rely on it.

use std::{fmt::Write, sync::Arc, time::Duration};

use super::meters::LastHeard;
use crate::{
    engine::{Engine, Readings, STANDSTILL},
    notify::heartbeat::HeartbeatClient,
    shutdown::Shutdown,
};

/// Findings that are named one by one.
const NAMED_MAX: usize = 20;

/// Tells somebody outside that this daemon lives.
#[derive(Debug)]
pub struct HeartbeatTask {
    engine: Arc<Engine>,
    heartbeat: HeartbeatClient,
    every: Duration,
    /// Rounds of the loop at the last beat, and the first beat that saw so many, on the stopwatch.
    turns: Option<(u64, Duration)>,
    /// Whether the last beat arrived.
    is_heard: bool,
    /// Where it is noted when one arrived.
    heard: LastHeard,
}

impl HeartbeatTask {
    /// Nothing is told before [`HeartbeatTask::run`].
    #[must_use]
    pub fn new(engine: Arc<Engine>, heartbeat: HeartbeatClient, every: Duration) -> Self {
        Self { engine, heartbeat, every, turns: None, is_heard: true, heard: LastHeard::default() }
    }

    /// Notes there when a beat arrived that said that all is well.
    #[must_use]
    pub fn noting(self, heard: LastHeard) -> Self {
        Self { heard, ..self }
    }

    /// Beats until the end is asked for.
    pub async fn run(mut self, shutdown: &Shutdown) {
        while !shutdown.asked() {
            // Both ends of a beat are said, so that the service knows how long the look took. One that hangs does not hold
            // up the end.
            shutdown.unless_asked(self.beat()).await;
            let next = self.engine.clock().monotonic() + self.every;
            tokio::select! {
                () = shutdown.wait() => {}
                () = self.engine.clock().sleep_until(next) => {}
            }
        }
    }

    /// One look, and what is said of it.
    pub async fn beat(&mut self) {
        let engine = Arc::clone(&self.engine);
        let now = || engine.clock().now();
        let begun = self.heartbeat.start(now()).await;
        let wrong = self.wrong().await;
        let said = if wrong.is_empty() {
            self.heartbeat.ok(now()).await
        } else {
            tracing::error!(findings = wrong, "heartbeat failing");
            self.heartbeat.fail(&wrong, now()).await
        };
        let heard = begun.and(said);
        match (&heard, self.is_heard) {
            (Err(error), true) => tracing::warn!(error = %error, "heartbeat not delivered; will retry"),
            (Ok(()), false) => tracing::info!("the heartbeat is heard again"),
            (Err(_), false) | (Ok(()), true) => {}
        }
        self.is_heard = heard.is_ok();
        if self.is_heard && wrong.is_empty() {
            self.heard.note(now());
        }
    }

    /// Why this daemon is not well; empty when it is.
    async fn wrong(&mut self) -> String {
        let mut wrong = String::new();
        let readings: Readings = self.engine.readings();
        let now = self.engine.clock().monotonic();
        let (_, since) = *self.turns.insert(match self.turns {
            Some((turns, since)) if turns == readings.turns => (turns, since),
            Some(_) | None => (readings.turns, now),
        });
        if now.saturating_sub(since) >= STANDSTILL {
            wrong.push_str("the loop stands still\n");
        }
        if let Some(since) = readings.unwritable_since {
            let _ = writeln!(wrong, "nothing can be written since {since}");
        }
        match self.engine.recorder().audit().await {
            Ok(findings) => {
                for found in findings.iter().take(NAMED_MAX) {
                    let _ = writeln!(wrong, "{} {}: {}", found.rule, found.subject, found.finding);
                }
                if findings.len() > NAMED_MAX {
                    let _ = writeln!(wrong, "and {} more: amplinkd audit", findings.len() - NAMED_MAX);
                }
                self.engine.note_audit(findings);
            }
            Err(error) => {
                let _ = writeln!(wrong, "the audit cannot be made: {error}");
            }
        }
        wrong
    }
}
