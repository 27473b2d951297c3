//! New requests: once for their key, all or none, and by whom is on record.

use super::*;

const PATH: &str = "/api/v1/requests";

fn wish(program: &str, key: Option<&str>) -> Value {
    json!({ "kind": "link", "account": ACCOUNT, "program": program, "labels": { "shop": "7" }, "key": key })
}

fn program(number: usize) -> String {
    format!("wx{number:016x}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_means_one_request_whoever_asks_and_whatever_is_killed() {
    let mut house = House::open("").await;
    let operator = house.operator().await;
    let first = house.post(PATH, &operator, wish(PROGRAM, Some("order-7"))).await;
    let (body, id) = (first.json(), first.json()["id"].as_str().unwrap().to_owned());
    assert_eq!((first.status.as_u16(), &body["existing"], &body["key"]), (201, &json!(false), &json!("order-7")));
    assert_eq!(first.header("location"), format!("{PATH}/{id}"));
    let shown = house.get(first.header("location"), &operator).await;
    assert_eq!(shown.header("etag"), first.header("etag"));
    assert_eq!(shown.json()["labels"], json!({ "shop": "7" }));
    let again = house.post(PATH, &operator, wish(PROGRAM, Some("order-7"))).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["existing"], &again.json()["id"]),
        (200, &json!(true), &body["id"])
    );
    // The same name in the header, with quotes or without.
    for key in ["order-7", "\"order-7\""] {
        let asked = house.ask(Method::POST, PATH).bearer_auth(&operator).header("Idempotency-Key", key);
        let said = house.send(asked, wish(PROGRAM, None)).await;
        assert_eq!((said.status.as_u16(), &said.json()["id"]), (200, &body["id"]), "{key}");
    }
    let taken = house.post(PATH, &operator, wish(&program(9), Some("order-7"))).await;
    assert_eq!(taken.problem(), (409, "key_taken".to_owned()));
    assert_eq!((&taken.json()["current"]["id"], &taken.json()["errors"][0]["pointer"]), (&body["id"], &json!("/key")));
    // Twenty at once, of whom one is the first.
    let ask = |_| with_body(house.ask(Method::POST, PATH).bearer_auth(&operator), &wish(&program(1), Some("order-8")));
    let many = at_once((0..20).map(ask)).await;
    assert_eq!(many.iter().filter(|said| said.status == StatusCode::CREATED).count(), 1);
    assert_eq!(many.iter().filter(|said| said.status == StatusCode::OK).count(), 19);
    assert!(many.iter().all(|said| said.json()["id"] == many[0].json()["id"]));
    house.killed().await;
    let after = house.post(PATH, &operator, wish(&program(1), Some("order-8"))).await;
    assert_eq!((after.status.as_u16(), &after.json()["id"]), (200, &many[0].json()["id"]));
    // Only what was done is on record, by whom and by which door.
    assert_eq!(house.number("SELECT count(*) FROM v_action WHERE action = 'request'").await, 2);
    let actions = house.json(&format!("action list --subject {id}"));
    assert_eq!((&actions[0]["via"], &actions[0]["action"]), (&json!("api"), &json!("request")));
    assert!(actions[0]["actor"].as_str().unwrap().starts_with("t-") && actions[0]["address"] == "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_member_by_member() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let with = |member: &str, value: Value| {
        let mut wish = wish(PROGRAM, None);
        wish[member] = value;
        wish
    };
    for (wrong, pointer) in [
        (with("program", json!(ACCOUNT)), "/program"),
        (with("account", json!("wx1")), "/account"),
        (with("kind", json!("join")), "/kind"),
        (with("notify_users", json!(true)), "/confirm_notify_users"),
        (with("username", json!("x")), "/username"),
        (with("key", json!("a\u{200b}")), "/key"),
        (with("key", json!("a".repeat(257))), "/key"),
        (with("labels", json!({ "": "x" })), "/labels"),
        (with("tpyo", json!(1)), "/tpyo"),
        (json!({ "kind": "link", "account": ACCOUNT }), "/program"),
    ] {
        let said = house.post(PATH, &operator, wrong.clone()).await;
        assert_eq!(said.problem(), (422, "invalid".to_owned()), "{wrong}");
        assert_eq!(said.json()["errors"][0]["pointer"], pointer, "{wrong}");
        let asked = house.ask(Method::POST, PATH).bearer_auth(&operator).header("Accept-Language", "zh");
        let chinese = house.send(asked, wrong).await.json()["errors"][0]["detail"].to_string();
        assert!(chinese.chars().any(|c| c > '\u{2e80}'), "{chinese}");
    }
    let parameter = house.post("/api/v1/requests?dry_run=true", &operator, wish(PROGRAM, None)).await;
    assert_eq!(parameter.json()["errors"][0]["pointer"], "?dry_run");
    assert_eq!(house.number("SELECT count(*) FROM request").await, 0);
    let sure = with("notify_users", json!(true));
    let sure = {
        let mut sure = sure;
        sure["confirm_notify_users"] = json!(true);
        sure
    };
    let said = house.post(PATH, &operator, sure).await;
    assert_eq!((said.status.as_u16(), &said.json()["notify_users"]), (201, &json!(true)));
    let viewer = house.viewer().await;
    assert_eq!(house.post(PATH, &viewer, wish(PROGRAM, None)).await.problem(), (403, "forbidden".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_taken_all_or_none() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let batch = "/api/v1/requests/batch";
    let known = house.request(&operator, &program(1)).await;
    let wishes = |wishes: Vec<Value>| json!({ "requests": wishes });
    let said = house
        .post(
            batch,
            &operator,
            wishes(vec![wish(&program(2), Some("a")), wish(&program(1), None), wish(&program(3), None)]),
        )
        .await;
    let body = said.json();
    assert_eq!((said.status.as_u16(), body.as_array().unwrap().len()), (200, 3), "{said:?}");
    assert_eq!((&body[0]["existing"], &body[1]), (&json!(false), &json!({ "id": known, "existing": true })));
    let third = house.get(&format!("{PATH}/{}", body[2]["id"].as_str().unwrap()), &operator).await;
    assert_eq!(third.json()["program"], program(3));
    let mut many: Vec<Value> = (10..40).map(|number| wish(&program(number), None)).collect();
    many[17]["program"] = json!("wx17");
    many[18]["tpyo"] = json!(1);
    let wrong = house.post(batch, &operator, wishes(many)).await;
    assert_eq!(wrong.problem(), (422, "invalid".to_owned()));
    let pointers: Vec<Value> =
        wrong.json()["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/requests/17/program", "/requests/18/tpyo"]);
    let taken =
        house.post(batch, &operator, wishes(vec![wish(&program(50), None), wish(&program(51), Some("a"))])).await;
    assert_eq!(taken.problem(), (409, "key_taken".to_owned()));
    assert_eq!(taken.json()["errors"][0]["pointer"], "/requests/1/key");
    // The same is found where it is only checked; what could be taken is not.
    let checked =
        async |wishes: Vec<Value>| house.post(batch, &operator, json!({ "requests": wishes, "dry_run": true })).await;
    let mut later: Vec<Value> = (60..64).map(|number| wish(&program(number), None)).collect();
    assert_eq!((checked(later.clone()).await.status.as_u16(), checked(later.clone()).await.json()), (200, json!([])));
    later.push(wish(&program(64), Some("a")));
    let dry = checked(later).await;
    assert_eq!(
        (dry.problem(), &dry.json()["errors"][0]["pointer"]),
        ((409, "key_taken".to_owned()), &json!("/requests/4/key"))
    );
    assert_eq!(checked(vec![wish(&program(2), Some("a"))]).await.json(), json!([]), "it is that request");
    let twice = wishes(vec![wish(&program(52), Some("b")), wish(&program(53), Some("b"))]);
    assert_eq!(house.post(batch, &operator, twice).await.json()["errors"][0]["pointer"], "/requests/1/key");
    let asked = house.ask(Method::POST, batch).bearer_auth(&operator).header("Idempotency-Key", "c");
    assert_eq!(house.send(asked, wishes(vec![wish(&program(54), None)])).await.problem().0, 422);
    for count in [0, 10_001] {
        let few = (0..count).map(|number| wish(&program(1_000 + number), None)).collect();
        let said = house.post(batch, &operator, wishes(few)).await;
        assert_eq!((said.problem().0, &said.json()["errors"][0]["pointer"]), (422, &json!("/requests")), "{count}");
    }
    assert_eq!(house.number("SELECT count(*) FROM request").await, 3, "nothing of what was refused");
    // So many as are imported; asked again, they are the same.
    let many =
        || wishes((0..1_500).map(|number| wish(&program(20_000 + number), Some(&format!("k{number}")))).collect());
    let said = house.post(batch, &operator, many()).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    let again = house.post(batch, &operator, many()).await.json();
    assert!(again.as_array().unwrap().iter().all(|one| one["existing"] == true));
    assert_eq!(again[700]["id"], said.json()[700]["id"]);
    assert_eq!(house.number("SELECT count(*) FROM request").await, 1_503);
}
