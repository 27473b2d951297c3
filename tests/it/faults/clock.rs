//! A process that is paused and a calendar that is stepped by an hour: cron goes on, polls go on, nothing is ended by
//! it and nobody is called twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use amplinkd::{
    domain::time::Time,
    engine::record::Recorder,
    sim::{Api, FaultKind, PlanSet, Span, approves_after},
};
use rustix::process::Signal;

use crate::{
    harness::Process,
    story::{Daemon, minutes},
};

use super::ground::{Ground, account, import_file, program, text, together, wait_for};

/// Every job every few seconds; a deadline that a calendar an hour ahead would pass.
const SCHEDULE: &str = r#"
            appear_within = "5m"
            deadline = "30m"
            [schedule]
            drift = "*/4 * * * * *"
            housekeeping = "*/3 * * * * *"
            audit = "*/2 * * * * *"
            digest = "*/5 * * * * *"
"#;

const JOBS: usize = 4;

/// Several times what every job waits for its next time.
const PAUSED: Duration = Duration::from_secs(12);

/// Requests that are open through all of it, and as many that are asked for after each step.
const OPEN: usize = 4;

/// Seconds that each of their two administrators takes.
const SLOW: i64 = 15;

const HOUR: i64 = 3_600;

/// From a step or a pause to the next run of every job: the watchdog looks every ten seconds.
const RECOVERY: Duration = Duration::from_secs(30);

async fn runs(recorder: &Recorder) -> BTreeMap<String, Option<Time>> {
    recorder.store().jobs().await.unwrap().into_iter().map(|job| (job.name, job.ran_at)).collect()
}

/// Every job runs twice from here on, and polls go on.
async fn assert_goes_on(what: &str, ground: &Ground, recorder: &Recorder, daemon: &Process) {
    let polls = ground.sim.stats().wxamplinkget;
    for time in 1..=2 {
        let before = runs(recorder).await;
        let mut silent = Vec::new();
        let ran = wait_for(RECOVERY, async || {
            let now = runs(recorder).await;
            silent = now.keys().filter(|name| now[*name] == before.get(*name).copied().flatten()).cloned().collect();
            now.len() == JOBS && silent.is_empty()
        });
        assert!(ran.await, "{what}, time {time}: silent: {silent:?}; {}", daemon.log.tail());
    }
    assert!(ground.sim.stats().wxamplinkget > polls + 3, "{what}: polls go on");
}

/// Asks by a command that lives under the same calendar.
fn ask(ground: &Ground, numbers: std::ops::Range<usize>) {
    let said = ground.shaken(&format!("request import {}", import_file(ground.folder.path(), numbers.clone())));
    assert!(said.status.success(), "{}", text(&said.stderr));
    ground.acknowledge(numbers);
}

/// What happens to a process's time.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pause,
    /// The calendar shows this many seconds more than it should, from here on.
    Shift(i64),
}

/// Links whose administrators take their time stay open through all of it: there is something to poll, and something to
/// end by mistake. Others are asked for after each step.
async fn story(steps: &[Step]) {
    let ground = Ground::lay_with(SCHEDULE, "amplinkd.db").await;
    let mut daemon = ground.start().await;
    let recorder = ground.recorder().await;
    for number in 0..OPEN {
        let slow = Some(approves_after(Span::seconds(SLOW)));
        let plans = PlanSet { account_admin: slow, program_admin: slow, unlink: None };
        ground.sim.world().plans.set(Some(&account(number)), Some(&program(number)), plans);
    }
    ask(&ground, 0..OPEN);
    assert_goes_on("at first", &ground, &recorder, &daemon).await;
    for (turn, step) in (1..).zip(steps) {
        match step {
            Step::Pause => {
                daemon.signal(Signal::STOP);
                tokio::time::sleep(PAUSED).await;
                daemon.signal(Signal::CONT);
            }
            Step::Shift(seconds) => ground.page.shift_calendar(*seconds),
        }
        ask(&ground, OPEN * turn..OPEN * (turn + 1));
        assert_goes_on(&format!("{step:?}"), &ground, &recorder, &daemon).await;
    }
    ground.conclude(&recorder, &mut daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_steps_of_an_hour_either_way_silence_no_job_and_end_nothing() {
    together([
        story(&[Step::Shift(-HOUR), Step::Shift(0), Step::Pause]),
        story(&[Step::Shift(HOUR), Step::Shift(0), Step::Shift(-HOUR), Step::Shift(0)]),
        story(&[Step::Pause, Step::Shift(HOUR), Step::Shift(0)]),
    ])
    .await;
}

/// The same in one process, where the moment can be chosen: the answer of a poll is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_polled_while_the_calendar_goes_back_is_not_left_alone() {
    let mut daemon = Daemon::start().await;
    daemon.nobody_answers();
    daemon.link().await;
    daemon.settle().await;
    daemon.clock.advance(minutes(1));
    {
        let mut world = daemon.sim.world();
        world.faults.slow_for = Span::millis(600);
        world.faults.next(Some(Api::Listing), FaultKind::Slow);
    }
    let clock = Arc::clone(&daemon.clock);
    let stepped_back = async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        clock.step(-HOUR * 1_000);
    };
    tokio::join!(daemon.settle(), stepped_back);
    let polls = daemon.sim.stats().wxamplinkget;
    daemon.run_for(minutes(3)).await;
    let more = daemon.sim.stats().wxamplinkget - polls;
    assert!(more > 2, "{more} polls in three minutes");
}
