//! Stories of what is lost and found again: a ticket, a component's token, refresh tokens, answers, a restart between.

use amplinkd::{
    domain::authorizer::AuthorizerState,
    sim::{AuthorizerKind, ComponentApi, FaultKind, Recovery, RefreshRotation, Span},
};

use super::{
    keeper::{ACCOUNT, LINKS, Platform, account},
    races::{PATIENCE, refusal},
};
use crate::harness::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_ticket_on_disk_works_at_once_without_a_push() {
    let mut platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(2, 1);
    platform.restart().await;
    let token = platform.token().await.unwrap();
    assert_eq!(platform.works(&token), Ok(()));
    assert_eq!(platform.called(ComponentApi::ComponentToken), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_ticket_is_tried_once_also_across_restarts_and_the_next_push_heals() {
    let mut platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.sim.world().switches.ticket_lifetime = Span::hours(1);
    platform.pass(2, 1);
    let before = platform.called(ComponentApi::ComponentToken);
    for _ in 0..5 {
        platform.token().await.unwrap_err();
        platform.restart().await;
        platform.pass(0, 2);
    }
    assert_eq!(platform.called(ComponentApi::ComponentToken) - before, 1, "61006 once");
    platform.ticket().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::ComponentToken) - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_token_that_is_refused_to_a_refresh_costs_one_renewal_and_one_repeat() {
    for code in [42_001, 42_006] {
        let platform = Platform::new().await;
        platform.sim.world().switches.component_token_expired = code;
        platform.ticket().await;
        platform.authorize().await;
        let called = |api| platform.called(api);
        platform.name_asked().await;
        platform.pass(0, 5);
        let refused = platform.keeper.get(&account()).await.unwrap();
        let (components, refreshes) = (called(ComponentApi::ComponentToken), called(ComponentApi::AuthorizerToken));
        platform.sim.world().expire_component_tokens(platform.now()).unwrap();
        platform.keeper.refused(ACCOUNT, &refused);

        let token = platform.token().await.unwrap();

        assert_eq!(platform.works(&token), Ok(()), "{code}");
        assert_eq!(called(ComponentApi::ComponentToken) - components, 1, "{code}");
        assert_eq!(called(ComponentApi::AuthorizerToken) - refreshes, 2, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sweep_of_three_pages_heals_1200_accounts_and_a_second_one_waits_an_hour() {
    const ACCOUNTS: usize = 1_200;
    let platform = Platform::new().await;
    platform.ticket().await;
    let appids: Vec<String> = (0..ACCOUNTS).map(|number| format!("wx{number:016x}")).collect();
    for appid in &appids {
        platform.sim.world().authorize(appid, AuthorizerKind::Account, Some(&LINKS), platform.now()).unwrap();
    }
    platform.sim.world().drop_pushes().unwrap();
    platform.keeper.sync(&amplinkd::shutdown::Shutdown::new()).await.unwrap();
    let moved_in = platform.called(ComponentApi::AuthorizerList);
    for (number, appid) in appids.iter().enumerate() {
        let recovery = if number == 700 { Recovery::Empty } else { Recovery::Listed };
        platform.sim.world().forget_refresh(appid, recovery, platform.now()).unwrap();
    }
    let ask_all = async || {
        let asking = appids.iter().map(|appid| {
            let (keeper, account) = (platform.keeper.clone(), appid.parse().unwrap());
            tokio::spawn(async move { keeper.get(&account).await })
        });
        let mut answers = Vec::new();
        for answer in asking.collect::<Vec<_>>() {
            answers.push(answer.await.unwrap());
        }
        answers
    };
    assert!(ask_all().await.iter().all(Result::is_err));
    let is_swept = async || {
        let row = platform.store.only_component().await.unwrap().unwrap();
        row.sweep_offset.is_none() && !platform.store.lacks_refresh_tokens().await.unwrap()
    };
    assert!(wait_for(PATIENCE, is_swept).await);

    let answers = ask_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), ACCOUNTS - 1);
    assert_eq!(refusal(answers[700].as_ref().unwrap_err()), 61_023, "a person must authorize anew");
    let swept = platform.called(ComponentApi::AuthorizerList) - moved_in;
    assert!((3..=4).contains(&swept), "{swept} pages, with one that says that there is no more");

    // Lost again at once: the next sweep waits until an hour has passed.
    let account = appids[0].parse().unwrap();
    let token = answers[0].as_ref().unwrap();
    platform.sim.world().forget_refresh(&appids[0], Recovery::Listed, platform.now()).unwrap();
    platform.keeper.refused(&appids[0], token);
    platform.keeper.get(&account).await.unwrap_err();
    platform.pass(0, 55);
    platform.keeper.tend_once(&amplinkd::shutdown::Shutdown::new()).await.unwrap();
    assert_eq!(platform.called(ComponentApi::AuthorizerList) - moved_in, swept);
    platform.pass(0, 6);
    platform.keeper.tend_once(&amplinkd::shutdown::Shutdown::new()).await.unwrap();
    assert!(platform.called(ComponentApi::AuthorizerList) - moved_in > swept);
    let has_token = async || platform.keeper.get(&account).await.is_ok();
    assert!(wait_for(PATIENCE, has_token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_refresh_costs_one_more_and_without_a_grace_the_list() {
    for (rotates, pages) in [(RefreshRotation::AfterGrace(Span::minutes(5)), 0), (RefreshRotation::Each, 2)] {
        let platform = Platform::new().await;
        platform.sim.world().switches.refresh_token_rotates = rotates;
        platform.ticket().await;
        platform.authorize().await;
        platform.pass(2, 1);
        platform.ticket().await;
        platform.sim.world().faults.next_component(Some(ComponentApi::AuthorizerToken), FaultKind::LostAnswer);
        platform.token().await.unwrap_err();
        platform.pass(0, 2);

        let token = platform.token_in_the_end().await;

        assert_eq!(platform.works(&token), Ok(()));
        let refreshes = 2 + pages.min(1);
        assert_eq!(platform.called(ComponentApi::AuthorizerToken), refreshes, "{rotates}");
        assert!(platform.called(ComponentApi::AuthorizerList) <= pages, "{rotates}");
        assert_eq!(platform.row().await.state, AuthorizerState::Authorized);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_whose_answer_was_lost_is_settled_by_the_list_or_by_a_person() {
    for hides in [false, true] {
        let platform = Platform::new().await;
        platform.sim.world().switches.list_hides_refresh = hides;
        platform.ticket().await;
        platform.sim.world().faults.next_component(Some(ComponentApi::QueryAuth), FaultKind::LostAnswer);
        let now = platform.now();
        platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        platform.taken_up_in_time().await;
        assert_eq!(platform.called(ComponentApi::QueryAuth), 2, "the second try says that the code is used up");
        match platform.token().await {
            Ok(token) if !hides => assert_eq!(platform.works(&token), Ok(())),
            Err(error) if hides => assert_eq!(refusal(&error), 61_023, "nobody waits for ever"),
            other => panic!("{other:?}"),
        }
    }
}
