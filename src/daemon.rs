//! The one place that puts a daemon together: for `run`, the demo, the self-test, tests and benchmarks. Opening the
//! database, signals and systemd are left to whoever starts it.

mod controls;
mod house;
mod platform;
mod reach;
mod told;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context;

pub use self::{
    controls::{Beat, Controls, KeptTokens},
    house::End,
    platform::{doors, platform, vault},
    reach::{simulated, wechat},
    told::{alerting, deadlines},
};
use self::{
    controls::{Replacement, beat},
    house::House,
    reach::{client, token_source},
    told::{channels, heartbeat},
};
use crate::{
    alerting::{
        deliver::{ChannelEndpoint, Deliver},
        evaluator::{self, AlertEvaluator},
        meters::{DeliveryMeters, LastHeard},
        resend::Resender,
        unwritable_alarm::{Audience, UnwritableAlarm},
    },
    clock::SharedClock,
    config::{Config, Schedule},
    engine::{self, Engine, drive::Driver, presence::Presence},
    http::{
        api::Door,
        doors::{Doors, Platform},
    },
    live::{Changes, controlled},
    metrics::{Metrics, Sources, http::HttpMeters},
    notify::heartbeat::HeartbeatClient,
    schedule::{Calendar, CronJobs},
    shutdown::Shutdown,
    store::{OpenError, Store, StoreError},
    wechat::{Wechat, token::Asks},
};

/// How long channels may take to be told that the file is damaged, before the daemon ends whether they were or not.
const TELL_OF_DAMAGE: Duration = Duration::from_secs(20);

/// Everything that a daemon is made of but its database. [`Parts::new`] has what each needs; the rest is set by those who
/// need it.
#[derive(Debug)]
pub struct Parts {
    /// The time.
    pub clock: SharedClock,
    /// Whom it calls.
    pub wechat: Wechat,
    /// How it polls and calls.
    pub engine: engine::Settings,
    /// What people are told, and when.
    pub alerting: evaluator::Settings,
    /// By which ways.
    pub channels: Vec<ChannelEndpoint>,
    /// How long a message is tried.
    pub give_up_after: Duration,
    /// Who outside is told that it lives, and how often.
    pub heartbeat: Beat,
    /// When its cron jobs run.
    pub schedule: Schedule,
    /// How long finished requests are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// What polls and calls ask a keeper of tokens in this process, when the daemon is the platform itself; whoever runs it
    /// answers.
    pub asks: Option<Asks>,
    /// How the platform's own calls are made, and which pushes and callers are heard, when the daemon is the platform itself.
    pub platform: Option<Platform>,
}

impl Parts {
    /// A daemon that has nobody to tell.
    #[must_use]
    pub fn new(clock: SharedClock, wechat: Wechat, engine: engine::Settings) -> Self {
        Self {
            clock,
            wechat,
            engine,
            alerting: evaluator::Settings::default(),
            channels: Vec::new(),
            give_up_after: Config::default().alerts.give_up_after,
            heartbeat: None,
            schedule: Schedule::default(),
            retention: None,
            asks: None,
            platform: None,
        }
    }

    /// The daemon that an operator wants.
    ///
    /// # Errors
    /// An address, a token source, a channel or a number that cannot be used; the sentence says which and why.
    pub fn from_config(config: &Config, clock: SharedClock) -> anyhow::Result<Self> {
        let (source, asks) = token_source(config)?;
        let wechat = wechat(&client(config)?, source, usize::try_from(config.tokens.keep)?, &clock)?;
        let (channels, heartbeat) = (channels(&config.alerts)?, heartbeat(config)?);
        Ok(Self {
            alerting: alerting(config),
            channels,
            give_up_after: config.alerts.give_up_after,
            heartbeat,
            schedule: config.schedule.clone(),
            retention: config.retention.finished,
            asks,
            platform: platform(config)?,
            ..Self::new(clock, wechat, engine_settings(config)?)
        })
    }

    /// Puts all of it in force in a running daemon, but for its clock; waits until every loop goes by it.
    pub async fn put_in_force(self, controls: &Controls, tokens: KeptTokens) {
        let calendar = Calendar { schedule: self.schedule, retention: self.retention };
        let new = Replacement {
            engine: self.engine,
            wechat: self.wechat,
            deadlines: deadlines(&self.alerting),
            alerting: self.alerting,
            channels: self.channels,
            give_up_after: self.give_up_after,
            heartbeat: self.heartbeat,
            calendar,
            platform: self.platform,
        };
        controls.set(new, tokens).await;
    }
}

