//! Accounts that are shut out: by `WeChat`, by an operator, by our own address.

use amplinkd::{
    domain::action,
    sim::{FaultKind, Span},
    store::write::standing::Standing,
};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_ACCOUNT, OTHER_PROGRAM, PROGRAM, days, hours, minutes, to_link};

const SHUT_OUT: [i64; 9] = [42007, 50001, 61003, 61023, 61007, 48001, 48004, 50002, 50004];

#[tokio::test]
async fn a_code_about_the_account_suspends_it_and_a_slow_probe_resumes_it() {
    for code in SHUT_OUT {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().account(ACCOUNT).answers_always = Some(code);
        let link = daemon.link().await;
        daemon.settle().await;
        let account = daemon.account(ACCOUNT).await;
        assert_eq!((account.state.as_str(), account.suspended_by.as_deref()), ("suspended", Some("wechat")), "{code}");
        assert_eq!(account.errcode, Some(code));

        daemon.run_for(hours(3)).await;
        daemon.restart().await;
        daemon.run_for(hours(3)).await;
        let probes = daemon.sim.stats().wxamplinkget;
        assert!((5..=8).contains(&probes), "{code}: {probes} probes in six hours");
        daemon.assert_story(&link, "requested").await;
        assert_eq!(daemon.account(ACCOUNT).await.since, account.since, "it is suspended since then, not anew");

        daemon.sim.world().account(ACCOUNT).answers_always = None;
        daemon.run_for(hours(5)).await;
        assert_eq!(daemon.account(ACCOUNT).await.state, "active");
        daemon.assert_story(&link, FULL).await;
    }
}

#[tokio::test]
async fn an_operator_resumes_an_account_at_once() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().account(ACCOUNT).answers_always = Some(61007);
    let link = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    daemon.sim.world().account(ACCOUNT).answers_always = None;
    let polls = daemon.sim.stats().wxamplinkget;

    daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&ACCOUNT.parse().unwrap(), Standing::Active)
        .await
        .unwrap();
    daemon.settle().await;

    assert_eq!(daemon.sim.stats().wxamplinkget, polls + 1);
    assert_eq!(daemon.account(ACCOUNT).await.state, "active");
    daemon.assert_story(&link, "requested initiating initiated").await;
}

#[tokio::test]
async fn a_call_that_is_refused_for_the_account_suspends_it_and_costs_no_attempt() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.settle_answering(ACCOUNT, 61007).await;
    assert_eq!(daemon.account(ACCOUNT).await.state, "suspended");
    assert_eq!((daemon.view(&link).await.state.as_str(), daemon.view(&link).await.attempt), ("requested", 0));

    daemon.run_for(hours(5)).await;

    daemon.assert_story(&link, &format!("requested initiating {FULL}")).await;
    assert_eq!((daemon.account(ACCOUNT).await.state.as_str(), daemon.invitations()), ("active", 1));
}

#[tokio::test]
async fn an_operators_suspension_stops_everything_until_it_is_taken_back() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    let account = ACCOUNT.parse().unwrap();
    let first = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&account, Standing::SuspendedByOperator)
        .await
        .unwrap();
    daemon.settle().await;
    let calls = daemon.sim.stats();

    let second = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(days(1)).await;
    daemon.restart().await;
    daemon.engine().begin_drift().await.unwrap();
    daemon.run_for(days(1)).await;
    assert_eq!(daemon.sim.stats(), calls);
    daemon.assert_story(&second, "requested").await;

    daemon.engine().recorder().by(action::By::simulated()).set_standing(&account, Standing::Active).await.unwrap();
    daemon.run_for(minutes(5)).await;
    for link in [&first, &second] {
        daemon.assert_story(link, "requested initiating initiated awaiting_account_admin").await;
    }
}

#[tokio::test]
async fn an_operators_suspension_during_a_poll_holds() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().faults.slow_for = Span::millis(200);
    daemon.sim.world().faults.next(None, FaultKind::Slow);
    daemon.link().await;
    daemon
        .settle_while(async |engine, sim| {
            while sim.stats().wxamplinkget == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let account = ACCOUNT.parse().unwrap();
            engine
                .recorder()
                .by(action::By::simulated())
                .set_standing(&account, Standing::SuspendedByOperator)
                .await
                .unwrap();
        })
        .await;
    let calls = daemon.sim.stats();

    daemon.run_for(days(1)).await;
    daemon.restart().await;
    daemon.run_for(days(1)).await;

    assert_eq!(daemon.sim.stats(), calls);
    assert_eq!(daemon.account(ACCOUNT).await.suspended_by.as_deref(), Some("operator"));
    daemon.assert_sound().await;
}

