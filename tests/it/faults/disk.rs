//! A disk that refuses, call by call: every n-th write and every n-th sync of whatever was under way, alone and many in
//! a row.

use std::{ops::Range, time::Duration};

use super::{
    ground::{Ground, STATUS_UNWRITABLE, UNWRITABLE, assert_told, boxed, open_requests, together, wait_for},
    page::{Errno, Fault, Kind, LOG},
};
use amplinkd::engine::record::Recorder;
use rustix::process::Signal;

/// Requests that arrive at once.
const ARRIVING: usize = 2;

/// So many times at most.
const ARRIVALS_MAX: usize = 20;

/// From the end of a fault to the first request that went on: a pause of the loop is 5 s.
const RECOVERY: Duration = Duration::from_secs(20);

/// A fault that lasts.
const OUTAGE: Duration = Duration::from_secs(12);

/// The most errors that a daemon may log in it: one when it begins, one in ten seconds after, and some for jobs.
const LOUD_MAX: usize = 6;

/// `TimeoutStopSec` of the unit.
const STOP: Duration = Duration::from_secs(45);

/// Lets calls be refused while requests arrive, more and more of them until it was met.
async fn refuse(ground: &Ground, recorder: &Recorder, kind: Kind, fault: Fault, asked: &mut usize) {
    ground.page.arm(kind, fault);
    for _ in 0..ARRIVALS_MAX {
        ground.ask(recorder, *asked..*asked + ARRIVING).await;
        *asked += ARRIVING;
        if wait_for(Duration::from_secs(3), async || ground.page.failed(kind) > 0).await {
            break;
        }
    }
    assert!(ground.page.failed(kind) > 0, "{fault:?} was never met");
    // Those that follow in a row may wait for a later try; a lasting fault ends here at the latest.
    wait_for(Duration::from_secs(2), async || ground.page.failed(kind) >= fault.times).await;
    ground.page.calm();
}

/// One daemon that lives through a fault at every point.
async fn sweep(kind: Kind, error: Errno, points: Range<i64>, is_torn: bool) {
    let ground = Ground::lay().await;
    let mut daemon = ground.start().await;
    let recorder = ground.recorder().await;
    ground.page.tear(is_torn);
    let mut asked = 0;
    for (turn, from) in (0_usize..).zip(points) {
        let times = [1, 3, 40][turn % 3];
        refuse(&ground, &recorder, kind, Fault { error, from, times, files: LOG }, &mut asked).await;
        let went_on = wait_for(RECOVERY, async || open_requests(&recorder).await == 0).await;
        assert!(went_on, "{kind:?} {from}: it did not go on; {}", daemon.log.tail());
    }
    ground.conclude(&recorder, &mut daemon).await;
    assert_told(&daemon.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_or_a_sync_that_fails_anywhere_in_a_poll_and_a_call() {
    let write = |points, error, is_torn| boxed(sweep(Kind::Write, error, points, is_torn));
    let sync = |points| boxed(sweep(Kind::Sync, Errno::Io, points, false));
    let writes = [
        write(1..5, Errno::Io, false),
        write(5..9, Errno::Io, true),
        write(9..13, Errno::NoSpace, true),
        write(13..17, Errno::Io, true),
        write(17..21, Errno::NoSpace, false),
        write(21..25, Errno::Io, true),
        write(25..29, Errno::NoSpace, true),
        write(29..33, Errno::Io, false),
    ];
    together(writes.into_iter().chain([sync(1..5), sync(5..9), sync(9..13)])).await;
}

/// Every point up to the 120th write and the 60th sync: `cargo test --test it faults -- --ignored`, some minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; docs/reliability.md says when to run it"]
async fn every_point_of_a_longer_sweep() {
    for error in [Errno::Io, Errno::NoSpace] {
        together((0..10).map(|part| sweep(Kind::Write, error, 1 + 12 * part..13 + 12 * part, part % 2 == 0))).await;
    }
    together((0..10).map(|part| sweep(Kind::Sync, Errno::Io, 1 + 6 * part..7 + 6 * part, false))).await;
}

/// A fault that lasts, and what must hold while it does.
async fn outage(kinds: &'static [Kind], error: Errno) {
    let ground = Ground::lay().await;
    let mut daemon = ground.start_watched().await;
    let recorder = ground.recorder().await;
    ground.answer_late();
    ground.ask(&recorder, 0..10).await;
    assert!(wait_for(RECOVERY, async || ground.calls() > 2).await, "calls are under way");

    for &kind in kinds {
        ground.page.arm(kind, Fault::lasting(error));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = ground.calls();
    ground.ask(&recorder, 10..20).await;
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(ground.calls(), calls, "nothing is sent that could not be recorded first");
    assert_eq!(daemon.log.count(UNWRITABLE), 1, "{}", daemon.log.tail());
    assert!(daemon.log.count("db.still_unwritable") > 0, "{}", daemon.log.tail());
    assert!(daemon.log.errors() <= LOUD_MAX, "a flood; {}", daemon.log.tail());
    assert!(daemon.told_systemd(STATUS_UNWRITABLE) > 0);
    assert!(daemon.told_systemd("WATCHDOG=1") > 2, "a restart would mend nothing");

    ground.page.calm();
    assert!(wait_for(RECOVERY, async || ground.calls() > calls).await, "it did not go on; {}", daemon.log.tail());
    ground.conclude(&recorder, &mut daemon).await;
    assert_told(&daemon.log);
}

/// Somebody ends it while answers wait for the disk, as an operator at a loss does: it ends in time, and the next start
/// takes them up.
async fn ended_meanwhile() {
    let ground = Ground::lay().await;
    let mut daemon = ground.start().await;
    let recorder = ground.recorder().await;
    ground.answer_late();
    ground.ask(&recorder, 0..10).await;
    assert!(wait_for(RECOVERY, async || ground.calls() > 2).await, "calls are under way");
    ground.page.arm(Kind::Write, Fault::lasting(Errno::NoSpace));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = ground.calls();
    daemon.signal(Signal::TERM);
    assert!(wait_for(STOP, async || !daemon.lives()).await, "before systemd kills it");
    assert_eq!(ground.calls(), calls, "nothing is sent that could not be recorded first");
    ground.page.calm();
    let mut next = ground.start().await;
    ground.conclude(&recorder, &mut next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_can_be_written_nothing_is_sent_and_everybody_is_told() {
    let outages = [
        boxed(outage(&[Kind::Write], Errno::NoSpace)),
        boxed(outage(&[Kind::Write], Errno::Io)),
        boxed(outage(&[Kind::Sync], Errno::Io)),
        boxed(outage(&[Kind::Write, Kind::Open], Errno::ReadOnly)),
    ];
    together(outages.into_iter().chain([boxed(ended_meanwhile())])).await;
}
