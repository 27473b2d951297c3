//! Who is looked at when turns are few: nobody starves, nothing goes out that is not wanted any more, and what is refused
//! waits by itself.

use amplinkd::{
    domain::{action, id::RequestId, policy::Steps},
    shutdown::Shutdown,
    sim::By,
};

use super::*;

/// A daemon with so many turns a second.
async fn with_turns(per_second: u32) -> Daemon {
    Daemon::with(|settings| {
        settings.per_second = NonZeroU32::new(per_second).unwrap();
        settings.in_flight = 64;
    })
    .await
}

/// Requests of so many accounts, as one import brings them.
async fn import(daemon: &Daemon, accounts: usize) -> Vec<RequestId> {
    let wishes = (1..=accounts).map(|number| to_link(&format!("wxcccc{number:012}"), PROGRAM)).collect();
    let accepted = daemon.engine().recorder().by(action::By::simulated()).accept(wishes).await.unwrap();
    accepted.into_iter().map(|one| one.id.parse().unwrap()).collect()
}

#[tokio::test]
async fn an_urgent_request_goes_before_an_import() {
    let mut daemon = with_turns(5).await;
    import(&daemon, 300).await;
    daemon.run_for(seconds(10)).await;
    let urgent = daemon.link().await;

    daemon.run_for(seconds(2)).await;

    assert_eq!(
        daemon.invitations(),
        1,
        "it was looked at and called within two seconds: {}",
        daemon.story(&urgent).await
    );
    assert!(daemon.sim.stats().wxamplinkget < 80, "and the import goes on at the pace that is allowed");
    daemon.run_for(minutes(4)).await;
    assert_eq!(daemon.sim.stats().invitations, 301, "nobody of the import was left out");
}

#[tokio::test]
async fn who_was_never_looked_at_is_young_and_goes_before_who_is_looked_at_again() {
    let mut daemon = Daemon::with(|settings| {
        settings.per_second = NonZeroU32::new(5).unwrap();
        settings.policy.steps = Steps::new(vec![(hours(1), seconds(5))], minutes(5)).unwrap();
    })
    .await;
    daemon.nobody_answers();
    import(&daemon, 300).await;
    let policy = daemon.process.settings.policy.clone();
    let census = daemon.store().census(&policy, daemon.clock.now()).await.unwrap();
    assert_eq!((census.asked, census.unseen, census.by_step, census.waiting), (0, 300, vec![0, 0], 0));

    // Six hundred turns for a look and a call each; those that were called want sixty looks a second.
    daemon.run_for(minutes(4)).await;
    assert_eq!(daemon.sim.stats().invitations, 300);
    daemon.link().await;
    let census = daemon.store().census(&policy, daemon.clock.now()).await.unwrap();
    assert_eq!((census.asked, census.unseen), (1, 0), "whoever asks by hand waits in the class for that");
}

#[tokio::test]
async fn a_look_is_not_thrown_away_while_its_call_waits_for_a_turn() {
    let mut daemon = with_turns(1).await;
    daemon.nobody_answers();
    import(&daemon, 40).await;

    daemon.run_for(minutes(3)).await;

    // Of 180 turns those that were called already have some for their next looks.
    let stats = daemon.sim.stats();
    assert_eq!((stats.wxamplink, stats.invitations), (40, 40));
    assert!(stats.wxamplinkget <= 141, "{} looks", stats.wxamplinkget);
}

