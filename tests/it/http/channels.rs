//! Channels: a test message, and another try for what was given up.

use super::*;
use crate::told::receiver::{Answer, Receiver};

fn channels(url: &str) -> String {
    format!(
        "[alerts]\nlanguage = \"en\"\n[[alerts.channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret = \"{}\"\n\
         events = [\"conflict\"]\n[[alerts.channel]]\nname = \"book\"\nkind = \"log\"\nevents = [\"conflict\"]",
        Receiver::secret()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tested_now_and_then_and_says_what_came_of_it() {
    let receiver = Receiver::start();
    let house = House::open(&channels(&receiver.url())).await;
    let operator = house.operator().await;
    let test = "/api/v1/channels/ops/test";
    let said = house.post(test, &operator, json!({ "event": "conflict" })).await;
    let body = said.json();
    assert_eq!((said.status.as_u16(), &body["taken"], &body["error"]), (200, &json!(true), &json!(null)), "{said:?}");
    assert_eq!(
        (&body["channel"], &body["kind"], &body["event"]),
        (&json!("ops"), &json!("webhook"), &json!("conflict"))
    );
    let arrived = receiver.ledger();
    assert!(arrived.len() == 1 && arrived[0].body.contains("amplinkd.conflict.opened"), "{arrived:?}");
    let soon = house.bare(Method::POST, test, &operator).await;
    assert_eq!(soon.problem(), (429, "too_many".to_owned()));
    assert!((1..=11).contains(&soon.header("retry-after").parse::<u32>().unwrap()), "{soon:?}");
    assert_eq!(receiver.calls(), 1);
    // Another channel has a limit of its own; what is wrong costs nothing of it.
    let wrong = house.post("/api/v1/channels/book/test", &operator, json!({ "event": "tpyo" })).await;
    assert_eq!((wrong.problem().0, &wrong.json()["errors"][0]["pointer"]), (422, &json!("/event")));
    let other = house.bare(Method::POST, "/api/v1/channels/book/test", &operator).await;
    assert_eq!((other.status.as_u16(), &other.json()["event"]), (200, &json!("alert")));
    let unknown = house.bare(Method::POST, "/api/v1/channels/tpyo/test", &operator).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
    let actions = house.json("action list --subject ops");
    assert_eq!((&actions[0]["action"], &actions[0]["reason"]), (&json!("test_channel"), &json!("conflict")));
    assert_eq!(house.number("SELECT count(*) FROM action WHERE action = 'test_channel'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_does_not_take_is_no_failure_of_the_call() {
    let receiver = Receiver::start();
    receiver.mood(|_| Answer::Status(404));
    let house = House::open(&channels(&receiver.url())).await;
    let operator = house.operator().await;
    let said = house.bare(Method::POST, "/api/v1/channels/ops/test", &operator).await;
    let body = said.json();
    assert_eq!((said.status.as_u16(), &body["taken"]), (200, &json!(false)), "{said:?}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("404") && !error.contains(&receiver.url()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_sent_again() {
    let receiver = Receiver::start();
    let house = House::open(&channels(&receiver.url())).await;
    let (operator, viewer) = (house.operator().await, house.viewer().await);
    house
        .sql(
            "INSERT INTO log (id, type, subject, partition_key, at, data)
             VALUES ('e1', 'amplinkd.alert.fired', 's', 'a', 1000, '{}'), ('e2', 'amplinkd.alert.fired', 's', 'a', 1000, '{}');
             INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, attempts, refusals, created_at,
                                   last_error)
             SELECT '0197c2d7-0000-7000-8000-00000000000' || j.value, 'e' || j.value,
                    (SELECT l.seq FROM log AS l WHERE l.id = 'e' || j.value), 'a', 'ops', 'dead', 9, 5, 1000, 'HTTP 404'
             FROM json_each('[1, 2]') AS j",
        )
        .await;
    let retry = "/api/v1/channels/ops/deliveries/retry";
    assert_eq!(house.post(retry, &viewer, json!({})).await.problem(), (403, "forbidden".to_owned()));
    let none = house.post(retry, &operator, json!({ "ids": [] })).await;
    assert_eq!((none.problem().0, &none.json()["errors"][0]["pointer"]), (422, &json!("/ids")));
    let one = json!({ "ids": ["0197c2d7-0000-7000-8000-000000000002", "0197c2d7-0000-7000-8000-00000000000f"] });
    let said = house.post(retry, &operator, one).await;
    assert_eq!(said.json(), json!({ "channel": "ops", "count": 1 }), "{said:?}");
    let rest = house.bare(Method::POST, retry, &operator).await;
    assert_eq!(rest.json()["count"], 1);
    assert_eq!(house.bare(Method::POST, retry, &operator).await.json()["count"], 0);
    assert_eq!(
        house.number("SELECT sum(count) FROM action WHERE action = 'retry_deliveries' AND via = 'api'").await,
        2
    );
    let unknown = house.bare(Method::POST, "/api/v1/channels/tpyo/deliveries/retry", &operator).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
}
