//! Loss of power: whatever was not synced may be gone, in part or whole, in any order.

use std::{collections::HashMap, ops::Range, path::Path, time::Duration};

use amplinkd::store::{Location, Role, Store};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use super::{
    ground::{Ground, PATIENCE, import_file, is_refused, open_requests, text, wait_for, wish},
    page::{DATABASE, Errno, Fault, Kind, LOG},
    trace::{Disk, FILES, Trace, note_acknowledged},
};

/// Moments of the trace at which power is lost.
const MOMENTS: usize = 100;

/// Lives in which the process loses power for good.
const LIVES: usize = 10;

/// Files of requests in a life that is written down.
const TURNS: usize = 4;

/// Requests of one file.
const SHARE: usize = 5;

/// Has a process of its own ask for links, one that writes to the same disk; says when they were acknowledged, and
/// whether they were.
fn import(ground: &Ground, numbers: Range<usize>) -> bool {
    let file = import_file(ground.folder.path(), numbers.clone());
    let said = ground.shaken(&format!("request import {file}"));
    if said.status.success() {
        let keys: Vec<String> = numbers.clone().filter_map(|number| wish(number).key).collect();
        note_acknowledged(ground.trace.as_deref().unwrap(), &keys.join("\n"));
        ground.acknowledge(numbers);
    }
    said.status.success()
}

