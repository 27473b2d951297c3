//! Actions on many: what is shown is what is done, each thing once, whatever dies in between.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::*;
use crate::harness::wait_for;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(4);

impl House {
    async fn act(&self, token: &str, body: Value) -> Said {
        let asked = self.ask(Method::POST, "/api/v1/actions").bearer_auth(token);
        let asked = asked.header("Content-Type", "application/json").body(body.to_string());
        Said::of(asked.send().await.unwrap()).await
    }

    /// What would be touched, and the body that begins it.
    async fn shown(&self, token: &str, action: &str, filter: Value) -> (Value, Value) {
        let said = self.act(token, json!({ "action": action, "filter": filter, "dry_run": true })).await;
        assert_eq!(said.status, StatusCode::OK, "{said:?}");
        let (shown, reason) = (said.json(), format!("why {action}"));
        let body = json!({ "action": action, "filter": filter, "cutoff": shown["cutoff"], "digest": shown["digest"],
                           "reason": reason });
        (shown, body)
    }

    /// Begins an action; answers its id.
    async fn begun(&self, token: &str, body: Value) -> String {
        let said = self.act(token, body).await;
        assert_eq!((said.status.as_u16(), said.header("retry-after")), (202, "1"), "{said:?}");
        let id = said.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(said.header("location"), format!("/api/v1/actions/{id}"));
        id
    }

    /// A row of `v_action`.
    async fn action(&self, id: &str) -> amplinkd::store::read::actions::ActionView {
        let store = self.store().await;
        let row = store.action_view(id).await.unwrap().unwrap();
        store.close().await;
        row
    }

    async fn finished(&self, id: &str) -> (String, i64, i64, i64) {
        assert!(wait_for(PATIENCE, async || self.action(id).await.outcome.is_some()).await, "{}", self.log.tail());
        let row = self.action(id).await;
        assert_eq!((row.state.as_str(), row.left), ("finished", Some(0)));
        (row.outcome.unwrap(), row.count.unwrap(), row.done, row.failed)
    }

    async fn rows<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
    {
        use sqlx::ConnectOptions as _;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path("a.db"));
        sqlx::query_as(sql).fetch_all(&mut options.connect().await.unwrap()).await.unwrap()
    }

    fn import(&self, count: usize) {
        let line = |number: usize| format!("wx{:016x},wx{:016x}\n", number / 50, 0xb000_0000 + number);
        let lines: String = (0..count).map(line).collect();
        std::fs::write(self.path("many.csv"), format!("account,program\n{lines}")).unwrap();
        self.json("request import many.csv");
    }
}