#[tokio::test]
async fn a_cancel_while_the_call_waits_for_its_turn_is_heeded() {
    let mut daemon = with_turns(1).await;
    let ids = import(&daemon, 40).await;
    daemon.run_for(seconds(5)).await;
    let mut cancelled = 0;
    for id in &ids {
        if daemon.request(id).await.attempt == 0 {
            daemon.engine().recorder().by(action::By::simulated()).cancel(id).await.unwrap();
            cancelled += 1;
        }
    }
    let invited = daemon.sim.stats().invitations;
    assert!(cancelled > 30, "{cancelled}");

    daemon.run_for(minutes(5)).await;

    assert_eq!(daemon.sim.stats().invitations, invited, "no invitation goes out after an acknowledged cancel");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn calls_that_are_refused_back_off_by_themselves_and_are_remembered() {
    for refused in [45_011, 40_001] {
        let mut daemon = Daemon::start().await;
        daemon.sim.world().account(ACCOUNT).calls_answer = Some(refused);
        let link = daemon.link().await;
        daemon.run_for(hours(1)).await;
        daemon.restart().await;
        daemon.run_for(hours(1)).await;

        // A call is made once more with a new token: two for each that counts.
        let calls = daemon.sim.stats().wxamplink;
        assert!((5..=20).contains(&calls), "{refused}: {calls} calls in two hours");
        let view = daemon.view(&link).await;
        assert_eq!((view.state.as_str(), view.attempt), ("requested", 0));
        let account = daemon.account(ACCOUNT).await;
        assert_eq!((account.state.as_str(), account.failures), ("active", 0), "its list can be read");
        let mut connection = daemon.connection().await;
        let (failures, since, error): (i64, Option<String>, Option<String>) =
            sqlx::query_as("SELECT call_failures, calls_refused_since, call_error FROM v_account WHERE account = $1")
                .bind(ACCOUNT)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert!(failures >= 5 && since.is_some() && error.is_some(), "{failures} {since:?} {error:?}");

        daemon.sim.world().account(ACCOUNT).calls_answer = None;
        daemon.run_for(hours(4)).await;
        assert_eq!(daemon.view(&link).await.state, "linked");
    }
}

#[tokio::test]
async fn lists_that_can_be_read_are_followed_while_calls_lack_a_permission() {
    let mut daemon = Daemon::start().await;
    daemon.people(PlanSet { account_admin: Some(never_answers()), ..PlanSet::default() });
    let followed = daemon.link().await;
    daemon.run_for(minutes(5)).await;
    daemon.sim.world().account(ACCOUNT).calls_answer = Some(48_001);
    let refused = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;

    daemon.run_for(hours(6)).await;

    let calls = daemon.sim.stats().wxamplink;
    assert!(calls <= 20, "{calls} calls in six hours");
    assert_eq!(daemon.view(&refused).await.state, "requested");
    assert_eq!(
        daemon.account(ACCOUNT).await.state,
        "active",
        "only the first refusal suspends it, until its list answers"
    );
    let now = daemon.sim.now();
    daemon.sim.world().approve(ACCOUNT, PROGRAM, By::AccountAdmin, now).unwrap();
    daemon.run_for(minutes(20)).await;
    assert_ne!(daemon.view(&followed).await.state, "awaiting_account_admin", "the others are followed as ever");
}

#[tokio::test]
async fn where_demand_exceeds_supply_all_waits_are_stretched_evenly() {
    let mut daemon = with_turns(1).await;
    daemon.nobody_answers();
    import(&daemon, 200).await;
    // Four hundred turns for looks and calls, then most want a look every 30 s: some four a second.
    daemon.run_for(minutes(12)).await;

    let pace = daemon.store().pace().await.unwrap().unwrap();
    assert!(pace.stretch > 2_000 && pace.strained_since.is_some(), "{pace:?}");
    let before = daemon.sim.stats().wxamplinkget;
    daemon.run_for(minutes(10)).await;
    let looks = daemon.sim.stats().wxamplinkget - before;
    assert!((300..=601).contains(&looks), "{looks} looks of 600 turns");
    let mut connection = daemon.connection().await;
    let unread: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT account, last_read_at FROM v_account WHERE last_read_at IS NULL OR last_read_at < $1 ORDER BY 2",
    )
    .bind((daemon.engine().clock().now() - minutes(20)).to_string())
    .fetch_all(&mut connection)
    .await
    .unwrap();
    // What the view shows may be one look behind.
    assert_eq!(unread, [], "everybody is looked at as often as everybody else");
    daemon.assert_sound().await;
}

#[tokio::test]
async fn polls_that_were_written_ahead_are_given_back_on_the_way_out() {
    let mut daemon = with_turns(1).await;
    import(&daemon, 30).await;
    let due = daemon.engine().clock().now();

    let shutdown = Shutdown::new();
    let (engine, mut driver) = daemon.running.take().unwrap();
    let asked = async {
        while daemon.sim.stats().wxamplinkget == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        shutdown.ask();
    };
    tokio::join!(driver.run(&shutdown), asked);
    daemon.running = Some((engine, driver));

    let (waiting, used): (i64, i64) = {
        let mut connection = daemon.connection().await;
        let sql = "SELECT count(*) FILTER (WHERE next_check_at <= $1), sum(budget_used) FROM account";
        sqlx::query_as(sql).bind(due.ms()).fetch_one(&mut connection).await.unwrap()
    };
    let made = i64::from(u32::try_from(daemon.sim.stats().wxamplinkget).unwrap());
    assert_eq!((waiting, used), (30, made), "only a look that was made is paid for, and all are due as they were");
}
