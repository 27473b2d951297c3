//! Rows that no request has, and clocks that people or machines set: each delays only itself, or nothing.

use amplinkd::sim::{Api, FaultKind, Span};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_PROGRAM, PROGRAM, days, hours, minutes, to_link};

/// Statements that make a request illegal, each in another way.
const POISON: [&str; 6] = [
    "notify_users = 7",
    "state = 'nonsense'",
    "labels = 'no json'",
    "program = 'not an appid'",
    "attempt = -1",
    "failure = 'deadline'",
];

#[tokio::test]
async fn a_row_that_is_not_legal_delays_only_itself() {
    for poison in POISON {
        let mut daemon = Daemon::start().await;
        let bad = daemon.link().await;
        daemon.run_for(minutes(2)).await;
        let table = "request";
        let change = format!("PRAGMA ignore_check_constraints = ON; UPDATE {table} SET {poison} WHERE id = '{bad}';");
        daemon.sql(&change).await;
        let good = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        daemon.run_for(hours(2)).await;
        daemon.restart().await;
        daemon.run_for(hours(2)).await;

        assert_eq!(daemon.story(&good).await, FULL, "{poison}");
        assert_eq!(daemon.invitations(), 1, "{poison}");
    }
}

#[tokio::test]
async fn a_row_that_is_not_legal_does_not_keep_the_daemon_from_starting() {
    for poison in POISON.into_iter().skip(1).chain(["kind = 'unlink', failure = 'deadline'"]) {
        let mut daemon = Daemon::start().await;
        let bad = daemon.link().await;
        daemon.settle().await;
        let table = "request";
        let change = format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE {table} SET state = 'initiating', {poison} WHERE id = '{bad}';"
        );
        daemon.stop().await;
        daemon.sql(&change).await;
        daemon.boot().await;
        let good = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        daemon.run_for(hours(4)).await;

        assert_eq!(daemon.story(&good).await, FULL, "{poison}");
    }
}

/// No type of a column keeps bytes out that are no text.
#[tokio::test]
async fn what_is_remembered_of_a_list_and_is_not_legal_holds_up_nothing() {
    for poison in ["nickname", "program", "username", "func_infos"] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.run_for(minutes(2)).await;
        daemon.sql(&format!("UPDATE program SET {poison} = CAST(x'ff' AS TEXT)")).await;
        daemon.sql("UPDATE program_name SET program = CAST(x'ff' AS TEXT)").await;
        daemon.run_for(hours(3)).await;

        assert_eq!(daemon.story(&link).await, FULL, "{poison}");
        let items = daemon.store().program_views(Some(ACCOUNT), None, 9).await.unwrap();
        assert_eq!((items.len(), items[0].status), (1, 1), "{poison}: it is written anew");
    }
}

const FIVE_HOURS: i64 = 5 * 3_600_000;

#[tokio::test]
async fn a_clock_that_is_stepped_neither_stalls_nor_doubles() {
    for step in [FIVE_HOURS, -FIVE_HOURS] {
        for at in [0, 1, 5, 30, 61, 90, 119, 121] {
            let mut daemon = Daemon::start().await;
            let link = daemon.link().await;
            daemon.run_for(minutes(at)).await;
            daemon.clock.step(step);
            daemon.run_for(hours(8)).await;

            let story = daemon.story(&link).await;
            assert!(story.ends_with("linked"), "{step} ms after {at} minutes: {story}");
            assert_eq!((daemon.invitations(), daemon.view(&link).await.attempt), (1, 1), "{step} after {at}");
            daemon.assert_sound().await;
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_stepped_while_an_outcome_is_unknown_invites_once() {
    for fault in [FaultKind::LostAnswer, FaultKind::BusyBefore] {
        for step in [FIVE_HOURS, -FIVE_HOURS] {
            let mut daemon = Daemon::start().await;
            daemon.sim.world().switches.listing_delay = Span::minutes(5);
            daemon.sim.world().faults.next(Some(Api::Link), fault);
            let link = daemon.link().await;
            daemon.run_for(minutes(2)).await;
            daemon.clock.step(step);
            daemon.run_for(hours(10)).await;

            let story = daemon.story(&link).await;
            assert!(story.ends_with("linked"), "{fault:?}, {step} ms: {story}");
            assert_eq!(daemon.invitations(), 1, "{fault:?}, {step} ms: {story}");
            daemon.assert_sound().await;
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_stepped_gives_no_budget_back() {
    let mut daemon = Daemon::with(|settings| settings.daily_budget = 10).await;
    daemon.nobody_answers();
    daemon.link().await;
    daemon.run_for(hours(2)).await;
    assert_eq!(daemon.sim.stats().wxamplinkget, 10);

    daemon.clock.step(-12 * 3_600_000);
    daemon.restart().await;
    daemon.run_for(hours(4)).await;

    assert_eq!(daemon.sim.stats().wxamplinkget, 10, "yesterday again, and still spent");
}

#[tokio::test]
async fn a_year_that_was_wrong_for_a_moment_does_not_stop_the_polls_for_a_year() {
    let mut daemon = Daemon::with(|settings| settings.daily_budget = 40).await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.settle().await;
    let year = 365 * 86_400_000;
    daemon.clock.step(year);
    daemon.run_for(hours(3)).await;
    daemon.clock.step(-year);
    daemon.run_for(days(3)).await;

    let people = amplinkd::sim::PlanSet::default();
    daemon.people(people);
    let now = daemon.sim.now();
    daemon.sim.world().approve(ACCOUNT, PROGRAM, amplinkd::sim::By::AccountAdmin, now).unwrap();
    daemon.run_for(days(1)).await;
    assert!(daemon.story(&link).await.contains("awaiting_program_admin"), "{}", daemon.story(&link).await);
}

#[tokio::test]
async fn a_machine_that_sleeps_for_days_goes_on_where_it_was() {
    for at in [0, 1, 30, 90] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.run_for(minutes(at)).await;
        daemon.clock.advance(days(3));
        daemon.run_for(hours(4)).await;

        assert!(daemon.story(&link).await.ends_with("linked"), "{}", daemon.story(&link).await);
        assert_eq!(daemon.invitations(), 1);
        daemon.assert_sound().await;
    }
}

#[tokio::test]
async fn a_process_that_was_down_for_days_goes_on_where_it_was() {
    for at in [0, 1, 30, 90] {
        let mut daemon = Daemon::start().await;
        let link = daemon.link().await;
        daemon.run_for(minutes(at)).await;
        daemon.stop().await;
        daemon.clock.advance(days(3));
        daemon.boot().await;
        daemon.run_for(hours(4)).await;

        assert!(daemon.story(&link).await.ends_with("linked"), "{}", daemon.story(&link).await);
        assert_eq!(daemon.invitations(), 1);
        daemon.assert_sound().await;
    }
}
