//! Answers that never came, tokens that were bad: `wxamplink` is never repeated blindly.

use amplinkd::sim::{Api, FaultKind, Phase, Span};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_PROGRAM, door::Door, hours, minutes};

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

/// FAULTS 3: an account that was ever refused has a rejected item, and that has no appid, as WeChat documents it.
#[tokio::test]
async fn an_old_rejection_that_names_nobody_does_not_hold_up_a_call_whose_answer_was_lost() {
    for fault in [FaultKind::ResetBefore, FaultKind::BusyBefore, FaultKind::BadGateway] {
        let mut daemon = Daemon::start().await;
        let now = daemon.sim.now();
        daemon.sim.world().place(ACCOUNT, OTHER_PROGRAM, Phase::Rejected, now).unwrap();
        daemon.sim.world().faults.next(Some(Api::Link), fault);
        let link = daemon.link().await;
        daemon.run_for(minutes(9)).await;
        daemon.assert_story(&link, "requested initiating").await;

        daemon.run_for(hours(4)).await;

        daemon.assert_story(&link, &format!("requested initiating {FULL}")).await;
        assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 2), "{fault:?}");
    }
}

/// The same, and the second call is put off by a code: the request must not wait in `requested` for ever.
#[tokio::test]
async fn nor_does_it_when_the_next_call_is_refused_in_between() {
    let mut daemon = Daemon::start().await;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, OTHER_PROGRAM, Phase::Rejected, now).unwrap();
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::BusyBefore);
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::TooFast);
    let link = daemon.link().await;
    daemon.run_for(hours(5)).await;

    let story = daemon.story(&link).await;
    assert!(story.starts_with("requested initiating requested initiating requested initiating"), "{story}");
    assert!(story.ends_with("linked"), "{story}");
    assert_eq!(daemon.invitations(), 1);
    daemon.assert_sound().await;
}

/// It is the program's own old rejection: the new invitation changes it, and is found all the same.
#[tokio::test]
async fn an_old_rejection_that_comes_alive_is_the_invitation_it_was_replaced_by() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().switches.items_have_appid = false;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, super::super::PROGRAM, Phase::Rejected, now).unwrap();
    daemon.sim.world().faults.next(Some(Api::Link), FaultKind::LostAnswer);
    let link = daemon.link().await;
    daemon.run_for(hours(4)).await;

    let story = "requested initiating awaiting_account_admin awaiting_program_admin linked";
    daemon.assert_story(&link, story).await;
    assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 1));
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
