//! Stories of unlinks: no status tells that one waits, so the list tells only its end.

use amplinkd::{
    domain::{action, id::RequestId},
    sim::{Api, FaultKind, Phase, PlanSet, Span, approves_after, never_answers, refuses_after},
};

use super::{ACCOUNT, Daemon, FULL, PROGRAM, days, hours, minutes};

/// What an unlink goes through when nothing goes wrong.
const UNLINKED: &str = "requested initiating initiated unlinked";

/// A daemon in a world where the pair is linked already, and a request to unlink it.
async fn unlinking(daemon: &mut Daemon, phase: Phase) -> RequestId {
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, phase, now).unwrap();
    daemon.unlink().await
}

#[tokio::test]
async fn the_goal_is_reached_when_two_lists_in_a_row_no_longer_show_the_link() {
    let mut daemon = Daemon::start().await;
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(minutes(59)).await;
    daemon.assert_story(&unlink, "requested initiating initiated").await;
    assert_eq!(
        daemon.view(&unlink).await.waiting_on.as_deref(),
        Some("account_admin"),
        "it waits while it is listed 1"
    );

    while daemon.request(&unlink).await.memory.doubt.is_none() {
        daemon.run_for(std::time::Duration::from_secs(5)).await;
    }
    daemon.assert_story(&unlink, "requested initiating initiated").await;
    daemon.run_for(hours(1)).await;

    daemon.assert_story(&unlink, UNLINKED).await;
    assert_eq!(daemon.sim.stats().unlinks, 1);
    assert!(daemon.conflicts(&unlink).await.is_empty());
}

#[tokio::test]
async fn one_list_without_the_link_is_not_believed() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { unlink: Some(never_answers()), ..PlanSet::default() });
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(minutes(5)).await;
    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    while daemon.request(&unlink).await.memory.doubt.is_none() {
        daemon.run_for(std::time::Duration::from_secs(5)).await;
    }
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::LinkedUnlinkAsked, now).unwrap();
    daemon.run_for(hours(5)).await;
    daemon.assert_story(&unlink, "requested initiating initiated").await;
}

#[tokio::test]
async fn what_is_not_linked_is_unlinked_without_a_call() {
    let mut daemon = Daemon::start().await;
    let never = daemon.unlink().await;
    daemon.run_for(minutes(5)).await;
    daemon.assert_story(&never, "requested unlinked").await;

    let rejected = unlinking(&mut daemon, Phase::Rejected).await;
    daemon.sim.world().switches.rejected_items_have_appid = true;
    daemon.run_for(minutes(5)).await;
    daemon.assert_story(&rejected, "requested unlinked").await;
    assert_eq!(daemon.sim.stats().wxampunlink, 0);
}

#[tokio::test]
async fn an_unlink_that_is_already_out_is_followed_with_a_conflict() {
    let mut daemon = Daemon::start().await;
    let unlink = unlinking(&mut daemon, Phase::LinkedUnlinkAsked).await;
    daemon.settle().await;
    daemon.assert_story(&unlink, "requested initiating initiated").await;
    let conflict = daemon.conflicts(&unlink).await.remove(0);
    assert_eq!((conflict.kind.as_str(), conflict.errcode), ("unlink_already_out", Some(89018)));
    assert_eq!((conflict.our_state.as_str(), conflict.their_status), ("initiating", None));
    assert_eq!(conflict.resolved_at, None);

    daemon.run_for(hours(2)).await;

    daemon.assert_story(&unlink, UNLINKED).await;
    assert_eq!(daemon.conflicts(&unlink).await[0].resolution.as_deref(), Some("unlinked"));
}

#[tokio::test]
async fn a_program_that_cannot_be_unlinked_fails_with_its_code() {
    for code in [89011, 89012] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().program(PROGRAM).nearby = code == 89011;
        daemon.sim.world().program(PROGRAM).store = code == 89012;
        let unlink = unlinking(&mut daemon, Phase::Linked).await;
        daemon.run_for(hours(5)).await;

        daemon.assert_story(&unlink, "requested initiating failed").await;
        assert_eq!(daemon.view(&unlink).await.errcode, Some(code));
        assert_eq!(daemon.sim.stats().wxampunlink, 1);
    }
}

