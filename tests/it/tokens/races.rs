//! Stories of what comes in between: a push while a token is being refreshed, another process, a database that is held, a
//! token that somebody else has killed. The clock is moved by hand, and a gate keeps answers back.

use std::time::Duration;

use amplinkd::{
    clock::Clock as _,
    domain::authorizer::AuthorizerState,
    sim::{AuthorizerKind, ComponentApi, PushOrder, RefreshRotation},
    store::write::{
        authorizer::AuthorizerRow,
        claim::{Claim, ClaimTable, Claimant},
    },
    wechat::TokenError,
};

use super::keeper::{ACCOUNT, LINKS, Platform, account, text};
use crate::harness::wait_for;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

impl Platform {
    /// The authorizer's name is asked for, which is done beside: later it might find out first that a token has ended.
    pub(super) async fn name_asked(&self) {
        assert!(wait_for(PATIENCE, async || self.called(ComponentApi::AuthorizerInfo) > 0).await);
    }

    pub(super) async fn row(&self) -> AuthorizerRow {
        self.store.authorizer(ACCOUNT).await.unwrap().unwrap().unwrap()
    }

    /// Whether a call with this token would be answered.
    pub(super) fn works(&self, token: &str) -> Result<(), i64> {
        self.sim.world().account_of(token, self.now()).map(drop)
    }

    /// Somebody asks for the token, beside the story.
    fn ask(&self) -> tokio::task::JoinHandle<Result<String, TokenError>> {
        let keeper = self.keeper.clone();
        tokio::spawn(async move { keeper.get(&account()).await.map(|token| text(&token)) })
    }

    /// Asks until there is a token.
    pub(super) async fn token_in_the_end(&self) -> String {
        let mut token = None;
        let has_token = async || {
            token = self.token().await.ok();
            token.is_some()
        };
        assert!(wait_for(PATIENCE, has_token).await, "{:?}", self.token().await);
        token.unwrap()
    }
}

