//! The daemon at work on one database: start, polls, memory, lateness, acceptance. Each part is a process of its own
//! and prints its figures, a line each, name and figure apart by a tab.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    domain::{action, policy::Policy},
    engine::{Engine, drive::Driver, record::Recorder},
    shutdown::Shutdown,
    store::{Location, Role, Store},
};

use crate::{
    ceilings::SPAN,
    house::{IN_FLIGHT, Measured, Source, Watch, drive, wish},
    machine::{memory_mb, peak_memory_mb},
    world::{live_a_month, now_ms},
};

/// More polls a second than any machine of two cores makes: at this pace everything is always due.
const MORE_THAN_CAN_BE: f64 = 60_000.0;

/// How long polls go on before they are measured.
const WARM_UP: Duration = Duration::from_secs(4);

/// How long a daemon that begins late may take to be in time.
const CATCH_UP_SECONDS_MAX: u32 = 60;

/// Requests in one acceptance of the API, and how many are accepted.
const BATCH: usize = 10;
const ACCEPTED: usize = 5_000;

/// How often accounts are looked at so that this many polls a second are due.
fn every(accounts: usize, rate: f64) -> Duration {
    Duration::from_secs_f64((accounts as f64 / rate).max(0.01))
}

/// When everything is due, settled by a process of its own, so that its memory is not counted.
async fn spread(path: &Path, accounts: usize, from_ms: i64, every: Duration, by_chance: bool) {
    let exe = std::env::current_exe().expect("this program");
    let mut child = tokio::process::Command::new(exe);
    let numbers = [accounts.to_string(), from_ms.to_string(), every.as_micros().to_string(), by_chance.to_string()];
    let ended = child.arg("spread").arg(path).args(numbers).status().await;
    assert!(ended.is_ok_and(|status| status.success()), "the due times could not be written");
}

/// An import as the command makes it, then a month of history.
pub(crate) async fn import(path: &Path, accounts: usize) {
    let store = Store::open(&Location::file(path.to_owned(), 0o600), Role::Tool).await.expect("a store");
    let clock: SharedClock = Arc::new(SystemClock::new());
    let recorder = Recorder::new(store.clone(), clock, Policy::default());
    let watch = Watch::start();
    recorder.by(action::By::simulated()).accept((0..accounts).map(wish).collect()).await.expect("requests");
    let imported = watch.stop(accounts as u64);
    println!("import in pages, s\t{:.1}", imported.wall.as_secs_f64());
    println!("import, µs CPU a request\t{:.0}", imported.cpu_us());
    println!("import, peak MB\t{:.0}", peak_memory_mb());
    drop(recorder);
    store.close().await;
    live_a_month(path, accounts).await;
    let bytes = path.metadata().map_or(0, |file| file.len());
    println!("database, MB\t{:.0}", bytes as f64 / 1024.0 / 1024.0);
}

/// From nothing to ready, then until everything is on the agenda, then unchanged polls as fast as they go.
pub(crate) async fn polls(path: &Path, accounts: usize, url: &str, by_chance: bool) {
    let every = every(accounts, MORE_THAN_CAN_BE);
    spread(path, accounts, now_ms(), every, by_chance).await;
    let (began, watch) = (Instant::now(), Watch::start());
    let (engine, driver) = drive(url, path, every, Source::Configured).await;
    let (ready, cpu) = (began.elapsed().as_secs_f64() * 1e3, watch.stop(1).cpu.as_secs_f64() * 1e3);
    let ((complete, polled, memory), _) = at_work(&engine, driver, async |engine| {
        let complete = wait_for_everybody(&engine, accounts, began).await;
        tokio::time::sleep(WARM_UP).await;
        let polled = measure(&engine, |engine| engine.readings().unchanged).await;
        (complete, polled, memory_mb())
    })
    .await;
    if by_chance {
        println!("unchanged polls in an order of chance, µs CPU each\t{:.1}", polled.cpu_us());
        return;
    }
    println!("start until ready, ms\t{ready:.0}");
    println!("start until ready, ms CPU\t{cpu:.0}");
    println!("start until all are on the agenda, s\t{:.1}", complete.as_secs_f64());
    println!("unchanged polls, a second\t{:.0}", polled.rate());
    println!("unchanged polls, µs CPU each\t{:.1}", polled.cpu_us());
    println!("memory then, MB\t{memory:.0}");
    println!("memory, most until then, MB\t{:.0}", peak_memory_mb());
}

/// The same with tokens from a service, as a platform has them: the most memory a daemon takes.
pub(crate) async fn tokens(path: &Path, accounts: usize, url: &str) {
    let every = every(accounts, MORE_THAN_CAN_BE);
    spread(path, accounts, now_ms(), every, false).await;
    let (engine, driver) = drive(url, path, every, Source::Service).await;
    let (kept, _) = at_work(&engine, driver, async |engine| {
        let (began, wanted) = (Instant::now(), accounts.min(amplinkd::wechat::token::TOKENS_MAX) as u64);
        while engine.readings().polls < wanted && began.elapsed() < Duration::from_mins(1) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        memory_mb()
    })
    .await;
    println!("memory with tokens kept, MB\t{kept:.0}");
    println!("memory with tokens kept, most until then, MB\t{:.0}", peak_memory_mb());
}

