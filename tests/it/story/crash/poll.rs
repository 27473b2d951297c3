//! Reading a list, broken at every point.

use amplinkd::sim::{Api, FaultKind, Span};

use super::{
    ACCOUNT, Barrier, Daemon,
    accept::lock,
    assert_same_end,
    process::{until, until_state},
    victim_with_a_request, world,
};
use crate::story::minutes;

fn slow(daemon: &Daemon, api: Api) {
    let mut world = daemon.sim.world();
    world.faults.slow_for = Span::millis(300);
    world.faults.next(Some(api), FaultKind::Slow);
}

#[tokio::test]
async fn poll_fails_before() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    // What cannot be written down ahead is not done.
    let barrier = Barrier::raise(&daemon, "UPDATE OF budget_used ON account", "true").await;
    victim.settle().await;
    assert_eq!(daemon.sim.stats().wxamplinkget, 0);
    barrier.lift().await;
    daemon.clock.advance(minutes(1));
    victim.settle().await;
    victim.kill().await;
    assert_same_end("poll, fail before", &mut daemon, &id).await;
}

#[tokio::test]
async fn poll_does_then_fails() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let barrier = Barrier::raise(&daemon, "UPDATE OF listing_hash ON account", "true").await;
    victim.settle().await;
    assert_eq!((daemon.sim.stats().wxamplinkget, daemon.sim.stats().wxamplink), (1, 0));
    barrier.lift().await;
    daemon.clock.advance(minutes(1));
    victim.settle().await;
    victim.kill().await;
    assert_same_end("poll, do then fail", &mut daemon, &id).await;
}

#[tokio::test]
async fn poll_does_then_loses_the_answer() {
    for fault in [FaultKind::LostAnswer, FaultKind::EmptyBody, FaultKind::TruncatedJson, FaultKind::HtmlPage] {
        let mut daemon = world().await;
        let (mut victim, id) = victim_with_a_request(&daemon).await;
        daemon.sim.world().faults.next(Some(Api::Listing), fault);
        victim.settle().await;
        assert_eq!(daemon.sim.stats().wxamplink, 0);
        victim.kill().await;
        assert_same_end(&format!("poll, do then lose the answer: {fault:?}"), &mut daemon, &id).await;
    }
}

#[tokio::test]
async fn poll_is_repeated() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let account = ACCOUNT.parse().unwrap();
    for _ in 0..5 {
        victim.settle().await;
        // Twice at the same moment, and from behind.
        victim.engine.store().wake(&account).await.unwrap();
        slow(&daemon, Api::Listing);
        victim.begin();
        victim.engine.store().wake(&account).await.unwrap();
        victim.finish().await;
    }
    assert!(daemon.sim.stats().wxamplinkget >= 6);
    victim.kill().await;
    assert_same_end("poll, repeat", &mut daemon, &id).await;
}

#[tokio::test]
async fn poll_crashes_before() {
    // Written down, and the call is out.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    slow(&daemon, Api::Listing);
    victim.begin();
    until("the poll", async || daemon.sim.stats().wxamplinkget == 1).await;
    victim.kill().await;
    assert_same_end("poll, crash before", &mut daemon, &id).await;

    // Answered, and not yet recorded.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    slow(&daemon, Api::Listing);
    victim.begin();
    until("the poll", async || daemon.sim.stats().wxamplinkget == 1).await;
    let lock = lock(&daemon).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    victim.kill().await;
    lock.release().await;
    assert_same_end("poll, crash before its record", &mut daemon, &id).await;
}

#[tokio::test]
async fn poll_crashes_after() {
    // Recorded, and the call it makes ready is not begun.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let barrier = Barrier::raise(&daemon, "UPDATE OF state ON request", "NEW.state = 'initiating'").await;
    victim.settle().await;
    assert_eq!((daemon.sim.stats().wxamplinkget, daemon.sim.stats().wxamplink), (1, 0));
    victim.kill().await;
    barrier.lift().await;
    assert_same_end("poll, crash after", &mut daemon, &id).await;

    // A move was recorded.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    victim.settle().await;
    daemon.clock.advance(minutes(1));
    victim.begin();
    until_state(&daemon, "awaiting_account_admin").await;
    victim.kill().await;
    assert_same_end("poll, crash after a move", &mut daemon, &id).await;
}