pub(super) fn refusal(error: &TokenError) -> i64 {
    match error {
        TokenError::Refused(refusal) => refusal.errcode,
        TokenError::Unavailable(why) => panic!("{why}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_an_old_token_leaves_the_new_one_alone() {
    let mut platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let old = platform.keeper.get(&account()).await.unwrap();
    platform.pass(2, 1);
    platform.ticket().await;
    let new = platform.token().await.unwrap();
    for _ in 0..3 {
        platform.keeper.refused(ACCOUNT, &old);
        assert_eq!(platform.token().await.unwrap(), new);
        // With nothing in memory it is the row that knows better.
        platform.restart().await;
    }
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_authorization_during_a_refresh_throws_its_result_away() {
    let (platform, gate) = Platform::behind_a_gate().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.ticket().await;
    gate.hold(ComponentApi::AuthorizerToken, 0);
    let asked = platform.ask();
    gate.holds_one(ComponentApi::AuthorizerToken).await;

    platform.sim.world().reauthorize(ACCOUNT, Some(&LINKS), platform.now()).unwrap();
    platform.taken_up().await;
    let traded = platform.row().await;
    gate.release(ComponentApi::AuthorizerToken);

    let token = asked.await.unwrap().unwrap();
    assert_eq!(platform.works(&token), Ok(()));
    let row = platform.row().await;
    assert_eq!((row.generation, row.token, row.refresh), (traded.generation, traded.token, traded.refresh));
    platform.pass(2, 1);
    platform.ticket().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 0, "the refresh token is the new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_a_new_authorization_has_overtaken_withdraws_nothing() {
    let (platform, gate) = Platform::behind_a_gate().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.ticket().await;
    platform.sim.world().revoke(ACCOUNT, platform.now()).unwrap();
    platform.sim.world().drop_pushes().unwrap();
    gate.hold(ComponentApi::AuthorizerToken, 0);
    let asked = platform.ask();
    gate.holds_one(ComponentApi::AuthorizerToken).await;

    platform.pass(0, 1);
    platform.authorize().await;
    gate.release(ComponentApi::AuthorizerToken);

    let token = asked.await.unwrap().unwrap();
    assert_eq!(platform.works(&token), Ok(()));
    assert_eq!(platform.row().await.state, AuthorizerState::Authorized, "61003 was said of the authorization before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_gives_its_claim_back_leaves_that_of_a_trade_alone() {
    let (platform, gate) = Platform::behind_a_gate().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.name_asked().await;
    platform.pass(0, 5);
    // A refresh whose answer is 42001, which gives the claim back when it comes.
    let refused = platform.keeper.get(&account()).await.unwrap();
    platform.sim.world().expire_component_tokens(platform.now()).unwrap();
    platform.keeper.refused(ACCOUNT, &refused);
    gate.hold(ComponentApi::AuthorizerToken, 0);
    let _asked = platform.ask();
    gate.holds_one(ComponentApi::AuthorizerToken).await;

    // Meanwhile a code is being traded: the first try meets the dead token, too, and the second one is kept back.
    gate.hold(ComponentApi::QueryAuth, 1);
    platform.sim.world().reauthorize(ACCOUNT, Some(&LINKS), platform.now()).unwrap();
    platform.sim.deliver_pushes().await;
    gate.holds_one(ComponentApi::QueryAuth).await;
    gate.release(ComponentApi::AuthorizerToken);
    let is_quiet = async || platform.keeper.under_way() == 0;
    assert!(wait_for(PATIENCE, is_quiet).await);
    gate.release(ComponentApi::QueryAuth);
    platform.taken_up().await;

    let token = platform.token().await.unwrap();
    assert_eq!(platform.works(&token), Ok(()));
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 0, "what was traded was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn authorized_and_unauthorized_in_one_second_end_as_wechat_says_in_both_orders() {
    for (order, ends_authorized) in
        [PushOrder::Planned, PushOrder::Reversed].into_iter().flat_map(|order| [(order, true), (order, false)])
    {
        let platform = Platform::new().await;
        platform.sim.world().switches.push_order = order;
        platform.ticket().await;
        platform.authorize().await;
        platform.pass(0, 10);
        let now = platform.now();
        {
            let mut world = platform.sim.world();
            if ends_authorized {
                world.revoke(ACCOUNT, now).unwrap();
                world.authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
            } else {
                world.reauthorize(ACCOUNT, Some(&LINKS), now).unwrap();
                world.revoke(ACCOUNT, now).unwrap();
            }
        }
        platform.taken_up_in_time().await;

        let said = platform.token().await;
        let state = platform.row().await.state;
        if ends_authorized {
            assert_eq!(platform.works(&said.unwrap()), Ok(()), "{order:?}");
            assert_eq!(state, AuthorizerState::Authorized, "{order:?}");
        } else {
            assert_eq!(refusal(&said.unwrap_err()), 61_003, "{order:?}");
            assert_eq!(state, AuthorizerState::Unauthorized, "{order:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_could_not_be_written_at_once_is_written_later_and_not_fetched_again() {
    let (platform, gate) = Platform::behind_a_gate().await;
    platform.sim.world().switches.refresh_token_rotates = RefreshRotation::Each;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.ticket().await;
    gate.hold(ComponentApi::AuthorizerToken, 0);
    let asked = platform.ask();
    gate.holds_one(ComponentApi::AuthorizerToken).await;
    let held = rusqlite::Connection::open(platform.database()).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.release(ComponentApi::AuthorizerToken);
    // Longer than the daemon waits for a database that is busy.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(!asked.is_finished(), "what is on no disk is not used");
    held.execute_batch("ROLLBACK").unwrap();

    let token = asked.await.unwrap().unwrap();

    assert_eq!(platform.works(&token), Ok(()));
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
    platform.pass(2, 1);
    platform.ticket().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 0, "the new refresh token was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_database_fetch_a_token_once() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let (another, end) = platform.another().await;
    platform.pass(2, 1);
    platform.ticket().await;
    let callers: Vec<_> = (0..600)
        .map(|number| {
            let keeper = if number % 2 == 0 { platform.keeper.clone() } else { another.clone() };
            tokio::spawn(async move { keeper.get(&account()).await.map(|token| text(&token)) })
        })
        .collect();
    let mut tokens = Vec::new();
    for caller in callers {
        tokens.push(caller.await.unwrap().unwrap());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all have the same");
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
    assert_eq!(platform.called(ComponentApi::ComponentToken), 2, "the first one had ended");
    end.ask();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_with_a_claim_costs_half_a_minute() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(1, 51);
    let generation = platform.row().await.generation;
    let dead = Claimant { by: "a process that died".to_owned(), generation, now: platform.clock.now() };
    assert_eq!(platform.store.claim(ClaimTable::Authorizer, ACCOUNT, dead).await.unwrap(), Claim::Ours);
    let is_quiet = async || platform.keeper.under_way() == 0;
    let first = platform.token().await.unwrap();
    assert!(wait_for(PATIENCE, is_quiet).await);
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 0, "it may still be at it");
    platform.clock.advance(Duration::from_secs(31));
    assert_eq!(platform.token().await.unwrap(), first, "it works on");
    assert!(wait_for(PATIENCE, is_quiet).await);
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
    assert_ne!(platform.token().await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_refresher_makes_no_loop_of_refreshes() {
    let platform = Platform::new().await;
    platform.sim.world().switches.token_dies_on_refresh_of_another = true;
    platform.ticket().await;
    platform.authorize().await;
    let foreign = format!("{}/token?appid={ACCOUNT}&renew=1", platform.sim.url());
    let mut refused = 0;
    for _ in 0..60 {
        platform.clock.advance(Duration::from_secs(10));
        assert!(reqwest::get(&foreign).await.unwrap().status().is_success());
        let token = platform.keeper.get(&account()).await.unwrap();
        if platform.works(&text(&token)).is_err() {
            refused += 1;
            platform.keeper.refused(ACCOUNT, &token);
        }
    }
    let refreshes = platform.called(ComponentApi::AuthorizerToken);
    assert!(refused > 20 && (9..=11).contains(&refreshes), "{refused} refused, {refreshes} refreshes in ten minutes");
    let now = platform.clock.now();
    let hour = now - Duration::from_hours(1);
    assert_eq!(
        platform.store.killed_tokens(hour, now).await.unwrap(),
        (1, Some(ACCOUNT.to_owned())),
        "the alert is told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_refusal_in_one_minute_is_seen_to_after_it() {
    let platform = Platform::new().await;
    platform.sim.world().switches.token_dies_on_refresh_of_another = true;
    platform.ticket().await;
    platform.authorize().await;
    let foreign = format!("{}/token?appid={ACCOUNT}&renew=1", platform.sim.url());
    let mut refused = Vec::new();
    for _ in 0..2 {
        let token = platform.keeper.get(&account()).await.unwrap();
        assert!(reqwest::get(&foreign).await.unwrap().status().is_success());
        assert!(platform.works(&text(&token)).is_err());
        platform.keeper.refused(ACCOUNT, &token);
        refused.push(text(&token));
        platform.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(platform.token().await.unwrap(), refused[1], "no other is fetched within the minute");
    platform.pass(0, 7);
    let renewed = platform.token().await.unwrap();
    assert!(!refused.contains(&renewed), "a token is used again minutes after WeChat refused it");
    assert_eq!(platform.works(&renewed), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_ticket_leaves_the_one_that_came_meanwhile_alone() {
    let (platform, gate) = Platform::behind_a_gate().await;
    platform.ticket().await;
    platform.authorize().await;
    gate.hold(ComponentApi::ComponentToken, 0);
    platform.pass(22, 0);
    let asked = platform.ask();
    gate.holds_one(ComponentApi::ComponentToken).await;

    platform.ticket().await;
    gate.release(ComponentApi::ComponentToken);

    asked.await.unwrap().unwrap_err();
    let component = platform.store.only_component().await.unwrap().unwrap();
    assert_eq!((component.ticket_refused, component.refusal), (None, None), "61006 was said of the ticket before");
    assert_eq!(platform.works(&platform.token().await.unwrap()), Ok(()));
}