/// The half that polls and calls, alone: it takes up where the last process ended.
///
/// # Errors
/// [`StoreError`] when the database cannot be read or written.
pub async fn drive(
    store: Store,
    clock: SharedClock,
    wechat: Wechat,
    settings: engine::Settings,
) -> Result<(Arc<Engine>, Driver), StoreError> {
    let engine = Engine::new(store, wechat, clock, settings);
    let driver = Driver::start(Arc::clone(&engine)).await?;
    Ok((engine, driver))
}

/// What is measured of that half.
#[must_use]
pub fn metrics(engine: &Arc<Engine>) -> Metrics {
    Metrics::new(Sources {
        engine: Arc::clone(engine),
        alerting: Arc::default(),
        deliveries: DeliveryMeters::default(),
        heartbeat: LastHeard::default(),
        http: HttpMeters::default(),
    })
}

/// The half that tells people.
#[derive(Debug)]
pub struct Alerting {
    /// What finds out what they must know.
    pub evaluator: AlertEvaluator,
    /// What sends it.
    pub deliver: Deliver,
    /// Repeats firing alerts to Alertmanagers.
    pub resender: Resender,
}

impl Alerting {
    /// Takes up where the last process ended.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read or written.
    pub async fn start(
        engine: &Arc<Engine>,
        settings: evaluator::Settings,
        channels: Vec<ChannelEndpoint>,
        give_up_after: Duration,
    ) -> Result<Self, StoreError> {
        let deliver = Deliver::new(engine.store().clone(), Arc::clone(engine.clock()), channels, give_up_after);
        let resender = Resender::new(engine.store(), engine.clock(), &settings.subscriptions, &deliver);
        let evaluator = AlertEvaluator::start(Arc::clone(engine), settings, deliver.channels().clone()).await?;
        Ok(Self { evaluator, deliver, resender })
    }
}

/// A daemon that is ready. [`Daemon::run`] turns all its loops; who moves the clock by hand turns them one by one.
#[derive(Debug)]
pub struct Daemon {
    /// What all its parts share.
    pub engine: Arc<Engine>,
    /// The loop that polls and calls.
    pub driver: Driver,
    /// The half that tells people.
    pub alerting: Alerting,
    /// What is done by the calendar.
    pub jobs: CronJobs,
    /// Tells that nothing can be written.
    unwritable: UnwritableAlarm,
    /// Tells what ends the daemon.
    damage: UnwritableAlarm,
    heartbeat: (Beat, Changes<Beat>),
    /// What is measured of it.
    metrics: Metrics,
    heard: LastHeard,
    /// What replaces its configuration while it runs.
    controls: Controls,
}

impl Daemon {
    /// Takes up where the last process ended.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read or written.
    pub async fn open(store: Store, parts: Parts) -> Result<Self, StoreError> {
        let (engine, driver) = drive(store, parts.clock, parts.wechat, parts.engine).await?;
        engine.store().time_commits(engine.clock());
        engine.recorder().audit_by(deadlines(&parts.alerting));
        let subscriptions = parts.alerting.subscriptions.clone();
        let mut alerting = Alerting::start(&engine, parts.alerting, parts.channels, parts.give_up_after).await?;
        let audience = Audience::of(&subscriptions, alerting.deliver.outlets());
        let alarm = || UnwritableAlarm::before(Arc::clone(&engine), audience.clone());
        let (unwritable, damage) = (alarm(), alarm());
        let mut jobs = CronJobs::new(Arc::clone(&engine), parts.schedule).with_retention(parts.retention);
        let (heartbeat, beats) = controlled();
        let controls = Controls {
            engine: Arc::clone(&engine),
            alerting: alerting.evaluator.control(),
            deliver: alerting.deliver.control(),
            resender: alerting.resender.control(),
            audience,
            heartbeat,
            jobs: jobs.control(),
            doors: None,
        };
        let heard = LastHeard::default();
        heard.configure(parts.heartbeat.is_some());
        let metrics = Metrics::new(Sources {
            engine: Arc::clone(&engine),
            alerting: alerting.evaluator.meters(),
            deliveries: alerting.deliver.channels().meters().clone(),
            heartbeat: heard.clone(),
            http: HttpMeters::default(),
        });
        let heartbeat = (parts.heartbeat, beats);
        Ok(Self { engine, driver, alerting, jobs, unwritable, damage, heartbeat, metrics, heard, controls })
    }

