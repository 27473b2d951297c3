//! Codes that answer a call: conflicts that are kept, refusals that end a request, and those that end nothing.

use amplinkd::sim::{Api, FaultKind, Flags, Phase, PlanSet, Span, never_answers};

use super::super::{ACCOUNT, Daemon, PROGRAM, hours, minutes};

/// A daemon that cannot tell from the list that somebody was there first.
async fn blindfolded(phase: Phase) -> Daemon {
    let daemon = Daemon::start().await;
    daemon.people(PlanSet { program_admin: Some(never_answers()), ..PlanSet::default() });
    let now = daemon.sim.now();
    let mut world = daemon.sim.world();
    world.switches.items_have_appid = false;
    world.place(ACCOUNT, PROGRAM, phase, now).unwrap();
    drop(world);
    daemon
}

#[tokio::test]
async fn code_89010_waits_for_the_list_and_keeps_the_conflict() {
    let mut daemon = Daemon::start().await;
    let now = daemon.sim.now();
    daemon.sim.world().switches.listing_delay = Span::minutes(5);
    daemon.sim.world().link(ACCOUNT, PROGRAM, Flags::default(), now);
    let link = daemon.link().await;

    daemon.settle().await;
    daemon.assert_story(&link, "requested initiating initiated").await;
    let conflict = daemon.conflicts(&link).await.remove(0);
    assert_eq!((conflict.kind.as_str(), conflict.errcode), ("invitation_already_out", Some(89010)));
    assert_eq!((conflict.our_state.as_str(), conflict.their_status), ("initiating", None));
    assert!(conflict.errmsg.unwrap().contains("rid"), "WeChat's support asks for it");
    assert_eq!(conflict.resolved_at, None);

    daemon.run_for(hours(4)).await;
    daemon
        .assert_story(&link, "requested initiating initiated awaiting_account_admin awaiting_program_admin linked")
        .await;
    assert_eq!(daemon.conflicts(&link).await[0].resolution.as_deref(), Some("linked"));
    assert_eq!(daemon.invitations(), 1, "the one that was there before");
}

#[tokio::test]
async fn code_89035_waits_for_the_programs_administrator_and_keeps_the_conflict() {
    let mut daemon = blindfolded(Phase::AwaitingProgramAdmin).await;
    let link = daemon.link().await;

    daemon.run_for(minutes(5)).await;
    daemon.assert_story(&link, "requested initiating awaiting_program_admin").await;
    let conflict = daemon.conflicts(&link).await.remove(0);
    assert_eq!((conflict.kind.as_str(), conflict.errcode), ("linking_from_console", Some(89035)));
    assert_eq!((conflict.our_state.as_str(), conflict.their_status), ("initiating", Some(2)));
    assert_eq!(conflict.resolved_at, None);

    daemon.sim.world().switches.items_have_appid = true;
    let now = daemon.sim.now();
    daemon.sim.world().refuse(ACCOUNT, PROGRAM, amplinkd::sim::By::ProgramAdmin, now).unwrap();
    daemon.sim.world().switches.rejected_items_have_appid = true;
    daemon.run_for(hours(2)).await;
    daemon.assert_story(&link, "requested initiating awaiting_program_admin rejected").await;
    assert_eq!(daemon.conflicts(&link).await[0].resolution.as_deref(), Some("rejected"));
}

#[tokio::test]
async fn code_89015_is_linked_and_its_conflict_stays_open_until_the_list_confirms() {
    let mut daemon = blindfolded(Phase::Linked).await;
    let link = daemon.link().await;

    daemon.run_for(hours(1)).await;
    daemon.assert_story(&link, "requested initiating linked").await;
    let conflict = daemon.conflicts(&link).await.remove(0);
    assert_eq!((conflict.kind.as_str(), conflict.errcode), ("already_linked", Some(89015)));
    assert_eq!((conflict.our_state.as_str(), conflict.their_status), ("initiating", Some(1)));
    assert_eq!(conflict.resolved_at, None);

    daemon.sim.world().switches.items_have_appid = true;
    daemon.run_for(hours(2)).await;
    daemon.assert_story(&link, "requested initiating linked").await;
    assert_eq!(daemon.conflicts(&link).await[0].resolution.as_deref(), Some("linked"));
}

