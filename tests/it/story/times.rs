//! Times that were written under a calendar which was years ahead: nobody waits for them.

use amplinkd::sim::Quotas;

use super::*;

/// Nine years, as a board's clock without a battery may be off.
const FALSE_MS: i64 = 9 * 365 * 86_400_000;

async fn number(daemon: &Daemon, sql: &'static str) -> i64 {
    let mut connection = daemon.connection().await;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn what_a_calendar_that_was_nine_years_ahead_once_has_put_off_is_due_at_the_next_start() {
    let mut daemon = Daemon::start().await;
    daemon.clock.step(FALSE_MS);
    daemon.nobody_answers();
    let waits = daemon.ask(to_link(OTHER_ACCOUNT, OTHER_PROGRAM)).await;
    daemon.run_for(minutes(5)).await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    let deferred = daemon.link().await;
    let held_back = daemon.ask(to_link("wxaaaa000000000003", PROGRAM)).await;
    daemon.settle().await;
    for id in [&deferred, &held_back] {
        assert_eq!(daemon.view(id).await.state, "deferred");
    }
    daemon.sql("INSERT INTO alert (id, key, rule, reason, state, since, fired_at, notified_at, notify_at, message_en, message_zh)
                VALUES ('l', 'k', 'daemon', 'daemon.x', 'firing', 1, 1, 2056924800000, 2057011200000, '', '')").await;

    daemon.stop().await;
    daemon.clock.step(-FALSE_MS);
    daemon.sim.world().quotas = Quotas::default();
    daemon.boot().await;

    let month = daemon.clock.now().next_beijing_month().ms() + 2 * 86_400_000;
    let ahead = number(
        &daemon,
        "SELECT (SELECT count(*) FROM request WHERE deferred_until > 1800000000000 OR called_at > 1800000000000)
              + (SELECT count(*) FROM account WHERE max(coalesce(next_check_at, 0), coalesce(checked_at, 0),
                                                        coalesce(pace_from, 0)) > 1800000000000)
              + (SELECT count(*) FROM gate WHERE max(until, at) > 1800000000000)
              + (SELECT count(*) FROM alert WHERE max(notify_at, notified_at) > 1800000000000)",
    );
    assert_eq!(ahead.await, 0);
    assert!(month < 1_800_000_000_000, "the story is older than its year");

    let agree = approves_after(Span::hours(1));
    daemon.people(PlanSet { account_admin: Some(agree), program_admin: Some(agree), unlink: None });
    daemon.run_for(hours(6)).await;
    for id in [&deferred, &held_back] {
        assert_eq!(daemon.view(id).await.state, "linked");
    }
    assert_eq!(daemon.view(&waits).await.state, "awaiting_account_admin");
    assert_eq!(daemon.sim.world().invitations(OTHER_ACCOUNT, OTHER_PROGRAM), 1);
    daemon.assert_sound().await;
}

#[tokio::test]
async fn times_that_the_rules_allow_stay_and_a_calendar_from_before_all_this_corrects_nothing() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    daemon.link().await;
    daemon.settle().await;
    let times = "SELECT sum(deferred_until) + (SELECT sum(next_check_at) FROM account) + (SELECT sum(until) FROM gate) FROM request";
    let before = number(&daemon, times).await;
    daemon.restart().await;
    assert_eq!(number(&daemon, times).await, before);

    daemon.stop().await;
    daemon.clock.step(-MORNING.ms());
    daemon.boot().await;
    assert_eq!(number(&daemon, times).await, before, "1970");
    daemon.clock.step(MORNING.ms());
    daemon.restart().await;
    daemon.assert_sound().await;
}

#[tokio::test]
async fn a_deadline_that_a_step_of_the_calendar_seems_to_pass_is_no_reason_to_ask_without_a_pause() {
    let mut daemon = Daemon::with(|settings| settings.policy.deadline = Some(hours(4))).await;
    daemon.nobody_answers();
    let link = daemon.link().await;
    daemon.run_for(minutes(30)).await;
    let before = daemon.sim.stats().wxamplinkget;

    daemon.clock.step(5 * 3_600_000);
    daemon.run_for(minutes(5)).await;

    let looks = daemon.sim.stats().wxamplinkget - before;
    assert!(looks <= 20, "{looks} looks in five minutes");
    assert_eq!(daemon.view(&link).await.state, "awaiting_account_admin", "nothing ends by a step alone");
    daemon.run_for(hours(1)).await;
    assert_eq!(daemon.view(&link).await.state, "lapsed", "believed once it has stayed so");
}

#[tokio::test]
async fn a_month_that_is_known_to_be_used_up_stays_so_where_the_calendar_is_stepped_back() {
    let mut daemon = Daemon::start().await;
    daemon.sim.world().quotas.program_links_per_month = Some(0);
    daemon.link().await;
    daemon.run_for(minutes(1)).await;
    assert_eq!(daemon.sim.stats().wxamplink, 1);

    daemon.stop().await;
    daemon.clock.step(-3_600_000);
    daemon.boot().await;
    let other = daemon.ask(to_link(OTHER_ACCOUNT, PROGRAM)).await;
    daemon.run_for(minutes(30)).await;

    assert_eq!(daemon.sim.stats().wxamplink, 1, "nobody asks for what is known");
    assert_eq!(daemon.view(&other).await.state, "deferred");
}
