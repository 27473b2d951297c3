//! Delivers messages to each channel until they are accepted or given up: at least once, in order per key, retried
//! after every failure. One channel, message or key never delays another.
//!
//! `worker` is one channel's loop. What a try means for its message is in `retry_policy`, what it means for the channel
//! in `circuit_breaker`, how fast it may send in `rate_limit`: all three pure.

mod circuit_breaker;
mod health;
mod maintenance;
mod rate_limit;
mod result_buffer;
mod retry_policy;
mod worker;

use std::{sync::Arc, time::Duration};

pub use self::health::{Channels, Health};
use self::worker::{ChannelWorker, WorkerContext};
use crate::{
    clock::SharedClock,
    domain::text::Language,
    notify::{Channel, Pace},
    shutdown::Shutdown,
    store::{Store, StoreError},
};

/// How long a channel rests whose loop panicked, or whose rows cannot be read at the start.
const PANIC_PAUSE: Duration = Duration::from_secs(30);

/// A channel that an operator configured, and how it is spoken to.
#[derive(Debug)]
pub struct ChannelEndpoint {
    /// Its name.
    pub name: String,
    /// What sends.
    pub channel: Channel,
    /// How fast its service may be spoken to: [`Channel::pace`], or slower.
    pub pace: Pace,
    /// The language of its messages.
    pub language: Language,
    /// The zone of the times in them.
    pub zone: jiff::tz::TimeZone,
    /// Where more can be seen.
    pub link: Option<String>,
}

/// All channels.
#[derive(Debug)]
pub struct Deliver {
    store: Store,
    seats: Vec<Arc<WorkerContext>>,
    /// The loops, where a test turns them by hand.
    lines: Vec<ChannelWorker>,
    channels: Channels,
}

impl Deliver {
    /// Makes it; nothing is sent before [`Deliver::run`]. A message that is older than `give_up_after` and still not
    /// taken is given up.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, outlets: Vec<ChannelEndpoint>, give_up_after: Duration) -> Self {
        let channels = Channels::of(outlets.iter().map(|outlet| outlet.name.clone()));
        let shared = (store.clone(), channels.clone());
        let seat = move |outlet: ChannelEndpoint| {
            let ((store, channels), clock) = (shared.clone(), Arc::clone(&clock));
            Arc::new(WorkerContext { store, clock, outlet: Arc::new(outlet), give_up_after, channels })
        };
        let seats: Vec<Arc<WorkerContext>> = outlets.into_iter().map(seat).collect();
        let lines = seats.iter().map(|seat| ChannelWorker::new(Arc::clone(seat))).collect();
        Self { store, seats, lines, channels }
    }

    /// How the channels fare, and how to tell them that there is something new.
    #[must_use]
    pub const fn channels(&self) -> &Channels {
        &self.channels
    }

    /// All of them, to be spoken to beside what is owed.
    #[must_use]
    pub fn outlets(&self) -> Vec<Arc<ChannelEndpoint>> {
        self.seats.iter().map(|seat| Arc::clone(&seat.outlet)).collect()
    }

    /// Gives up what waits for channels that are no longer configured; call it once, at the start.
    ///
    /// # Errors
    /// [`StoreError`]: what is left waits for the next start.
    pub async fn give_up_unconfigured(&self) -> Result<u64, StoreError> {
        let names: Vec<String> = self.seats.iter().map(|seat| seat.outlet.name.clone()).collect();
        let given_up = self.store.close_channels_except(&names).await?;
        if given_up > 0 {
            tracing::warn!(messages = given_up, "discarded: their channels are no longer configured");
        }
        Ok(given_up)
    }

    /// Sends until the end is asked for, then lets what is under way finish.
    pub async fn run(self, shutdown: &Shutdown) {
        if let Err(error) = self.give_up_unconfigured().await {
            tracing::error!(error = %error, "could not discard messages for channels no longer configured; next start will retry");
        }
        let mut running = tokio::task::JoinSet::new();
        for seat in self.seats {
            running.spawn(keep_running(seat, shutdown.clone()));
        }
        // Each ends by itself.
        while running.join_next().await.is_some() {}
    }

    /// Sends everything that is due at this moment and waits until it is written down; for tests that move the clock by
    /// hand.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        for line in &mut self.lines {
            line.settle().await?;
        }
        Ok(())
    }

    /// When something is next to be done, on the stopwatch.
    pub async fn next_due(&mut self) -> Result<Option<Duration>, StoreError> {
        let mut next: Option<Duration> = None;
        for line in &mut self.lines {
            let due = line.next_due().await?;
            next = next.into_iter().chain(due).min();
        }
        Ok(next)
    }
}

/// One channel's loop, begun anew when it panics.
async fn keep_running(seat: Arc<WorkerContext>, shutdown: Shutdown) {
    while !shutdown.asked() {
        let (line, asked) = (ChannelWorker::new(Arc::clone(&seat)), shutdown.clone());
        let Err(error) = tokio::spawn(line.run(asked)).await else { return };
        tracing::error!(
            event = "alerting.deliver.panicked",
            channel = seat.outlet.name,
            error = %error,
            "a channel's worker panicked (a defect of amplinkd): it pauses"
        );
        let pause = seat.clock.sleep_until(seat.clock.monotonic() + PANIC_PAUSE);
        shutdown.unless_asked(pause).await;
    }
}
