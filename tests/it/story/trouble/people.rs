//! What people do to requests: cancel, retry, ask twice, set a deadline, ask while something is under way.

use amplinkd::{
    domain::{action, request::Kind},
    engine::{accept::Cancelled, wish::AskError},
    sim::{FaultKind, Phase, Quotas, Span},
    store::{StoreError, write::standing::Standing},
};

use super::super::{ACCOUNT, Daemon, FULL, OTHER_ACCOUNT, OTHER_PROGRAM, PROGRAM, days, hours, minutes, to_link, wish};

#[tokio::test]
async fn a_deadline_lapses_what_was_sent() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(days(2))).await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(minutes(2 * 24 * 60 - 1)).await;
    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin").await;

    daemon.run_for(minutes(2)).await;

    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin lapsed").await;
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn a_deadline_fails_what_was_never_sent() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(days(2))).await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    let deferred = daemon.link().await;
    daemon.sim.world().account(OTHER_ACCOUNT).answers_always = Some(61003);
    let shut_out = daemon.ask(to_link(OTHER_ACCOUNT, OTHER_PROGRAM)).await;

    daemon.run_for(days(2) + hours(2)).await;

    daemon.assert_story(&deferred, "requested initiating deferred failed").await;
    daemon.assert_story(&shut_out, "requested").await;
    // A list that comes within a day has its say first.
    daemon.run_for(days(1)).await;
    daemon.assert_story(&shut_out, "requested failed").await;
    for link in [&deferred, &shut_out] {
        assert_eq!(daemon.view(link).await.failure.as_deref(), Some("deadline"));
    }
    let account = daemon.account(OTHER_ACCOUNT).await;
    assert_eq!(account.state, "suspended", "a deadline is no answer of WeChat's");
    assert_eq!((account.checked_at, account.last_error.is_some()), (None, true));

    daemon.sim.world().account(OTHER_ACCOUNT).answers_always = None;
    daemon.sim.world().quotas = Quotas::default();
    let again = daemon.ask(to_link(OTHER_ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(hours(5)).await;
    daemon.assert_story(&again, FULL).await;
}

#[tokio::test]
async fn a_cancel_before_the_call_sends_nothing() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    let cancelled = daemon.engine().recorder().by(action::By::simulated()).cancel(&link).await.unwrap();
    daemon.run_for(days(1)).await;

    assert_eq!(cancelled, Cancelled::BeforeTheCall);
    daemon.assert_story(&link, "requested cancelled").await;
    assert_eq!(daemon.sim.stats().wxamplink, 0);
}

#[tokio::test]
async fn a_cancel_after_the_call_stops_following_and_says_so() {
    let mut daemon = Daemon::start().await;
    let link = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    let cancelled = daemon.engine().recorder().by(action::By::simulated()).cancel(&link).await.unwrap();
    daemon.run_for(hours(4)).await;

    assert_eq!(cancelled, Cancelled::NoLongerFollowed);
    daemon.assert_story(&link, "requested initiating initiated awaiting_account_admin cancelled").await;
    let last = daemon.store().history(link.as_str()).await.unwrap().pop().unwrap();
    assert!(last.detail.unwrap().contains("WeChat cannot withdraw"));
    let again = daemon.engine().recorder().by(action::By::simulated()).cancel(&link).await;
    assert!(matches!(again, Err(AskError::Finished { .. })), "{again:?}");
}

#[tokio::test]
async fn a_cancel_while_the_call_is_out_says_that_something_was_sent() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().faults.slow_for = Span::millis(200);
    daemon.sim.world().faults.next(Some(amplinkd::sim::Api::Link), FaultKind::Slow);
    let link = daemon.link().await;
    let cancelled = daemon
        .settle_while(async |engine, sim| {
            while sim.stats().wxamplink == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            engine.recorder().by(action::By::simulated()).cancel(&link).await.unwrap()
        })
        .await;
    daemon.run_for(hours(4)).await;

    assert_eq!(cancelled, Cancelled::NoLongerFollowed);
    daemon.assert_story(&link, "requested initiating cancelled").await;
}

#[tokio::test]
async fn a_cancel_between_two_attempts_says_that_something_may_have_been_sent() {
    let mut daemon = Daemon::start().await;
    for fault in [FaultKind::BusyBefore, FaultKind::TooFast] {
        daemon.sim.world().faults.next(Some(amplinkd::sim::Api::Link), fault);
    }
    let link = daemon.link().await;
    while daemon.sim.stats().wxamplink < 2 {
        daemon.run_for(std::time::Duration::from_secs(10)).await;
    }
    assert_eq!(daemon.story(&link).await, "requested initiating requested initiating requested");
    let cancelled = daemon.engine().recorder().by(action::By::simulated()).cancel(&link).await.unwrap();

    assert_eq!(cancelled, Cancelled::NoLongerFollowed);
    let last = daemon.store().history(link.as_str()).await.unwrap().pop().unwrap();
    assert!(last.detail.unwrap().contains("WeChat cannot withdraw"));
}

