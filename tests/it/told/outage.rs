//! A service that is away for a while, in every way there is, and over a restart: nobody else notices, it is not asked
//! without end, and it misses nothing. No time is asserted.

use super::{
    house::{House, QUICK, everything},
    proof::assert_told_all,
    receiver::{Answer, Receiver},
};

/// Requests, so many that their messages wait under as many keys.
const REQUESTS: usize = 60;

/// What the daemon says of a channel that takes nothing, once until it does again.
const FAILS: &str = "alerting.channel.fails";

/// How often the channel was tried, and how many of its messages wait.
async fn tried(house: &House) -> (i64, i64) {
    let attempts = "SELECT coalesce(sum(attempts), 0) FROM v_delivery WHERE channel = 'away'";
    let waiting = "SELECT count(*) FROM v_delivery WHERE channel = 'away' AND state = 'pending'";
    (house.count(attempts).await, house.count(waiting).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_holds_up_nobody_else_and_loses_nothing() {
    let (away, there) = (Receiver::start(), Receiver::start());
    let channels = [QUICK, &everything("away", &away), &everything("there", &there)].concat();
    let mut house = House::build(&channels).await;
    away.mood(|_| Answer::Status(500));
    house.start().await;
    house.ask(0..REQUESTS).await;
    house.until("it is known to be away", async |house| house.log.count(FAILS) > 0).await;

    // Hanging, over a restart in good order.
    house.stop();
    away.fall_silent();
    house.start().await;
    house.until("it is known again", async |house| house.log.count(FAILS) > 1).await;

    // Nobody there at all, over a sudden end.
    away.close();
    house.kill();
    house.start().await;
    house.until("it is known once more", async |house| house.log.count(FAILS) > 2).await;

    house
        .until("all others have come to an end", async |house| {
            house.release(0..REQUESTS);
            house.open().await == 0
        })
        .await;
    let others = "SELECT (SELECT count(*) FROM outbox) - (SELECT count(*) FROM v_delivery
                          WHERE channel = 'there' AND state = 'delivered')";
    let owed = format!(
        "SELECT (SELECT count(*) FROM alert WHERE notify_at IS NOT NULL)
              + (SELECT count(*) FROM vigil WHERE due_at < {})",
        super::house::now() + 3_600_000
    );
    house
        .until("the other channel is told everything meanwhile", async |house| {
            house.count(&owed).await == 0 && house.count(others).await == 0
        })
        .await;
    let (attempts, waiting) = tried(&house).await;
    println!("tried {attempts} times while {waiting} messages waited; {} arrived", away.calls());
    assert!(waiting > 200 && attempts < 60, "{attempts} tries while {waiting} waited");
    assert!(away.events().iter().all(|event| !event.was_taken));

    away.mood(|_| Answer::Taken);
    away.speak();
    away.open();
    house.until("everything is told", async |house| house.is_told().await).await;
    assert_eq!(house.log.count("alerting.channel.works"), 1);
    assert_told_all(&house, "away", &away).await;
    assert_told_all(&house, "there", &there).await;
    house.assert_sound();
}
