//! Tests on the real program: it is killed, its disk is full, it is paused. Each check causes that and reports what it
//! saw; only processes that it started are touched.

use std::{path::Path, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};

use super::process_harness::{Found, ProcessHarness, Running, wait_for};

/// Lives are this long, in milliseconds: from before the first call to well into the polls.
const LIFE_MS: std::ops::Range<u64> = 30..600;

/// How long the last life may take to bring everything to its end.
const PATIENCE: Duration = Duration::from_mins(2);

/// Requests that arrive while a disk is full or a process stands still.
const FEW: usize = 40;

/// A file may grow by this much before its disk counts as full: a few transactions.
const ROOM: u64 = 64 * 1_024;

/// How long a disk stays full, and a process still: longer than the pauses of whoever waits for it.
const TROUBLE: Duration = Duration::from_secs(7);

/// How long until a job that runs every two seconds has surely run once.
const SOON: Duration = Duration::from_secs(90);

/// The program at `program` is killed `kills` times while `requests` requests arrive: none is lost, none is sent twice,
/// all come to their end.
///
/// # Errors
/// What was broken, or could not be tried.
pub async fn kill(folder: &Path, program: &Path, kills: usize, requests: usize) -> Found<String> {
    let mut ground = ProcessHarness::lay(folder, program).await?;
    let mut luck = StdRng::seed_from_u64(5);
    for life in 0..kills {
        // New requests arrive while the daemon is up, down and dying.
        let running = ground.start()?;
        ground.ask((life + 1) * requests / kills - life * requests / kills).await?;
        tokio::time::sleep(Duration::from_millis(luck.random_range(LIFE_MS))).await;
        drop(running);
    }
    let running = ground.start()?;
    ground.all_settle(PATIENCE).await?;
    ground.prove().await?;
    drop(running);
    ground.clear().await;
    Ok(format!("{kills} kills while {requests} requests arrived: none lost, each invited once"))
}

/// Its files may not grow any more for a while: nothing is sent that could not be recorded first, and all goes on by
/// itself once there is room.
///
/// # Errors
/// What was broken, or could not be tried.
pub async fn fill_the_disk(folder: &Path, program: &Path) -> Found<String> {
    let mut ground = ProcessHarness::lay(folder, program).await?;
    let running = ground.start()?;
    ground.ask(FEW).await?;
    wait_for(SOON, async || Ok(ground.sim.stats().wxamplink > 0)).await?;
    limit_files(&running, Some(ground.largest_file() + ROOM))?;
    ground.ask(FEW).await?;
    tokio::time::sleep(TROUBLE).await;
    limit_files(&running, None)?;
    let refused = ground.log().lines().filter(|line| line.contains("ERROR")).count();
    ground.all_settle(PATIENCE).await?;
    ground.prove().await?;
    drop(running);
    ground.clear().await;
    if refused == 0 {
        return Err("the limit on its files was never felt: nothing was tried".to_owned());
    }
    Ok(format!("no room for {TROUBLE:?}: {refused} loud lines, then all {} requests ended well by themselves", 2 * FEW))
}

/// It is stopped for longer than its jobs' period and goes on: polls and cron jobs do, too.
///
/// # Errors
/// What was broken, or could not be tried.
pub async fn stop_for_a_while(folder: &Path, program: &Path) -> Found<String> {
    let mut ground = ProcessHarness::lay(folder, program).await?;
    let running = ground.start()?;
    ground.ask(FEW).await?;
    wait_for(SOON, async || Ok(ground.sim.stats().wxamplink > 0)).await?;
    signal(&running, Signal::STOP)?;
    tokio::time::sleep(TROUBLE).await;
    signal(&running, Signal::CONT)?;
    let resumed = ran_at(&ground).await?;
    let runs_again = wait_for(SOON, async || Ok(ran_at(&ground).await? > resumed)).await?;
    if !runs_again {
        return Err(format!("no cron job ran within {SOON:?} after a stop of {TROUBLE:?}"));
    }
    ground.all_settle(PATIENCE).await?;
    ground.prove().await?;
    drop(running);
    ground.clear().await;
    Ok(format!("stopped for {TROUBLE:?}: its cron jobs ran again, all {FEW} requests ended well"))
}

/// When the audit last ran, milliseconds UTC.
async fn ran_at(ground: &ProcessHarness) -> Found<Option<i64>> {
    let jobs = ground.recorder.store().jobs().await.map_err(|error| error.to_string())?;
    Ok(jobs.iter().find(|job| job.name == "audit").and_then(|job| job.ran_at).map(crate::domain::time::Time::ms))
}

fn pid(running: &Running) -> Found<Pid> {
    let raw = i32::try_from(running.0.id()).ok();
    raw.and_then(Pid::from_raw).ok_or_else(|| "the program has no process".to_owned())
}

fn signal(running: &Running, signal: Signal) -> Found<()> {
    kill_process(pid(running)?, signal).map_err(|error| format!("cannot stop the program: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn limit_files(_: &Running, _: Option<u64>) -> Found<()> {
    Err("not tried: this system does not let one process limit the files of another".to_owned())
}

#[cfg(target_os = "linux")]
fn limit_files(running: &Running, bytes: Option<u64>) -> Found<()> {
    let limit = rustix::process::Rlimit { current: bytes, maximum: None };
    let set = rustix::process::prlimit(Some(pid(running)?), rustix::process::Resource::Fsize, limit);
    set.map(drop).map_err(|error| format!("cannot limit the program's files: {error}"))
}
