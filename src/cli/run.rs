//! `amplinkd run`: the daemon in the foreground. It listens for signals and reports to systemd; everything else is in
//! [`crate::daemon`].

use std::{io, os::unix::process::CommandExt, path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::sync::watch;

use super::{
    context::open,
    open_files,
    reload::{Refusal, Reload, refused},
    systemd,
};
use crate::{
    clock::{SharedClock, SystemClock},
    config::{Config, Loaded, proxy_variables},
    daemon::{self, Daemon, End, Parts},
    engine::{Engine, Readings, STANDSTILL, presence::Presence},
    http::{api::Door, doors::Doors, web},
    shutdown::Shutdown,
    store::Role,
    telemetry,
};

/// How often systemd is told how we do when it has not said how often it wants to hear.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Run the daemon in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amplinkd run -c /etc/amplinkd/amplinkd.toml\n\nSIGTERM and ctrl-C stop it \
                        cleanly; the next start resumes where it stopped.\nSIGHUP makes it \
                        read its configuration again (docs/running.md).\nconfig/amplinkd.service is a systemd unit.")]
pub struct Run {}

/// Runs the daemon until the end is asked for.
///
/// # Errors
/// The configuration, the database or the client cannot be used; the sentence says which and why.
pub async fn run(path: Option<&Path>) -> anyhow::Result<()> {
    // Before anything else: whoever asks for a reload too early must not end it.
    let shutdown = Shutdown::new();
    let hangups = shutdown.listen_but_for_hangups().context("cannot listen for signals")?;
    shutdown.outlive_user_signals().context("cannot listen for signals")?;
    let loaded = Config::inspect(path, crate::config::environment()?)?;
    let config = &loaded.config;
    let (filter, traces) = telemetry::start_with_traces(&config.log, &config.telemetry)?;
    for oddity in daemon::oddities(config, &proxy_variables()) {
        tracing::warn!(event = "config.odd", oddity, "the configuration works, but may not be what is meant");
    }
    systemd::keep_memory_to_itself();

    let (in_force, configs) = watch::channel(Arc::new(config.clone()));
    let Some(started) = systemd::patiently(&shutdown, Box::pin(start(&loaded, configs, &shutdown))).await else {
        tracing::info!("stopped before it was ready");
        return Ok(());
    };
    let Started { daemon, presence, doors, door } = started?;
    tracing::info!(
        event = "daemon.ready",
        version = env!("CARGO_PKG_VERSION"),
        database = %config.database.location,
        accounts = daemon.driver.accounts(),
        "ready"
    );
    systemd::tell(&[NotifyState::Ready, NotifyState::Status("running")]);
    let engine = Arc::clone(&daemon.engine);
    let controls = daemon.controls().of_doors(doors.as_ref().map(Doors::control));
    let reload = Reload::new(loaded, controls, filter, in_force);
    let watched = watch(&engine, reload.refusal(), &shutdown);
    let ran = daemon.run(presence, (doors, door), &shutdown);
    let (ran, (), ()) = tokio::join!(ran, watched, reload.run(hangups, &shutdown));
    traces.finish().await;
    tracing::info!(event = "daemon.ended", readings = ?engine.readings(), "stopped");
    match ran? {
        End::Stopped => Ok(()),
        End::Anew => Err(begin_anew()).context("cannot begin anew"),
    }
}

/// Begins anew as the same process, so that nothing is left of what it believed; whoever watches it sees no end.
fn begin_anew() -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "amplinkd".into());
    // The program that runs, also when another one has taken its name.
    Command::new("/proc/self/exe").arg0(name).args(arguments).exec()
}

/// A daemon that is ready.
struct Started {
    daemon: Daemon,
    presence: Presence,
    doors: Option<Doors>,
    door: Option<Door>,
}

/// Opens the database, brings it up to date, takes up where the last process ended. The daemon's mark comes last: who reads it
/// knows that the daemon is ready.
async fn start(loaded: &Loaded, configs: watch::Receiver<Arc<Config>>, shutdown: &Shutdown) -> anyhow::Result<Started> {
    let config = &loaded.config;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let fitted = open_files::fitted(config);
    let mut parts = Parts::from_config(&fitted, Arc::clone(&clock))?;
    let location = config.database.location.clone();
    let store = open(&location, Role::Daemon).await?;
    store.ownership().go_by(loaded.common_hash());
    let doors = daemon::doors(config, &mut parts, &store, &clock).await?;
    let daemon = Daemon::open(store, parts).await?;
    let doors = doors.map(|doors| doors.counting_refused_keys(daemon.engine.refused_keys()));
    let door = match &fitted.http {
        Some(http) => Some({
            let door = Door::open(http, &daemon.engine, configs, shutdown).await?;
            door.measuring(daemon.metrics()).with_pages(web::pages(None))
        }),
        None => None,
    };
    let presence = Presence::begin(Arc::clone(&daemon.engine)).await;
    Ok(Started { daemon, presence, doors, door })
}

/// Feeds systemd's watchdog, only while the loop goes round.
async fn watch(engine: &Engine, refusal: watch::Receiver<Refusal>, shutdown: &Shutdown) {
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
                tracing::error!(
                    event = "engine.stands_still",
                    turns,
                    "the main loop is stalled: no watchdog signal sent to systemd"
                );
            }
            continue;
        }
        (turns, still) = (readings.turns, Duration::ZERO);
        if let Some(since) = readings.unwritable_since {
            tracing::error!(
                event = "db.still_unwritable",
                since = %since,
                refused = readings.refused_writes,
                "database still not writable"
            );
        }
        let status = status(&readings, engine.findings().is_none_or(|findings| findings.is_empty()), &refusal.borrow());
        systemd::tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }
}

/// One line for whoever asks systemd: the worst first.
fn status(readings: &Readings, is_sound: bool, refusal: &Refusal) -> String {
    let unwritable = readings.unwritable_since.map_or_else(String::new, |since| {
        format!("NOTHING CAN BE WRITTEN since {since} ({} writes refused); ", readings.refused_writes)
    });
    let sound = if is_sound { "" } else { "; the audit has findings" };
    let refusal = refusal.as_ref().map(|why| format!("{}; ", refused(why))).unwrap_or_default();
    format!("{unwritable}{refusal}{} polls, {} transitions{sound}", readings.polls, readings.transitions)
}
