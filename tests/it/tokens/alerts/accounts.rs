//! Accounts that must authorize, systems that refresh beside us, and keys that nobody has.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nobody_authorized_is_told_until_it_is() {
    let mut watched = Watched::new().await;
    watched.ticket().await;
    watched.link(0).await;
    watched.pass_with_tickets(20).await;
    let (key, reason) = ("needs_authorization/wxaaaa000000000000", "needs_authorization.authorization");
    watched.stands(key, reason, "firing").await.says(
        &["Account wxaaaa000000000000 is not authorized", "permission set 33", "errcode 61003"],
        &["公众号 wxaaaa000000000000 未授权本平台", "权限集 33", "errcode 61003"],
    );
    watched.restart().await;
    watched.pass_with_tickets(20).await;
    watched.stands(key, reason, "firing").await;
    let now = watched.now();
    watched.sim.world().authorize(&account(0), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    watched.taken_up().await;
    watched.pass(3).await;
    watched.stands(key, reason, "resolved").await;
    assert_eq!(watched.sim.stats().wxamplink, 1, "its request went on at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_set_33_an_account_is_told_and_a_program_is_not() {
    let mut watched = Watched::new().await;
    watched.ticket().await;
    watched.link(0).await;
    let now = watched.now();
    watched.sim.world().authorize(&account(0), AuthorizerKind::Account, Some(&[1, 2]), now).unwrap();
    watched.sim.world().authorize("wxbbbb000000000001", AuthorizerKind::Program, Some(&[17, 18]), now).unwrap();
    watched.taken_up().await;
    watched.pass_with_tickets(20).await;
    let (key, reason) = ("needs_authorization/wxaaaa000000000000", "needs_authorization.permission");
    watched.stands(key, reason, "firing").await.says(
        &["Account wxaaaa000000000000", "without permission set 33", "tick that set"],
        &["公众号 wxaaaa000000000000", "权限集 33", "重新授权并勾选"],
    );
    assert_eq!(watched.sim.stats().wxamplink, 0);
    watched.clock.advance(LOOK);
    let now = watched.now();
    watched.sim.world().reauthorize(&account(0), Some(&LINKS), now).unwrap();
    watched.taken_up().await;
    watched.pass(3).await;
    watched.stands(key, reason, "resolved").await;
    assert_eq!(watched.sim.stats().wxamplink, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_is_withdrawn_is_told_and_a_hundred_are_one_alert() {
    let mut watched = Watched::with_accounts(1).await;
    watched.clock.advance(LOOK);
    let now = watched.now();
    watched.sim.world().revoke(&account(0), now).unwrap();
    watched.taken_up().await;
    watched.pass(2).await;
    watched.stands("needs_authorization/wxaaaa000000000000", "needs_authorization.authorization", "firing").await;
    for number in 1..=120 {
        watched.link(number).await;
    }
    watched.pass_with_tickets(30).await;
    let firing: Vec<String> =
        watched.alerts().await.into_iter().filter(|alert| alert.state == "firing").map(|alert| alert.key).collect();
    assert_eq!(firing, ["accounts_refused/61003"]);
    assert!(watched.alerts().await.len() <= 2, "{:#?}", watched.alerts().await);
}

/// Kills the tokens of so many accounts as another system's refresh does: nobody is told of it.
fn killed_by_another(watched: &Watched, count: usize) {
    let now = watched.now();
    for number in 0..count {
        watched.sim.world().expire_tokens(Some(&account(number)), now);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_refresher_is_told_from_three_accounts_on() {
    let mut watched = Watched::with_accounts(4).await;
    killed_by_another(&watched, 2);
    watched.pass_with_tickets(30).await;
    assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
    killed_by_another(&watched, 3);
    watched.pass_with_tickets(30).await;
    let (key, reason) = ("foreign_refresher/wxcccccccccccccccc", "foreign_refresher.tokens_die");
    watched.stands(key, reason, "firing").await.says(
        &["the tokens of 3 accounts, wxaaaa000000000000 among them", "another system refreshes", "[token_service]"],
        &["3 个公众号（例如 wxaaaa000000000000）", "另有系统也在刷新", "[token_service]"],
    );
    watched.restart().await;
    watched.pass_with_tickets(10).await;
    watched.stands(key, reason, "firing").await;
    watched.pass_with_tickets(100).await;
    watched.stands(key, reason, "resolved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_do_ourselves_and_what_owners_do_is_no_other_refresher() {
    let mut watched = Watched::with_accounts(9).await;
    let keeper = watched.running().keeper.clone();
    // Commands and callers force a refresh.
    for number in 0..3 {
        let now = Time::from_ms(watched.now());
        let task = watched.store().ask_for_tokens(TokenTask::Refresh(account(number)), now).await.unwrap();
        let done = async {
            while watched.store().token_task_result(task).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), done).await.unwrap();
        let result = watched.store().token_task_result(task).await.unwrap().unwrap();
        assert!(result.is_well, "{}", result.said);
    }
    for number in 3..6 {
        let account = account(number).parse().unwrap();
        let token = keeper.get(&account).await.unwrap().secret();
        let digest = amplinkd::domain::history::hex(&Sha256::digest(token.expose_secret()));
        keeper.refused_digest(&account, &digest).await;
        assert!(!keeper.get(&account).await.unwrap().has_digest(&digest), "it is renewed");
    }
    assert_eq!(watched.called(ComponentApi::AuthorizerToken), 6);
    // Owners authorize again: a poll may meet the dead token before the push comes.
    watched.clock.advance(LOOK);
    for number in 6..9 {
        let now = watched.now();
        watched.sim.world().reauthorize(&account(number), Some(&LINKS), now).unwrap();
    }
    watched.pass(1).await;
    watched.taken_up().await;
    watched.pass_with_tickets(70).await;
    assert_eq!(watched.alerts().await.len(), 0, "{:#?}", watched.alerts().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_refused_are_told_of_until_they_are_no_more() {
    let mut watched = Watched::new().await;
    watched.ticket().await;
    let refuse = |watched: &Watched, times: usize| {
        let (keys, stopwatch) = (watched.running().engine.refused_keys(), watched.clock.monotonic());
        (0..times).filter(|_| keys.count("127.0.0.1:8752", stopwatch)).count()
    };
    assert_eq!(refuse(&watched, 19), 0);
    watched.pass(2).await;
    assert_eq!(watched.alerts().await.len(), 0);
    for _ in 0..10 {
        refuse(&watched, 5_000);
        watched.pass_with_tickets(2).await;
    }
    let (key, reason) = ("token_key_refused/127.0.0.1:8752", "token_key_refused.unknown_key");
    watched.stands(key, reason, "firing").await.says(
        &[
            "The token service at 127.0.0.1:8752",
            "at least 20 requests within a minute",
            "None of these requests got a token",
        ],
        &["token 服务（127.0.0.1:8752）", "至少 20 次请求", "这些请求均未获得 token"],
    );
    watched.pass_with_tickets(20).await;
    watched.stands(key, reason, "resolved").await;
}