#[tokio::test]
async fn code_89015_that_the_list_denies_ends_unlinked() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.settle_answering(ACCOUNT, 89015).await;
    assert_eq!(daemon.story(&link).await, "requested initiating linked");

    daemon.run_for(hours(1)).await;

    daemon.assert_story(&link, "requested initiating linked unlinked").await;
    let conflicts = daemon.conflicts(&link).await;
    assert!(conflicts.iter().all(|conflict| conflict.resolution.as_deref() == Some("unlinked")), "{conflicts:?}");
}

#[tokio::test]
async fn a_permanent_code_ends_the_request_with_the_code() {
    for code in [89008, 89009, 89013, 1003, 1005] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.settle_answering(ACCOUNT, code).await;
        daemon.run_for(hours(12)).await;

        daemon.assert_story(&link, "requested initiating failed").await;
        let view = daemon.view(&link).await;
        assert_eq!((view.failure.as_deref(), view.errcode), (Some("refused"), Some(code)));
        assert_eq!(daemon.sim.stats().wxamplink, 1);
    }
}

#[tokio::test]
async fn a_banned_program_ends_the_request_in_the_worlds_own_words() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().program(PROGRAM).banned = true;
    let link = daemon.link().await;
    daemon.run_for(hours(1)).await;
    daemon.assert_story(&link, "requested initiating failed").await;
    assert!(daemon.view(&link).await.errmsg.unwrap().starts_with("wxa is banned"));
}

#[tokio::test]
async fn a_code_that_blames_our_call_fails_loudly_and_does_not_loop() {
    for code in [41001, 43002, 44002, 47001] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.settle_answering(ACCOUNT, code).await;
        daemon.run_for(hours(12)).await;

        daemon.assert_story(&link, "requested initiating failed").await;
        assert_eq!(daemon.view(&link).await.failure.as_deref(), Some("our_bug"));
        assert_eq!(daemon.sim.stats().wxamplink, 1);
    }
}

#[tokio::test]
async fn an_unknown_code_shows_as_an_unknown_outcome_and_is_tried_again_after_its_time() {
    for code in [-1, 88_001] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.settle_answering(ACCOUNT, code).await;
        let view = daemon.view(&link).await;
        assert_eq!((view.state.as_str(), view.outcome_unknown, view.errcode), ("initiating", true, Some(code)));

        daemon.run_for(minutes(9)).await;
        assert_eq!(daemon.sim.stats().wxamplink, 1, "not before its time to appear is over");
        daemon.run_for(hours(4)).await;

        daemon
            .assert_story(
                &link,
                "requested initiating requested initiating initiated awaiting_account_admin \
                 awaiting_program_admin linked",
            )
            .await;
        assert_eq!((daemon.view(&link).await.attempt, daemon.invitations()), (2, 1));
    }
}

#[tokio::test]
async fn a_code_that_never_changes_fails_after_as_many_attempts_as_the_policy_allows() {
    let mut daemon = Daemon::start().await;
    for _ in 0..9 {
        daemon.sim.world().faults.next(Some(Api::Link), FaultKind::BusyBefore);
    }
    let link = daemon.link().await;

    daemon.run_for(hours(5)).await;

    daemon.assert_story(&link, "requested initiating requested initiating requested initiating failed").await;
    let view = daemon.view(&link).await;
    assert_eq!((view.failure.as_deref(), view.errcode, view.attempt), (Some("attempts"), Some(-1), 3));
    assert_eq!((daemon.sim.stats().wxamplink, daemon.invitations()), (3, 0));
}
