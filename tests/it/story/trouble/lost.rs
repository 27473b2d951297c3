//! Answers that never came, tokens that were bad: `wxamplink` is never repeated blindly.

use amplinkd::sim::{Api, FaultKind, Span};

use super::super::{Daemon, FULL, door::Door, hours, minutes};

const AFTER_THE_EFFECT: [FaultKind; 5] =
    [FaultKind::LostAnswer, FaultKind::BusyAfter, FaultKind::HtmlPage, FaultKind::EmptyBody, FaultKind::TruncatedJson];

#[tokio::test]
async fn a_lost_answer_of_a_call_that_took_effect_never_invites_twice() {
    for fault in AFTER_THE_EFFECT {
        for delay in [0, 8] {
            let mut daemon = Daemon::start().await;
            daemon.sim.world().switches.listing_delay = Span::minutes(delay);
            daemon.sim.world().faults.next(Some(Api::Link), fault);
            let link = daemon.link().await;
            daemon.settle().await;
            assert!(daemon.view(&link).await.outcome_unknown, "{fault:?}");

            daemon.run_for(hours(4)).await;

            let story = "requested initiating awaiting_account_admin awaiting_program_admin linked";
            daemon.assert_story(&link, story).await;
            assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 1), "{fault:?}");
            assert!(!daemon.view(&link).await.outcome_unknown);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_of_a_call_without_effect_invites_again_after_its_time() {
    for fault in [FaultKind::ResetBefore, FaultKind::BadGateway, FaultKind::BusyBefore] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().faults.next(Some(Api::Link), fault);
        let link = daemon.link().await;
        daemon.run_for(minutes(9)).await;
        assert_eq!(daemon.sim.stats().wxamplink, 1, "{fault:?}");

        daemon.run_for(hours(4)).await;

        daemon.assert_story(&link, &format!("requested initiating {FULL}")).await;
        assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 2), "{fault:?}");
    }
}

#[tokio::test]
async fn an_invitation_that_appears_after_its_time_was_over_is_still_one() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().switches.listing_delay = Span::minutes(15);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::LostAnswer);
    let link = daemon.link().await;

    daemon.run_for(hours(5)).await;

    daemon.assert_story(&link, &format!("requested initiating {FULL}")).await;
    assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 2));
    assert_eq!(daemon.conflicts(&link).await[0].errcode, Some(89010));
    assert_eq!(daemon.conflicts(&link).await[0].resolution.as_deref(), Some("linked"));
}

#[tokio::test]
async fn a_slow_answer_that_comes_after_the_timeout_is_a_lost_one() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().faults.slow_for = Span::seconds(2);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::Slow);
    let link = daemon.link().await;
    daemon.settle().await;
    assert!(daemon.view(&link).await.outcome_unknown);

    daemon.run_for(hours(4)).await;

    daemon.assert_story(&link, "requested initiating awaiting_account_admin awaiting_program_admin linked").await;
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn a_bad_token_is_renewed_once_and_costs_no_attempt() {
    for api in [Api::Listing, Api::Link] {
        for fault in [FaultKind::TokenExpired, FaultKind::TokenInvalid] {
            let mut daemon = Daemon::start().await;
            daemon.sim.world().faults.next(Some(api), fault);
            let link = daemon.link().await;
            daemon.settle().await;
            assert_eq!(daemon.sim.stats().token, 2, "{api:?} {fault:?}");
            assert_eq!(daemon.view(&link).await.attempt, 1);

            daemon.run_for(hours(4)).await;

            daemon.assert_story(&link, FULL).await;
            assert_eq!(daemon.invitations(), 1);
        }
    }
}

#[tokio::test]
async fn a_token_that_stays_bad_is_renewed_once_a_poll_and_ends_nothing() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().account(super::super::ACCOUNT).answers_always = Some(40001);
    let link = daemon.link().await;
    daemon.run_for(hours(6)).await;

    daemon.assert_story(&link, "requested").await;
    let stats = daemon.sim.stats();
    assert!(stats.wxamplinkget < 50, "{} polls in six hours", stats.wxamplinkget);
    assert!(stats.token <= stats.wxamplinkget + 4, "one renewal a poll, and one in two hours: {stats:?}");

    daemon.sim.world().account(super::super::ACCOUNT).answers_always = None;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&link, FULL).await;
}

#[tokio::test]
async fn without_a_token_source_nothing_is_sent_and_all_resumes() {
    let mut daemon = Daemon::start().await;
    let mut door = Door::before(&daemon.process.token_url).await;
    daemon.process.token_url = format!("{}/token", door.url());
    daemon.restart().await;
    door.shut().await;
    let link = daemon.link().await;

    daemon.run_for(hours(3)).await;
    let stats = daemon.sim.stats();
    assert_eq!((stats.wxamplinkget, stats.wxamplink), (0, 0));
    daemon.assert_story(&link, "requested").await;
    assert!(daemon.account(super::super::ACCOUNT).await.last_error.unwrap().contains("token"));

    door.open().await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&link, FULL).await;
}

#[tokio::test]
async fn a_refused_connection_is_a_call_that_was_not_made() {
    let mut daemon = Daemon::start().await;
    let mut door = Door::before(&daemon.process.wechat_url).await;
    daemon.process.wechat_url = door.url();
    daemon.restart().await;
    // The list still comes over the connection that stands; the call needs one of its own.
    daemon.sim.world().account(super::super::ACCOUNT).answers_always = Some(45011);
    let link = daemon.link().await;
    daemon.settle().await;
    daemon.sim.world().account(super::super::ACCOUNT).answers_always = None;
    door.refuse_new().await;
    daemon.run_for(minutes(2)).await;

    let view = daemon.view(&link).await;
    assert_eq!((view.state.as_str(), view.attempt, view.outcome_unknown), ("requested", 0, false));
    let story = daemon.story(&link).await;
    assert!(story.starts_with("requested initiating requested"), "{story}");
    assert_eq!(daemon.sim.stats().wxamplink, 0);

    door.shut().await;
    daemon.run_for(hours(2)).await;
    assert_eq!(daemon.view(&link).await.state, "requested");
    door.open().await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&link, &format!("{story} {}", FULL.strip_prefix("requested ").unwrap())).await;
    assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 1));
}
