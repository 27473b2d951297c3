//! Ends that no noun has: an audit of everything, probes that say more, refusals before any route, bodies of another shape.

use rustix::process::{Signal, kill_process};

use super::*;
use crate::harness::wait_for;

/// Until what goes on in the background is over.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// How an action stands once it is over.
async fn over(house: &House, path: &str, token: &str) -> Value {
    let is_over = async || house.get(path, token).await.json()["state"] == "finished";
    assert!(wait_for(PATIENCE, is_over).await, "{:?}", house.get(path, token).await);
    house.get(path, token).await.json()
}

/// Stops the daemon where it does not hold the lock of the database: whoever writes beside it would wait in vain.
async fn stop_between_writes(house: &House) {
    let pid = house.daemon.as_ref().unwrap().pid();
    let is_stopped_well = async || {
        kill_process(pid, Signal::STOP).unwrap();
        let glance = "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK";
        let is_free = sqlx::raw_sql(glance).execute(&mut house.connection().await).await.is_ok();
        if !is_free {
            kill_process(pid, Signal::CONT).unwrap();
        }
        is_free
    };
    assert!(wait_for(PATIENCE, is_stopped_well).await, "it always writes");
}

/// What these begin while the daemon is stopped, so that nobody goes on with it.
async fn begun_while_it_is_held(house: &House, names: &[&str]) -> Vec<String> {
    stop_between_writes(house).await;
    let store = house.store().await;
    let mut begun = Vec::new();
    for name in names {
        begun.push(store.begin_whole_audit(By::new(Actor::on_machine(*name)), now()).await.unwrap());
    }
    store.close().await;
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_everything_is_an_action_with_its_progress() {
    let mut house = House::open("base_path = \"/x\"").await;
    let operator = house.operator().await;
    let id = house.request(&operator, PROGRAM).await;
    assert_eq!(house.get("/api/v1/audit", &operator).await.json()["all"], json!(null));
    let begun = house.post("/api/v1/audit", &operator, json!({ "all": true })).await;
    let action = begun.json()["id"].as_str().unwrap().to_owned();
    let location = begun.header("location").strip_prefix("/x").unwrap().to_owned();
    assert_eq!((begun.status.as_u16(), begun.header("retry-after")), (202, "1"), "{begun:?}");
    assert_eq!(location, format!("/api/v1/actions/{action}"));
    let done = over(&house, &location, &operator).await;
    let figures = ["action", "outcome", "count", "done", "failed", "left"].map(|member| done[member].clone());
    assert_eq!(figures, [json!("audit"), json!("done"), json!(2), json!(2), json!(0), json!(0)], "{done}");
    let found = house.get("/api/v1/audit", &operator).await.json()["all"].clone();
    assert_eq!((&found["action"], &found["findings"]), (&json!(action), &json!([])));

    // What is wrong far from what every audit looks at is found, and named, by one that a process left.
    house.sql("UPDATE request SET since = since - 1").await;
    let again = begun_while_it_is_held(&house, &["ana"]).await.remove(0);
    house.killed().await;
    let location = format!("/api/v1/actions/{again}");
    let admin = house.admin().await;
    let done = over(&house, &location, &admin).await;
    let figures = ["outcome", "count", "done", "failed"].map(|member| done[member].clone());
    assert_eq!(figures, [json!("partly"), json!(2), json!(1), json!(1)], "{done}");
    let audit = house.get("/api/v1/audit", &operator).await.json();
    let found = &audit["all"]["findings"][0];
    assert_eq!((&found["rule"], &found["subject"]), (&json!("state_differs"), &json!(id)), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_twice_for_an_audit_of_everything_gets_one() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let begun = begun_while_it_is_held(&house, &["ana", "ben"]).await;
    kill_process(house.daemon.as_ref().unwrap().pid(), Signal::CONT).unwrap();
    assert_eq!(begun[0], begun[1]);
    let done = over(&house, &format!("/api/v1/actions/{}", begun[0]), &house.admin().await).await;
    assert_eq!((&done["actor"], &done["outcome"]), (&json!("ana"), &json!("done")));
    let one = house.post("/api/v1/audit", &operator, json!({ "all": true })).await.json();
    assert_ne!(one["id"], json!(begun[0]), "once it is over another one is begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_more_to_those_who_may_read_alone() {
    let house = House::open("").await;
    let (viewer, metrics) = (house.viewer().await, house.token(Role::Viewer, &[Scope::Metrics]).await);
    for (probe, line) in [("/livez", "main loop: ok\n"), ("/readyz", "database can be written: ok\n")] {
        let plain = Said::of(house.ask(Method::GET, probe).send().await.unwrap()).await;
        assert_eq!((plain.status.as_u16(), plain.text.as_str()), (200, "ok\n"));
        let verbose = format!("{probe}?verbose");
        assert!(house.get(&verbose, &viewer).await.text.contains(line), "{probe}");
        let nobody = Said::of(house.ask(Method::GET, &verbose).send().await.unwrap()).await;
        assert_eq!(nobody.problem(), (401, "unauthenticated".to_owned()), "{probe}");
        assert_eq!(house.get(&verbose, &metrics).await.problem(), (403, "forbidden".to_owned()), "{probe}");
        for wrong in ["verbose&verbose", "verbose=much"] {
            let said = house.get(&format!("{probe}?{wrong}"), &viewer).await;
            assert_eq!(said.problem(), (422, "invalid".to_owned()), "{probe}?{wrong}");
        }
        let elsewhere = house.ask(Method::GET, &verbose).bearer_auth(&viewer).header("Host", "evil.example");
        assert_eq!(Said::of(elsewhere.send().await.unwrap()).await.status.as_u16(), 421, "{probe}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_any_route_is_counted() {
    let house = House::open("base_path = \"/x\"").await;
    let metrics = house.token(Role::Viewer, &[Scope::Metrics]).await;
    let count = async |code: u16| {
        let series = format!("amplinkd_http_requests_total{{method=\"GET\",route=\"other\",code=\"{code}\"}} ");
        let page = house.get("/metrics", &metrics).await.text;
        let value = page.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned));
        value.map_or(0.0, |value| value.parse::<f64>().unwrap())
    };
    assert_eq!((count(421).await, count(404).await), (0.0, 0.0));
    for path in ["/api/v1/meta", "/livez?verbose"] {
        let asked = house.ask(Method::GET, path).header("Host", "evil.example");
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 421, "{path}");
    }
    let beside = house.client.get(format!("http://127.0.0.1:{}/elsewhere", house.port));
    assert_eq!(beside.send().await.unwrap().status().as_u16(), 404);
    assert_eq!((count(421).await, count(404).await), (2.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_an_object_and_one_that_may_be_left_out_may_be_null() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let id = house.request(&operator, PROGRAM).await;
    let cancel = format!("/api/v1/requests/{id}/cancel");
    // An array of members' values is none of them by name.
    for body in [json!([]), json!(["because"]), json!("because"), json!(7)] {
        let said = house.post(&cancel, &operator, body.clone()).await;
        assert_eq!((said.problem().0, &said.json()["errors"][0]["pointer"]), (422, &json!("")), "{body}");
    }
    assert_eq!(house.post(&cancel, &operator, json!(null)).await.json()["state"], "cancelled");
    let pair = json!(["link", ACCOUNT, PROGRAM, null, false, false, false, {}, null]);
    assert_eq!(house.post("/api/v1/requests", &operator, pair.clone()).await.problem().0, 422);
    let batch = house.post("/api/v1/requests/batch", &operator, json!({ "requests": [pair] })).await;
    assert_eq!((batch.problem().0, &batch.json()["errors"][0]["pointer"]), (422, &json!("/requests/0")));
    assert_eq!(house.post("/api/v1/requests", &operator, json!(null)).await.problem().0, 422, "it may not be left out");
    let page = house.ask(Method::GET, "/api/v1/events?after=0").bearer_auth(&operator).header("Last-Event-ID", "x");
    assert_eq!(Said::of(page.send().await.unwrap()).await.problem().0, 422, "a page does not pass over it either");
}
