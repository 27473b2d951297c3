//! Whole lives by chance: requests, people, faults, operators and crashes from one seed, and the promises held against
//! every step. What the promises would notice is shown beside them, in `selftest`.

use std::time::Duration;

use amplinkd::selftest::{Lived, Scenario, live};

const DAY: Duration = Duration::from_hours(24);

async fn lived(life: Scenario) -> Lived {
    let folder = tempfile::tempdir().unwrap();
    live(life, folder.path()).await.unwrap_or_else(|broken| panic!("{broken}"))
}

fn life(seed: u64, days: u32) -> Scenario {
    Scenario { seed, span: DAY * days, turn_every: Scenario::ORDINARY, at_once: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_for_a_week_with_crashes_and_faults() {
    let lived = lived(life(1, 8)).await;
    assert!(lived.kills > 20 && lived.faults > 200 && lived.calls > 30, "something happens in a life: {lived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_where_quotas_and_deadlines_end_things() {
    lived(life(5, 7)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_with_many_polls_at_once() {
    lived(Scenario { at_once: 8, ..life(3, 5) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_months_every_open_request_has_a_next_step_and_it_comes() {
    lived(Scenario { turn_every: Duration::from_hours(8), ..life(10, 30) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_where_the_platform_keeps_its_own_tokens() {
    let lived = lived(life(2, 3)).await;
    assert!(lived.tokens.is_some_and(|calls| calls > 200), "tokens were looked for on disk: {lived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_with_own_tokens_and_many_polls_at_once() {
    let lived = lived(Scenario { at_once: 8, ..life(11, 2) }).await;
    assert!(lived.tokens.is_some(), "{lived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_lives_the_same_life() {
    let (first, again, other) = (lived(life(6, 2)).await, lived(life(6, 2)).await, lived(life(10, 2)).await);
    assert_eq!(first, again);
    assert_ne!(first.digest, other.digest);
}