#[tokio::test]
async fn an_operators_suspension_holds_while_a_poll_is_being_written_down() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.link().await;
    daemon.run_for(minutes(5)).await;
    daemon.clock.advance(minutes(1));
    // The suspension and the next poll's reservation wait for the same busy file.
    let mut busy = daemon.connection().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut busy).await.unwrap();
    daemon
        .settle_while(async |engine, _| {
            let account = ACCOUNT.parse().unwrap();
            let (stood, ()) = tokio::join!(
                engine.recorder().by(action::By::simulated()).set_standing(&account, Standing::SuspendedByOperator),
                async {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    sqlx::query("ROLLBACK").execute(&mut busy).await.unwrap();
                }
            );
            stood.unwrap();
        })
        .await;
    let calls = daemon.sim.stats();

    daemon.restart().await;
    daemon.run_for(days(1)).await;

    assert_eq!(daemon.sim.stats(), calls);
    assert_eq!(daemon.account(ACCOUNT).await.next_check_at, None);
}

/// Accounts that wait, each with a list that does not change.
async fn waiting(daemon: &mut Daemon, count: usize) -> Vec<amplinkd::domain::id::RequestId> {
    daemon.nobody_answers();
    let mut links = Vec::new();
    for number in 1..=count {
        links.push(daemon.ask(to_link(&format!("wxaaaa{number:012}"), PROGRAM)).await);
    }
    daemon.run_for(hours(2)).await;
    links
}

#[tokio::test]
async fn a_refused_address_stops_every_account_and_one_probe_in_five_minutes_finds_the_end() {
    let mut daemon = Daemon::start().await;
    let links = waiting(&mut daemon, 12).await;
    daemon.sim.world().faults.ip_refused_for = Span::hours(10);
    daemon.sim.world().faults.next(None, FaultKind::IpRefused);
    daemon.run_for(minutes(20)).await;
    let begun = daemon.sim.stats().wxamplinkget;

    daemon.run_for(hours(1)).await;
    let probes = daemon.sim.stats().wxamplinkget - begun;
    assert!((10..=13).contains(&probes), "{probes} probes in an hour");
    daemon.restart().await;
    daemon.run_for(hours(1)).await;
    let probes = daemon.sim.stats().wxamplinkget - begun;
    assert!((20..=26).contains(&probes), "{probes} probes in two hours and a restart");
    daemon.assert_sound().await;

    daemon.sim.world().faults.allow_ip();
    daemon.run_for(hours(1)).await;
    let polls = daemon.sim.stats().wxamplinkget - begun - probes;
    assert!(polls >= 12 * 3, "{polls} polls: all are looked at again");
    for link in &links {
        daemon.assert_story(link, "requested initiating initiated awaiting_account_admin").await;
    }
}

#[tokio::test]
async fn a_probe_of_a_refused_address_ends_whatever_it_meets() {
    let mut daemon = Daemon::start().await;
    waiting(&mut daemon, 3).await;
    daemon.sim.world().faults.ip_refused_for = Span::minutes(3);
    daemon.sim.world().faults.next(None, FaultKind::IpRefused);
    daemon.run_for(minutes(16)).await;

    // The account that met the refusal has gone meanwhile: whoever probes has seen nothing but its old list.
    daemon.sim.world().faults.ip_refused_for = Span::minutes(3);
    daemon.sim.world().faults.next(None, FaultKind::IpRefused);
    let polls = daemon.sim.stats().wxamplinkget;
    while daemon.sim.stats().wxamplinkget == polls {
        daemon.run_for(minutes(1)).await;
    }
    let views = daemon.store().account_views(None, None, 9).await.unwrap();
    let met = views.iter().find(|account| account.last_error.is_some()).unwrap().account.clone();
    daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&met.parse().unwrap(), Standing::SuspendedByOperator)
        .await
        .unwrap();
    daemon.run_for(minutes(30)).await;

    let polls = daemon.sim.stats().wxamplinkget;
    daemon.run_for(hours(1)).await;
    assert!(daemon.sim.stats().wxamplinkget >= polls + 4, "the other two are looked at");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn one_account_that_is_shut_out_delays_no_other() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().account(ACCOUNT).answers_always = Some(61003);
    daemon.link().await;
    let other = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&other, FULL).await;
}
