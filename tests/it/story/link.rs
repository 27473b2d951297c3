//! Stories of links: every rule about listings, one test each.

use amplinkd::{
    domain::request::{Kind, LinkOptions},
    sim::{By, FaultKind, Phase, PlanSet, RejectedItem, Span, approves_after, never_answers, refuses_after},
};

use super::{ACCOUNT, Daemon, FULL, PROGRAM, days, hours, minutes, wish};

#[tokio::test]
async fn both_administrators_approve() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;

    daemon.run_for(hours(4)).await;

    daemon.assert_story(&link, FULL).await;
    assert_eq!(daemon.invitations(), 1);
    assert!(daemon.conflicts(&link).await.is_empty());
}

#[tokio::test]
async fn the_programs_administrator_refuses() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { program_admin: Some(refuses_after(Span::hours(2))), ..PlanSet::default() });
    let link = daemon.link().await;

    daemon.run_for(hours(6)).await;

    daemon
        .assert_story(&link, "requested initiating initiated awaiting_account_admin awaiting_program_admin rejected")
        .await;
}

#[tokio::test]
async fn the_accounts_administrator_refuses_and_two_listings_must_agree() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { account_admin: Some(refuses_after(Span::hours(1))), ..PlanSet::default() });
    let link = daemon.link().await;

    daemon.run_for(hours(3)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin lapsed").await;
}

#[tokio::test]
async fn nobody_answers_for_a_month_and_the_request_waits() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let link = daemon.link().await;

    daemon.run_for(days(30)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;
    assert_eq!(daemon.view(&link).await.waiting_on.as_deref(), Some("account_admin"));
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn a_poll_that_missed_12_and_2_invents_no_move() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet {
        account_admin: Some(approves_after(Span::seconds(2))),
        program_admin: Some(approves_after(Span::seconds(2))),
        ..PlanSet::default()
    });
    let link = daemon.link().await;

    daemon.run_for(minutes(5)).await;

    daemon.assert_story(&link, "requested initiating initiated linked").await;
}

#[tokio::test]
async fn a_request_for_an_existing_link_makes_no_call() {
    let mut daemon = Daemon::start().await;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Linked, now).unwrap();
    let link = daemon.link().await;

    daemon.run_for(minutes(1)).await;

    daemon.assert_story(&link, "requested linked").await;
    assert_eq!(daemon.sim.stats().wxamplink, 0);
    assert!(daemon.conflicts(&link).await.is_empty());
}

#[tokio::test]
async fn an_invitation_that_someone_else_sent_is_adopted_with_a_conflict() {
    for (phase, waits) in [
        (Phase::AwaitingAccountAdmin, "requested awaiting_account_admin awaiting_program_admin linked"),
        (Phase::AwaitingProgramAdmin, "requested awaiting_program_admin linked"),
    ] {
        let mut daemon = Daemon::start().await;
        let now = daemon.sim.now();
        daemon.sim.world().place(ACCOUNT, PROGRAM, phase, now).unwrap();
        let link = daemon.link().await;

        daemon.settle().await;
        let open = daemon.conflicts(&link).await;
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].kind.as_str(), open[0].their_status), ("adopted", Some(phase.status())));
        assert_eq!(open[0].resolved_at, None);
        daemon.run_for(hours(4)).await;

        daemon.assert_story(&link, waits).await;
        assert_eq!(daemon.sim.stats().wxamplink, 0);
        assert_eq!(daemon.conflicts(&link).await[0].resolution.as_deref(), Some("linked"));
    }
}

#[tokio::test]
async fn an_old_rejection_is_remembered_and_the_new_invitation_is_followed() {
    for rejected_item in [RejectedItem::Replaced, RejectedItem::StaysBeside] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().switches.rejected_item = rejected_item;
        let now = daemon.sim.now();
        daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Rejected, now).unwrap();
        let mut ask = wish(Kind::Link(LinkOptions::default()), ACCOUNT, PROGRAM);
        ask.username = Some(daemon.sim.world().program(PROGRAM).username.parse().unwrap());
        let link = daemon.ask(ask).await;

        daemon.run_for(hours(4)).await;

        daemon.assert_story(&link, FULL).await;
        assert_eq!(daemon.invitations(), 1);
    }
}

#[tokio::test]
async fn an_old_rejection_that_stays_counts_once_its_time_to_change_is_over() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().switches.rejected_item = RejectedItem::ReplacedAfter(Span::days(9));
    daemon.sim.world().switches.rejected_items_have_appid = true;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Rejected, now).unwrap();
    let link = daemon.link().await;

    daemon.run_for(minutes(9)).await;
    daemon.assert_story(&link, "requested initiating initiated").await;
    daemon.run_for(minutes(5)).await;

    daemon.assert_story(&link, "requested initiating initiated rejected").await;
}

#[tokio::test]
async fn one_backward_listing_is_doubted_and_a_second_one_believed() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { program_admin: Some(never_answers()), ..PlanSet::default() });
    let link = daemon.link().await;
    daemon.run_for(hours(2)).await;
    let before = "requested initiating initiated awaiting_account_admin awaiting_program_admin";
    daemon.assert_story(&link, before).await;

    let show = |status: Option<i64>| {
        let now = daemon.sim.now();
        daemon.sim.world().show_status(ACCOUNT, PROGRAM, status, now).unwrap();
    };
    show(Some(12));
    daemon.run_for(hours(1)).await;

    daemon.assert_story(&link, &format!("{before} awaiting_account_admin")).await;
    let conflicts = daemon.conflicts(&link).await;
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].kind.as_str(), conflicts[0].their_status), ("backward", Some(12)));
}

