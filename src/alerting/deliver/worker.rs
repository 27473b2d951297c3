//! One channel's loop: finds what is due, sends it, records the result. One message per key at a time, to keep the
//! order; nothing is sent while results cannot be written, or it would be sent again and again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};

use super::{
    ChannelEndpoint,
    circuit_breaker::{Admission, CircuitBreaker, Failure, Reaction},
    health::Channels,
    rate_limit::RateLimit,
    result_buffer::{ResultBuffer, Tried},
    retry_policy::{Moment, WAIT_MAX, retry_decision},
};
use crate::{
    clock::SharedClock,
    domain::{event::OutboxEvent, text::render, time::Time},
    notify::SendError,
    shutdown::Shutdown,
    store::{
        Store, StoreError,
        write::deliveries::{DeliveryResult, Due, DueDelivery, Outcome},
    },
};

/// How often the database is asked what is due.
const TICK: Duration = Duration::from_millis(250);

/// Asking takes at most one part in so many of the time, also where much waits behind one message.
const ASKING_SHARE: u32 = 10;

/// Messages read ahead: enough that a fast service never waits for the database.
const PAGE: usize = 64;

/// How long one message may take whatever its channel promises: a channel that never ends must not hold its line for ever.
const SEND_MAX: Duration = Duration::from_mins(5);

/// How long messages under way may take to finish when the daemon ends: longer than a channel's timeout.
const DRAIN: Duration = Duration::from_secs(30);

/// What a channel's loop is begun with, as often as it must be.
#[derive(Debug)]
pub(super) struct WorkerContext {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) outlet: Arc<ChannelEndpoint>,
    pub(super) give_up_after: Duration,
    pub(super) channels: Channels,
}

/// One channel's loop.
#[derive(Debug)]
pub(super) struct ChannelWorker {
    pub(super) seat: Arc<WorkerContext>,
    circuit: CircuitBreaker,
    pub(super) window: RateLimit,
    /// Due, and not begun yet.
    ready: VecDeque<DueDelivery>,
    under_way: JoinSet<Result<(), SendError>>,
    /// What each task sends.
    sending: HashMap<Id, DueDelivery>,
    results: ResultBuffer,
    /// Keys of everything that is ready, under way or not on disk yet.
    busy: HashSet<String>,
    /// When the database is asked next, on the stopwatch.
    ask_at: Duration,
    pub(super) count_at: Duration,
    /// Both clocks at the start: ages are not to be believed to a calendar that was stepped ahead since.
    began: (Time, Duration),
    /// Both clocks as they were last seen to run together.
    pub(super) together: (Time, Duration),
    /// Whether the window knows what the process before sent.
    pub(super) recalled: bool,
}

impl ChannelWorker {
    pub(super) fn new(seat: Arc<WorkerContext>) -> Self {
        let clocks = (seat.clock.now(), seat.clock.monotonic());
        Self {
            circuit: CircuitBreaker::default(),
            window: RateLimit::new(seat.outlet.pace),
            ready: VecDeque::new(),
            under_way: JoinSet::new(),
            sending: HashMap::new(),
            results: ResultBuffer::default(),
            busy: HashSet::new(),
            ask_at: clocks.1,
            count_at: clocks.1,
            began: clocks,
            together: clocks,
            recalled: false,
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
        if seat.outlet.pace != self.seat.outlet.pace {
            self.window = RateLimit::new(seat.outlet.pace);
            self.recalled = false;
        }
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
        let Some(next) = seat.store.next_delivery(self.name()).await? else { return Ok(None) };
        let wait = calendar.until(next);
        let due = if wait > WAIT_MAX { now } else { now + wait };
        self.window.room(now, 0);
        Ok(Some(due.max(self.circuit.until()).max(self.window.next())))
    }

    async fn finish(&mut self) {
        self.ready.clear();
        while let Some(over) = self.under_way.join_next_with_id().await {
            self.take(over);
        }
        self.save().await;
    }

    /// Begins as many messages as may be begun now.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.watch_calendar().await;
        self.recall().await?;
        self.count().await?;
        let now = self.now();
        let under_way = self.sending.len();
        let admission = self.circuit.admits(now);
        let most = match admission {
            Admission::All => usize::MAX,
            Admission::Probe | Admission::FreshProbe => 1_usize.saturating_sub(under_way),
            Admission::Nothing => 0,
        };
        let mut room = self.window.room(now, under_way).min(most);
        if !self.results.may_grow(now) {
            room = 0;
        }
        while room > 0 {
            if self.ready.is_empty() && now >= self.ask_at {
                self.ask(admission).await?;
            }
            let Some(due) = self.ready.pop_front() else { return Ok(()) };
            self.send(due);
            room -= 1;
        }
        Ok(())
    }

