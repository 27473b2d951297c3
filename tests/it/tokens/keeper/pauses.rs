//! What holds the platform's next call back: no answer, a day that is used up, a token that was refused.

use std::time::Duration;

use amplinkd::{
    shutdown::Shutdown,
    sim::{AuthorizerKind, ComponentApi, FaultKind},
};

use super::{ACCOUNT, LINKS, Platform};

#[tokio::test(flavor = "multi_thread")]
async fn a_component_token_that_is_refused_while_a_name_is_learned_is_used_no_more() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerInfo), FaultKind::TokenInvalid);
    platform.authorize().await;
    let dropped = async || platform.store.only_component().await.unwrap().unwrap().token.is_none();
    for _ in 0..500 {
        if dropped().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(dropped().await);
}

/// What the daemon's own loop does in so many seconds.
async fn seconds(platform: &Platform, count: usize) {
    for _ in 0..count {
        platform.keeper.tend_once(&Shutdown::new()).await.unwrap();
        platform.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_answer_arrives_the_platform_asks_ever_less_often() {
    let mut platform = Platform::new().await;
    platform.tend_by_hand().await;
    platform.ticket().await;
    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    platform.sim.world().faults.rates.insert(FaultKind::ResetBefore, 1.0);
    seconds(&platform, 900).await;
    let asked = platform.called(ComponentApi::ComponentToken);
    assert!((5..15).contains(&asked), "{asked} calls in a quarter of an hour: the day has 500");
    platform.sim.world().faults.rates.clear();
    seconds(&platform, 310).await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::QueryAuth), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_day_is_used_up_nothing_is_asked_before_the_next_also_across_a_restart() {
    let mut platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.tend_by_hand().await;
    platform.sim.world().quotas.component_calls_per_day = Some(1);
    platform.pass(2, 1);
    platform.token().await.unwrap_err();
    let asked = |platform: &Platform| platform.sim.world().component().unwrap().calls().count();
    let before = asked(&platform);
    for _ in 0..60 {
        platform.token().await.unwrap_err();
        platform.keeper.tend_once(&Shutdown::new()).await.unwrap();
        platform.pass(0, 2);
    }
    assert_eq!(asked(&platform), before, "WeChat said that the day is over");
    platform.restart().await;
    platform.token().await.unwrap_err();
    assert_eq!(asked(&platform), before, "the row says so, too");
    platform.sim.world().quotas.component_calls_per_day = None;
    platform.pass(24, 0);
    platform.ticket().await;
    platform.token().await.unwrap();
}
