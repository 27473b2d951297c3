//! What is done to one request, account or alert: as it was read or not at all, and by whom.

use rustix::process::{Resource, Rlimit, prlimit};

use super::*;

async fn act(house: &House, path: &str, token: &str, tag: Option<&str>, body: Value) -> Said {
    let asked = house.ask(Method::POST, path).bearer_auth(token);
    let asked = if let Some(tag) = tag { asked.header("If-Match", tag) } else { asked };
    house.send(asked, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_cancelled_as_it_was_read_or_not_at_all() {
    let house = House::open("").await;
    let (operator, viewer) = (house.operator().await, house.viewer().await);
    let id = house.request(&operator, PROGRAM).await;
    let path = format!("/api/v1/requests/{id}");
    let tag = house.get(&path, &operator).await.header("etag").to_owned();
    let cancel = format!("{path}/cancel");
    assert_eq!(act(&house, &cancel, &viewer, None, json!({})).await.problem(), (403, "forbidden".to_owned()));
    let stale = act(&house, &cancel, &operator, Some("\"0000000000000000-0\""), json!({})).await;
    assert_eq!(stale.problem(), (412, "changed".to_owned()));
    assert_eq!((&stale.json()["current"]["id"], &stale.json()["current"]["state"]), (&json!(id), &json!("requested")));
    let long = act(&house, &cancel, &operator, None, json!({ "reason": "a\nb" })).await;
    assert_eq!((long.problem().0, &long.json()["errors"][0]["pointer"]), (422, &json!("/reason")));
    // Of twenty who read the same, one decides.
    let ask = |_| {
        let asked = house.ask(Method::POST, &cancel).bearer_auth(&operator).header("If-Match", &tag);
        with_body(asked, &json!({ "reason": "客户已离开" }))
    };
    let many = at_once((0..20).map(ask)).await;
    let done: Vec<&Said> = many.iter().filter(|said| said.status == StatusCode::OK).collect();
    assert_eq!(done.len(), 1, "{many:?}");
    assert!(many.iter().all(|said| said.status == StatusCode::OK || said.problem() == (412, "changed".to_owned())));
    assert_eq!((&done[0].json()["state"], &done[0].json()["effect"]), (&json!("cancelled"), &json!("before_the_call")));
    assert_eq!(done[0].header("etag"), house.get(&path, &operator).await.header("etag"));
    // Without a condition it is true already.
    let again = house.bare(Method::POST, &cancel, &operator).await;
    assert_eq!((again.status.as_u16(), &again.json()["effect"]), (200, &json!("before_the_call")));
    let actions = house.json(&format!("action list --subject {id} --action cancel"));
    assert_eq!((actions.as_array().unwrap().len(), &actions[0]["reason"]), (1, &json!("客户已离开")));
    let actor = actions[0]["actor"].as_str().unwrap();
    let history = house.json(&format!("request history {id}"));
    let detail = history.as_array().unwrap().last().unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(&format!("by {actor}: 客户已离开; ")), "{detail}");
    house.json("db verify");
    for nothing in ["0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b", "x"] {
        let path = format!("/api/v1/requests/{nothing}/cancel");
        assert_eq!(act(&house, &path, &operator, None, json!({})).await.problem(), (404, "not_found".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_finished_is_asked_for_again() {
    let house = House::open("").await;
    let operator = house.operator().await;
    let id = house.request(&operator, PROGRAM).await;
    let retry = format!("/api/v1/requests/{id}/retry");
    let open = act(&house, &retry, &operator, None, json!({})).await;
    assert_eq!((open.problem(), &open.json()["current"]["id"]), ((409, "still_open".to_owned()), &json!(id)));
    act(&house, &format!("/api/v1/requests/{id}/cancel"), &operator, None, json!({})).await;
    let new = act(&house, &retry, &operator, None, json!({ "reason": "once more" })).await;
    let row = new.json();
    assert_eq!((new.status.as_u16(), &row["retry_of"], &row["existing"]), (201, &json!(id), &json!(false)));
    assert_eq!(new.header("location"), format!("/api/v1/requests/{}", row["id"].as_str().unwrap()));
    let again = act(&house, &retry, &operator, None, json!({})).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"], &again.json()["existing"]),
        (200, &row["id"], &json!(true))
    );
    let actions = house.json(&format!("action list --subject {id} --action retry"));
    assert_eq!((actions.as_array().unwrap().len(), &actions[0]["reason"]), (1, &json!("once more")));
    house.sql("UPDATE request SET state = 'linked', finished_at = 5, attempt = 1 WHERE state = 'requested'").await;
    let cancel = format!("/api/v1/requests/{}/cancel", row["id"].as_str().unwrap());
    let finished = act(&house, &cancel, &operator, None, json!({})).await;
    assert_eq!(
        (finished.problem(), &finished.json()["current"]["state"]),
        ((409, "finished".to_owned()), &json!("linked"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_not_answered_is_reminded_by_the_rules_of_nudges() {
    let quiet = "[alerts]\nquiet_hours = \"00:00-23:59\"\nlanguage = \"en\"\n[[alerts.channel]]\nname = \"shops\"\n\
                 kind = \"log\"\nevents = [\"conflict\"]\n[nudge]\nchannels = { \"*\" = \"shops\" }";
    let house = House::open(quiet).await;
    let operator = house.operator().await;
    let id = house.request(&operator, PROGRAM).await;
    let path = format!("/api/v1/requests/{id}/nudge");
    let nobody = act(&house, &path, &operator, None, json!({})).await;
    assert_eq!((nobody.problem(), &nobody.json()["current"]["id"]), ((409, "nobody_to_nudge".to_owned()), &json!(id)));
    let nudge = async |body: Value| {
        house.sql("UPDATE account SET unread_since = NULL, failures = 0, trouble = NULL").await;
        act(&house, &path, &operator, None, body).await
    };
    house.sql("UPDATE request SET state = 'awaiting_account_admin', attempt = 1 WHERE state = 'requested'").await;
    assert_eq!(nudge(json!({})).await.problem(), (409, "quiet_hours".to_owned()));
    let wrong = nudge(json!({ "language": "fr" })).await;
    assert_eq!((wrong.problem().0, &wrong.json()["errors"][0]["pointer"]), (422, &json!("/language")));
    let printed = nudge(json!({ "print_only": true })).await;
    let body = printed.json();
    assert_eq!(
        (printed.status.as_u16(), &body["channel"], &body["stage"]),
        (200, &json!(null), &json!("account_admin"))
    );
    assert!(body["text"].as_str().unwrap().starts_with("Hello, administrator"), "{body}");
    let soon = nudge(json!({ "print_only": true })).await;
    assert_eq!(soon.problem(), (409, "too_soon".to_owned()));
    assert!(soon.json()["detail"].as_str().unwrap().contains("the next nudge is due at"));
    let forced = nudge(json!({ "force": true, "language": "zh" })).await;
    assert_eq!((forced.status.as_u16(), &forced.json()["channel"]), (200, &json!("shops")), "{forced:?}");
    assert_eq!(house.number("SELECT count(*) FROM v_nudge").await, 2);
    assert_eq!(house.number("SELECT count(*) FROM v_action WHERE action = 'nudge' AND via = 'api'").await, 2);
    house.sql("UPDATE account SET unread_since = 5, failures = 1").await;
    let unread = act(&house, &path, &operator, None, json!({ "force": true })).await;
    assert_eq!(unread.problem(), (409, "nobody_to_nudge".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_suspended_and_resumed_with_a_reason() {
    let house = House::open("").await;
    let operator = house.operator().await;
    house.request(&operator, PROGRAM).await;
    let path = format!("/api/v1/accounts/{ACCOUNT}");
    let tag = house.get(&path, &operator).await.header("etag").to_owned();
    let (suspend, resume) = (format!("{path}/suspend"), format!("{path}/resume"));
    for (wrong, pointer) in [(json!({}), "/reason"), (json!({ "reason": " " }), "/reason")] {
        let said = act(&house, &suspend, &operator, None, wrong).await;
        assert_eq!((said.problem().0, &said.json()["errors"][0]["pointer"]), (422, &json!(pointer)));
    }
    let why = || json!({ "reason": "the customer asked" });
    let done = act(&house, &suspend, &operator, Some(&tag), why()).await;
    assert_eq!((done.status.as_u16(), &done.json()["suspended_by"]), (200, &json!("operator")), "{done:?}");
    assert!(done.json()["gates"].is_array());
    let stale = act(&house, &resume, &operator, Some(&tag), json!({})).await;
    assert_eq!(
        (stale.problem(), &stale.json()["current"]["state"]),
        ((412, "changed".to_owned()), &json!("suspended"))
    );
    assert_eq!(act(&house, &suspend, &operator, None, why()).await.status, StatusCode::OK, "it is so already");
    let resumed = house.bare(Method::POST, &resume, &operator).await;
    assert_eq!((resumed.status.as_u16(), &resumed.json()["state"]), (200, &json!("active")));
    let actions = house.json(&format!("action list --subject {ACCOUNT}"));
    let kinds: Vec<&str> =
        actions.as_array().unwrap().iter().map(|action| action["action"].as_str().unwrap()).collect();
    assert_eq!((kinds, &actions[1]["reason"]), (vec!["resume", "suspend"], &json!("the customer asked")));
    let unknown = act(&house, "/api/v1/accounts/wx00000000000000ff/suspend", &operator, None, why()).await;
    assert_eq!(unknown.problem(), (404, "account_unknown".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_taken_put_off_and_ended_with_a_note() {
    let house = House::open("").await;
    let operator = house.operator().await;
    house
        .sql(
            "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh)
             VALUES ('0197c2d6-0000-7000-8000-000000000001', 'stuck/a/1', 'stuck', 'stuck.unlink', 'firing', 1000, 2000,
                     'one', 'zh')",
        )
        .await;
    let path = "/api/v1/alerts/0197c2d6-0000-7000-8000-000000000001";
    let on = async |what: &str, tag: Option<&str>, body: Value| {
        act(&house, &format!("{path}/{what}"), &operator, tag, body).await
    };
    let tag = house.get(path, &operator).await.header("etag").to_owned();
    let taken = on("acknowledge", Some(&tag), json!({ "note": "phoned them" })).await;
    let body = taken.json();
    assert_eq!(
        (taken.status.as_u16(), &body["state"], &body["note"]),
        (200, &json!("acknowledged"), &json!("phoned them"))
    );
    assert!(body["acknowledged_by"].as_str().unwrap().starts_with("t-") && body["deliveries"].is_array());
    assert_eq!(taken.header("etag"), house.get(path, &operator).await.header("etag"));
    let stale = on("resolve", Some(&tag), json!({})).await;
    assert_eq!(
        (stale.problem(), &stale.json()["current"]["state"]),
        ((412, "changed".to_owned()), &json!("acknowledged"))
    );
    assert_eq!(on("acknowledge", None, json!({})).await.status, StatusCode::OK, "it is so already");
    for (wrong, pointer) in [
        (json!({}), "/for"),
        (json!({ "for": "4h", "until": "2126-03-05T09:00" }), "/until"),
        (json!({ "for": "soon" }), "/for"),
        (json!({ "until": "2026-03-05" }), "/until"),
        (json!({ "until": "2001-03-05T09:00:00Z" }), "/until"),
    ] {
        let said = on("snooze", None, wrong.clone()).await;
        assert_eq!((said.problem().0, &said.json()["errors"][0]["pointer"]), (422, &json!(pointer)), "{wrong}");
    }
    let off = on("snooze", None, json!({ "until": "2126-03-05T09:00:00+08:00" })).await.json();
    assert_eq!((&off["state"], &off["snoozed_until"]), (&json!("snoozed"), &json!("2126-03-05T01:00:00.000Z")));
    assert_eq!((&off["snoozed_by"], &off["note"]), (&body["acknowledged_by"], &json!("phoned them")));
    let off = on("snooze", None, json!({ "for": "2h" })).await;
    assert_eq!((off.status.as_u16(), &off.json()["state"]), (200, &json!("snoozed")));
    // Of twenty who read the same, one decides.
    let tag = off.header("etag").to_owned();
    let ask = |_| {
        let asked = house.ask(Method::POST, &format!("{path}/resolve")).bearer_auth(&operator).header("If-Match", &tag);
        with_body(asked, &json!({ "note": "mended" }))
    };
    let many = at_once((0..20).map(ask)).await;
    assert_eq!(many.iter().filter(|said| said.status == StatusCode::OK).count(), 1, "{many:?}");
    assert!(many.iter().all(|said| [200, 412].contains(&said.status.as_u16())), "{many:?}");
    for what in ["acknowledge", "resolve"] {
        let over = on(what, None, json!({})).await;
        assert_eq!((over.problem(), &over.json()["current"]["note"]), ((409, "over".to_owned()), &json!("mended")));
    }
    let kinds = house.json("action list --subject 0197c2d6-0000-7000-8000-000000000001");
    let kinds: Vec<&str> = kinds.as_array().unwrap().iter().map(|action| action["action"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resolve", "snooze", "snooze", "acknowledge"]);
    let unknown =
        act(&house, "/api/v1/alerts/0197c2d6-0000-7000-8000-00000000ffff/resolve", &operator, None, json!({}));
    assert_eq!(unknown.await.problem(), (404, "not_found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_not_done_and_said_to_be() {
    let house = House::open("").await;
    let (operator, admin) = (house.operator().await, house.admin().await);
    let id = house.request(&operator, PROGRAM).await;
    let deeds = [
        ("/api/v1/requests".to_owned(), json!({ "kind": "unlink", "account": ACCOUNT, "program": PROGRAM })),
        (format!("/api/v1/requests/{id}/cancel"), json!({})),
        (format!("/api/v1/accounts/{ACCOUNT}/suspend"), json!({ "reason": "a" })),
        ("/api/v1/audit".to_owned(), json!({})),
        ("/api/v1/users".to_owned(), json!({ "name": "lena", "password": "correct horse" })),
        ("/api/v1/tokens".to_owned(), json!({ "name": "ci" })),
    ];
    let before = house.number("SELECT count(*) FROM action").await;
    let room = |bytes| {
        let pid = house.daemon.as_ref().unwrap().pid();
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    };
    room(Some(4_096));
    for (path, body) in &deeds {
        let said = house.post(path, &admin, body.clone()).await;
        assert_eq!(said.problem(), (503, "unwritable".to_owned()), "{path}");
        assert_eq!(said.header("retry-after"), "1", "{path}");
    }
    room(None);
    assert_eq!(house.number("SELECT count(*) FROM action").await, before, "nothing is done without its record");
    // Somebody else writes for long.
    let mut other = house.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let busy = house.post(&deeds[1].0, &operator, json!({})).await;
    assert_eq!(busy.problem(), (503, "busy".to_owned()));
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for (path, body) in &deeds {
        let said = house.post(path, &admin, body.clone()).await;
        assert!(said.status.is_success(), "{path}: {said:?}");
    }
    let after = house.number("SELECT count(*) FROM action").await;
    assert_eq!(after, before + i64::try_from(deeds.len()).unwrap());
}
