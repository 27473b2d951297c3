//! A service that refuses one message for good: it is given up and can be had again, and the others go on.

use super::{
    house::{House, QUICK, everything, now},
    proof::{assert_told_all, owed},
    receiver::{Answer, Receiver},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_is_refused_dies_alone_and_can_be_had_again() {
    let (picky, there) = (Receiver::start(), Receiver::start());
    let channels = [QUICK, &everything("picky", &picky), &everything("there", &there)].concat();
    let mut house = House::build(&channels).await;
    // The first request to be linked cannot be told to this one.
    let mut refused: Option<String> = None;
    picky.mood(move |arrival| {
        let id = &arrival.headers["webhook-id"];
        if refused.is_none() && arrival.body.contains("\"amplinkd.request.awaiting_program_admin\"") {
            refused = Some(id.clone());
        }
        if refused.as_ref() == Some(id) { Answer::Status(400) } else { Answer::Taken }
    });
    house.start().await;
    house.ask(0..10).await;
    house
        .until("every request ends", async |house| {
            house.release(0..10);
            house.open().await == 0
        })
        .await;
    let pending = "SELECT count(*) FROM v_delivery WHERE channel = 'picky' AND state = 'pending'";
    let dead = "SELECT count(*) FROM v_delivery WHERE channel = 'picky' AND state = 'dead'";
    house
        .until("it is given up, and all others are told", async |house| {
            // As if the pause were over, and the message a day old.
            let pull_forward = "UPDATE delivery SET next_at = 0, created_at = created_at - 86400000
                                WHERE state = 'pending' AND refusals > 0";
            house.sql(pull_forward).await;
            house.count(dead).await == 1 && house.is_told().await
        })
        .await;
    assert_eq!(house.count(pending).await, 0);
    let shown = "SELECT count(*) FROM v_delivery WHERE channel = 'picky' AND state = 'dead' AND attempts = 5
                 AND last_error LIKE 'HTTP 400%' AND event_type = 'amplinkd.request.awaiting_program_admin'";
    assert_eq!(house.count(shown).await, 1);
    assert_eq!(house.log.count("alerting.deliver.gave_up"), 1);
    let taken = picky.events().into_iter().filter(|event| event.was_taken).count();
    assert_eq!(taken + 1, owed(&house).await.len(), "what came after it under its key was told, too");

    picky.mood(|_| Answer::Taken);
    let again = format!(
        "UPDATE delivery SET state = 'pending', next_at = {}, refusals = 0, last_error = NULL WHERE state = 'dead'",
        now()
    );
    house.sql(&again).await;
    house.until("it is told at last", async |house| house.is_told().await).await;
    assert_told_all(&house, "picky", &picky).await;
    assert_told_all(&house, "there", &there).await;
    house.assert_sound();
}
