//! Writing the answer of a call, broken at every point.

use std::time::Duration;

use amplinkd::{
    domain::observation::Observation,
    sim::{Api, FaultKind, Span},
    store::Record,
};

use super::{
    Barrier,
    accept::lock,
    assert_same_end,
    process::{state, until, until_state},
    victim_with_a_request, world,
};

/// The answer is there and a write of one kind is refused: it is tried until it is written.
async fn refused_at(case: &str, on: &str, when: &str) {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let barrier = Barrier::raise(&daemon, on, when).await;
    victim.begin();
    until("the invitation", async || daemon.sim.stats().invitations == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(state(&daemon).await.as_deref(), Some("initiating"), "{case}: all or nothing");
    barrier.lift().await;
    victim.finish().await;
    assert_eq!(state(&daemon).await.as_deref(), Some("initiated"), "{case}: not forgotten");
    victim.kill().await;
    assert_same_end(case, &mut daemon, &id).await;
}

#[tokio::test]
async fn record_fails_before() {
    Box::pin(refused_at("record, fail before", "UPDATE OF state ON request", "NEW.state = 'initiated'")).await;
}

#[tokio::test]
async fn record_does_then_fails() {
    Box::pin(refused_at("record, do then fail", "INSERT ON log", "NEW.to_state = 2")).await;
}

#[tokio::test]
async fn record_does_then_loses_the_answer() {
    // Committed, and the engine is gone before it hears of it.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    victim.settle().await;
    let request = victim.engine.store().request(&id).await.unwrap().unwrap();
    let recorder = victim.engine.recorder();
    let _ = tokio::time::timeout(
        Duration::ZERO,
        recorder.observe(
            &request,
            &Observation::Listed(amplinkd::domain::listing::Status::AwaitingAccountAdmin),
            Record::default(),
        ),
    )
    .await;
    until_state(&daemon, "awaiting_account_admin").await;
    victim.kill().await;
    assert_same_end("record, do then lose the answer", &mut daemon, &id).await;
}

#[tokio::test]
async fn record_is_repeated() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let before = victim.engine.store().request(&id).await.unwrap().unwrap();
    victim.settle().await;
    // The answer again, by somebody who knows only what was before it, twice at once.
    let recorder = victim.engine.recorder();
    for seen in [Observation::CallStarted, Observation::CallAccepted, Observation::CallLost, Observation::CallNotSent] {
        let (one, other) = tokio::join!(
            recorder.observe(&before, &seen, Record::default()),
            recorder.observe(&before, &seen, Record::default()),
        );
        assert_eq!(one.unwrap().state, other.unwrap().state);
        assert_eq!(state(&daemon).await.as_deref(), Some("initiated"), "{seen:?}");
    }
    victim.kill().await;
    assert_same_end("record, repeat", &mut daemon, &id).await;
}

#[tokio::test]
async fn record_crashes_before() {
    // The answer has come and cannot be written, because somebody else writes; then the daemon dies.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    daemon.sim.world().faults.slow_for = Span::millis(200);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::Slow);
    victim.begin();
    until("the invitation", async || daemon.sim.stats().invitations == 1).await;
    let lock = lock(&daemon).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    victim.kill().await;
    lock.release().await;
    assert_eq!(state(&daemon).await.as_deref(), Some("initiating"));
    assert_same_end("record, crash before", &mut daemon, &id).await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);
}

#[tokio::test]
async fn record_crashes_after() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    victim.begin();
    until_state(&daemon, "initiated").await;
    victim.kill().await;
    assert_same_end("record, crash after", &mut daemon, &id).await;
}

#[tokio::test]
async fn record_waits_for_a_busy_file() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    daemon.sim.world().faults.slow_for = Span::millis(200);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::Slow);
    victim.begin();
    until("the invitation", async || daemon.sim.stats().invitations == 1).await;
    let lock = lock(&daemon).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    lock.release().await;
    victim.finish().await;
    assert_eq!(state(&daemon).await.as_deref(), Some("initiated"));
    victim.kill().await;
    assert_same_end("record, busy file", &mut daemon, &id).await;
}
