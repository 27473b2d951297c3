//! Who is told what, and when: the daemon and its watch in a small world. Stories look at `v_alert` and at the events,
//! as everybody outside can. They do not reach into the watch.

mod accounts;

mod blame;

mod channels;

mod crowd;

mod hands;

mod life;

mod many;

mod poison;

mod resend;

mod rules;

mod vanished;

mod words;

use amplinkd::{
    alerting::{
        deliver::{ChannelEndpoint, Deliver},
        fan_out::Subscription,
        meters::DeliveryMeters,
        resend::Resender,
    },
    sim::By,
};

use super::*;

/// A channel that gets every alert.
pub(crate) fn everything(channel: &str) -> Subscription {
    Subscription {
        channel: channel.to_owned(),
        alerts: Some(Vec::new()),
        after: Duration::ZERO,
        transitions: true,
        conflicts: true,
        digests: true,
    }
}

/// A daemon that is looked at by what it tells.
pub(crate) struct Guarded {
    pub(crate) daemon: Daemon,
    /// The channels themselves, in the stories that send.
    deliver: Option<Deliver>,
    /// What repeats to those who forget, likewise.
    resender: Option<Resender>,
}

/// An alert as its view shows it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) rule: String,
    pub(crate) reason: String,
    pub(crate) request_id: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) state: String,
    pub(crate) since: String,
    pub(crate) fired_at: String,
    pub(crate) resolved_at: Option<String>,
    pub(crate) resolution: Option<String>,
    pub(crate) notifications: i64,
    pub(crate) message_en: String,
    pub(crate) message_zh: String,
}

/// An event about alerts: its type, subject, and how many alerts it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) count: i64,
    pub(crate) at: i64,
    pub(crate) reach: i64,
    pub(crate) alerts: Vec<String>,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings of its alerts.
    pub(crate) async fn with(change: impl FnOnce(&mut Alerting)) -> Self {
        Self::around(Daemon::start().await, change).await
    }

    pub(crate) async fn around(daemon: Daemon, change: impl FnOnce(&mut Alerting)) -> Self {
        let mut guarded = Self { daemon, deliver: None, resender: None };
        guarded.daemon.alerting.subscriptions.push(everything("ops"));
        change(&mut guarded.daemon.alerting);
        guarded.daemon.watch_over().await;
        guarded
    }

    /// What is counted of the channels.
    pub(crate) fn delivery_meters(&self) -> DeliveryMeters {
        self.deliver.as_ref().map(|deliver| deliver.channels().meters().clone()).unwrap_or_default()
    }

    /// Ends and starts the process.
    pub(crate) async fn restart(&mut self) {
        self.daemon.restart().await;
    }

    /// Does everything that is due at this moment.
    pub(crate) async fn settle(&mut self) {
        self.daemon.settle().await;
        if let Some(deliver) = &mut self.deliver {
            deliver.settle().await.unwrap();
        }
        if let Some(resender) = &mut self.resender {
            resender.settle().await;
        }
    }

    /// From now on what is queued is sent.
    pub(crate) async fn post(&mut self, outlets: Vec<ChannelEndpoint>) {
        let (engine, settings) = (self.daemon.engine(), self.daemon.alerting.clone());
        let started = daemon::Alerting::start(engine, settings, outlets, GIVE_UP_AFTER).await.unwrap();
        (self.daemon.watch, self.deliver) = (Some(started.evaluator), Some(started.deliver));
        self.resender = Some(started.resender);
    }

    /// Lets time pass, from due time to due time.
    pub(crate) async fn run_for(&mut self, span: Duration) {
        let clock = Arc::clone(&self.daemon.clock);
        let end = clock.monotonic() + span;
        loop {
            self.settle().await;
            let now = clock.monotonic();
            if now >= end {
                return;
            }
            let due = self.daemon.next_due().await;
            let sends = match &mut self.deliver {
                Some(deliver) => deliver.next_due().await.unwrap(),
                None => None,
            };
            let resends = self.resender.as_ref().and_then(Resender::next_due);
            let due = [sends, resends].into_iter().flatten().fold(due, Duration::min);
            let step = due.max(now + Duration::from_millis(1)).min(now + STEP_MAX).min(end);
            clock.advance(step.saturating_sub(now));
        }
    }

    /// Lets time pass with every look around that a daemon makes in it.
    pub(crate) async fn attend(&mut self, span: Duration) {
        let clock = Arc::clone(&self.daemon.clock);
        let end = clock.monotonic() + span;
        while clock.monotonic() < end {
            self.run_for(seconds(15).min(end.saturating_sub(clock.monotonic()))).await;
        }
    }

    /// All alerts, the oldest first.
    pub(crate) async fn alerts(&self) -> Vec<Shown> {
        let mut connection = self.daemon.connection().await;
        let sql = "SELECT id, key, rule, reason, request_id, account, state, since, fired_at, resolved_at, resolution,
                   notifications, message_en, message_zh FROM v_alert ORDER BY fired_at, key";
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    }

    /// The alerts of one rule.
    pub(crate) async fn of(&self, rule: &str) -> Vec<Shown> {
        self.alerts().await.into_iter().filter(|alert| alert.rule == rule).collect()
    }

    /// The only alert of a rule.
    pub(crate) async fn the(&self, rule: &str) -> Shown {
        let all = self.alerts().await;
        match all.iter().filter(|alert| alert.rule == rule).collect::<Vec<_>>()[..] {
            [one] => one.clone(),
            _ => panic!("not one alert of {rule}: {all:#?}"),
        }
    }

    /// Every event about alerts, in order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut connection = self.daemon.connection().await;
        let sql = "SELECT type, subject, at, reach, data FROM outbox WHERE type LIKE 'amplinkd.alert.%' ORDER BY seq";
        let rows: Vec<(String, String, i64, i64, String)> =
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        let event = |(kind, subject, at, reach, data): (String, String, i64, i64, String)| {
            let data: serde_json::Value = serde_json::from_str(&data).unwrap();
            let alerts = data["alerts"].as_array().unwrap();
            Event {
                kind,
                subject,
                count: data["count"].as_i64().unwrap(),
                at,
                reach,
                alerts: alerts.iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect(),
            }
        };
        rows.into_iter().map(event).collect()
    }

    /// The types of these events, without what all have in common.
    pub(crate) async fn told(&self) -> Vec<String> {
        let short = |event: Event| event.kind.trim_start_matches("amplinkd.alert.").to_owned();
        self.events().await.into_iter().map(short).collect()
    }
}

impl Guarded {
    /// What is queued for a channel, in order.
    pub(crate) async fn queue(&self, channel: &str) -> Vec<String> {
        let mut connection = self.daemon.connection().await;
        let sql = "SELECT v.event_type FROM v_delivery AS v JOIN outbox AS o ON o.id = v.event_id
                   WHERE v.channel = $1 ORDER BY o.seq";
        sqlx::query_scalar(sql).bind(channel).fetch_all(&mut connection).await.unwrap()
    }

    /// The account's administrator answers after all.
    pub(crate) fn agree(&self) {
        let now = self.daemon.sim.now();
        self.daemon.sim.world().approve(ACCOUNT, PROGRAM, By::AccountAdmin, now).unwrap();
    }
}
