//! `amplinkd demo`: the real daemon against the simulator on a fast clock. Only clock and world differ from production.

mod door;
mod platform;
mod screen;
mod world;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::sync::mpsc;

use self::{
    door::Door,
    screen::{Frame, Screen},
};
use crate::{
    cli::{actor, readers::stdout_is_abandoned},
    clock::{Clock, SharedClock, SystemClock},
    config::{Config, Log, LogFormat},
    daemon,
    domain::{text::format::duration, time::Time},
    engine::{Engine, Settings, record::Recorder},
    shutdown::Shutdown,
    sim::{Api, Sim, SimConfig},
    store::{Location, Role, Store, StoreError},
    telemetry,
};

/// How often the screen is drawn: smooth to the eye, cheap for the database.
const FRAME: Duration = Duration::from_millis(200);

/// Real time that a call may take. On a clock this fast, seconds would be days.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long ago the demo's clock begins: about as long as everything takes, so that its end is not in the future.
const BEGINS_AGO: Duration = Duration::from_hours(4 * 24);

/// Calls per real second: far above what the demo needs, so that nothing waits for it.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100_000).expect("it is not zero");

/// Watch it work: the daemon, a simulated WeChat and a few hundred requests on a fast clock
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It serves the HTTP API on 127.0.0.1:8750, or the next free port, and prints a line for curl. On a terminal it \
                        serves until ctrl-C; with --plain or into a pipe it ends once everything is \
                        settled.\n\nExamples:\n  amplinkd demo\n  amplinkd demo --tokens component\n  amplinkd demo --plain | tee demo.txt\n  amplinkd demo --dir \
                        ./demo && sqlite3 ./demo/amplinkd.db 'select state, count(*) from v_request group by state'"
)]
pub struct Demo {
    /// Number of requests
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub requests: u32,

    /// Simulated seconds per real second: with 3600, a second is an hour
    #[arg(long, value_name = "X", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=36_000))]
    pub speed: u32,

    /// Seed of the people and the faults
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,

    /// Whose tokens: `simulated` asks the simulator's token service for them; with `component` the daemon is the platform
    /// itself: a ticket is pushed, the accounts authorize it by pushes, and it fetches their tokens
    #[arg(long, value_name = "FROM", value_enum, default_value_t = Tokens::Simulated)]
    pub tokens: Tokens,

    /// Keep the database in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Print lines instead of a live screen; the default in a pipe
    #[arg(long)]
    pub plain: bool,
}

/// Where the demo's tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tokens {
    /// From the simulator's token service.
    Simulated,
    /// From the platform's own third-party flow.
    Component,
}

/// Runs the demo until the end is asked for, elsewhere than on a terminal at most until everything is settled.
pub async fn run(args: &Demo) -> anyhow::Result<()> {
    telemetry::start(&Log { filter: "off".to_owned(), format: LogFormat::Text })?;
    let shutdown = Shutdown::new();
    shutdown.listen().context("cannot listen for signals")?;
    let folder = Folder::open(args.dir.as_deref())?;
    let location = Location::file(folder.path().join("amplinkd.db"), 0o640);

    let clock = Arc::new(SystemClock::at_speed(args.speed).beginning_ago(BEGINS_AGO));
    let sim = start_world(args, &clock).await?;
    let store = Store::open(&location, Role::Daemon).await?;
    let shared: SharedClock = clock.clone();
    let (wechat, doors) = match args.tokens {
        Tokens::Simulated => (daemon::simulated(sim.url(), &sim.token_url(), TIMEOUT, &shared)?, None),
        Tokens::Component => {
            let (wechat, asks) = platform::wechat(&sim, &shared)?;
            (wechat, Some(platform::open(&sim, &store, &shared, asks).await?))
        }
    };
    let settings = settings()?;
    let began = shared.now();
    let door = Recorder::new(store.clone(), Arc::clone(&shared), settings.policy.clone());
    door.by(actor::by()).accept(world::wishes(&sim, args.requests)).await?;
    let (engine, driver) = daemon::drive(store, Arc::clone(&shared), wechat, settings).await?;
    let door = Door::open(&engine, &sim, &shutdown).await?;
    let stage = Stage { is_live: !args.plain && io::stdout().is_terminal(), api: door.address(), link: door.link() };
    // Nobody may read it, as behind `| head`: the first frame finds out.
    let _ = door.announce(&mut io::stdout().lock());

    let alerts = door::alerts(&engine).await?;
    let work = driver.spawn(shutdown.clone());
    let (tell, told) = mpsc::unbounded_channel();
    let authorized = async {
        let Some(doors) = doors else { return Ok(()) };
        let authorize = platform::authorize(&sim, &shared, args.requests, &tell, &shutdown);
        let keeper = doors.keeper().clone();
        let authorized = tokio::join!(doors.run(&shutdown), authorize).1;
        keeper.finish().await;
        authorized
    };
    let shown = async {
        let shown = show(&engine, (stage, args.speed), told, &shutdown).await;
        (shown, engine.clock().now())
    };
    let ((shown, ended), authorized, ()) = tokio::join!(shown, authorized, door.run(&engine, alerts, &shutdown));
    drop(work.await.context("the loop panicked, which is a defect of amplinkd")?);
    authorized?;
    let frame = shown?;
    door::close(&engine).await?;
    summary(&engine, &sim, &frame, (began, ended), &folder).await?;
    engine.store().clone().close().await;
    sim.shutdown().await.context("the simulator did not stop cleanly")
}

