//! What holds calls back and what does not: refusals of the whole platform, lists that cannot be read, codes and doubts while
//! WeChat is away.

use std::time::Duration;

use amplinkd::{
    clock::Clock as _,
    domain::authorizer::{AuthorizerState, LIST_CALLS_PER_DAY},
    engine::tokens::desk::ServeError,
    shutdown::Shutdown,
    sim::{AuthorizerKind, AuthorizerOrder, ComponentApi, FaultKind, Span},
    store::write::component::Counted,
    wechat::TokenError,
};
use sha2::{Digest as _, Sha256};

use super::keeper::{ACCOUNT, LINKS, Platform, account};

/// Waits until a call has been made so often.
async fn called_times(platform: &Platform, api: ComponentApi, times: u64) {
    for _ in 0..500 {
        if platform.called(api) >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{api:?} was called {} times", platform.called(api));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_turns_out_to_be_gone_is_not_served_from_memory() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(1, 51);
    platform.ticket().await;
    let now = platform.now();
    platform.sim.world().hold_pushes().unwrap();
    platform.sim.world().revoke(ACCOUNT, now).unwrap();
    platform.token().await.unwrap();
    called_times(&platform, ComponentApi::AuthorizerToken, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let said = platform.token().await.unwrap_err();
    assert!(matches!(&said, TokenError::Refused(refusal) if refusal.errcode == 61_003), "{said}");
}

fn digest(token: &str) -> String {
    format!("{:x}", Sha256::digest(token.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_somebody_doubts_while_wechat_is_away_stays_in_use() {
    let mut platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let first = platform.token().await.unwrap();
    for _ in 0..2 {
        platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerToken), FaultKind::BusyBefore);
    }

    // What a caller of the token service says, which may be a lie.
    platform.keeper.refused_digest(&account(), &digest(&first)).await;
    for _ in 0..5 {
        assert_eq!(platform.token().await.unwrap(), first);
        assert_eq!(platform.keeper.serve_one(&account()).await.unwrap().expires_in, 7_200);
    }
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1, "one try");

    // A start changes nothing.
    platform.restart().await;
    platform.pass(0, 2);
    assert_eq!(platform.token().await.unwrap(), first);
    called_times(&platform, ComponentApi::AuthorizerToken, 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(platform.token().await.unwrap(), first);

    platform.pass(0, 5);
    let _ = platform.token().await.unwrap();
    called_times(&platform, ComponentApi::AuthorizerToken, 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(platform.token().await.unwrap(), first, "WeChat is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_address_holds_back_every_call_and_costs_one_probe_every_five_minutes() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let first = platform.token().await.unwrap();
    platform.sim.world().faults.ip_refused_for = Span::minutes(7);
    platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerToken), FaultKind::IpRefused);
    platform.keeper.refused_digest(&account(), &digest(&first)).await;
    for _ in 0..40 {
        assert_eq!(platform.token().await.unwrap(), first, "it lives");
    }
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1, "the component's token is fresh");

    platform.pass(0, 6);
    for _ in 0..40 {
        assert_eq!(platform.token().await.unwrap(), first);
    }
    called_times(&platform, ComponentApi::AuthorizerToken, 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 2, "one probe");

    platform.pass(0, 6);
    platform.token().await.unwrap();
    called_times(&platform, ComponentApi::AuthorizerToken, 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(platform.token().await.unwrap(), first);
    assert_eq!(platform.store.only_component().await.unwrap().unwrap().refusal, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_address_is_no_refusal_of_an_account_that_callers_are_told() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.ticket().await;
    platform.sim.world().faults.next_component(None, FaultKind::IpRefused);
    let said = platform.token().await.unwrap_err();
    assert!(matches!(&said, TokenError::Refused(refusal) if refusal.errcode == 61_004), "as every call: {said}");
    let said = platform.keeper.serve_one(&account()).await.unwrap_err();
    let ServeError::Later(why) = &said else { panic!("{said:?}") };
    assert!(!why.contains("127.0.0.1") && !why.contains("ip "), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_used_up_hold_back_every_call_until_the_next_beijing_day() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let first = platform.token().await.unwrap();
    platform.sim.world().quotas.component_calls_per_day = Some(0);
    platform.keeper.refused_digest(&account(), &digest(&first)).await;
    for _ in 0..20 {
        assert_eq!(platform.token().await.unwrap(), first);
    }
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
    for _ in 0..14 {
        platform.pass(1, 0);
        platform.ticket().await;
        let _ = platform.token().await;
    }
    let calls = platform.called(ComponentApi::AuthorizerToken) + platform.called(ComponentApi::ComponentToken);
    assert_eq!(calls, 2, "the component's first token, and one refusal");

    // START is eight in the morning in Beijing.
    platform.sim.world().quotas.component_calls_per_day = None;
    platform.pass(3, 0);
    platform.ticket().await;
    platform.token().await.unwrap();
}

/// The account with this number.
fn numbered(number: u32) -> String {
    format!("wx{number:016x}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_cannot_be_taken_up_delays_no_other_and_is_not_tried_each_second() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let now = platform.now();
    // Two contradicting words of one second: the first account is to be looked up in a list that cannot be read.
    for _ in 0..9 {
        platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerList), FaultKind::BusyBefore);
    }
    platform.sim.world().authorize(&numbered(1), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    platform.sim.world().revoke(&numbered(1), now).unwrap();
    platform.sim.deliver_pushes().await;
    called_times(&platform, ComponentApi::AuthorizerList, 1).await;

    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    for _ in 0..500 {
        if platform.token().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    platform.token().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 1, "not each second");
    assert_eq!(platform.store.only_component().await.unwrap().unwrap().refusal, None, "the list alone is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_wechat_did_not_take_is_tried_again_within_its_hour() {
    for kind in [FaultKind::BusyBefore, FaultKind::BadGateway, FaultKind::ResetBefore] {
        let platform = Platform::new().await;
        platform.ticket().await;
        platform.sim.world().switches.list_hides_refresh = true;
        for _ in 0..3 {
            platform.sim.world().faults.next_component(Some(ComponentApi::QueryAuth), kind);
        }
        let now = platform.now();
        platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        platform.sim.deliver_pushes().await;
        for tries in 1..=4 {
            called_times(&platform, ComponentApi::QueryAuth, tries).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            platform.pass(0, 2);
        }
        platform.taken_up().await;
        platform.token().await.unwrap();
        assert_eq!(platform.called(ComponentApi::AuthorizerList), 0, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_code_is_lost_and_whose_list_holds_no_token_needs_a_person() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.sim.world().switches.list_hides_refresh = true;
    platform.sim.world().faults.next_component(Some(ComponentApi::QueryAuth), FaultKind::LostAnswer);
    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    called_times(&platform, ComponentApi::QueryAuth, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    platform.pass(0, 1);
    platform.taken_up().await;
    let refusal = async || match platform.token().await {
        Err(TokenError::Refused(refusal)) => Some(refusal.errcode),
        Ok(_) | Err(TokenError::Unavailable(_)) => None,
    };
    for _ in 0..500 {
        if refusal().await.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refusal().await, Some(61_023));
    let row = platform.store.authorizer(ACCOUNT).await.unwrap().unwrap().unwrap();
    assert_eq!(row.state, AuthorizerState::Unauthorized, "so that rule needs_authorization tells it");
}

/// The account's authorization is in doubt while the list lacks it: granted and withdrawn within a second.
async fn doubtful_and_unlisted(platform: &Platform) {
    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.taken_up().await;
    platform.sim.world().revoke(ACCOUNT, now).unwrap();
    platform.sim.deliver_pushes().await;
    called_times(platform, ComponentApi::AuthorizerList, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_list_that_lacks_an_account_ends_nothing_and_two_do() {
    for is_stale in [true, false] {
        let platform = Platform::new().await;
        platform.ticket().await;
        doubtful_and_unlisted(&platform).await;
        let state = async || platform.store.authorizer(ACCOUNT).await.unwrap().unwrap().unwrap().state;
        assert_eq!(state().await, AuthorizerState::Unknown);
        if is_stale {
            let now = platform.now();
            platform.sim.world().hold_pushes().unwrap();
            platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        }
        platform.pass(0, 1);
        called_times(&platform, ComponentApi::AuthorizerList, 2).await;
        for _ in 0..500 {
            if state().await != AuthorizerState::Unknown {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let wanted = if is_stale { AuthorizerState::Authorized } else { AuthorizerState::Unauthorized };
        assert_eq!(state().await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_leave_calls_for_the_component_s_own_token() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let component = platform.store.only_component().await.unwrap().unwrap().appid;
    let count = async |most| {
        let now = platform.clock.now();
        platform.store.count_component_call(&component, Counted::Call, most, now).await.unwrap()
    };
    while count(LIST_CALLS_PER_DAY).await {}
    let said = platform.keeper.sync(&Shutdown::new()).await.unwrap_err();
    assert!(said.contains("cap"), "{said}");
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 0);

    platform.pass(2, 1);
    platform.ticket().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::ComponentToken), 2, "renewed");
    platform.pass(22, 0);
    platform.ticket().await;
    platform.keeper.sync(&Shutdown::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_does_not_use_up_the_day_s_calls() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.ticket().await;
    for _ in 0..500 {
        platform.sim.world().faults.next_component(Some(ComponentApi::ComponentToken), FaultKind::ResetBefore);
    }
    let before = platform.called(ComponentApi::ComponentToken);
    for _ in 0..400 {
        let _ = platform.token().await;
        platform.clock.advance(Duration::from_secs(9));
    }
    let calls = platform.called(ComponentApi::ComponentToken) - before;
    assert!((5..20).contains(&calls), "{calls} calls in an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_beyond_the_first_pages_is_asked_about_by_itself() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let now = platform.now();
    platform.sim.world().hold_pushes().unwrap();
    for number in 1_000..11_001 {
        platform.sim.world().authorize(&numbered(number), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    }
    platform.sim.world().drop_pushes().unwrap();
    platform.sim.world().release_pushes().unwrap();
    platform.sim.world().switches.list_order = AuthorizerOrder::OldestFirst;
    platform.sim.world().faults.next_component(Some(ComponentApi::QueryAuth), FaultKind::LostAnswer);
    platform.pass(0, 1);
    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    called_times(&platform, ComponentApi::QueryAuth, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    platform.pass(0, 1);
    for _ in 0..3_000 {
        if platform.store.open_pushes(9).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(platform.store.open_pushes(9).await.unwrap(), []);
    let pages = platform.called(ComponentApi::AuthorizerList);
    assert!((20..=23).contains(&pages), "{pages} of 21 pages; a sweep has begun, for the account has no token");
    let row = platform.store.authorizer(ACCOUNT).await.unwrap().unwrap().unwrap();
    assert_eq!(row.state, AuthorizerState::Authorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_of_an_account_that_nobody_heard_of_leaves_no_row() {
    let platform = Platform::new().await;
    platform.keeper.refused_digest(&account(), &digest("any")).await;
    assert_eq!(platform.store.authorizer(ACCOUNT).await.unwrap(), None);
}
