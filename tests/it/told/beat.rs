//! The heartbeat of a daemon that is well, of one that is not, and of one that is dead.

use std::time::Duration;

use super::{
    house::{House, QUICK},
    receiver::{Arrival, Receiver},
};

/// The address of the check, of which the actions are below.
const CHECK: &str = "/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";

/// Many beats.
const WHILE_DEAD: Duration = Duration::from_secs(1);

/// What was said after the first `known` beats: the actions without runs.
fn said(pulse: &Receiver, known: usize) -> Vec<Arrival> {
    pulse.ledger().split_off(known)
}

fn action(arrival: &Arrival) -> &str {
    arrival.path.strip_prefix(CHECK).unwrap().split('?').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_beats_while_all_is_well_fails_with_what_is_not_and_stops_with_its_daemon() {
    let pulse = Receiver::start();
    let section = format!("\n[heartbeat]\nurl = \"{}{CHECK}\"\nevery = \"100ms\"\ntimeout = \"5s\"", pulse.url());
    let mut house = House::build(&[QUICK, &section].concat()).await;
    house.start().await;
    house.until("it beats", async |_| pulse.calls() >= 12).await;
    let beats = said(&pulse, 0);
    for pair in beats.chunks_exact(2) {
        assert_eq!((action(&pair[0]), action(&pair[1])), ("/start", ""));
        let run = |arrival: &Arrival| arrival.path.split_once("?rid=").unwrap().1.to_owned();
        assert_eq!(run(&pair[0]), run(&pair[1]));
    }

    house.sql("UPDATE job SET due_at = 1000 WHERE name = 'drift'").await;
    let is_failure = |arrival: &Arrival| action(arrival) == "/fail";
    house.until("it fails", async |_| said(&pulse, 0).iter().any(is_failure)).await;
    let failure = said(&pulse, 0).into_iter().find(is_failure).unwrap();
    assert!(failure.body.starts_with("cron_silent drift: should have run by 1970-01-01"), "{}", failure.body);
    let known = pulse.calls();
    house.until("it goes on to fail", async |_| pulse.calls() >= known + 4).await;
    assert!(said(&pulse, known).iter().all(|arrival| ["/start", "/fail"].contains(&action(arrival))));

    let due = super::house::now() + 3_600_000;
    house.sql(&format!("UPDATE job SET due_at = {due} WHERE name = 'drift'")).await;
    let known = pulse.calls();
    house
        .until("it is well again", async |_| said(&pulse, known).iter().any(|arrival| action(arrival).is_empty()))
        .await;

    house.kill();
    // What was under way arrives now or never.
    tokio::time::sleep(WHILE_DEAD).await;
    let known = pulse.calls();
    tokio::time::sleep(WHILE_DEAD).await;
    assert_eq!(pulse.calls(), known, "the dead say nothing");
    house.start().await;
    house.until("it beats again", async |_| pulse.calls() >= known + 4).await;
    house.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_holds_up_neither_work_nor_the_end() {
    let pulse = Receiver::start();
    pulse.fall_silent();
    let section = format!("\n[heartbeat]\nurl = \"{}{CHECK}\"\ntimeout = \"1h\"", pulse.url());
    let mut house = House::build(&[QUICK, &section].concat()).await;
    house.start().await;
    house.ask(0..1).await;
    house.until("the heartbeat hangs", async |_| pulse.calls() == 1).await;
    house.until("its request ends", async |house| house.open().await == 0).await;
    house.stop();
    assert_eq!(pulse.calls(), 1);
    house.assert_sound();
}