#[tokio::test]
async fn a_listing_that_flickers_once_moves_nothing() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { program_admin: Some(never_answers()), ..PlanSet::default() });
    let link = daemon.link().await;
    daemon.run_for(hours(2)).await;
    let before = daemon.story(&link).await;

    // One listing goes back, the next one is right again.
    let shown = daemon.sim.stats().wxamplinkget;
    let now = daemon.sim.now();
    daemon.sim.world().show_status(ACCOUNT, PROGRAM, Some(12), now).unwrap();
    while daemon.sim.stats().wxamplinkget == shown {
        daemon.run_for(std::time::Duration::from_secs(5)).await;
    }
    assert!(daemon.request(&link).await.memory.doubt.is_some(), "the first look is doubted");
    let now = daemon.sim.now();
    daemon.sim.world().show_status(ACCOUNT, PROGRAM, None, now).unwrap();
    daemon.run_for(hours(2)).await;

    daemon.assert_story(&link, &before).await;
    assert!(daemon.request(&link).await.memory.doubt.is_none());
}

#[tokio::test]
async fn an_undocumented_status_is_kept_and_changes_nothing() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    let now = daemon.sim.now();
    daemon.sim.world().show_status(ACCOUNT, PROGRAM, Some(77), now).unwrap();

    daemon.run_for(hours(5)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;
    assert_eq!(daemon.view(&link).await.seen_status, Some(77));
    assert_eq!(daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap()[0].status, 77);
}

#[tokio::test]
async fn a_link_that_vanishes_is_found_by_the_drift_check() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(hours(4)).await;
    let now = daemon.sim.now();
    daemon.sim.world().remove(ACCOUNT, PROGRAM, now).unwrap();
    daemon.run_for(days(2)).await;
    daemon.assert_story(&link, FULL).await;

    daemon.engine().begin_drift().await.unwrap();
    daemon.run_for(hours(2)).await;

    daemon.assert_story(&link, &format!("{FULL} unlinked")).await;
    let conflicts = daemon.conflicts(&link).await;
    assert_eq!((conflicts[0].kind.as_str(), conflicts[0].resolution.as_deref()), ("vanished", Some("unlinked")));
}

#[tokio::test]
async fn items_without_appid_are_recognised_by_elimination_and_then_by_name() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().switches.items_have_appid = false;
    let link = daemon.link().await;

    daemon.run_for(hours(4)).await;

    daemon.assert_story(&link, FULL).await;
    assert!(daemon.request(&link).await.username.is_some(), "its gh_ id was learned");
}

#[tokio::test]
async fn two_requests_with_unnamed_items_wait_until_one_can_be_told() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().switches.items_have_appid = false;
    let kind = Kind::Link(LinkOptions::default());
    let one = daemon.ask(wish(kind, ACCOUNT, PROGRAM)).await;
    let other = daemon.ask(wish(kind, ACCOUNT, "wxbbbb000000000002")).await;

    daemon.run_for(days(1)).await;

    for link in [&one, &other] {
        daemon.assert_story(link, "requested initiating initiated").await;
    }
    assert_eq!(daemon.sim.stats().invitations, 2);
}

#[tokio::test]
async fn a_program_that_is_listed_twice_counts_by_its_most_alive_item() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().faults.rates.insert(FaultKind::DuplicateItems, 0.9);
    let link = daemon.link().await;

    daemon.run_for(hours(5)).await;

    daemon.assert_story(&link, FULL).await;
}

#[tokio::test]
async fn one_listing_serves_every_request_of_an_account() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let kind = Kind::Link(LinkOptions::default());
    for number in 1..=20 {
        daemon.ask(wish(kind, ACCOUNT, &format!("wxbbbb{number:012}"))).await;
    }
    daemon.run_for(minutes(1)).await;
    let before = daemon.sim.stats().wxamplinkget;

    daemon.run_for(minutes(5)).await;

    let polls = daemon.sim.stats().wxamplinkget - before;
    assert!((8..=11).contains(&polls), "{polls} polls in five minutes at one every thirty seconds");
}

#[tokio::test]
async fn a_person_approves_and_the_next_poll_sees_it() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(minutes(2)).await;
    for by in [By::AccountAdmin, By::ProgramAdmin] {
        let now = daemon.sim.now();
        daemon.sim.world().approve(ACCOUNT, PROGRAM, by, now).unwrap();
        daemon.run_for(minutes(2)).await;
    }
    daemon.assert_story(&link, FULL).await;
}

#[tokio::test]
async fn a_deadline_that_passed_while_the_daemon_was_down_lets_the_list_speak_first() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(days(1))).await;
    let link = daemon.link().await;
    daemon.run_for(minutes(30)).await;
    daemon.stop().await;
    daemon.clock.advance(days(3));
    daemon.boot().await;

    daemon.run_for(minutes(5)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin linked").await;
}

#[tokio::test]
async fn a_calendar_that_is_stepped_forward_makes_no_old_rejection_true() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().switches.rejected_item = RejectedItem::ReplacedAfter(Span::minutes(8));
    daemon.sim.world().switches.rejected_items_have_appid = true;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Rejected, now).unwrap();
    let link = daemon.link().await;
    daemon.run_for(minutes(2)).await;

    daemon.clock.step(3_600_000);
    daemon.run_for(minutes(4)).await;
    daemon.assert_story(&link, "requested initiating initiated").await;
    daemon.run_for(minutes(20)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;
}