    /// Asks the database what is due.
    async fn ask(&mut self, admission: Admission) -> Result<(), StoreError> {
        let (seat, before) = (Arc::clone(&self.seat), self.now());
        let now = seat.clock.now();
        let page = if admission == Admission::All { PAGE } else { 1 };
        let limit = page.saturating_add(self.busy.len());
        let rows = u32::try_from(limit).unwrap_or(u32::MAX);
        let any = Due { now, unbelievable: now + WAIT_MAX, attempts_max: i64::MAX };
        // Also when it fails, it is asked again no sooner.
        self.ask_at = before + TICK;
        if admission == Admission::FreshProbe {
            let fresh = Due { attempts_max: 0, ..any };
            let due = seat.store.due_deliveries(self.name(), fresh, rows).await?;
            self.enqueue_ready(due);
        }
        if self.ready.is_empty() {
            let due = seat.store.due_deliveries(self.name(), any, rows).await?;
            let is_all = due.len() < limit;
            self.enqueue_ready(due);
            let after = self.now();
            let pause = TICK.max(after.saturating_sub(before) * ASKING_SHARE);
            self.ask_at = if is_all { after + pause } else { after };
        }
        Ok(())
    }

    fn enqueue_ready(&mut self, due: Vec<DueDelivery>) {
        for due in due {
            if self.busy.insert(due.partition_key.clone()) {
                self.ready.push_back(due);
            }
        }
    }

    fn send(&mut self, due: DueDelivery) {
        self.window.begin(self.now());
        self.circuit.begun(due.seq);
        let (outlet, clock) = (Arc::clone(&self.seat.outlet), Arc::clone(&self.seat.clock));
        let told = told(&due);
        let sending = async move {
            let message = render::message(&told, outlet.language, &outlet.zone, outlet.link.as_deref());
            let sent = tokio::time::timeout(SEND_MAX, outlet.channel.send(&message, clock.now())).await;
            sent.unwrap_or_else(|_| Err(SendError::Later { why: "it did not end".to_owned(), after: None }))
        };
        let task = self.under_way.spawn(sending);
        self.sending.insert(task.id(), due);
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
        let Some(due) = self.sending.remove(&task) else { return };
        let clock = &self.seat.clock;
        let (now, stopwatch) = (clock.now(), clock.monotonic());
        let unstepped = self.began.0 + stopwatch.saturating_sub(self.began.1);
        let age = now.min(unstepped).since(Time::from_ms(due.created_at));
        let moment = Moment { now, age, give_up_after: self.seat.give_up_after, chance: clock.random() };
        let outcome = retry_decision(&due, &sent, moment);
        match &sent {
            Ok(()) => self.succeeded(due.seq),
            Err(error) => self.failed(&due, error, now),
        }
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

    fn succeeded(&mut self, seq: i64) {
        if self.circuit.succeeded(seq) {
            tracing::info!(event = "alerting.channel.works", channel = self.name(), "channel recovered");
        }
        self.seat.channels.note(self.name(), |health| (health.since, health.last_error) = (None, None));
    }

    fn failed(&mut self, due: &DueDelivery, error: &SendError, now: Time) {
        let after = match error {
            SendError::Later { after, .. } => *after,
            SendError::Refused { .. } | SendError::Gone { .. } => None,
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
            for due in self.ready.drain(..) {
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
        let is_over = |tried: &&Tried| !matches!(tried.result.outcome, Outcome::Again { .. });
        let keys: Vec<&str> = saved.iter().filter(is_over).map(|tried| tried.due.partition_key.as_str()).collect();
        if keys.is_empty() || self.circuit.admits(now) != Admission::All {
            return;
        }
        match seat.store.next_of(self.name(), &keys, seat.clock.now()).await {
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

fn told(due: &DueDelivery) -> OutboxEvent {
    OutboxEvent {
        id: due.event_id.clone(),
        kind: due.kind.clone(),
        subject: due.subject.clone(),
        partition_key: due.partition_key.clone(),
        sequence: due.seq,
        at: Time::from_ms(due.at),
        data: due.data.clone(),
    }
}