#[tokio::test]
async fn a_lost_answer_of_an_unlink_asks_the_administrator_once() {
    for (fault, conflicts) in [(FaultKind::LostAnswer, 1), (FaultKind::BusyBefore, 0)] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().faults.next(Some(Api::Unlink), fault);
        let unlink = unlinking(&mut daemon, Phase::Linked).await;
        daemon.settle().await;
        assert!(daemon.view(&unlink).await.outcome_unknown);
        daemon.run_for(minutes(9)).await;
        assert_eq!(daemon.sim.stats().wxampunlink, 1, "{fault:?}");

        daemon.run_for(hours(3)).await;

        // Still listed 1: only a second call can tell, and 89018 is its answer when the first one was taken.
        daemon.assert_story(&unlink, &format!("requested initiating {UNLINKED}")).await;
        assert_eq!(daemon.sim.stats().unlinks, 1, "{fault:?}");
        assert_eq!(daemon.conflicts(&unlink).await.len(), conflicts, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_list_when_the_link_is_gone() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { unlink: Some(approves_after(Span::minutes(2))), ..PlanSet::default() });
    daemon.sim.world().faults.next(Some(Api::Unlink), FaultKind::LostAnswer);
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(hours(1)).await;
    daemon.assert_story(&unlink, "requested initiating unlinked").await;
    assert_eq!(daemon.sim.stats().wxampunlink, 1);
}

#[tokio::test]
async fn the_link_that_we_made_ends_unlinked_without_a_conflict() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(hours(4)).await;
    let unlink = daemon.unlink().await;
    daemon.run_for(hours(3)).await;

    daemon.assert_story(&link, &format!("{FULL} unlinked")).await;
    daemon.assert_story(&unlink, UNLINKED).await;
    assert!(daemon.conflicts(&link).await.is_empty());
    assert!(daemon.conflicts(&unlink).await.is_empty());
}

#[tokio::test]
async fn a_link_can_be_made_again_after_its_unlink() {
    let mut daemon = Daemon::start().await;
    let first = daemon.link().await;
    daemon.run_for(hours(4)).await;
    daemon.unlink().await;
    daemon.run_for(hours(3)).await;
    let second = daemon.link().await;
    daemon.run_for(hours(4)).await;

    daemon.assert_story(&first, &format!("{FULL} unlinked")).await;
    daemon.assert_story(&second, FULL).await;
    assert_eq!(daemon.invitations(), 2);
}

#[tokio::test]
async fn an_administrator_who_refuses_leaves_the_unlink_waiting_until_its_deadline() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(days(3))).await;
    daemon.people(PlanSet { unlink: Some(refuses_after(Span::hours(1))), ..PlanSet::default() });
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(hours(3 * 24 - 1)).await;
    daemon.assert_story(&unlink, "requested initiating initiated").await;

    daemon.run_for(hours(2)).await;

    daemon.assert_story(&unlink, "requested initiating initiated lapsed").await;
    assert_eq!(daemon.sim.stats().unlinks, 1);
}

#[tokio::test]
async fn a_used_month_defers_an_unlink_and_it_resumes() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.operations_per_month = Some(0);
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(days(1)).await;
    daemon.assert_story(&unlink, "requested initiating deferred").await;
    assert_eq!(daemon.view(&unlink).await.errcode, Some(89030));

    daemon.sim.world().quotas.operations_per_month = None;
    daemon.run_for(days(22)).await;

    daemon.assert_story(&unlink, "requested initiating deferred requested initiating initiated unlinked").await;
    assert_eq!(daemon.sim.stats().unlinks, 1);
}

#[tokio::test]
async fn a_deferred_unlink_whose_link_is_gone_has_reached_its_goal() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.operations_per_month = Some(0);
    let unlink = unlinking(&mut daemon, Phase::Linked).await;
    daemon.run_for(days(1)).await;
    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    daemon.run_for(days(3)).await;
    daemon.assert_story(&unlink, "requested initiating deferred unlinked").await;
}

#[tokio::test]
async fn a_cancelled_unlink_stops_following_and_the_link_is_missed_with_a_conflict() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(hours(4)).await;
    let unlink = daemon.unlink().await;
    daemon.run_for(minutes(5)).await;
    daemon.engine().recorder().by(action::By::simulated()).cancel(&unlink).await.unwrap();
    daemon.run_for(hours(2)).await;
    daemon.engine().begin_drift().await.unwrap();
    daemon.run_for(hours(3)).await;

    daemon.assert_story(&unlink, "requested initiating initiated cancelled").await;
    daemon.assert_story(&link, &format!("{FULL} unlinked")).await;
    assert_eq!(daemon.conflicts(&link).await[0].kind, "vanished");
}
