//! `amplinkd run`: the daemon in the foreground. It wires the modules together, reports to systemd and shuts down in
//! order.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use sd_notify::NotifyState;

use super::{context::open, people, systemd};
use crate::{
    alerting::{
        deliver::Deliver, evaluator::AlertEvaluator, heartbeat::HeartbeatTask, unwritable_alarm::UnwritableAlarm,
    },
    clock::{SharedClock, SystemClock},
    config::{Config, TokenSource as Source},
    engine::{Engine, Readings, Settings, drive::Driver, presence::Presence},
    schedule::CronJobs,
    shutdown::Shutdown,
    store::{Location, OpenError, Role},
    telemetry,
    wechat::{Client, ClientConfig, CommandSource, HttpSource, TokenSource, Tokens, Wechat},
};

/// How often systemd is told how we do when it has not said how often it wants to hear.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Rounds of the loop come at least this often; twice as long without one is a loop that stands still.
const STANDSTILL: Duration = Duration::from_secs(10);

/// How long channels may take to be told that the file is damaged, before the daemon ends whether they were or not.
const TELL_OF_DAMAGE: Duration = Duration::from_secs(20);

/// Run the daemon in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amplinkd run -c /etc/amplinkd/amplinkd.toml\n\nSIGTERM and ctrl-C stop it \
                        cleanly; the next start resumes where it stopped.\nconfig/amplinkd.service is a systemd unit.")]
pub struct Run {}

/// Runs the daemon until the end is asked for.
///
/// # Errors
/// The configuration, the database or the client cannot be used; the sentence says which and why.
pub async fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(path, crate::config::environment())?;
    telemetry::start(&config.log)?;
    systemd::keep_memory_to_itself();
    let shutdown = Shutdown::new();
    shutdown.listen().context("cannot listen for signals")?;

    let Some(started) = systemd::patiently(&shutdown, start(&config)).await else {
        tracing::info!("amplinkd has ended before it was ready");
        return Ok(());
    };
    let Started { engine, driver, presence, deliver, alarm, damage, guard, pulse } = started?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = %config.database.path.display(),
        accounts = driver.accounts(),
        "amplinkd is running"
    );
    systemd::tell(&[NotifyState::Ready, NotifyState::Status("running")]);
    let chores = CronJobs::new(Arc::clone(&engine), config.schedule.clone()).with_retention(config.retention.finished);
    let work = async {
        let ended = driver.spawn(shutdown.clone()).await;
        // Without its loop the daemon is worth nothing: end, so that systemd starts it again.
        shutdown.ask();
        ended
    };
    let beat = async {
        if let Some(pulse) = pulse {
            pulse.run(&shutdown).await;
        }
    };
    let tell = async {
        // What it still finds out is sent by the next process: it is written down.
        let imports = engine.tend_imports(&shutdown);
        let presence = presence.run(&shutdown);
        tokio::join!(guard.run(&shutdown), deliver.run(&shutdown), alarm.run(&shutdown), presence, beat, imports)
    };
    let keep = async {
        let checked = check(&engine, &damage, &shutdown);
        tokio::join!(checked, engine.keep_log(&shutdown)).0
    };
    let (ended, (), (), _, checked) = tokio::join!(work, chores.run(&shutdown), watch(&engine, &shutdown), tell, keep);
    drop(ended.context("the loop panicked, which is a defect of amplinkd")?);
    presence.end().await;
    engine.store().clone().close().await;
    tracing::info!(readings = ?engine.readings(), "amplinkd has ended");
    Ok(checked?)
}

/// Everything that runs, before it does.
struct Started {
    engine: Arc<Engine>,
    driver: Driver,
    presence: Presence,
    deliver: Deliver,
    alarm: UnwritableAlarm,
    /// Tells what ends the daemon.
    damage: UnwritableAlarm,
    guard: AlertEvaluator,
    pulse: Option<HeartbeatTask>,
}

