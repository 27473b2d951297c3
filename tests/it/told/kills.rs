//! Killed again and again, at moments by chance and at the worst ones, while those who are told take, refuse, forget
//! and hang: everything is told at least once, in order, under one id.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    house::{House, PATIENCE, QUICK, everything},
    proof::assert_told_all,
    receiver::{Answer, Receiver},
};

/// Kills.
const KILLS: usize = 48;

/// Requests asked for before each of them.
const AT_ONCE: usize = 2;

/// Kills that a stuck request waits until its administrators agree.
const STUCK_FOR: usize = 8;

/// Writes to the database, of which the last one is met.
const WRITES: usize = 12;

/// One who mostly takes what comes, late and in any order, and now and then does whatever services do.
fn moody(seed: u64) -> impl FnMut(&super::receiver::Arrival) -> Answer {
    let mut luck = StdRng::seed_from_u64(seed);
    move |_| match luck.random_range(0..100) {
        0..6 => Answer::Status(500),
        6..9 => Answer::Later(1),
        9..14 => Answer::Lost,
        14..16 => Answer::Silence,
        16..60 => Answer::Slowly(Duration::from_millis(luck.random_range(1..120))),
        _ => Answer::Taken,
    }
}

/// Kills the daemon at one of the moments; whether it was the one that was meant.
async fn kill_at_a_moment(house: &mut House, turn: usize, receiver: &Receiver, luck: &mut StdRng) -> bool {
    match turn % 6 {
        // It has a message and has not answered.
        0 => {
            receiver.fall_silent();
            let came = receiver.next_arrival(PATIENCE).await;
            house.kill();
            receiver.speak();
            came
        }
        // It has just answered: that is hardly on disk.
        1 => {
            let came = receiver.next_answer(PATIENCE).await;
            house.kill();
            came
        }
        // Connections break as they are opened.
        2 => {
            receiver.deafen();
            tokio::time::sleep(Duration::from_millis(luck.random_range(150..500))).await;
            house.kill();
            receiver.listen();
            true
        }
        3 => {
            tokio::time::sleep(Duration::from_millis(luck.random_range(0..700))).await;
            house.kill();
            true
        }
        // What came of it is being written.
        4 => {
            house.kill_in_write(luck.random_range(1..WRITES));
            true
        }
        // It has made up its mind what to tell, and has written that or not.
        _ => {
            house.kill_after("alerting.told", Duration::from_micros(luck.random_range(0..8_000))).await;
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_kills_lose_no_message_and_keep_their_order() {
    let (here, there) = (Receiver::start(), Receiver::start());
    let channels = [QUICK, &everything("here", &here), &everything("there", &there)].concat();
    let mut house = House::build(&channels).await;
    house.start().await;
    here.mood(moody(1));
    there.mood(moody(2));
    let (mut luck, mut hits) = (StdRng::seed_from_u64(3), 0);
    for turn in 0..KILLS {
        house.ask(turn * AT_ONCE..(turn + 1) * AT_ONCE).await;
        let receiver = if turn % 12 < 6 { &here } else { &there };
        hits += usize::from(kill_at_a_moment(&mut house, turn, receiver, &mut luck).await);
        house.release(0..turn.saturating_sub(STUCK_FOR) * AT_ONCE);
        house.spawn();
    }
    assert_eq!(hits, KILLS, "some moments never came");
    for receiver in [&here, &there] {
        receiver.mood(|_| Answer::Taken);
    }
    let all = 0..KILLS * AT_ONCE;
    house
        .until("every request ends", async |house| {
            house.release(all.clone());
            house.open().await == 0
        })
        .await;
    house.until("everything is told", async |house| house.is_told().await).await;
    for (name, receiver) in [("here", &here), ("there", &there)] {
        assert_told_all(&house, name, receiver).await;
        let events = receiver.events();
        let alerts = events.iter().filter(|event| event.kind.starts_with("amplinkd.alert."));
        println!("{name}: {} arrivals, {} of them of alerts", events.len(), alerts.count());
    }
    let sql = |what: &str| format!("SELECT count(*) FROM {what}");
    for what in ["outbox", "v_alert", "v_alert WHERE state = 'resolved'", "v_conflict"] {
        println!("{what}: {}", house.count(&sql(what)).await);
    }
    house.assert_sound();
}
