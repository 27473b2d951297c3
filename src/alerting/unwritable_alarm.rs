//! The one alert that cannot be written first: that nothing can be written. It goes directly to every channel, once per
//! outage.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

use super::{
    deliver::ChannelEndpoint,
    evaluator::{notify, reconcile::alert},
    fan_out::Subscription,
};
use crate::{
    clock::SharedClock,
    domain::{
        alert_rules::{Rule, SystemCondition, of_system_condition},
        event::{ALARM, AlertPhase, OutboxEvent},
        text::render,
        time::{BEIJING, Time},
    },
    engine::Engine,
    notify::SendError,
    shutdown::Shutdown,
    store::write::record::Event,
};

/// How long nothing can be written before people are told: a backup that holds the file is over by then.
const TELL_AFTER: Duration = Duration::from_secs(30);

/// How often that is asked.
const TICK: Duration = Duration::from_secs(1);

/// How often at most a channel is tried that does not take it.
const TRIES: u32 = 5;

/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells that nothing can be written.
#[derive(Debug)]
pub struct UnwritableAlarm {
    engine: Arc<Engine>,
    audience: Audience,
}

/// The channels that are told of the daemon's alerts at once. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Audience(watch::Sender<Vec<Arc<ChannelEndpoint>>>);

impl Audience {
    /// Those of the channels that have asked for it.
    #[must_use]
    pub fn of(subscriptions: &[Subscription], outlets: Vec<Arc<ChannelEndpoint>>) -> Self {
        Self(watch::Sender::new(told(subscriptions, outlets)))
    }

    /// These from now on.
    pub fn set(&self, subscriptions: &[Subscription], outlets: Vec<Arc<ChannelEndpoint>>) {
        self.0.send_replace(told(subscriptions, outlets));
    }
}

fn told(subscriptions: &[Subscription], outlets: Vec<Arc<ChannelEndpoint>>) -> Vec<Arc<ChannelEndpoint>> {
    let is_told = |outlet: &Arc<ChannelEndpoint>| {
        subscriptions.iter().any(|one| one.channel == outlet.name && one.after.is_zero() && one.gets(Rule::Daemon))
    };
    outlets.into_iter().filter(is_told).collect()
}

impl UnwritableAlarm {
    /// For those of the channels that are told of the daemon's alerts at once.
    #[must_use]
    pub fn new(engine: Arc<Engine>, subscriptions: &[Subscription], outlets: Vec<Arc<ChannelEndpoint>>) -> Self {
        Self::before(engine, Audience::of(subscriptions, outlets))
    }

    /// For an audience that may change.
    #[must_use]
    pub const fn before(engine: Arc<Engine>, audience: Audience) -> Self {
        Self { engine, audience }
    }

    /// Watches until the end is asked for.
    pub async fn run(self, shutdown: &Shutdown) {
        let mut told = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !shutdown.asked() {
            tokio::select! {
                () = shutdown.wait() => return,
                _ = tick.tick() => {}
            }
            let Some(since) = self.engine.readings().unwritable_since else { continue };
            if told == Some(since) || self.engine.clock().now().since(since) < TELL_AFTER {
                continue;
            }
            told = Some(since);
            tokio::select! {
                () = shutdown.wait() => return,
                () = self.tell(since) => {}
            }
        }
    }

    async fn tell(&self, since: Time) {
        let why = self.engine.store().health().borrow().wrong.as_ref().map(ToString::to_string).unwrap_or_default();
        self.send_all(&event("unwritable", since, why, self.engine.clock().now())).await;
    }

    /// Tells what ends the daemon, which must not be written any more: a finding's word, and the sentence.
    pub async fn tell_end(&self, finding: &str, why: String) {
        let now = self.engine.clock().now();
        self.send_all(&event(finding, now, why, now)).await;
    }

    async fn send_all(&self, event: &OutboxEvent) {
        // One that hangs holds up no other.
        let mut sending = JoinSet::new();
        let audience = self.audience.0.borrow().clone();
        for outlet in audience {
            sending.spawn(send(outlet, event.clone(), Arc::clone(self.engine.clock())));
        }
        while sending.join_next().await.is_some() {}
    }
}

async fn send(outlet: Arc<ChannelEndpoint>, event: OutboxEvent, clock: SharedClock) {
    let message = render::message(&event, outlet.language, &outlet.zone, outlet.link.as_deref());
    for tried in 0..TRIES {
        match outlet.channel.send(&message, clock.now()).await {
            Ok(()) => return,
            Err(SendError::Unconfirmed { .. }) if tried > 0 => return,
            Err(error) => tracing::warn!(channel = outlet.name, error = %error, "alarm not delivered"),
        }
        clock.sleep_until(clock.monotonic() + PAUSE).await;
    }
}

/// As the watch would have written it.
fn event(finding: &str, since: Time, why: String, now: Time) -> OutboxEvent {
    let plight = SystemCondition::Daemon { finding: finding.to_owned(), example: why, count: 1, since };
    let mut row = alert(of_system_condition(&plight, &BEIJING), now, Duration::ZERO);
    // The same in every try, and another in the next outage.
    row.id = format!("{}/{}", row.key, since.ms());
    let Event { kind, data, .. } = notify::event(AlertPhase::Fired, 0, &row.reason, &[&row], now);
    OutboxEvent {
        id: row.id,
        kind,
        subject: row.key,
        // What is not written has no place among the others; a later one comes after it.
        partition_key: ALARM.to_owned(),
        sequence: since.ms(),
        at: now,
        data,
    }
}
