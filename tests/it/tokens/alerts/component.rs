//! The component itself: tickets that do not come, secrets and days that WeChat refuses, an address that is not listed.

use super::*;

const TICKET_MISSING: (&str, &str) = ("ticket_missing/wxcccccccccccccccc", "ticket_missing.no_ticket");

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_never_gets_a_ticket_is_told_after_half_an_hour_over_restarts() {
    let mut watched = Watched::new().await;
    for number in 0..4 {
        let now = watched.now();
        watched.sim.world().authorize(&account(number), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        watched.link(number).await;
    }
    watched.sim.deliver_pushes().await;
    for _ in 0..2 {
        watched.pass(14).await;
        assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
        watched.restart().await;
    }
    watched.pass(3).await;
    let (key, reason) = TICKET_MISSING;
    watched.stands(key, reason, "firing").await.says(
        &[
            "No usable component_verify_ticket has reached platform wxcccccccccccccccc since",
            "none has ever come",
            "event URL",
        ],
        &["自 ", "起未收到可用的 component_verify_ticket", "从未收到推送", "授权事件接收 URL"],
    );
    watched.restart().await;
    watched.pass(5).await;
    watched.restart().await;
    watched.pass(15).await;
    watched.stands(key, reason, "firing").await;
    watched.ticket().await;
    watched.taken_up().await;
    watched.pass(2).await;
    watched.stands(key, reason, "resolved").await;
    assert_eq!(watched.called(ComponentApi::ComponentToken), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_while_the_last_ticket_works_and_is_the_same_alert_when_it_dies() {
    let mut watched = Watched::with_accounts(3).await;
    watched.pass_with_tickets(60).await;
    assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
    watched.pass(32).await;
    let (key, reason) = TICKET_MISSING;
    let told = watched.stands(key, reason, "firing").await;
    told.says(&["the last push came at"], &["最近一次推送"]);
    // The last ticket lives for twelve hours.
    watched.pass(15 * 60).await;
    let row = watched.store().only_component().await.unwrap().unwrap();
    assert!(row.ticketless_since.is_some(), "{row:?}");
    watched.stands(key, reason, "firing").await;
    watched.ticket().await;
    watched.pass(2).await;
    watched.stands(key, reason, "resolved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_refused_is_told_when_no_better_one_comes() {
    let mut watched = Watched::new().await;
    watched.sim.world().switches.ticket_lifetime = Span::minutes(1);
    let now = watched.now();
    watched.sim.world().authorize(&account(0), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    watched.sim.world().drop_pushes().unwrap();
    watched.ticket().await;
    watched.clock.advance(Duration::from_mins(2));
    // It asks the keeper for a token, and so WeChat for the component's.
    watched.store().ask_for_tokens(TokenTask::Sync, Time::from_ms(now)).await.unwrap();
    for _ in 0..500 {
        if watched.store().only_component().await.unwrap().unwrap().ticketless_since.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    watched.pass(27).await;
    assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
    watched.pass(4).await;
    let (key, reason) = TICKET_MISSING;
    watched.stands(key, reason, "firing").await;
    assert_eq!(watched.called(ComponentApi::ComponentToken), 1, "one try with this ticket");
    watched.ticket().await;
    watched.pass(1).await;
    watched.stands(key, reason, "resolved").await;
}

const WRONG_SECRET: &str = "ffffffffffffffffffffffffffffffff";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_one_call_at_each_start_and_one_alert_for_all_accounts() {
    let mut watched = Watched::with_accounts(30).await;
    let before = watched.called(ComponentApi::ComponentToken);
    let right = watched.sim.world().component().unwrap().secret().to_owned();
    let other = ComponentSetup { secret: Some(WRONG_SECRET.to_owned()), ..ComponentSetup::default() };
    watched.sim.world().set_component(&other, START).unwrap();
    let secret = SecretString::from(right.clone());
    // Until the tokens have ended, everything goes on.
    watched.pass_with_tickets(4 * 60).await;
    let (key, reason) = ("component_refused/wxcccccccccccccccc", "component_refused.40125");
    watched.stands(key, reason, "firing").await.says(
        &["WeChat has refused the platform wxcccccccccccccccc since", "(errcode 40125)", "secret_file"],
        &["起微信拒绝第三方平台 wxcccccccccccccccc", "errcode 40125", "secret_file", "重启"],
    );
    assert_eq!(watched.called(ComponentApi::ComponentToken) - before, 1);
    for restarts in 1..=3 {
        watched.end().await;
        watched.boot_with(secret.clone()).await;
        watched.pass_with_tickets(20).await;
        watched.stands(key, reason, "firing").await;
        assert_eq!(watched.called(ComponentApi::ComponentToken) - before, 1 + restarts, "one at each start");
    }
    let back = ComponentSetup { secret: Some(right), ..ComponentSetup::default() };
    watched.sim.world().set_component(&back, START).unwrap();
    watched.restart().await;
    watched.pass_with_tickets(20).await;
    watched.stands(key, reason, "resolved").await;
    assert_eq!(watched.called(ComponentApi::ComponentToken) - before, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_used_up_is_told_and_over_with_the_day() {
    let mut watched = Watched::with_accounts(3).await;
    watched.sim.world().quotas.component_calls_per_day = Some(1);
    watched.pass_with_tickets(3 * 60).await;
    let (key, reason) = ("component_refused/wxcccccccccccccccc", "component_refused.45009");
    watched
        .stands(key, reason, "firing")
        .await
        .says(&["(errcode 45009)", "It is tried again tomorrow"], &["errcode 45009", "次日自动重试"]);
    let calls = watched.called(ComponentApi::ComponentToken);
    watched.restart().await;
    watched.pass_with_tickets(60).await;
    watched.stands(key, reason, "firing").await;
    assert_eq!(watched.called(ComponentApi::ComponentToken), calls, "not before tomorrow");
    watched.sim.world().quotas.component_calls_per_day = None;
    // It is past noon in Beijing.
    watched.pass_with_tickets(13 * 60).await;
    watched.stands(key, reason, "resolved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_wechat_is_told_only_when_it_stays_so() {
    let mut watched = Watched::with_accounts(1).await;
    let busy = |watched: &Watched, times| {
        for _ in 0..times {
            watched.sim.world().faults.next_component(Some(ComponentApi::ComponentToken), FaultKind::BusyBefore);
        }
    };
    busy(&watched, 3);
    watched.pass_with_tickets(3 * 60).await;
    assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
    busy(&watched, 1_000);
    watched.pass_with_tickets(3 * 60).await;
    watched.stands("component_refused/wxcccccccccccccccc", "component_refused.-1", "firing").await;
    watched.sim.world().faults = Faults::none();
    watched.pass_with_tickets(40).await;
    watched.stands("component_refused/wxcccccccccccccccc", "component_refused.-1", "resolved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_address_is_the_whitelists_alert() {
    let mut watched = Watched::with_accounts(3).await;
    watched.sim.world().faults.ip_refused_for = Span::hours(9);
    watched.sim.world().faults.next_component(Some(ComponentApi::ComponentToken), FaultKind::IpRefused);
    watched.pass_with_tickets(5 * 60).await;
    watched.stands("ip_not_allowed/all", "ip_not_allowed.whitelist", "firing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_hours_does_not_use_up_the_days_own_calls() {
    let mut watched = Watched::with_accounts(3).await;
    let before = watched.called(ComponentApi::ComponentToken);
    for _ in 0..5_000 {
        watched.sim.world().faults.next_component(Some(ComponentApi::ComponentToken), FaultKind::LostAnswer);
    }
    watched.pass_with_tickets(10 * 60).await;
    let calls = watched.called(ComponentApi::ComponentToken) - before;
    assert!((20..250).contains(&calls), "{calls}");
    watched.sim.world().faults = Faults::none();
    watched.pass_with_tickets(30).await;
    let keeper = watched.running().keeper.clone();
    keeper.get(&account(0).parse().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_is_tried_once_more_after_each_reload() {
    let platform = Platform::new().await;
    let right = platform.sim.world().component().unwrap().secret().to_owned();
    let with = |secret: &str| ComponentSetup { secret: Some(secret.to_owned()), ..ComponentSetup::default() };
    platform.sim.world().set_component(&with(WRONG_SECRET), now_ms()).unwrap();
    let daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    let called = || platform.sim.world().component().unwrap().called(ComponentApi::ComponentToken);
    for calls in 1..=3 {
        assert!(wait_for(PATIENCE, async || called() == calls).await, "{} calls: {}", called(), daemon.log.tail());
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(called(), calls, "no more until somebody acts");
        daemon.signal(Signal::HUP);
    }
    assert!(wait_for(PATIENCE, async || called() == 4).await);
    platform.sim.world().set_component(&with(&right), now_ms()).unwrap();
    daemon.signal(Signal::HUP);
    let is_there = async || platform.token(&platform.key, ACCOUNT).await.0 == 200;
    assert!(wait_for(PATIENCE, is_there).await, "{}", daemon.log.tail());
    daemon.stop();
}
