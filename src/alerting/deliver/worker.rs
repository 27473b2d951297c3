//! One channel's loop: finds what is due, sends it, records the result. One message per key at a time, to keep the
//! order; nothing is sent while results cannot be written, or it would be sent again and again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};

use super::{
    ChannelEndpoint,
    address::{AddressPace, PaceSeat},
    circuit_breaker::{Admission, CircuitBreaker, Failure, Reaction},
    health::Channels,
    parcel::Parcel,
    passing::Passing,
    ready::ReadyQueue,
    result_buffer::{ResultBuffer, Tried},
    retry_policy::{Moment, WAIT_MAX, retry_decision},
    sending::sending,
};
use crate::{
    alerting::meters,
    clock::SharedClock,
    domain::time::Time,
    notify::SendError,
    shutdown::Shutdown,
    store::{
        Store, StoreError,
        read::due_deliveries::DueDelivery,
        write::deliveries::{DeliveryResult, Outcome},
    },
};

/// How often the database is asked what is due.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How long messages under way may take to finish when the daemon ends: longer than a channel's timeout.
const DRAIN: Duration = Duration::from_secs(30);

/// What a channel's loop is begun with, as often as it must be.
#[derive(Debug)]
pub(super) struct WorkerContext {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) outlet: Arc<ChannelEndpoint>,
    pub(super) address: Arc<AddressPace>,
    pub(super) give_up_after: Duration,
    pub(super) channels: Channels,
}

/// One channel's loop.
#[derive(Debug)]
pub(super) struct ChannelWorker {
    pub(super) seat: Arc<WorkerContext>,
    pub(super) circuit: CircuitBreaker,
    pub(super) pace: PaceSeat,
    pub(super) passing: Passing,
    /// Due, and not begun yet.
    pub(super) ready: ReadyQueue,
    under_way: JoinSet<Result<(), SendError>>,
    /// What each task sends.
    sending: HashMap<Id, Parcel>,
    results: ResultBuffer,
    /// Keys of everything that is ready, under way or not on disk yet.
    pub(super) busy: HashSet<String>,
    /// When the database is asked next, on the stopwatch.
    pub(super) ask_at: Duration,
    /// When it is asked next for alerts that overtake the queue.
    pub(super) ask_urgent_at: Duration,
    /// Whether the warning about unconfirmed responses was logged.
    pub(super) is_unconfirmed: bool,
    pub(super) count_at: Duration,
    /// Both clocks at the start: ages are not to be believed to a calendar that was stepped ahead since.
    began: (Time, Duration),
    /// Both clocks as they were last seen to run together.
    pub(super) together: (Time, Duration),
    /// Whether the window knows what the process before sent.
    pub(super) recalled: bool,
    /// Whether it was given a new configuration that nothing was sent by yet.
    pub(super) is_new: bool,
}

impl ChannelWorker {
    pub(super) fn new(seat: Arc<WorkerContext>) -> Self {
        let clocks = (seat.clock.now(), seat.clock.monotonic());
        Self {
            circuit: CircuitBreaker::default(),
            pace: PaceSeat::at(&seat.address),
            passing: Passing::default(),
            ready: ReadyQueue::default(),
            under_way: JoinSet::new(),
            sending: HashMap::new(),
            results: ResultBuffer::default(),
            busy: HashSet::new(),
            ask_at: clocks.1,
            ask_urgent_at: clocks.1,
            is_unconfirmed: false,
            count_at: clocks.1,
            began: clocks,
            together: clocks,
            recalled: false,
            is_new: false,
            seat,
        }
    }

    /// Sends until the end is asked for, then lets what is under way finish.
    pub(super) async fn run(mut self, shutdown: Shutdown, mut seats: watch::Receiver<Arc<WorkerContext>>) {
        let mut bell = self.seat.channels.subscribe();
        let mut is_readable = true;
        while !shutdown.asked() {
            let begun = self.begin().await;
            if let Err(error) = &begun
                && is_readable
            {
                tracing::error!(channel = self.name(), error = %error, "could not read pending deliveries; will retry");
            }
            is_readable = begun.is_ok();
            let tick = self.seat.clock.sleep_until(self.now() + TICK);
            tokio::select! {
                () = shutdown.wait() => {}
                Some(over) = self.under_way.join_next_with_id() => self.take(over),
                () = tick => {}
                // Its sender is in the seat: it never ends.
                Ok(()) = bell.changed() => self.ask_at = self.ask_at.min(self.now()),
                Ok(()) = seats.changed() => {
                    let seat = Arc::clone(&seats.borrow_and_update());
                    self.adopt(seat);
                }
            }
            self.save().await;
        }
        if tokio::time::timeout(DRAIN, self.finish()).await.is_err() {
            tracing::warn!(
                channel = self.name(),
                "stopped with messages in flight: they are sent again after the start"
            );
        }
    }

