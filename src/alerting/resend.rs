//! Resends firing alerts to Alertmanagers, which keep alerts in memory only and expect them again every few minutes. Nothing
//! is written to the database for this, and resolved alerts are not resent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    deliver::{ChannelEndpoint, Channels, Deliver},
    evaluator::notify,
    fan_out::Subscription,
};
use crate::{
    clock::SharedClock,
    domain::{
        event::{AlertPhase, OutboxEvent},
        message::Message,
        text::render,
        time::Time,
    },
    live::{Changes, Control, controlled},
    notify::SendError,
    shutdown::Shutdown,
    store::{
        Store, StoreError,
        write::{alerts::AlertRow, record::Event},
    },
};

/// Alerts read at once.
const PAGE: u32 = 1_000;

/// How often the due time is checked.
const TICK: Duration = Duration::from_millis(500);

/// Who gets alerts, and by which channels.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// What each channel gets.
    pub subscriptions: Vec<Subscription>,
    /// The channels, each by a name of its own.
    pub outlets: Vec<Arc<ChannelEndpoint>>,
}

/// Resends to all channels that need it.
#[derive(Debug)]
pub struct Resender {
    store: Store,
    clock: SharedClock,
    channels: Channels,
    lines: Vec<Line>,
    changes: Changes<Recipients>,
}

/// One channel.
#[derive(Debug)]
struct Line {
    store: Store,
    clock: SharedClock,
    channels: Channels,
    outlet: Arc<ChannelEndpoint>,
    subscription: Subscription,
    every: Duration,
    /// When alerts are sent next, on the stopwatch: immediately after a start, as the downtime is unknown.
    due_at: Duration,
    /// Whether the last attempt failed.
    fails: bool,
}

impl Resender {
    /// For the channels with a `resend_every` that get alerts.
    #[must_use]
    pub fn new(store: &Store, clock: &SharedClock, subscriptions: &[Subscription], deliver: &Deliver) -> Self {
        let (store, clock, channels) = (store.clone(), Arc::clone(clock), deliver.channels().clone());
        let mut resender = Self { store, clock, channels, lines: Vec::new(), changes: Changes::default() };
        resender.set(Recipients { subscriptions: subscriptions.to_vec(), outlets: deliver.outlets() });
        resender
    }

    /// Replaces the recipients while it runs.
    pub fn control(&mut self) -> Control<Recipients> {
        let (control, changes) = controlled();
        self.changes = changes;
        control
    }

    fn set(&mut self, recipients: Recipients) {
        let Recipients { subscriptions, outlets } = recipients;
        let line = |outlet: Arc<ChannelEndpoint>| {
            let every = outlet.channel.resend_every()?;
            let subscription = subscriptions.iter().find(|one| one.channel == outlet.name && one.alerts.is_some())?;
            Some(Line {
                store: self.store.clone(),
                clock: Arc::clone(&self.clock),
                channels: self.channels.clone(),
                outlet,
                subscription: subscription.clone(),
                every,
                due_at: self.clock.monotonic(),
                fails: false,
            })
        };
        self.lines = outlets.into_iter().filter_map(line).collect();
    }

    /// Runs until shutdown. A channel that hangs delays no other.
    pub async fn run(mut self, shutdown: &Shutdown) {
        while !shutdown.asked() {
            let (leave, mut running) = (shutdown.child(), JoinSet::new());
            for line in std::mem::take(&mut self.lines) {
                running.spawn(line.run(leave.clone()));
            }
            let change = shutdown.unless_asked(self.changes.next()).await;
            leave.ask();
            while running.join_next().await.is_some() {}
            if let Some(change) = change {
                self.set(change.to);
            }
        }
    }

    /// Sends what is due at this moment; for tests that move the clock by hand.
    pub async fn settle(&mut self) {
        for line in &mut self.lines {
            line.settle().await;
        }
    }

    /// When the next channel is due, on the stopwatch.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.lines.iter().map(|line| line.due_at).min()
    }
}

impl Line {
    async fn run(mut self, leave: Shutdown) {
        while !leave.asked() {
            leave.unless_asked(self.settle()).await;
            let tick = self.clock.sleep_until(self.clock.monotonic() + TICK);
            leave.unless_asked(tick).await;
        }
    }

    async fn settle(&mut self) {
        let now = self.clock.monotonic();
        if now < self.due_at {
            return;
        }
        self.due_at = now + self.every;
        let sent = match self.outlet.channel.resend(self.firing(), self.clock.now()).await {
            Ok(sent) => sent,
            Err(error) => {
                tracing::debug!(event = "alerting.resend.unread", error = %error, "could not read the firing alerts; will retry");
                return;
            }
        };
        match sent {
            Ok(0) => {}
            Ok(alerts) => self.succeeded(alerts),
            Err(error) => self.failed(&error),
        }
    }

    fn succeeded(&mut self, alerts: usize) {
        if std::mem::take(&mut self.fails) {
            tracing::info!(
                event = "alerting.resend.works",
                channel = self.outlet.name,
                alerts,
                "firing alerts are accepted again"
            );
        }
        self.channels.note(&self.outlet.name, |health| (health.since, health.last_error) = (None, None));
    }

    fn failed(&mut self, error: &SendError) {
        if let SendError::Later { after: Some(after), .. } = error {
            self.due_at = self.due_at.max(self.clock.monotonic() + *after);
        }
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(
                event = "alerting.resend.failed",
                channel = self.outlet.name,
                error = %error,
                "could not resend firing alerts; will retry"
            );
        }
        let now = self.clock.now();
        self.channels.note(&self.outlet.name, |health| {
            health.since.get_or_insert(now);
            health.last_error = Some(error.to_string());
        });
    }

    /// Open alerts that the channel was notified of, as messages.
    async fn firing(&self) -> Result<Vec<Message>, StoreError> {
        let (mut groups, mut after): (BTreeMap<String, Vec<AlertRow>>, _) = (BTreeMap::new(), String::new());
        loop {
            let page = self.store.told_alerts(self.subscription.after_ms(), &after, PAGE).await?;
            if let Some(last) = page.last {
                after = last;
            } else {
                after.clear();
            }
            let mine = page.alerts.into_iter().filter(|row| self.subscription.gets_word(&row.rule));
            mine.for_each(|row| groups.entry(row.reason.clone()).or_default().push(row));
            if after.is_empty() {
                break;
            }
        }
        let now = self.clock.now();
        Ok(groups.into_iter().map(|(reason, rows)| self.message(&reason, &rows, now)).collect())
    }

    fn message(&self, reason: &str, rows: &[AlertRow], now: Time) -> Message {
        let rows: Vec<&AlertRow> = rows.iter().collect();
        let Event { id, kind, subject, partition_key, at, data, .. } =
            notify::event(AlertPhase::Repeated, self.subscription.after_ms(), reason, &rows, now);
        let at = Time::from_ms(at);
        let event = OutboxEvent { id, kind, subject, partition_key, sequence: 0, at, data };
        let ChannelEndpoint { language, zone, link, .. } = &*self.outlet;
        render::message(&event, *language, zone, link.as_deref())
    }
}
