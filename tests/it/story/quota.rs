//! Stories of quotas: months that are used up, days that are used up, calls that come too fast, our own budget.

mod opening;

mod rolling;

use amplinkd::{
    domain::{action, id::RequestId, request::State, time::Time},
    engine::accept::Cancelled,
    sim::{Api, FaultKind, Flags, Phase, Quotas},
};

use super::{ACCOUNT, Daemon, FULL, OTHER_ACCOUNT, OTHER_PROGRAM, PROGRAM, days, hours, minutes, seconds, to_link};

/// Midnight of 1 April 2026 in Beijing.
const NEXT_MONTH: Time = Time::from_ms(1_774_972_800_000);

/// Until the last second of 10 March 2026 in Beijing, when some hours of it have gone since the morning.
fn rest_of_the_day(gone: u64) -> std::time::Duration {
    seconds((16 - gone) * 3_600 - 1)
}

async fn deferred_until(daemon: &Daemon, id: &RequestId) -> Time {
    match daemon.request(id).await.state {
        State::Deferred(until) => until,
        other => panic!("{id} is {other:?}"),
    }
}

/// A daemon whose program has used up its month, and the request that met that.
async fn with_a_used_month() -> (Daemon, RequestId) {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    let link = daemon.link().await;
    daemon.settle().await;
    (daemon, link)
}

#[tokio::test]
async fn a_used_month_of_a_program_defers_to_the_next_beijing_month_on_every_account() {
    let (mut daemon, first) = with_a_used_month().await;
    let mut links = vec![first];
    for account in [OTHER_ACCOUNT, "wxaaaa000000000003"] {
        links.push(daemon.ask(to_link(account, PROGRAM)).await);
        daemon.settle().await;
        daemon.restart().await;
        daemon.settle().await;
    }

    assert_eq!(daemon.sim.stats().wxamplink, 1, "the others were held back without a call");
    let mut untils = Vec::new();
    for link in &links {
        let until = deferred_until(&daemon, link).await;
        assert!(until >= NEXT_MONTH + minutes(20) && until < NEXT_MONTH + minutes(80), "{until}");
        untils.push(until);
        let view = daemon.view(link).await;
        assert_eq!((view.errcode, view.waiting_on.as_deref()), (Some(89007), Some("quota")));
    }
    untils.dedup();
    assert_eq!(untils.len(), links.len(), "they do not come back all at once");
    daemon.assert_story(&links[0], "requested initiating deferred").await;
    daemon.assert_story(&links[1], "requested deferred").await;
    assert_eq!(daemon.request(&links[0]).await.attempt, 0, "a call that was refused is no attempt");
}

#[tokio::test]
async fn a_deferred_request_resumes_by_itself_when_the_month_has_rolled() {
    let (mut daemon, first) = with_a_used_month().await;
    let second = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    daemon.run_for(days(10)).await;
    daemon.restart().await;
    daemon.run_for(days(11)).await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);
    daemon.assert_sound().await;

    daemon.sim.world().quotas = Quotas::default();
    daemon.run_for(days(2)).await;

    let rest = FULL.strip_prefix("requested ").unwrap();
    daemon.assert_story(&first, &format!("requested initiating deferred requested {rest}")).await;
    daemon.assert_story(&second, &format!("requested deferred requested {rest}")).await;
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn a_month_that_is_still_used_up_defers_to_the_one_after() {
    let (mut daemon, link) = with_a_used_month().await;

    daemon.run_for(days(23)).await;

    let again = NEXT_MONTH + days(30) + minutes(20);
    let until = deferred_until(&daemon, &link).await;
    assert!(until >= again && until < again + hours(1), "{until}");
    // While April had perhaps not rolled, it was asked every half hour.
    let calls: Vec<Time> = daemon.sim.ledger().iter().map(|call| Time::from_ms(call.at)).collect();
    assert!((12..=14).contains(&calls.len()), "{} calls", calls.len());
    assert!(calls[1] >= NEXT_MONTH + minutes(20) && calls[1] < NEXT_MONTH + minutes(80), "{}", calls[1]);
    assert!(calls[1..].windows(2).all(|pair| pair[0].until(pair[1]) >= minutes(30)), "{calls:?}");
    let last = calls[calls.len() - 1];
    assert!(last >= NEXT_MONTH + hours(6) && last < NEXT_MONTH + minutes(6 * 60 + 35), "{last}");
    let view = daemon.view(&link).await;
    assert_eq!((view.attempt, view.errcode), (0, Some(89007)), "a call that was refused is no attempt");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_used_month_of_an_account_defers_that_request_alone() {
    let none = Some(0);
    let cases = [
        (89016, true, Quotas { same_owner_links_per_month: none, ..Quotas::default() }),
        (89017, false, Quotas { other_owner_links_per_month: none, ..Quotas::default() }),
        (89030, false, Quotas { operations_per_month: none, ..Quotas::default() }),
    ];
    for (code, same_owner, quotas) in cases {
        let mut daemon = Daemon::start().await;
        let owner = if same_owner { "one" } else { "another" };
        daemon.sim.world().account(ACCOUNT).owner = "one".to_owned();
        daemon.sim.world().program(PROGRAM).owner = owner.to_owned();
        daemon.sim.world().quotas = quotas;
        let link = daemon.link().await;
        daemon.settle().await;
        assert_eq!(daemon.view(&link).await.errcode, Some(code));
        assert!(deferred_until(&daemon, &link).await >= NEXT_MONTH + minutes(20));
        let gates = daemon.store().gates().await.unwrap();
        assert_eq!(gates.len(), 1, "{gates:?}");
        let gate = (gates[0].kind.as_str(), gates[0].subject.clone(), Time::from_ms(gates[0].until));
        assert_eq!(gate, ("account_month", format!("{ACCOUNT}/{code}"), NEXT_MONTH + minutes(20)));

        daemon.sim.world().quotas = Quotas::default();
        let elsewhere = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
        let beside = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
        daemon.run_for(hours(4)).await;

        daemon.assert_story(&elsewhere, FULL).await;
        daemon.assert_story(&beside, FULL).await;
        daemon.assert_story(&link, "requested initiating deferred").await;
    }
}

#[tokio::test]
async fn a_deferred_request_that_someone_else_links_is_seen() {
    let (mut daemon, link) = with_a_used_month().await;
    daemon.run_for(days(2)).await;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Linked, now).unwrap();

    daemon.run_for(days(2)).await;

    daemon.assert_story(&link, "requested initiating deferred linked").await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);
}