#[tokio::test]
async fn a_retry_is_a_new_request_that_names_the_old_one() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().program(PROGRAM).banned = true;
    let link = daemon.link().await;
    let too_early = daemon.engine().recorder().by(action::By::simulated()).retry(&link).await;
    assert!(matches!(too_early, Err(AskError::StillOpen { .. })), "{too_early:?}");
    daemon.settle().await;
    daemon.sim.world().program(PROGRAM).banned = false;

    let again = daemon.engine().recorder().by(action::By::simulated()).retry(&link).await.unwrap();
    assert!(!again.existing);
    daemon.run_for(hours(4)).await;

    daemon.assert_story(&link, "requested initiating failed").await;
    let again = again.id.parse().unwrap();
    daemon.assert_story(&again, FULL).await;
    assert_eq!(daemon.view(&again).await.retry_of.as_deref(), Some(link.as_str()));
}

#[tokio::test]
async fn a_key_that_comes_later_is_kept_and_means_the_same_request_for_good() {
    let mut daemon = Daemon::start().await;
    let first = daemon.link().await;
    let mut again = to_link(ACCOUNT, PROGRAM);
    again.key = Some("k".to_owned());
    assert_eq!(daemon.ask(again.clone()).await, first);
    assert_eq!(daemon.view(&first).await.key.as_deref(), Some("k"));

    daemon.run_for(hours(4)).await;

    assert_eq!(daemon.ask(again).await, first, "it has ended, and its key still means it");
    daemon.assert_story(&first, FULL).await;
    assert_eq!(daemon.invitations(), 1);
}

#[tokio::test]
async fn the_same_ask_twice_is_one_request() {
    let mut daemon = Daemon::start().await;
    let keyed = |key: &str, program: &str| {
        let mut ask = to_link(ACCOUNT, program);
        ask.key = Some(key.to_owned());
        ask
    };
    let first = daemon.ask(keyed("k", PROGRAM)).await;
    // By its key, also beside itself in one lot; by its open pair; and still by its key when it has come to its end.
    assert_eq!(daemon.ask(keyed("k", PROGRAM)).await, first);
    assert_eq!(daemon.link().await, first);
    let lot = vec![to_link(ACCOUNT, OTHER_PROGRAM), to_link(ACCOUNT, OTHER_PROGRAM)];
    let lot = daemon.engine().recorder().by(action::By::simulated()).accept(lot).await.unwrap();
    assert_eq!((lot[0].existing, lot[1].existing, &lot[0].id), (false, true, &lot[1].id));
    let taken = daemon.engine().recorder().by(action::By::simulated()).accept(vec![keyed("k", OTHER_PROGRAM)]).await;
    assert!(matches!(taken, Err(AskError::Store(StoreError::KeyTaken { .. }))), "{taken:?}");
    daemon.run_for(hours(4)).await;
    assert_eq!(daemon.ask(keyed("k", PROGRAM)).await, first);

    daemon.assert_story(&first, FULL).await;
    assert_eq!((daemon.invitations(), daemon.sim.stats().wxamplink), (1, 2));
    assert_eq!(daemon.link().await, first, "the pair is open no more, but it is linked");
    // To link and to unlink are two things.
    let unlink = daemon.ask(wish(Kind::Unlink, ACCOUNT, PROGRAM)).await;
    assert_ne!(unlink, first);
}

#[tokio::test]
async fn a_request_that_comes_while_its_account_is_polled_is_taken_up_at_once() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().faults.slow_for = Span::millis(200);
    daemon.sim.world().faults.next(None, FaultKind::Slow);
    let first = daemon.link().await;
    let second = daemon
        .settle_while(async |engine, sim| {
            while sim.stats().wxamplinkget == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            engine
                .recorder()
                .by(action::By::simulated())
                .accept(vec![to_link(ACCOUNT, OTHER_PROGRAM)])
                .await
                .unwrap()
                .remove(0)
                .id
        })
        .await;
    let second = second.parse().unwrap();
    daemon.settle().await;
    assert!(daemon.story(&second).await.starts_with("requested initiating initiated"));

    daemon.run_for(hours(4)).await;
    daemon.assert_story(&first, FULL).await;
    daemon.assert_story(&second, FULL).await;
    assert_eq!(daemon.sim.stats().invitations, 2);
}

#[tokio::test]
async fn an_account_that_has_come_to_rest_wakes_for_a_new_request() {
    let mut daemon = Daemon::start().await;
    let now = daemon.sim.now();
    daemon.sim.world().place(ACCOUNT, PROGRAM, Phase::Linked, now).unwrap();
    daemon.link().await;
    daemon.run_for(days(3)).await;
    let polls = daemon.sim.stats().wxamplinkget;
    assert_eq!(polls, 1, "nothing is open, so nothing is polled");

    let second = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(hours(4)).await;
    daemon.assert_story(&second, FULL).await;
}

#[tokio::test]
async fn a_request_for_a_suspended_account_waits_and_can_be_cancelled() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas = Quotas::default();
    daemon.link().await;
    daemon.run_for(hours(4)).await;
    let account = ACCOUNT.parse().unwrap();
    daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&account, Standing::SuspendedByOperator)
        .await
        .unwrap();
    let second = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(days(1)).await;
    daemon.engine().recorder().by(action::By::simulated()).cancel(&second).await.unwrap();
    daemon.run_for(days(1)).await;
    daemon.assert_story(&second, "requested cancelled").await;
    assert_eq!(daemon.account(ACCOUNT).await.suspended_by.as_deref(), Some("operator"));
}
