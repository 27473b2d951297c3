//! Stories of months and days that roll later than ours: nobody loses another one, and WeChat is asked by one call at a
//! time for all that wait.

use std::time::Duration;

use amplinkd::{
    domain::{id::RequestId, time::Time},
    sim::{Api, CallLogEntry, Flags, PlanSet, Quotas, Span, approves_after},
};

use super::{
    super::{ACCOUNT, Daemon, PROGRAM, days, hours, minutes, to_link},
    NEXT_MONTH,
};

/// The evening of 31 March in Beijing, four hours before the month is over; the morning is 10 March, 08:00.
fn until_the_evening() -> Duration {
    days(21) + hours(12)
}

fn account(number: usize) -> String {
    format!("wxaaaa{number:012}")
}

fn program(number: usize) -> String {
    format!("wxbbbb{number:012}")
}

/// A daemon on the evening of 31 March, in a world where everybody agrees at once.
async fn evening(change: impl FnOnce(&mut amplinkd::engine::Settings)) -> Daemon {
    let mut daemon = Daemon::with(change).await;
    let soon = Some(approves_after(Span::seconds(20)));
    daemon.people(PlanSet { account_admin: soon, program_admin: soon, unlink: soon });
    daemon.run_for(until_the_evening()).await;
    daemon
}

/// And so many requests for one program whose March is used up.
async fn crowd(daemon: &mut Daemon, count: usize) -> Vec<RequestId> {
    let used = u32::try_from(count).unwrap() + 20;
    {
        let now = daemon.sim.now();
        let mut world = daemon.sim.world();
        world.quotas.program_links_per_month = Some(used);
        for number in 0..used {
            world.link(&format!("wxcccc{number:012}"), PROGRAM, Flags::default(), now);
        }
    }
    let mut links = Vec::new();
    for number in 0..count {
        links.push(daemon.ask(to_link(&account(number), PROGRAM)).await);
    }
    daemon.settle().await;
    links
}

/// Calls of `wxamplink` since April began by our calendar that had this code.
fn calls(daemon: &Daemon, errcode: i64) -> Vec<CallLogEntry> {
    let ahead = daemon.sim.world().time_ahead;
    let mut calls = daemon.sim.ledger();
    calls.retain(|call| call.api == Api::Link && call.errcode == errcode && call.at - ahead >= NEXT_MONTH.ms());
    calls
}

/// No two of these were made within half an hour.
fn assert_one_at_a_time(calls: &[CallLogEntry]) {
    for pair in calls.windows(2) {
        let apart = Time::from_ms(pair[0].at).until(Time::from_ms(pair[1].at));
        assert!(apart >= minutes(30), "{apart:?} apart: {pair:#?}");
    }
}

