//! Coarse time: what was missed is made up for, once, and a job that did not run is never said to have run.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::{sync::Arc, time::Duration};

use amplinkd::{
    clock::Clock as _,
    config::Schedule,
    domain::{action, time::Time},
    schedule::{CronJob, CronJobs, Plan},
    shutdown::Shutdown,
    store::write::housekeeping::JobRow,
};

use crate::story::{ACCOUNT, Daemon, OTHER_PROGRAM, days, hours, minutes, seconds, to_link};

/// Drift at half past four and housekeeping at five in Beijing, an audit every quarter of an hour.
fn schedule() -> Schedule {
    Schedule {
        timezone: "Asia/Shanghai".parse().unwrap(),
        drift: "0 30 4 * * *".parse().unwrap(),
        housekeeping: "0 0 5 * * *".parse().unwrap(),
        audit: "0 */15 * * * *".parse().unwrap(),
        digest: "0 0 9 * * *".parse().unwrap(),
    }
}

fn at(text: &str) -> Time {
    Time::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Half past four in the morning of 10 March 2026 in Beijing.
fn half_past_four() -> Time {
    at("2026-03-10T04:30:00+08:00")
}

fn plan(now: Time) -> Plan {
    Plan::new(schedule(), now)
}

#[test]
fn a_missed_time_is_taken_up_and_no_other_is() {
    let now = half_past_four() + hours(4);
    let next = half_past_four() + days(1);
    let taken_up = |written| {
        let mut plan = plan(now);
        plan.take_up(CronJob::Drift, written, now);
        (plan.due(CronJob::Drift).unwrap(), plan.overdue(now))
    };
    assert_eq!(taken_up(Some(half_past_four())), (half_past_four(), vec![CronJob::Drift]), "down at its time");
    assert_eq!(taken_up(Some(half_past_four() - days(30))).1, [CronJob::Drift], "down for a month: once");
    assert_eq!(taken_up(Some(next)), (next, vec![]));
    assert_eq!(taken_up(None), (next, vec![]), "the first start");
    assert_eq!(taken_up(Some(next + days(300))), (next, vec![]), "written under a clock that was wrong");
    assert_eq!(taken_up(Some(now + hours(1))), (next, vec![]), "written under another schedule");
}

#[test]
fn a_job_that_cron_forgot_is_silent_until_it_was_tried() {
    let mut plan = plan(half_past_four() - minutes(10));
    plan.tried(CronJob::Audit, half_past_four());
    assert!(plan.overdue(half_past_four() + minutes(2)).is_empty(), "cron has time");
    let late = half_past_four() + minutes(3);
    assert_eq!(plan.overdue(late), [CronJob::Drift]);
    plan.tried(CronJob::Drift, late);
    assert!(plan.overdue(late).is_empty());
    assert_eq!(plan.due(CronJob::Drift), Some(half_past_four() + days(1)));
}

#[test]
fn a_job_due_twice_in_one_second_runs_once() {
    for first in [half_past_four() - seconds(1), half_past_four(), half_past_four() + seconds(1)] {
        let mut plan = plan(half_past_four() - hours(1));
        assert!(!plan.is_due(CronJob::Drift, half_past_four() - seconds(2)), "nobody asked yet");
        assert!(plan.is_due(CronJob::Drift, first));
        plan.tried(CronJob::Drift, first);
        for again in [first, half_past_four(), half_past_four() + seconds(1), half_past_four() + minutes(3)] {
            assert!(!plan.is_due(CronJob::Drift, again), "{first}, {again}");
        }
        assert!(plan.is_due(CronJob::Drift, half_past_four() + days(1)));
    }
}

#[test]
fn a_clock_stepped_back_does_not_keep_a_job_waiting() {
    let mut plan = plan(half_past_four() + days(365));
    let now = half_past_four() - hours(1);
    assert_eq!(plan.pull_back(now), CronJob::ALL);
    assert_eq!(plan.due(CronJob::Drift), Some(half_past_four()));
    assert_eq!(plan.pull_back(now), [], "once");
    assert!(plan.overdue(now).is_empty());
}

#[test]
fn a_fraction_of_a_second_is_no_step_of_the_clock() {
    let late = half_past_four() - minutes(7) + Duration::from_millis(900);
    let mut plan = plan(late);
    assert_eq!(plan.due(CronJob::Drift), Some(half_past_four()), "a whole second");
    assert_eq!(plan.pull_back(late + Duration::from_millis(200)), []);
    plan.tried(CronJob::Drift, half_past_four() - Duration::from_millis(800));
    assert_eq!(plan.pull_back(half_past_four() - Duration::from_millis(700)), [], "begun early, and once");
}

#[test]
fn a_clock_stepped_forward_runs_each_job_once() {
    let mut plan = plan(half_past_four() - hours(1));
    let now = half_past_four() + days(40) + hours(1);
    assert_eq!(plan.pull_back(now), []);
    assert_eq!(plan.overdue(now), CronJob::ALL);
    for chore in CronJob::ALL {
        plan.tried(chore, now);
    }
    assert!(plan.overdue(now).is_empty());
    assert_eq!(plan.due(CronJob::Drift), Some(half_past_four() + days(41)));
}

async fn jobs(daemon: &Daemon) -> [JobRow; 4] {
    let rows = daemon.store().jobs().await.unwrap();
    CronJob::ALL.map(|chore| rows.iter().find(|row| row.name == chore.name()).unwrap().clone())
}

/// A process starts its jobs.
async fn start(daemon: &Daemon) -> CronJobs {
    let mut chores = CronJobs::new(Arc::clone(daemon.engine()), schedule());
    chores.take_up().await;
    chores
}

fn next_morning() -> Time {
    half_past_four() + days(1)
}

#[tokio::test]
async fn a_host_that_is_down_every_morning_still_checks_for_drift() {
    let mut daemon = Daemon::start().await;
    let mut chores = start(&daemon).await;
    assert!(!chores.run_missed().await, "nothing was missed");
    let [drift, ..] = jobs(&daemon).await;
    assert_eq!((drift.ran_at, drift.due_at), (None, Some(next_morning())), "due, and not said to have run");
    drop(chores);

    for day in 1..3 {
        daemon.stop().await;
        daemon.clock.advance(days(1));
        daemon.boot().await;
        let mut chores = start(&daemon).await;
        let missed = half_past_four() + days(day);
        assert_eq!(jobs(&daemon).await[0].due_at, Some(missed), "a start alone erases nothing");
        let findings = daemon.engine().recorder().audit().await.unwrap();
        assert!(findings.iter().any(|found| found.rule == "cron_silent" && found.subject == "drift"), "{findings:?}");
        assert!(chores.run_missed().await);
        assert!(!chores.run_missed().await, "once");
        let [drift, ..] = jobs(&daemon).await;
        assert_eq!((drift.ran_at, drift.due_at), (Some(daemon.clock.now()), Some(missed + days(1))));
        daemon.settle().await;
        daemon.assert_sound().await;
        drop(chores);
    }
}

#[tokio::test]
async fn a_start_leaves_alone_when_a_job_ran() {
    let mut daemon = Daemon::start().await;
    let ran = daemon.clock.now();
    daemon.store().job_ran("drift", ran, Some(next_morning() + days(200))).await.unwrap();
    daemon.clock.advance(minutes(5));
    daemon.restart().await;
    start(&daemon).await;
    let [drift, ..] = jobs(&daemon).await;
    assert_eq!((drift.ran_at, drift.due_at), (Some(ran), Some(next_morning())));
}

#[tokio::test]
async fn a_calendar_stepped_back_is_written_and_is_no_run() {
    let daemon = Daemon::start().await;
    let mut chores = start(&daemon).await;
    daemon.clock.step(-86_400_000);
    assert!(chores.run_missed().await, "cron waits for the old time: it is begun anew");
    assert!(!chores.run_missed().await, "once");
    let [drift, ..] = jobs(&daemon).await;
    assert_eq!((drift.ran_at, drift.due_at), (None, Some(next_morning() - days(1))));
}

#[tokio::test]
async fn a_wake_up_runs_what_is_due_and_nothing_else() {
    let daemon = Daemon::start().await;
    let mut chores = start(&daemon).await;
    chores.wake(CronJob::Drift).await;
    assert_eq!(jobs(&daemon).await[0].ran_at, None, "not due");
    daemon.clock.advance(next_morning().since(daemon.clock.now()));
    chores.wake(CronJob::Drift).await;
    let ran = daemon.clock.now();
    daemon.clock.advance(seconds(1));
    chores.wake(CronJob::Drift).await;
    assert_eq!(jobs(&daemon).await[0].ran_at, Some(ran), "fired twice, ran once");
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_at_its_next_time() {
    let daemon = Daemon::start().await;
    let mut chores = start(&daemon).await;
    let missed = next_morning() + minutes(30);
    daemon.clock.advance(missed.since(daemon.clock.now()) + minutes(3));
    daemon.sql("ALTER TABLE gate RENAME TO elsewhere").await;
    assert!(chores.run_missed().await);
    let [drift, housekeeping, audit, _] = jobs(&daemon).await;
    assert!(drift.ran_at.is_some() && audit.ran_at.is_some(), "one that fails holds up no other");
    assert_eq!((housekeeping.ran_at, housekeeping.due_at), (None, Some(missed)), "what it missed stays to be seen");

    daemon.sql("ALTER TABLE elsewhere RENAME TO gate").await;
    assert!(!chores.run_missed().await, "not at once");
    chores.wake(CronJob::Housekeeping).await;
    assert_eq!(jobs(&daemon).await[1].ran_at, None, "not when somebody fires twice");
    daemon.clock.advance(days(1));
    assert!(chores.run_missed().await);
    let [_, housekeeping, _, _] = jobs(&daemon).await;
    assert_eq!((housekeeping.ran_at, housekeeping.due_at), (Some(daemon.clock.now()), Some(missed + days(2))));
}

#[tokio::test]
async fn a_started_daemon_makes_up_by_itself_and_ends_when_asked() {
    let daemon = Daemon::start().await;
    let missed = daemon.clock.now() - hours(1);
    daemon.store().job_due("drift", Some(missed)).await.unwrap();
    let shutdown = Shutdown::new();
    let seen = async {
        while daemon.store().jobs().await.unwrap().iter().all(|row| row.ran_at.is_none()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        shutdown.ask();
    };
    tokio::join!(CronJobs::new(Arc::clone(daemon.engine()), schedule()).run(&shutdown), seen);
    let [drift, housekeeping, audit, _] = jobs(&daemon).await;
    assert_eq!(drift.due_at, Some(next_morning()));
    assert_eq!((housekeeping.ran_at, audit.ran_at), (None, None), "they missed nothing");
}

#[tokio::test]
async fn housekeeping_takes_finished_requests_away_once_they_are_old_and_never_what_is_linked() {
    let mut daemon = Daemon::start().await;
    let linked = daemon.link().await;
    daemon.run_for(hours(4)).await;
    let cancelled = daemon.ask(to_link(ACCOUNT, OTHER_PROGRAM)).await;
    daemon.engine().recorder().by(action::By::simulated()).cancel(&cancelled).await.unwrap();
    daemon.run_for(days(1)).await;
    daemon.clock.advance(days(396));
    // Each is a day later than the one before; the third is two, and the request is 401 days old.
    for (days_on, retention, is_kept) in [(1, None, true), (1, Some(days(400)), true), (2, Some(days(400)), false)] {
        let mut chores = CronJobs::new(Arc::clone(daemon.engine()), schedule()).with_retention(retention);
        daemon.clock.advance(days(days_on));
        chores.wake(CronJob::Housekeeping).await;
        assert!(daemon.store().jobs().await.unwrap().iter().any(|job| job.ran_at == Some(daemon.clock.now())));
        assert_eq!(daemon.store().request(&cancelled).await.unwrap().is_some(), is_kept, "{retention:?}");
        assert!(daemon.store().request(&linked).await.unwrap().is_some());
    }
    daemon.assert_sound().await;
}
