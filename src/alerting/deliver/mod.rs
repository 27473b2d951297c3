//! Delivers messages to each channel until they are accepted or given up: at least once, in order per key, retried
//! after every failure. One channel, message or key never delays another.
//!
//! `worker` is one channel's loop, `lines` are all of them. What a try means for its message is in `retry_policy`, for the
//! later ones of its key in `passing`, for the channel in `circuit_breaker`; how fast its address may be spoken to is in
//! `rate_limit` and `address`, what goes first in `ready`, what goes together in `parcel`. All of these are pure.

mod address;
mod asking;
mod circuit_breaker;
mod health;
mod lines;
mod maintenance;
mod parcel;
mod passing;
mod rate_limit;
mod ready;
mod result_buffer;
mod retry_policy;
mod sending;
mod worker;

use std::{sync::Arc, time::Duration};

pub use self::health::{Channels, Health};
use self::{
    address::Addresses,
    lines::Lines,
    worker::{ChannelWorker, WorkerContext},
};
use crate::{
    clock::SharedClock,
    domain::text::Language,
    live::{Changes, Control, controlled},
    notify::{Channel, Pace},
    shutdown::Shutdown,
    store::{Store, StoreError},
};

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
    clock: SharedClock,
    seats: Vec<Arc<WorkerContext>>,
    /// The loops, where a test turns them by hand.
    lines: Vec<ChannelWorker>,
    channels: Channels,
    addresses: Addresses,
    changes: Changes<Configured>,
}

/// All channels as they are configured, and how long a message is tried.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The channels, each by a name of its own.
    pub outlets: Vec<Arc<ChannelEndpoint>>,
    /// How long a message is tried that is not taken.
    pub give_up_after: Duration,
}

impl Deliver {
    /// Makes it; nothing is sent before [`Deliver::run`]. A message that is older than `give_up_after` and still not
    /// taken is given up.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, outlets: Vec<ChannelEndpoint>, give_up_after: Duration) -> Self {
        let channels = Channels::of(outlets.iter().map(|outlet| outlet.name.clone()));
        let outlets = outlets.into_iter().map(Arc::new).collect();
        let configured = Configured { outlets, give_up_after };
        let mut addresses = Addresses::default();
        let seats = seats((&store, &clock, &channels), &mut addresses, configured);
        let lines = seats.iter().map(|seat| ChannelWorker::new(Arc::clone(seat))).collect();
        Self { store, clock, seats, lines, channels, addresses, changes: Changes::default() }
    }

    /// What changes the channels while it runs.
    pub fn control(&mut self) -> Control<Configured> {
        let (control, changes) = controlled();
        self.changes = changes;
        control
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
        give_up_except(&self.store, &self.names()).await
    }

    /// Sends until the end is asked for, then lets what is under way finish.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let mut running = Lines::new(shutdown.clone());
        if let Some(configured) = self.changes.begin() {
            self.seats = seats((&self.store, &self.clock, &self.channels), &mut self.addresses, configured);
            self.channels.keep(self.names().into_iter());
        }
        let (names, first) = (self.names(), std::mem::take(&mut self.seats));
        self.give_up_others(&names).await;
        for seat in first {
            running.set(seat);
        }
        while !shutdown.asked() {
            tokio::select! {
                () = shutdown.wait() => {}
                change = self.changes.next() => self.reconfigure(&mut running, change.to).await,
            }
        }
        running.over().await;
    }

    /// Goes by other channels. What waits for one that is gone is given up, as at a start without it.
    async fn reconfigure(&mut self, running: &mut Lines, configured: Configured) {
        let names: Vec<String> = configured.outlets.iter().map(|outlet| outlet.name.clone()).collect();
        self.channels.keep(names.iter().cloned());
        let shared = (&self.store, &self.clock, &self.channels);
        for seat in seats(shared, &mut self.addresses, configured) {
            running.set(seat);
        }
        running.end_others(&names).await;
        self.give_up_others(&names).await;
    }

    async fn give_up_others(&self, names: &[String]) {
        if let Err(error) = give_up_except(&self.store, names).await {
            tracing::error!(error = %error, "could not discard messages for channels no longer configured; next start will retry");
        }
    }

    fn names(&self) -> Vec<String> {
        self.seats.iter().map(|seat| seat.outlet.name.clone()).collect()
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

async fn give_up_except(store: &Store, names: &[String]) -> Result<u64, StoreError> {
    let given_up = store.close_channels_except(names).await?;
    if given_up > 0 {
        tracing::warn!(messages = given_up, "discarded: their channels are no longer configured");
    }
    Ok(given_up)
}

/// The seats of all channels.
fn seats(
    (store, clock, channels): (&Store, &SharedClock, &Channels),
    addresses: &mut Addresses,
    configured: Configured,
) -> Vec<Arc<WorkerContext>> {
    let Configured { outlets, give_up_after } = configured;
    let paces = addresses.paces(&outlets);
    let seat = |outlet: Arc<ChannelEndpoint>| {
        let (store, clock, channels) = (store.clone(), Arc::clone(clock), channels.clone());
        let address = Arc::clone(&paces[&outlet.name]);
        Arc::new(WorkerContext { store, clock, outlet, address, give_up_after, channels })
    };
    outlets.into_iter().map(seat).collect()
}