/// A daemon that lives twice and ends in good order, and meets syncs that fail, its own and those of the command beside
/// it; at the end of each life the log is folded into the file, which fails half way. All of it is written down.
async fn recorded() -> (Ground, Trace) {
    let mut ground = Ground::lay().await;
    ground.trace = Some(ground.path("trace"));
    for (life, folding, at) in [(0, Kind::Sync, 1), (1, Kind::Write, 5)] {
        let mut daemon = ground.start().await;
        for (turn, from) in (life * TURNS..(life + 1) * TURNS).zip(1..) {
            ground.page.arm(Kind::Sync, Fault { error: Errno::Io, from, times: 1, files: LOG });
            let numbers = turn * SHARE..(turn + 1) * SHARE;
            // Asked again, as people do, when the disk had refused it.
            assert!(import(&ground, numbers.clone()) || import(&ground, numbers));
            wait_for(Duration::from_secs(3), async || ground.page.failed(Kind::Sync) > 0).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        ground.page.calm();
        let went_on = async || ground.calls() >= (life + 1) * TURNS * SHARE && !is_refused(&daemon.log);
        assert!(wait_for(PATIENCE, went_on).await, "{}", daemon.log.tail());
        ground.page.arm(folding, Fault { error: Errno::Io, from: at, times: 1, files: DATABASE });
        daemon.signal(Signal::TERM);
        daemon.end();
        assert_eq!(ground.page.failed(folding), 1, "life {life}: the log was being folded");
        ground.page.calm();
    }
    let trace = Trace::read(ground.trace.as_ref().unwrap());
    (ground, trace)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_moment_power_is_lost_the_acknowledged_and_the_intended_are_there() {
    let (_ground, trace) = recorded().await;
    assert!(trace.failed_syncs() > TURNS, "syncs failed");
    assert!(trace.calls(trace.lines.len()).count() > 20, "calls were made");
    let mut luck = StdRng::seed_from_u64(17);
    let mut moments: Vec<usize> = (0..MOMENTS).map(|_| luck.random_range(0..=trace.lines.len())).collect();
    // Right before and after a call begins to leave is where it matters most.
    moments.extend(trace.moments_of_calls());
    moments.sort_unstable();
    let (mut disk, mut taken) = (Disk::default(), 0);
    for moment in moments {
        for (number, line) in trace.lines.iter().enumerate().take(moment).skip(taken) {
            disk.take(number, line, &mut luck);
        }
        taken = moment;
        let folder = tempfile::tempdir().unwrap();
        disk.clone().lose_power(folder.path(), &mut luck);
        assert_holds(folder.path(), &trace, moment).await;
    }
}

/// The next start opens what is left, and it holds all that anybody was told and all that was ever called.
async fn assert_holds(folder: &Path, trace: &Trace, moment: usize) {
    let location = Location::file(folder.join("amplinkd.db"), 0o600);
    Store::open(&location, Role::Daemon).await.unwrap().close().await;
    let damage = Store::verify(location.path().unwrap(), 10).await.unwrap();
    assert!(damage.is_empty(), "at line {moment}: {damage:?}");

    let mut connection = SqliteConnectOptions::new().filename(location.path().unwrap()).connect().await.unwrap();
    let there: Vec<String> = sqlx::query_scalar("SELECT key FROM v_request").fetch_all(&mut connection).await.unwrap();
    let lost: Vec<String> = trace.acknowledged(moment).filter(|key| !there.contains(key)).collect();
    assert!(lost.is_empty(), "at line {moment} of {}: acknowledged and lost: {lost:?}", trace.lines.len());

    let intents: Vec<(String, i64)> = sqlx::query_as(
        "SELECT r.program, count(*) FROM v_transition AS t JOIN v_request AS r ON r.id = t.request_id
         WHERE t.to_state = 'initiating' AND t.cause = 'call' GROUP BY r.program",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut intents: HashMap<String, i64> = intents.into_iter().collect();
    for call in trace.calls(moment).filter(|call| call.contains("/wxamplink?")) {
        let program = call.split('"').find(|word| word.starts_with("wxprg")).unwrap().to_owned();
        let left = intents.entry(program.clone()).or_default();
        *left -= 1;
        assert!(*left >= 0, "at line {moment}: a call for {program} left before its intent was durable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_losses_of_power_lose_nothing_and_invite_nobody_twice() {
    live(LIVES, 23).await;
}

/// Two hundred: `cargo test --test it faults -- --ignored`, some minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; docs/reliability.md says when to run it"]
async fn twenty_times_ten_losses_of_power() {
    for seed in 100..120 {
        live(LIVES, seed).await;
    }
}

/// Puts the files aside from which a life begins.
fn keep(folder: &Path, before: &Path) {
    for (_, name) in FILES {
        match std::fs::copy(folder.join(name), before.join(name)) {
            Ok(_) => {}
            Err(_) => drop(std::fs::remove_file(before.join(name))),
        }
    }
}

async fn live(lives: usize, seed: u64) {
    let mut ground = Ground::lay().await;
    let mut luck = StdRng::seed_from_u64(seed);
    ground.trace = Some(ground.path("trace"));
    let before = ground.path("before");
    std::fs::create_dir(&before).unwrap();
    // The first start makes the database; that it can be lost in the making is told by the moments above.
    let mut daemon = ground.start().await;
    for life in 0..lives {
        ground.page.die_at(luck.random_range(20..900));
        for turn in 0..3 {
            let first = (life * 3 + turn) * SHARE;
            import(&ground, first..first + SHARE);
        }
        let died = wait_for(PATIENCE, async || !daemon.lives()).await;
        assert!(died, "life {life} went on; {}", daemon.log.tail());
        ground.page.die_at(0);

        let path = ground.trace.take().unwrap();
        let trace = Trace::read(&path);
        let mut disk = Disk::read(&before);
        for (number, line) in trace.lines.iter().enumerate() {
            disk.take(number, line, &mut luck);
        }
        disk.lose_power(ground.folder.path(), &mut luck);
        keep(ground.folder.path(), &before);
        ground.trace = Some(ground.path(&format!("trace-{life}")));
        daemon = ground.start().await;
    }
    let recorder = ground.recorder().await;
    let settled = wait_for(PATIENCE, async || open_requests(&recorder).await == 0).await;
    assert!(settled, "{}", daemon.log.tail());
    ground.conclude(&recorder, &mut daemon).await;
    assert!(text(&ground.command("db verify").output().unwrap().stdout).is_empty());
}
