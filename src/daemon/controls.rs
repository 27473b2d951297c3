//! Replaces the configuration of a daemon while it works. Nothing is dropped half way: each loop takes over between two
//! things that it does, and keeps what it knows.

use std::{sync::Arc, time::Duration};

use crate::{
    alerting::{
        deliver::{ChannelEndpoint, Configured},
        evaluator,
        heartbeat::HeartbeatTask,
        meters::LastHeard,
        resend::Recipients,
        unwritable_alarm::Audience,
    },
    engine::{self, Engine, alert_deadlines::AlertDeadlines},
    http::doors::{DoorsControl, Platform},
    live::{Changes, Control},
    notify::heartbeat::HeartbeatClient,
    schedule::Calendar,
    shutdown::Shutdown,
    store::ownership::Ownership,
    wechat::Wechat,
};

/// Who is told that the daemon lives, and how often; `None` is nobody.
pub type Beat = Option<(HeartbeatClient, Duration)>;

/// Whether the tokens in memory are still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptTokens {
    /// They come from where they will come from.
    Keep,
    /// They come from elsewhere: each is asked for anew.
    Drop,
}

/// All that can be replaced.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) engine: engine::Settings,
    pub(super) wechat: Wechat,
    pub(super) alerting: evaluator::Settings,
    pub(super) deadlines: AlertDeadlines,
    pub(super) channels: Vec<ChannelEndpoint>,
    pub(super) give_up_after: Duration,
    pub(super) heartbeat: Beat,
    pub(super) calendar: Calendar,
    pub(super) platform: Option<Platform>,
}

/// A way to every loop of a running daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Controls {
    pub(super) engine: Arc<Engine>,
    pub(super) alerting: Control<evaluator::Settings>,
    pub(super) deliver: Control<Configured>,
    pub(super) resender: Control<Recipients>,
    pub(super) audience: Audience,
    pub(super) heartbeat: Control<Beat>,
    pub(super) jobs: Control<Calendar>,
    pub(super) doors: Option<DoorsControl>,
}

impl Controls {
    /// What the daemon may work on.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        self.engine.ownership()
    }

    /// With the doors of a daemon that is the platform itself.
    #[must_use]
    pub fn of_doors(self, doors: Option<DoorsControl>) -> Self {
        Self { doors, ..self }
    }

    /// Puts all of it in force, and waits until every loop goes by it.
    pub(super) async fn set(&self, new: Replacement, tokens: KeptTokens) {
        let outlets: Vec<Arc<ChannelEndpoint>> = new.channels.into_iter().map(Arc::new).collect();
        if tokens == KeptTokens::Keep {
            new.wechat.tokens().take_over(self.engine.wechat().tokens());
        }
        let running = self.engine.wechat();
        // Whoever keeps tokens in this process does so until it ends.
        let wechat = if running.tokens().are_asked_for() || new.wechat.tokens().are_asked_for() {
            new.wechat.with_tokens(running.tokens().clone())
        } else {
            new.wechat
        };
        let meters = Arc::clone(running.meters());
        self.engine.reconfigure(new.engine, wechat.counting(Arc::clone(&meters)));
        self.engine.ownership().allow(self.engine.limits());
        self.engine.recorder().audit_by(new.deadlines);
        self.audience.set(&new.alerting.subscriptions, outlets.clone());
        // In this order: when what waits for a channel that is gone is given up, nothing is queued for it any more.
        let recipients = Recipients { subscriptions: new.alerting.subscriptions.clone(), outlets: outlets.clone() };
        self.alerting.set(new.alerting).await;
        self.deliver.set(Configured { outlets, give_up_after: new.give_up_after }).await;
        self.resender.set(recipients).await;
        self.heartbeat.set(new.heartbeat).await;
        self.jobs.set(new.calendar).await;
        if let (Some(doors), Some(platform)) = (&self.doors, new.platform) {
            let client = platform.client.counting(meters);
            doors.set(Platform { client, ..platform }).await;
        }
    }
}

/// Beats until the end is asked for, for whoever is to hear it.
pub(super) async fn beat(
    engine: &Arc<Engine>,
    (first, mut changes): (Beat, Changes<Beat>),
    heard: &LastHeard,
    shutdown: &Shutdown,
) {
    let mut to = first;
    while !shutdown.asked() {
        heard.configure(to.is_some());
        let beats = async {
            match to.take() {
                Some((client, every)) => {
                    HeartbeatTask::new(Arc::clone(engine), client, every).noting(heard.clone()).run(shutdown).await;
                }
                None => shutdown.wait().await,
            }
        };
        // A beat that is dropped half way is made anew, to the new address.
        tokio::select! {
            () = beats => {}
            change = changes.next() => to = change.to,
        }
    }
}