/// All are linked by the end of 1 April, without a call that counted and had no effect.
async fn assert_all_linked(daemon: &Daemon, links: &[RequestId]) {
    for link in links {
        let view = daemon.view(link).await;
        assert_eq!((view.state.as_str(), view.attempt), ("linked", 1), "{}", daemon.story(link).await);
        assert!(view.finished_at.unwrap().as_str() < "2026-04-01T16:00:00.000Z", "within the day");
    }
    assert_eq!(daemon.store().gates().await.unwrap(), [], "nothing is held back any more");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn eighty_requests_come_through_a_month_that_rolls_three_hours_late() {
    let mut daemon = evening(|_| {}).await;
    daemon.sim.world().switches.month_rolls_late_by = Span::hours(3);
    let links = crowd(&mut daemon, 80).await;

    daemon.run_for(hours(28)).await;

    let refused = calls(&daemon, 89007);
    assert!((3..=7).contains(&refused.len()), "{} refused calls in three hours", refused.len());
    assert_one_at_a_time(&refused);
    assert_eq!(calls(&daemon, 0).len(), 80);
    assert_all_linked(&daemon, &links).await;
    // Who waits for another one to ask, waits: nothing of that is a step.
    let mut waited = 0;
    for link in &links {
        let story = daemon.story(link).await;
        waited += usize::from(story.starts_with("requested deferred requested initiating initiated "));
    }
    assert!(waited >= 60, "{waited} of 80 stood still until it was their turn");
}

#[tokio::test]
async fn no_restart_makes_it_ask_more_often_or_wait_longer() {
    let mut daemon = evening(|_| {}).await;
    daemon.sim.world().switches.month_rolls_late_by = Span::hours(3);
    let links = crowd(&mut daemon, 80).await;

    for _ in 0..28 * 3 {
        daemon.run_for(minutes(20)).await;
        daemon.restart().await;
    }

    let refused = calls(&daemon, 89007);
    assert!((3..=7).contains(&refused.len()), "{} refused calls in three hours", refused.len());
    assert_one_at_a_time(&refused);
    assert_all_linked(&daemon, &links).await;
}

#[tokio::test]
async fn those_who_come_through_the_month_together_let_one_ask_for_all() {
    for (late_by, refused) in [(Span::ZERO, 0), (Span::hours(3), 2)] {
        let mut daemon = evening(|_| {}).await;
        daemon.sim.world().switches.month_rolls_late_by = late_by;
        let links = crowd(&mut daemon, 80).await;
        // Nobody is there until two o'clock, when all of them are overdue at once.
        daemon.stop().await;
        daemon.clock.advance(hours(6));
        daemon.boot().await;

        daemon.run_for(minutes(5)).await;
        let taken = if refused == 0 { 80 } else { 0 };
        assert_eq!(calls(&daemon, 0).len(), taken, "they follow as soon as the one that asks is answered");
        assert_eq!(calls(&daemon, 89007).len(), usize::from(refused > 0), "they wait for its answer");
        daemon.run_for(hours(21)).await;

        assert_eq!(calls(&daemon, 89007).len(), refused);
        assert_one_at_a_time(&calls(&daemon, 89007));
        assert_all_linked(&daemon, &links).await;
    }
}

#[tokio::test]
async fn somebody_else_asks_when_the_one_whose_turn_it_is_cannot() {
    for cannot in ["is suspended", "cannot be read"] {
        let mut daemon = evening(|_| {}).await;
        daemon.sim.world().switches.month_rolls_late_by = Span::minutes(90);
        let links = crowd(&mut daemon, 6).await;
        daemon.run_for(hours(5)).await;
        let first = calls(&daemon, 89007).first().unwrap().account.clone();
        // Lists of it are answered with a code that suspends it, or that nobody knows.
        let code = if cannot == "is suspended" { 61007 } else { 89999 };
        daemon.sim.world().account(&first).answers_always = Some(code);

        daemon.run_for(hours(2)).await;
        for link in &links {
            let view = daemon.view(link).await;
            assert_eq!(view.state == "linked", view.account != first, "{cannot}: {view:?}");
        }
        assert_one_at_a_time(&calls(&daemon, 89007));

        daemon.sim.world().account(&first).answers_always = None;
        daemon.run_for(hours(4)).await;
        assert_all_linked(&daemon, &links).await;
    }
}

#[tokio::test]
async fn a_clock_of_wechats_that_is_behind_ours_costs_nothing_within_the_grace() {
    for (grace, refused) in [(minutes(20), 0), (Duration::ZERO, 1)] {
        let mut daemon = evening(|settings| settings.policy.rollover_grace = grace).await;
        daemon.sim.world().time_ahead = -600_000;
        let links = crowd(&mut daemon, 40).await;

        daemon.run_for(hours(28)).await;

        assert_eq!(calls(&daemon, 89007).len(), refused, "with a grace of {grace:?}");
        assert_all_linked(&daemon, &links).await;
    }
}

#[tokio::test]
async fn an_accounts_month_that_rolls_late_is_asked_by_one_call_too() {
    let used = Some(20);
    let cases = [
        (89016, "one", Quotas { same_owner_links_per_month: used, ..Quotas::default() }),
        (89017, "another", Quotas { other_owner_links_per_month: used, ..Quotas::default() }),
        (89030, "one", Quotas { operations_per_month: used, ..Quotas::default() }),
    ];
    for (code, owner, quotas) in cases {
        let mut daemon = evening(|_| {}).await;
        let now = daemon.sim.now();
        {
            let mut world = daemon.sim.world();
            world.switches.month_rolls_late_by = Span::hours(3);
            world.account(ACCOUNT).owner = "one".to_owned();
            for number in 0..40 {
                world.program(&program(number)).owner = owner.to_owned();
            }
            world.quotas = quotas;
            for number in 20..40 {
                assert_eq!(world.link(ACCOUNT, &program(number), Flags::default(), now).errcode, 0);
            }
        }
        let mut links = Vec::new();
        for number in 0..12 {
            links.push(daemon.ask(to_link(ACCOUNT, &program(number))).await);
        }
        daemon.settle().await;
        daemon.restart().await;
        for _ in 0..14 {
            daemon.run_for(hours(2)).await;
            daemon.restart().await;
        }

        let refused = calls(&daemon, code);
        assert!((3..=7).contains(&refused.len()), "{code}: {} refused calls in three hours", refused.len());
        assert_one_at_a_time(&refused);
        assert_all_linked(&daemon, &links).await;
    }
}

#[tokio::test]
async fn a_day_of_calls_that_rolls_late_is_not_lost() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().switches.day_rolls_late_by = Span::hours(3);
    daemon.sim.world().quotas.calls_per_day = Some(400);
    let now = daemon.sim.now();
    for _ in 0..400 {
        daemon.sim.world().link(ACCOUNT, &program(7), Flags::default(), now);
    }
    let link = daemon.link().await;
    // Until midnight, and for the first four hours of the day.
    for _ in 0..20 * 2 {
        daemon.run_for(minutes(30)).await;
        daemon.restart().await;
    }

    let mut refused = daemon.sim.ledger();
    refused.retain(|call| call.errcode == 45009);
    assert!(
        (5..=8).contains(&refused.len()),
        "{} refused calls: one in the morning, then every half hour",
        refused.len()
    );
    assert_one_at_a_time(&refused);
    let view = daemon.view(&link).await;
    assert_eq!((view.state.as_str(), view.attempt), ("awaiting_account_admin", 1));
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_day_of_lists_that_rolls_late_is_not_lost() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().switches.day_rolls_late_by = Span::hours(3);
    daemon.sim.world().quotas.calls_per_day = Some(60);
    daemon.link().await;
    let refused = |daemon: &Daemon| daemon.sim.stats().answers.get(&45009).copied().unwrap_or(0);
    // Midnight is after 16 hours.
    daemon.run_for(hours(16)).await;
    assert_eq!(refused(&daemon), 1, "the day was used up");
    let read = daemon.sim.stats().wxamplinkget;

    for _ in 0..8 {
        daemon.run_for(minutes(30)).await;
        daemon.restart().await;
    }

    let (asked, refused) = (daemon.sim.stats().wxamplinkget - read, refused(&daemon) - 1);
    assert!((3..=6).contains(&refused), "{refused} refused in three hours");
    assert!(asked > refused, "lists were read again once the day had rolled, before four o'clock");
    assert_eq!(daemon.account(ACCOUNT).await.failures, 0);
    daemon.assert_sound().await;
}

/// The poll that asks again is written down a moment before its time, when the gate is still closed.
#[tokio::test]
async fn a_day_is_asked_again_at_its_very_time() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().switches.day_rolls_late_by = Span::hours(1);
    daemon.sim.world().quotas.calls_per_day = Some(5);
    daemon.link().await;
    daemon.run_for(hours(17)).await;
    let refused = daemon.sim.stats().answers[&45009];
    let gates = daemon.store().gates().await.unwrap();
    assert!(gates[0].early, "{gates:?}");
    // Chance has put it off by nothing.
    daemon.sql("UPDATE account SET next_check_at = (SELECT max(until) FROM gate)").await;
    daemon.restart().await;

    let asked = tokio::time::timeout(Duration::from_secs(20), daemon.run_for(minutes(31)));

    assert!(asked.await.is_ok(), "the loop turned on the spot");
    assert_eq!(daemon.sim.stats().answers[&45009], refused, "the day has rolled");
}
