//! The call that has an effect, broken at every point: its intent, the call itself, its answer.

use std::{num::NonZeroU32, time::Duration};

use amplinkd::sim::{Api, FaultKind, Span};

use super::{Barrier, Daemon, assert_same_end, process::until, victim_with_a_request, world};
use crate::story::minutes;

#[tokio::test]
async fn submit_fails_before() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    let barrier = Barrier::raise(&daemon, "INSERT ON log", "NEW.to_state = 1").await;
    for _ in 0..3 {
        victim.settle().await;
        daemon.clock.advance(minutes(1));
    }
    assert_eq!(daemon.sim.stats().wxamplink, 0, "no call without its intent");
    barrier.lift().await;
    victim.settle().await;
    victim.kill().await;
    assert_same_end("submit, fail before", &mut daemon, &id).await;
}

#[tokio::test]
async fn submit_does_then_fails() {
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::BusyAfter);
    victim.settle().await;
    victim.kill().await;
    assert_same_end("submit, do then fail", &mut daemon, &id).await;
}

#[tokio::test]
async fn submit_does_then_loses_the_answer() {
    for fault in [FaultKind::LostAnswer, FaultKind::EmptyBody, FaultKind::TruncatedJson, FaultKind::HtmlPage] {
        let mut daemon = world().await;
        let (mut victim, id) = victim_with_a_request(&daemon).await;
        daemon.sim.world().faults.next(Some(Api::Link), fault);
        victim.settle().await;
        victim.kill().await;
        assert_same_end(&format!("submit, do then lose the answer: {fault:?}"), &mut daemon, &id).await;
    }
}

#[tokio::test]
async fn submit_is_repeated() {
    // Its invitation does not show in time, so it is sent again, and WeChat says so.
    let mut daemon = world().await;
    daemon.sim.world().switches.listing_delay = Span::minutes(15);
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::LostAnswer);
    victim.settle().await;
    victim.kill().await;
    assert_same_end("submit, repeat", &mut daemon, &id).await;
    assert_eq!(daemon.sim.stats().wxamplink, 2);
}

#[tokio::test]
async fn submit_crashes_before() {
    // The list is read, and the call waits for its turn.
    let mut daemon = world().await;
    daemon.process.settings.per_second = NonZeroU32::new(1).unwrap();
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    victim.begin();
    until("a wait that has begun", async || victim.engine.readings().polls == 1 && was_read(&daemon).await).await;
    // Its turn comes within a second; whatever comes before that is done by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    victim.kill().await;
    assert_eq!((daemon.sim.stats().wxamplinkget, daemon.sim.stats().wxamplink), (1, 0));
    daemon.process.settings.per_second = NonZeroU32::new(1_000_000).unwrap();
    assert_same_end("submit, crash before", &mut daemon, &id).await;
    let (view, story) = (daemon.view(&id).await, daemon.story(&id).await);
    assert_eq!(view.attempt, 1, "a call that never left costs none: {story}");
    assert!(story.starts_with("requested initiating initiated"), "{story}");
}

/// Whether what the list said is written down.
async fn was_read(daemon: &Daemon) -> bool {
    let mut connection = daemon.connection().await;
    let read: Option<i64> =
        sqlx::query_scalar("SELECT listing_hash FROM account").fetch_one(&mut connection).await.unwrap();
    read.is_some()
}

#[tokio::test]
async fn submit_crashes_after() {
    // The invitation is out, and its answer on the way.
    let mut daemon = world().await;
    let (mut victim, id) = victim_with_a_request(&daemon).await;
    daemon.sim.world().faults.slow_for = Span::millis(500);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::Slow);
    victim.begin();
    until("the invitation", async || daemon.sim.stats().invitations == 1).await;
    victim.kill().await;
    assert_same_end("submit, crash after", &mut daemon, &id).await;
    assert_eq!((daemon.sim.stats().wxamplink, daemon.view(&id).await.attempt), (1, 1));
}