/// Opens, brings up to date, takes up where the last process ended.
async fn start(config: &Config) -> anyhow::Result<Started> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let wechat = wechat(config, &clock)?;
    let (outlets, heartbeat) = (people::outlets(&config.alerts)?, people::heartbeat(config)?);
    let location = Location { path: config.database.path.clone(), mode: config.database.mode };
    let store = open(&location, Role::Daemon).await?;
    let engine = Engine::new(store, wechat, clock, settings(config)?);
    engine.recorder().audit_by(people::promised(config));
    let driver = Driver::start(Arc::clone(&engine)).await?;
    let presence = Presence::begin(Arc::clone(&engine)).await;
    let (store, clock) = (engine.store().clone(), Arc::clone(engine.clock()));
    let deliver = Deliver::new(store, clock, outlets, config.alerts.give_up_after);
    let alerting = people::settings(config);
    let alarm = || UnwritableAlarm::new(Arc::clone(&engine), &alerting.subscriptions, deliver.outlets());
    let (alarm, damage) = (alarm(), alarm());
    let guard = AlertEvaluator::start(Arc::clone(&engine), alerting, deliver.channels().clone()).await?;
    let pulse = heartbeat.map(|heartbeat| HeartbeatTask::new(Arc::clone(&engine), heartbeat, config.heartbeat.every));
    Ok(Started { engine, driver, presence, deliver, alarm, damage, guard, pulse })
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
pub fn settings(config: &Config) -> anyhow::Result<Settings> {
    Ok(Settings {
        policy: config.policy(),
        in_flight: usize::try_from(config.wechat.in_flight)?,
        per_second: NonZeroU32::new(config.wechat.per_second).context("[wechat] per_second must be at least 1")?,
        daily_budget: config.polling.daily_budget,
    })
}

/// The client of `WeChat` with its tokens.
///
/// # Errors
/// An address or a token source that cannot be used.
pub fn wechat(config: &Config, clock: &SharedClock) -> anyhow::Result<Wechat> {
    let client = Client::new(&ClientConfig {
        base_url: config.wechat.base_url.clone(),
        timeout: config.wechat.timeout,
        idle_per_host: usize::try_from(config.wechat.in_flight)?,
        ..ClientConfig::default()
    })?;
    let timeout = config.tokens.timeout;
    let source = match &config.tokens.source {
        Source::Http { url, headers } => TokenSource::Http(HttpSource {
            url: url.template().to_owned(),
            headers: headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            timeout,
        }),
        Source::Command(words) => {
            let (program, args) = words.split_first().context("[tokens] command is empty")?;
            TokenSource::Command(CommandSource { program: program.into(), args: args.to_vec(), timeout })
        }
        Source::Static(table) => {
            TokenSource::Static(table.iter().map(|(account, token)| (account.to_string(), token.clone())).collect())
        }
    };
    let keep = usize::try_from(config.tokens.keep)?;
    Ok(Wechat::new(client, Tokens::keeping(keep, source, Arc::clone(clock))?))
}

/// Feeds systemd's watchdog, only while the loop goes round.
async fn watch(engine: &Engine, shutdown: &Shutdown) {
    let every = sd_notify::watchdog_enabled().map_or(REPORT_EVERY, |limit| limit / 3);
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick comes at once, when nothing can have gone round yet.
    tick.tick().await;
    let (mut turns, mut still) = (0, Duration::ZERO);
    loop {
        tokio::select! {
            () = shutdown.wait() => {
                systemd::tell(&[NotifyState::Stopping]);
                return;
            }
            _ = tick.tick() => {}
        }
        let readings = engine.readings();
        if readings.turns == turns {
            still += every;
            if still >= STANDSTILL {
                tracing::error!(turns, "the loop stands still: systemd is not told that we live");
            }
            continue;
        }
        (turns, still) = (readings.turns, Duration::ZERO);
        if let Some(since) = readings.unwritable_since {
            tracing::error!(since = %since, refused = readings.refused_writes, "still nothing can be written");
        }
        systemd::tell(&[
            NotifyState::Watchdog,
            NotifyState::Status(&status(&readings, engine.findings().is_none_or(|findings| findings.is_empty()))),
        ]);
    }
}

/// One line for whoever asks systemd: the worst first.
fn status(readings: &Readings, is_sound: bool) -> String {
    let unwritable = readings.unwritable_since.map_or_else(String::new, |since| {
        format!("NOTHING CAN BE WRITTEN since {since} ({} writes refused); ", readings.refused_writes)
    });
    let sound = if is_sound { "" } else { "; the audit has findings" };
    format!("{unwritable}{} polls, {} transitions{sound}", readings.polls, readings.transitions)
}