#[tokio::test]
async fn a_deferred_request_that_is_cancelled_is_never_called() {
    let (mut daemon, link) = with_a_used_month().await;

    let cancelled = daemon.engine().recorder().by(action::By::simulated()).cancel(&link).await.unwrap();
    daemon.sim.world().quotas = Quotas::default();
    daemon.run_for(days(30)).await;

    assert_eq!(cancelled, Cancelled::BeforeTheCall);
    daemon.assert_story(&link, "requested initiating deferred cancelled").await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);
}

#[tokio::test]
async fn a_used_day_of_listings_stops_the_polls_until_the_next_beijing_day() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.sim.world().quotas.calls_per_day = Some(5);
    daemon.link().await;
    daemon.run_for(hours(1)).await;
    let used = daemon.sim.stats().wxamplinkget;
    assert_eq!(used, 6, "five were answered, and one was refused");

    // Neither a restart nor a new request makes it forget.
    daemon.restart().await;
    daemon.settle().await;
    let late = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(hours(1)).await;
    daemon.restart().await;
    daemon.run_for(rest_of_the_day(2)).await;
    assert_eq!(daemon.sim.stats().wxamplinkget, used);
    daemon.assert_sound().await;

    daemon.run_for(hours(2)).await;
    assert!(daemon.sim.stats().wxamplinkget > used, "a new day");
    daemon.assert_story(&late, "requested initiating initiated awaiting_account_admin").await;
}

#[tokio::test]
async fn a_used_day_of_calls_stops_the_calls_and_not_the_polls() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.calls_per_day = Some(400);
    let now = daemon.sim.now();
    for _ in 0..400 {
        daemon.sim.world().link(ACCOUNT, OTHER_PROGRAM, Flags::default(), now);
    }
    let link = daemon.link().await;
    daemon.run_for(hours(1)).await;
    daemon.restart().await;
    daemon.run_for(rest_of_the_day(1)).await;

    assert_eq!(daemon.sim.stats().wxamplink, 1);
    let polls = daemon.sim.stats().wxamplinkget;
    assert!((60..130).contains(&polls), "{polls} polls: as often as the policy says, no more");
    assert_eq!(daemon.view(&link).await.attempt, 0);
    assert_eq!(daemon.view(&link).await.errcode, Some(45009));

    daemon.run_for(hours(4)).await;
    let rest = FULL.strip_prefix("requested ").unwrap();
    daemon.assert_story(&link, &format!("requested initiating requested {rest}")).await;
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn calls_that_come_too_fast_pause_a_minute() {
    for api in [Api::Listing, Api::Link] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().faults.next(Some(api), FaultKind::TooFast);
        let link = daemon.link().await;
        daemon.settle().await;
        let calls = daemon.sim.stats();

        daemon.run_for(seconds(59)).await;
        assert_eq!(daemon.sim.stats(), calls, "{api:?}");
        assert_eq!((daemon.view(&link).await.state.as_str(), daemon.view(&link).await.attempt), ("requested", 0));

        daemon.run_for(hours(3)).await;
        assert_eq!(daemon.view(&link).await.state, "linked");
        assert_eq!(daemon.invitations(), 1);
    }
}

#[tokio::test]
async fn the_daily_budget_is_respected_and_the_next_day_brings_a_new_one() {
    let mut daemon = Daemon::with(|settings| settings.daily_budget = 10).await;
    daemon.nobody_answers();
    daemon.link().await;

    daemon.run_for(rest_of_the_day(0)).await;
    assert_eq!(daemon.sim.stats().wxamplinkget, 10);
    daemon.assert_sound().await;

    daemon.run_for(days(1)).await;
    assert_eq!(daemon.sim.stats().wxamplinkget, 20);
}

#[tokio::test]
async fn a_crash_loop_does_not_spend_more_than_the_daily_budget() {
    let mut daemon = Daemon::with(|settings| settings.daily_budget = 10).await;
    daemon.nobody_answers();
    let link = daemon.link().await;

    for _ in 0..20 {
        daemon.store().wake(&ACCOUNT.parse().unwrap()).await.unwrap();
        daemon.run_for(minutes(1)).await;
        daemon.restart().await;
    }

    // A poll that was written down and not made before the crash is spent as well.
    let polls = daemon.sim.stats().wxamplinkget;
    assert!((6..=10).contains(&polls), "{polls} polls");
    assert_eq!(daemon.account(ACCOUNT).await.budget_used, 10);
    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;
}