    /// Goes by another configuration of the channel. What is under way ends as it began, and keeps its place; a person who
    /// changed something wants to see at once whether it works now.
    fn adopt(&mut self, seat: Arc<WorkerContext>) {
        if !Arc::ptr_eq(&seat.address, &self.seat.address) {
            self.pace = PaceSeat::at(&seat.address);
            self.recalled = false;
        }
        self.is_new = true;
        self.circuit = CircuitBreaker::default();
        self.seat = seat;
        self.ask_at = self.now();
    }

    /// Sends everything that is due at this moment, and what that makes due.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            self.save().await;
            self.ask_at = Duration::ZERO;
            self.begin().await?;
            if self.sending.is_empty() {
                return Ok(());
            }
            if let Some(over) = self.under_way.join_next_with_id().await {
                self.take(over);
            }
        }
    }

    /// When something is next to be done, on the stopwatch.
    pub(super) async fn next_due(&mut self) -> Result<Option<Duration>, StoreError> {
        let (seat, now) = (Arc::clone(&self.seat), self.now());
        if let Some(unsaved) = self.results.next() {
            return Ok(Some(unsaved));
        }
        let calendar = seat.clock.now();
        let Some(next) = seat.store.next_delivery(self.name(), self.passing.passed()).await? else { return Ok(None) };
        let wait = calendar.until(next);
        let due = if wait > WAIT_MAX { now } else { now + wait };
        Ok(Some(due.max(self.circuit.until()).max(self.pace.next(now))))
    }

    async fn finish(&mut self) {
        self.ready.drain();
        while let Some(over) = self.under_way.join_next_with_id().await {
            self.take(over);
        }
        self.save().await;
    }

    /// Begins as many messages as may be begun now.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.watch_calendar().await;
        self.recall().await?;
        self.hasten().await?;
        self.count().await?;
        let now = self.now();
        let under_way = self.sending.len();
        let admission = self.circuit.admits(now);
        let most = match admission {
            Admission::All => usize::MAX,
            Admission::Probe | Admission::FreshProbe => 1_usize.saturating_sub(under_way),
            Admission::Nothing => 0,
        };
        if most == 0 || !self.results.may_grow(now) {
            self.pace.leave();
            return Ok(());
        }
        let mut left = most;
        while left > 0 {
            if !self.seat.address.is_shared() && self.pace.room(now, self.sending.len()) == 0 {
                return Ok(());
            }
            self.look(admission, now).await?;
            if self.ready.is_empty() {
                self.pace.leave();
                return Ok(());
            }
            if !self.pace.try_begin(now, self.sending.len()) {
                self.pace.wait(now);
                return Ok(());
            }
            let Some(due) = self.ready.pop() else { return Ok(()) };
            let parcel = self.parcel(due).await?;
            self.send(parcel);
            left -= 1;
        }
        Ok(())
    }

    fn send(&mut self, parcel: Parcel) {
        self.circuit.begun(parcel.first.seq);
        let way = (Arc::clone(&self.seat.outlet), Arc::clone(&self.seat.clock));
        let task = self.under_way.spawn(sending(way, &parcel, self.seat.channels.meters().of(self.name())));
        self.sending.insert(task.id(), parcel);
    }

    /// Takes what became of a message, and of all others that are over by now.
    fn take(&mut self, over: Result<(Id, Result<(), SendError>), JoinError>) {
        let mut next = Some(over);
        while let Some(over) = next {
            self.take_one(over);
            next = self.under_way.try_join_next_with_id();
        }
    }

    fn take_one(&mut self, over: Result<(Id, Result<(), SendError>), JoinError>) {
        let (task, sent) = match over {
            Ok((task, sent)) => (task, sent),
            Err(error) => {
                let why = "sending it panicked, which is a defect of amplinkd".to_owned();
                (error.id(), Err(SendError::Later { why, after: None }))
            }
        };
        let Some(parcel) = self.sending.remove(&task) else { return };
        match &sent {
            Ok(()) => {
                self.is_unconfirmed = false;
                self.succeeded(parcel.first.seq);
            }
            // The second time it counts as delivered; the first time it says nothing about the channel.
            Err(SendError::Unconfirmed { why }) if parcel.first.was_unconfirmed => self.unconfirmed(&parcel.first, why),
            Err(SendError::Unconfirmed { .. }) => {}
            Err(error) => self.failed(&parcel.first, error),
        }
        for due in parcel.into_deliveries() {
            self.conclude(due, &sent);
        }
    }

    /// Notes what became of one delivery.
    fn conclude(&mut self, due: DueDelivery, sent: &Result<(), SendError>) {
        let clock = &self.seat.clock;
        let (now, stopwatch) = (clock.now(), clock.monotonic());
        let unstepped = self.began.0 + stopwatch.saturating_sub(self.began.1);
        let age = now.min(unstepped).since(Time::from_ms(due.created_at));
        let moment = Moment { now, age, give_up_after: self.seat.give_up_after, chance: clock.random() };
        let outcome = retry_decision(&due, sent, moment);
        self.pass(&due, &outcome);
        self.seat.channels.meters().of(self.name()).note(meters::DeliveryResult::of(&outcome, due.refusals));
        if let Outcome::Dead { error, .. } = &outcome {
            let (channel, tries) = (self.name(), due.attempts.saturating_add(1));
            tracing::warn!(
                event = "alerting.deliver.gave_up",
                channel,
                event.id = due.event_id,
                event.kind = due.kind,
                tries,
                error,
                "message given up as dead"
            );
            self.count_at = stopwatch;
        }
        let result = DeliveryResult { id: due.id.clone(), outcome };
        self.results.add(Tried { due, result });
    }

    pub(super) fn succeeded(&mut self, seq: i64) {
        if self.circuit.succeeded(seq) {
            tracing::info!(event = "alerting.channel.works", channel = self.name(), "channel recovered");
        }
        self.seat.channels.note(self.name(), |health| (health.since, health.last_error) = (None, None));
    }

    fn failed(&mut self, due: &DueDelivery, error: &SendError) {
        let now = self.seat.clock.now();
        let after = match error {
            SendError::Later { after, .. } => *after,
            SendError::Unconfirmed { .. } | SendError::Refused { .. } | SendError::Gone { .. } => None,
        };
        let failure = Failure { seq: due.seq, attempts: due.attempts, after };
        match self.circuit.failed(failure, self.now()) {
            Reaction::Opened => {
                tracing::warn!(
                    event = "alerting.channel.fails",
                    channel = self.name(),
                    error = %error,
                    "channel failing: one message at a time probes it, the others wait"
                );
            }
            Reaction::None | Reaction::Stays => {
                tracing::debug!(
                    event = "alerting.deliver.failed",
                    channel = self.name(),
                    error = %error,
                    "a message was not taken"
                );
            }
        }
        if self.circuit.admits(self.now()) != Admission::All {
            // They are read again when it is their turn, the one that is due longest first.
            for due in self.ready.drain() {
                self.busy.remove(&due.partition_key);
            }
        }
        self.seat.channels.note(self.name(), |health| {
            health.since.get_or_insert(now);
            health.last_error = Some(error.to_string());
        });
    }

    /// Writes down what became of messages; what comes after those under their keys is ready then.
    async fn save(&mut self) {
        let (seat, now) = (Arc::clone(&self.seat), self.now());
        let saved = self.results.save(&seat.store, now).await;
        for tried in &saved {
            self.busy.remove(&tried.due.partition_key);
        }
        self.try_behind().await;
        let is_over = |tried: &&Tried| !matches!(tried.result.outcome, Outcome::Again { .. });
        let keys: Vec<&str> = saved.iter().filter(is_over).map(|tried| tried.due.partition_key.as_str()).collect();
        if keys.is_empty() || self.circuit.admits(now) != Admission::All {
            return;
        }
        match seat.store.next_of(self.name(), &keys, seat.clock.now(), self.passing.passed()).await {
            Ok(due) => self.enqueue_ready(due),
            // They are found when the database is asked what is due.
            Err(error) => {
                tracing::debug!(event = "alerting.deliver.next", error = %error, "what comes next cannot be read");
            }
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.seat.clock.monotonic()
    }

    pub(super) fn name(&self) -> &str {
        &self.seat.outlet.name
    }
}