async fn start_world(args: &Demo, clock: &Arc<SystemClock>) -> anyhow::Result<Sim> {
    let shown = Arc::clone(clock);
    let now = Arc::new(move || shown.now().ms());
    let sim = Sim::start(SimConfig { seed: args.seed, now, faults: world::luck() })
        .await
        .context("the simulator cannot listen on the loopback address")?;
    world::furnish(&sim, args.requests);
    Ok(sim)
}

fn settings() -> anyhow::Result<Settings> {
    let ours = daemon::engine_settings(&Config::default())?;
    Ok(Settings { per_second: PER_SECOND, daily_budget: u32::MAX, ..ours })
}

/// Where the demo is shown.
#[derive(Debug)]
struct Stage {
    /// To a person at a terminal, who may want to look around when all is done.
    is_live: bool,
    /// Where the API answers.
    api: SocketAddr,
    /// Where the dashboard is entered, once.
    link: String,
}

/// Shows what happens until the end is asked for, elsewhere than on a terminal until everything is settled; asks for the end
/// then.
async fn show(
    engine: &Engine,
    (stage, speed): (Stage, u32),
    mut told: mpsc::UnboundedReceiver<String>,
    shutdown: &Shutdown,
) -> anyhow::Result<Frame> {
    let mut screen = Screen::new(stage.is_live, speed, (stage.api, stage.link));
    let mut tick = tokio::time::interval(FRAME);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut frame = Frame::default();
    loop {
        tokio::select! {
            () = shutdown.wait() => break,
            _ = tick.tick() => {}
        }
        match frame.next(engine).await {
            Ok(next) => frame = next,
            // The database is busy for a moment: the next frame will show it.
            Err(StoreError::Busy(_)) => continue,
            Err(error) => {
                shutdown.ask();
                return Err(error.into());
            }
        }
        let also = std::iter::from_fn(|| told.try_recv().ok()).collect();
        if stdout_is_abandoned() || screen.draw(&frame, also, &mut io::stdout().lock()).is_err() {
            // Nobody reads any more, as behind `| head`.
            break;
        }
        if frame.open() == 0 && !stage.is_live {
            break;
        }
    }
    shutdown.ask();
    Ok(frame)
}

async fn summary(
    engine: &Engine,
    sim: &Sim,
    frame: &Frame,
    (began, ended): (Time, Time),
    folder: &Folder,
) -> anyhow::Result<()> {
    let readings = engine.readings();
    let passed = duration(frame.settled_at().unwrap_or(ended).since(began));
    let ledger = sim.ledger();
    let sent = ledger.iter().filter(|call| call.api == Api::Link && call.effect).count();
    let lost = ledger.iter().filter(|call| call.api == Api::Link && !call.delivered).count();
    let conflicts =
        engine.store().conflicts(&crate::store::read::views::ConflictFilter::default(), 10_000).await?.len();
    let findings = engine.recorder().audit_as_of(ended).await?;
    let outcome = if frame.open() == 0 { "Everything is settled" } else { "Ended before everything was settled" };
    let mut out = io::stdout().lock();
    let written = (|| {
        writeln!(out, "\n{outcome} after {passed} of simulated time.\n")?;
        for (state, count) in frame.counts() {
            writeln!(out, "  {count:>6}  {state}")?;
        }
        writeln!(out, "\n  {:>6}  polls, {} of them unchanged", readings.polls, readings.unchanged)?;
        writeln!(out, "  {sent:>6}  invitations sent, {} of them duplicates", world::doubled(&ledger))?;
        writeln!(out, "  {lost:>6}  responses lost; the list showed what became of the call")?;
        writeln!(out, "  {conflicts:>6}  conflicts with what others had started, recorded in v_conflict")?;
        for line in platform::summary(sim).into_iter().flatten() {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "  {:>6}  audit findings", findings.len())?;
        folder.farewell(&mut out)
    })();
    // A reader who has gone needs no summary.
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Where the demo keeps its database.
#[derive(Debug)]
enum Folder {
    /// Taken away at the end.
    Temporary(PathBuf),
    /// Kept.
    Given(PathBuf),
}

impl Folder {
    fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match given {
            Some(path) => Self::Given(path.to_owned()),
            None => Self::Temporary(tempfile::Builder::new().prefix("amplinkd-demo-").tempdir()?.keep()),
        };
        std::fs::create_dir_all(folder.path())
            .with_context(|| format!("cannot create the folder {}", folder.path().display()))?;
        let database = folder.path().join("amplinkd.db");
        anyhow::ensure!(
            !database.exists(),
            "{} already exists: the demo never touches a database it did not create; choose another --dir",
            database.display()
        );
        Ok(folder)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) | Self::Given(path) => path,
        }
    }

    fn farewell(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Temporary(_) => {
                writeln!(out, "\nThe database is deleted; `amplinkd demo --dir DIR` keeps it for your own queries.")
            }
            Self::Given(path) => {
                let database = path.join("amplinkd.db");
                writeln!(out, "\nAsk the database what happened:\n")?;
                writeln!(
                    out,
                    "  sqlite3 -readonly {} \"select state, count(*) from v_request group by state\"",
                    database.display()
                )?;
                writeln!(
                    out,
                    "  AMPLINKD__DATABASE__URL=sqlite:{} amplinkd request list   # or account, authorizer list; component status",
                    database.display()
                )
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self {
            // It lies in the folder for temporary files, where the system cleans up what we cannot.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