/// Polls whose listing always differs: read, decided, written.
pub(crate) async fn changed(path: &Path, accounts: usize, url: &str) {
    let every = every(accounts, MORE_THAN_CAN_BE);
    spread(path, accounts, now_ms(), every, false).await;
    let (engine, driver) = drive(url, path, every, Source::Configured).await;
    let (polled, _) = at_work(&engine, driver, async |engine| {
        tokio::time::sleep(WARM_UP).await;
        measure(&engine, |engine| engine.readings().polls).await
    })
    .await;
    println!("changed polls, a second\t{:.0}", polled.rate());
    println!("changed polls, µs CPU each\t{:.0}", polled.cpu_us());
}

/// Half of what the daemon can: how late polls begin then.
pub(crate) async fn lateness(path: &Path, accounts: usize, url: &str, rate: f64) {
    let every = every(accounts, rate * 1.05);
    // Writing that down takes its time, and nothing is late before it is due.
    let begins = now_ms() + 5_000 + i64::try_from(accounts / 50).unwrap_or(0);
    spread(path, accounts, begins, every, false).await;
    let (engine, driver) = drive(url, path, every, Source::Configured).await;
    let wait = u64::try_from(begins - now_ms()).unwrap_or(0);
    let (polled, engine) = at_work(&engine, driver, async |engine| {
        tokio::time::sleep(Duration::from_millis(wait) + WARM_UP).await;
        // A slow machine may have come too late for the first: what counts is how late polls are once it is in time.
        for _ in 0..CATCH_UP_SECONDS_MAX {
            engine.lateness().reset();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if engine.lateness().quantile(0.5) < Duration::from_secs(1) {
                break;
            }
        }
        engine.lateness().reset();
        measure(&engine, |engine| engine.readings().unchanged).await
    })
    .await;
    let late = |part| engine.lateness().quantile(part).as_secs_f64() * 1e3;
    println!("half of the rate, polls a second\t{:.0}", polled.rate());
    println!("half of the rate, µs CPU a poll\t{:.1}", polled.cpu_us());
    println!("lateness then, p50 ms\t{:.1}", late(0.5));
    println!("lateness then, p99 ms\t{:.1}", late(0.99));
    println!("lateness then, most ms\t{:.1}", engine.lateness().max().as_secs_f64() * 1e3);
}

/// Requests by the API's way: small batches, as many at once as calls may be.
pub(crate) async fn accept(path: &Path, accounts: usize) {
    let store = Store::open(&Location::file(path.to_owned(), 0o600), Role::Tool).await.expect("a store");
    let clock: SharedClock = Arc::new(SystemClock::new());
    let recorder = Arc::new(Recorder::new(store.clone(), clock, Policy::default()));
    let watch = Watch::start();
    let mut tasks = tokio::task::JoinSet::new();
    for first in (accounts..accounts + ACCEPTED).step_by(BATCH) {
        if tasks.len() >= IN_FLIGHT {
            tasks.join_next().await;
        }
        let recorder = Arc::clone(&recorder);
        tasks.spawn(async move {
            recorder
                .by(action::By::simulated())
                .accept((first..first + BATCH).map(wish).collect())
                .await
                .expect("requests")
        });
    }
    while tasks.join_next().await.is_some() {}
    let accepted = watch.stop(ACCEPTED as u64);
    println!("accepted in batches of {BATCH}, requests a second\t{:.0}", accepted.rate());
    println!("accepted in batches of {BATCH}, µs CPU a request\t{:.0}", accepted.cpu_us());
    drop(recorder);
    store.close().await;
}

async fn measure(engine: &Engine, count: impl Fn(&Engine) -> u64) -> Measured {
    let (before, watch) = (count(engine), Watch::start());
    tokio::time::sleep(SPAN).await;
    watch.stop(count(engine) - before)
}

/// Lets the daemon work until `look` has seen enough.
pub(crate) async fn at_work<T: Send + 'static, F>(
    engine: &Arc<Engine>,
    driver: Driver,
    look: impl FnOnce(Arc<Engine>) -> F,
) -> (T, Arc<Engine>)
where
    F: Future<Output = T>,
{
    let shutdown = Shutdown::new();
    let running = driver.spawn(shutdown.clone());
    let seen = look(Arc::clone(engine)).await;
    shutdown.ask();
    running.await.expect("no panic");
    engine.store().clone().close().await;
    (seen, Arc::clone(engine))
}

/// Until the agenda holds all who have something due.
async fn wait_for_everybody(engine: &Engine, accounts: usize, began: Instant) -> Duration {
    // One of a thousand is suspended.
    let wanted = accounts - accounts / 1_000;
    while engine.readings().on_agenda < wanted as u64 && began.elapsed() < Duration::from_mins(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}