    /// What replaces its configuration while it runs.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// What is measured of it.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Works until the end is asked for, behind these doors if it has any; finishes what is under way, and closes the
    /// database: calls that bring tokens, too, whose answers may be the only ones that there will be. Answers whether the daemon
    /// should begin anew.
    ///
    /// # Errors
    /// The file is damaged, or the loop panicked.
    pub async fn run(
        self,
        presence: Presence,
        (doors, api): (Option<Doors>, Option<Door>),
        shutdown: &Shutdown,
    ) -> anyhow::Result<End> {
        let Self { engine, driver, alerting, jobs, unwritable, damage, heartbeat, metrics: _, heard, controls: _ } =
            self;
        let house = House::new(&engine);
        let Alerting { evaluator, deliver, resender } = alerting;
        let work = async {
            let ended = driver.spawn(shutdown.clone()).await;
            // Without its loop the daemon is worth nothing: end, so that systemd starts it again.
            shutdown.ask();
            ended
        };
        let beat = beat(&engine, heartbeat, &heard, shutdown);
        let once_for_all = house.keep(shutdown, async |shutdown| {
            // What it still finds out is sent by the next process: it is written down.
            let (tell, resend) = (deliver.run(shutdown), resender.run(shutdown));
            tokio::join!(evaluator.run(shutdown), tell, resend, jobs.run(shutdown), engine.tend(shutdown));
        });
        let tell = async { tokio::join!(once_for_all, unwritable.run(shutdown), beat) };
        let keep = async {
            let checked = check(&engine, &damage, shutdown);
            tokio::join!(checked, engine.keep_log(shutdown), presence.run(shutdown), house.watch(shutdown)).0
        };
        let keeper = doors.as_ref().map(|doors| doors.keeper().clone());
        let doors = async {
            if let Some(doors) = doors {
                doors.run(shutdown).await;
            }
        };
        let api = async {
            if let Some(api) = api {
                api.run(shutdown).await;
            }
        };
        let (ended, _, checked, (), ()) = tokio::join!(work, tell, keep, doors, api);
        if let Some(keeper) = keeper {
            keeper.finish().await;
        }
        drop(ended.context("the loop panicked, which is a defect of amplinkd")?);
        presence.end().await;
        engine.store().clone().close().await;
        checked?;
        Ok(house.end())
    }
}

/// Checks a large file beside the work. Damage is told to every channel directly, for nothing must be written any more, and
/// ends the daemon; the next start looks before it does anything.
async fn check(engine: &Engine, damage: &UnwritableAlarm, shutdown: &Shutdown) -> Result<(), OpenError> {
    let checked = engine.check_file(shutdown).await;
    if let Err(error) = &checked {
        // A channel that does not answer must not keep a damaged file in use.
        let _ = tokio::time::timeout(TELL_OF_DAMAGE, damage.tell_end("damaged", error.to_string())).await;
        shutdown.ask();
    }
    checked
}

/// What the engine is told of the configuration.
///
/// # Errors
/// A number that is outside of what the configuration promises.
pub fn engine_settings(config: &Config) -> anyhow::Result<engine::Settings> {
    Ok(engine::Settings {
        policy: config.policy(),
        in_flight: usize::try_from(config.wechat.in_flight)?,
        per_second: NonZeroU32::new(config.wechat.per_second).context("[wechat] per_second must be at least 1")?,
        daily_budget: config.polling.daily_budget,
    })
}

/// What is odd about a configuration that works all the same, each in a sentence. `proxy_variables` are those of the
/// environment that name a proxy.
#[must_use]
pub fn oddities(config: &Config, proxy_variables: &[String]) -> Vec<String> {
    let direct = config.direct_sides();
    let unused = (!proxy_variables.is_empty() && !direct.is_empty()).then(|| {
        let (variables, direct) = (proxy_variables.join(", "), direct.join(", "));
        format!(
            "{variables} of the environment: not used, so {direct} will be called directly; where the way leads through a \
             proxy, name it with `proxy` in that section"
        )
    });
    let client = config.heartbeat.settings().and_then(|settings| HeartbeatClient::new(settings).ok());
    let heartbeat = client.and_then(|client| Some(format!("[heartbeat] url: {}", client.oddity()?)));
    let traces = config.telemetry.endpoint.as_ref().filter(|_| !cfg!(feature = "otel")).map(|_| {
        "[telemetry] otlp_endpoint: nothing is traced, because this binary was built without the feature otel"
            .to_owned()
    });
    unused.into_iter().chain(heartbeat).chain(traces).collect()
}