/// Cancels so many requests while the daemon is killed now and then, then retries them in the same way.
async fn each_is_done_once(count: usize, kills: usize) {
    let mut house = House::open("").await;
    let token = house.operator().await;
    house.import(count);
    let whole = i64::try_from(count).unwrap();
    for (action, filter) in [("cancel", json!({ "open": "true" })), ("retry", json!({ "state": ["cancelled"] }))] {
        let (shown, body) = house.shown(&token, action, filter).await;
        assert_eq!((&shown["count"], shown["sample"].as_array().unwrap().len()), (&whole.into(), 10));
        let id = house.begun(&token, body).await;
        let mut seen = BTreeSet::new();
        for kill in 1..=kills {
            // Somewhat further each time.
            let part = whole * i64::try_from(kill).unwrap() / i64::try_from(kills + 1).unwrap();
            let reaches = async || {
                let row = house.action(&id).await;
                row.outcome.is_some() || row.done >= part
            };
            assert!(wait_for(PATIENCE, reaches).await, "{}", house.log.tail());
            house.again().await;
            let row = house.action(&id).await;
            if row.outcome.is_none() {
                assert_eq!(row.left, Some(whole - row.done - row.failed));
                seen.insert(row.done);
            }
        }
        assert!(!seen.is_empty(), "{action}: no kill came while it went on");
        assert_eq!(house.finished(&id).await, ("done".to_owned(), whole, whole, 0), "{action}");
        println!("{action} of {count}, killed after {seen:?}");
    }
    let number = async |sql| house.number(sql).await;
    assert_eq!(number("SELECT count(*) FROM log WHERE to_state = 10").await, whole, "each is cancelled once");
    assert_eq!(number("SELECT count(DISTINCT request) FROM log WHERE to_state = 10").await, whole);
    assert_eq!(number("SELECT count(*) FROM request WHERE retry_of IS NOT NULL").await, whole, "and retried once");
    assert_eq!(number("SELECT count(DISTINCT retry_of) FROM request").await, whole);
    for action in ["cancel", "retry"] {
        let deeds: Vec<(i64, i64, i64)> = house
            .rows(if action == "cancel" {
                "SELECT count(*), count(DISTINCT subject), count(filter) FROM v_action
                 WHERE action = 'cancel' AND subject IS NOT NULL AND reason = 'why cancel' AND via = 'api'"
            } else {
                "SELECT count(*), count(DISTINCT subject), count(filter) FROM v_action
                 WHERE action = 'retry' AND subject IS NOT NULL AND reason = 'why retry' AND via = 'api'"
            })
            .await;
        assert_eq!(deeds, [(whole, whole, whole)], "{action}: each deed is on record once");
    }
    let said: Vec<(String,)> = house.rows("SELECT DISTINCT detail FROM log WHERE to_state = 10").await;
    assert_eq!(said.len(), 1);
    assert!(said[0].0.starts_with("by t-") && said[0].0.ends_with(": why cancel; nothing had been sent"), "{said:?}");
    let verified = house.command("db verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_some_thousands_is_done_once_over_kills() {
    each_is_done_once(2_000, 2).await;
}

/// `cargo test --test it http::bulk -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: run it by name"]
async fn each_of_ten_thousand_is_done_once_over_kills() {
    each_is_done_once(10_000, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_later_is_not_touched_and_what_has_changed_is_shown_anew() {
    let house = House::open("").await;
    let token = house.operator().await;
    let link = |number: usize| {
        let asked = house.json(&format!("request link {ACCOUNT} wx{number:016x} --label shop={}", number % 2));
        asked["id"].as_str().unwrap().to_owned()
    };
    let first: Vec<String> = (0..4).map(link).collect();
    let (shown, body) = house.shown(&token, "cancel", json!({ "account": ACCOUNT, "label": ["shop=0"] })).await;
    assert_eq!(shown["sample"], json!([first[0], first[2]]));
    // One more that the filters choose comes in between: it is left alone.
    let late = link(4);
    let id = house.begun(&token, body).await;
    assert_eq!(house.finished(&id).await, ("done".to_owned(), 2, 2, 0));
    let state = |id: &str| house.json(&format!("request show {id}"))["state"].as_str().unwrap().to_owned();
    assert_eq!(
        (state(&first[0]), state(&first[1]), state(&late)),
        ("cancelled".into(), "requested".into(), "requested".into())
    );
    // Somebody else acts on one of them: it is shown what there is now, and nothing is done.
    let (shown, body) = house.shown(&token, "cancel", json!({ "open": "true" })).await;
    assert_eq!(shown["count"], 3);
    house.json(&format!("request cancel {late}"));
    let changed = house.act(&token, body.clone()).await;
    assert_eq!((changed.problem(), &changed.json()["current"]["count"]), ((409, "changed".to_owned()), &2.into()));
    let mut again = body;
    for member in ["cutoff", "digest"] {
        again[member] = changed.json()["current"][member].clone();
    }
    let id = house.begun(&token, again).await;
    assert_eq!(house.finished(&id).await, ("done".to_owned(), 2, 2, 0));
    // Nothing is left to cancel, and each that was cancelled can be tried again, but not twice.
    let count = async |action: &str, filter: Value| house.shown(&token, action, filter).await.0["count"].clone();
    assert_eq!(count("cancel", json!({ "account": ACCOUNT })).await, 0);
    assert_eq!(count("retry", json!({ "account": ACCOUNT })).await, 5);
    house.json(&format!("request retry {late}"));
    assert_eq!(count("retry", json!({ "account": ACCOUNT })).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_alerts_are_acted_on_by_their_own_filters() {
    let house = House::open("").await;
    let token = house.operator().await;
    for number in 0..3 {
        house.json(&format!("request link wx{number:016x} {PROGRAM} --label shop={number}"));
    }
    let done = async |action: &str, filter: Value, more: Value| {
        let (shown, mut body) = house.shown(&token, action, filter).await;
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = house.begun(&token, body).await;
        let count = shown["count"].as_i64().unwrap();
        assert_eq!(house.finished(&id).await, ("done".to_owned(), count, count, 0), "{action}");
        count
    };
    assert_eq!(done("suspend", json!({ "label": "shop=1" }), json!({})).await, 1);
    assert_eq!(house.json("account list --state suspended")[0]["account"], "wx0000000000000001");
    assert_eq!(done("suspend", json!({ "state": "active" }), json!({})).await, 2);
    assert_eq!(done("suspend", json!({ "state": "suspended" }), json!({})).await, 0, "they are suspended");
    assert_eq!(done("resume", json!({ "suspended_by": ["operator", "61007"] }), json!({})).await, 3);
    assert_eq!(house.json("account list --state suspended"), json!([]));
    let requests: Vec<(String,)> = house.rows("SELECT id FROM request ORDER BY id").await;
    for (number, (request,)) in requests.into_iter().enumerate() {
        use sqlx::ConnectOptions as _;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.path("a.db"));
        sqlx::query(
            "INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at, message_en,
                                message_zh)
             SELECT $1, $2, 'stuck', 'stuck.account_admin', r.id, r.account, r.program, 'firing', 1, 1, 'a', 'b'
             FROM request AS r WHERE r.id = $3",
        )
        .bind(format!("0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3{number}"))
        .bind(format!("stuck/account_admin/{request}"))
        .bind(request)
        .execute(&mut options.connect().await.unwrap())
        .await
        .unwrap();
    }
    assert_eq!(done("acknowledge", json!({ "account": "wx0000000000000001" }), json!({})).await, 1);
    assert_eq!(done("acknowledge", json!({ "rule": "stuck" }), json!({})).await, 2, "one is acknowledged already");
    assert_eq!(done("snooze", json!({ "rule": "stuck", "state": "open" }), json!({ "for": "4h" })).await, 3);
    let snoozed = house.json("alert list --state snoozed");
    assert!(snoozed[0]["snoozed_by"].as_str().unwrap().starts_with("t-") && snoozed[0]["note"] == "why snooze");
    assert_eq!(done("resolve", json!({ "reason": "stuck.account_admin" }), json!({})).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_action_changed_is_listed_for_whoever_may_see_it() {
    let house = House::open("").await;
    let (token, other) = (house.operator().await, house.operator().await);
    let link = |number: usize| {
        let asked = house.json(&format!("request link wx{number:016x} {PROGRAM} --label shop={}", number % 2));
        asked["id"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = (0..12).map(link).collect();
    let chosen: Vec<&String> = ids.iter().step_by(2).collect();
    let names = |said: &Said, member: &str| -> Vec<String> {
        said.json()["items"].as_array().unwrap().iter().map(|row| row[member].as_str().unwrap().to_owned()).collect()
    };
    let finished = async |action: &str, filter: Value| {
        let (_, body) = house.shown(&token, action, filter).await;
        let id = house.begun(&token, body).await;
        house.finished(&id).await;
        id
    };
    let preview = json!({ "action": "cancel", "filter": { "open": "true" }, "dry_run": true, "sample": 11 });
    assert_eq!(house.act(&token, preview).await.json()["sample"].as_array().unwrap().len(), 11);
    let cancel = finished("cancel", json!({ "label": "shop=0" })).await;
    // What the same caller does later is none of it, by the same filters neither.
    house.post(&format!("/api/v1/requests/{}/cancel", ids[1]), &token, json!({})).await;
    link(12);
    finished("cancel", json!({ "label": "shop=0" })).await;
    let path = format!("/api/v1/actions/{cancel}/requests");
    let first = house.get(&format!("{path}?limit=4"), &token).await;
    let rest = house.get(&format!("{path}?limit=4&after={}", first.json()["next"].as_str().unwrap()), &token).await;
    assert_eq!([names(&first, "id"), names(&rest, "id")].concat(), chosen.into_iter().cloned().collect::<Vec<_>>());
    assert_eq!((&first.json()["items"][0]["state"], &rest.json()["next"]), (&json!("cancelled"), &json!(null)));
    for none in ["alerts", "accounts"] {
        let said = house.get(&format!("/api/v1/actions/{cancel}/{none}"), &token).await;
        assert_eq!(said.json(), json!({ "items": [], "next": null }), "{none}");
    }
    // Of a retry the new ones; each is shown as it is now.
    let retry = finished("retry", json!({ "label": "shop=0", "state": "cancelled" })).await;
    let again = house.get(&format!("/api/v1/actions/{retry}/requests"), &token).await.json();
    assert_eq!(again["items"].as_array().unwrap().len(), 7, "{again}");
    let new = again["items"].as_array().unwrap();
    assert!(new.iter().any(|row| row["retry_of"] == ids[0].as_str() && row["state"] == "requested"), "{again}");
    let suspend = finished("suspend", json!({ "state": "active", "label": "shop=1" })).await;
    let accounts = house.get(&format!("/api/v1/actions/{suspend}/accounts"), &token).await;
    assert_eq!(names(&accounts, "account").len(), 5, "{accounts:?}");
    for path in [path.as_str(), "/api/v1/actions/0197c2d7-0000-7000-8000-0000000000a1/requests"] {
        assert_eq!(house.get(path, &other).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(names(&house.get(&path, &house.admin().await).await, "id").len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_legal_is_named_and_a_token_needs_the_scope_of_what_it_does() {
    let house = House::open("").await;
    let token = house.operator().await;
    let legal = json!({ "action": "cancel", "filter": { "open": "true" }, "dry_run": true });
    let with = |name: &str, value: Value| {
        let mut body = legal.clone();
        body[name] = value;
        body
    };
    for (body, pointer) in [
        (with("action", json!("prune")), "/action"),
        (with("filter", json!({ "state": ["tpyo"] })), "/filter/state"),
        (with("filter", json!({ "stat": "failed" })), "/filter/stat"),
        (with("filter", json!({ "account": ["a", "b"] })), "/filter/account"),
        (with("dry_run", json!(false)), "/cutoff"),
        (with("until", json!("2999-01-01T00:00:00Z")), "/until"),
        (with("reason", json!("a\nb")), "/reason"),
        (with("sample", json!(10_001)), "/sample"),
        (with("tpyo", json!(1)), "/tpyo"),
        (json!({ "action": "snooze", "filter": { "rule": "stuck" }, "cutoff": "a", "digest": "b" }), "/for"),
        (json!({ "action": "snooze", "filter": { "rule": "stuck" }, "for": "soon", "dry_run": true }), "/for"),
    ] {
        let said = house.act(&token, body.clone()).await;
        assert_eq!(said.problem(), (422, "invalid".to_owned()), "{body}");
        assert_eq!(said.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    for empty in [json!({}), json!({ "state": [] })] {
        let said = house.act(&token, with("filter", empty)).await;
        assert_eq!(said.problem(), (422, "filter_empty".to_owned()));
    }
    let alerts = house.token(Role::Operator, &[Scope::Read, Scope::Alerts]).await;
    let said = house.act(&alerts, legal.clone()).await;
    assert_eq!(said.problem(), (403, "forbidden".to_owned()));
    assert!(said.json()["detail"].as_str().unwrap().contains("scope requests"), "{said:?}");
    let said = house.act(&alerts, json!({ "action": "resolve", "filter": { "state": "open" }, "dry_run": true })).await;
    assert_eq!((said.status, &said.json()["count"]), (StatusCode::OK, &0.into()));
    let viewer = house.viewer().await;
    assert_eq!(house.act(&viewer, legal).await.problem(), (403, "forbidden".to_owned()));
}
