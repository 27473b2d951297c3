//! What is answered: the rows that commands print, page by page, and described as they are.

use reqwest::Method;

use super::*;

/// What of a body does not fit its description, with its place.
fn misfits(value: &Value, schema: &Value, root: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return misfits(value, root.pointer(&reference[1..]).unwrap(), root, place);
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().flat_map(|schema| misfits(value, schema, root, place)).collect();
    }
    if let Some(some) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = some.iter().any(|schema| misfits(value, schema, root, place).is_empty());
        return if fits { Vec::new() } else { vec![format!("{place}: none of {some:?}")] };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !(kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number")) {
        return vec![format!("{place}: {kind} is none of {kinds:?}")];
    }
    let mut found = Vec::new();
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(item, &schema["items"], root, &format!("{place}/{at}")));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{place}: {name} is missing"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(member) = value.get(name) {
            found.extend(misfits(member, schema, root, &format!("{place}/{name}")));
        }
    }
    if schema["format"] == "date-time"
        && kind == "string"
        && value.as_str().unwrap().parse::<jiff::Timestamp>().is_err()
    {
        found.push(format!("{place}: {value} is no moment"));
    }
    found
}

/// Members of a body that its description does not have.
fn names(schema: &Value, root: &Value) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return names(root.pointer(&reference[1..]).unwrap(), root);
    }
    let below = ["allOf", "oneOf"].into_iter().flat_map(|all| schema[all].as_array().cloned().unwrap_or_default());
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    own.chain(below.flat_map(|schema| names(&schema, root))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_the_rows_that_commands_print() {
    let house = House::open("").await;
    let viewer = house.viewer().await;
    for shop in 0..5 {
        house.json(&format!("request link {ACCOUNT} wx000000000000000{shop} --label shop={shop} --label chain=a,b"));
    }
    let printed = house.json("request list");
    let mut path = "/api/v1/requests?limit=2&open=true".to_owned();
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let page = house.get(&path, &viewer).await;
        let body = page.json();
        rows.extend(body["items"].as_array().unwrap().iter().cloned());
        if body["next"].is_null() {
            assert_eq!(page.header("link"), "");
            break;
        }
        let link = page.header("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(link.contains("open=true") && link.contains(body["next"].as_str().unwrap()), "{link}");
        path = link;
    }
    let without_polls = |rows: Value| -> Value {
        let rows = rows.as_array().unwrap().iter().map(|row| {
            let mut row = row.clone();
            row["next_check_at"] = Value::Null;
            row
        });
        rows.collect()
    };
    assert_eq!(without_polls(Value::from(rows)), without_polls(printed.clone()));
    for (filter, count) in [
        ("label=shop=3&label=chain=a%2Cb", 1),
        ("state=linked,failed", 0),
        ("state=requested&state=initiating", 5),
        ("account=wx00000000000000ff", 0),
        ("finished=true", 0),
        ("kind=link&program=wx0000000000000001", 1),
    ] {
        let found = house.get(&format!("/api/v1/requests?{filter}"), &viewer).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{filter}");
        let counted = house.get(&format!("/api/v1/requests/count?{filter}"), &viewer).await.json();
        assert_eq!(counted, serde_json::json!({ "count": count, "capped": false }), "{filter}");
    }
    for wrong in [
        "state=tpyo",
        "opne=true",
        "limit=0",
        "limit=501",
        "after=no",
        "account=x",
        "open=true&finished=true",
        "label=x",
        "open=1",
    ] {
        let said = house.get(&format!("/api/v1/requests?{wrong}"), &viewer).await;
        assert_eq!(said.problem(), (422, "invalid".to_owned()), "{wrong}");
        let pointer = said.json()["errors"][0]["pointer"].as_str().unwrap().to_owned();
        assert!(wrong.contains(&pointer[1..]), "{wrong}: {pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_has_a_tag_and_what_is_asked_for_with_it() {
    let house = House::open("").await;
    let viewer = house.viewer().await;
    let id = house.json(&format!("request link {ACCOUNT} {PROGRAM}"))["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/requests/{id}");
    let shown = house.get(&path, &viewer).await;
    let tag = shown.header("etag").to_owned();
    assert_eq!(shown.json()["id"], id.as_str());
    assert!(shown.json().get("history").is_none());
    let again = house.ask(Method::GET, &path).bearer_auth(&viewer).header("If-None-Match", &tag);
    let again = Said::of(again.send().await.unwrap()).await;
    assert_eq!((again.status.as_u16(), again.text.as_str(), again.header("etag")), (304, "", tag.as_str()));
    let all = house.get(&format!("{path}?include=history,conflicts&include=alerts,nudges"), &viewer).await;
    assert_eq!(all.json()["history"], house.json(&format!("request history {id}")));
    assert!(["conflicts", "alerts", "nudges"].iter().all(|name| all.json()[name].is_array()), "{all:?}");
    let steps = house.get(&format!("{path}/history"), &viewer).await.json();
    assert_eq!(steps["items"], house.json(&format!("request history {id}")));
    let proof = house.get(&format!("{path}/history?proof=true"), &viewer).await.json();
    assert_eq!(proof, house.json(&format!("request history {id} --proof")));
    let explained = house.get(&format!("{path}/explanation"), &viewer).await.json();
    assert!(explained["sentences_en"][0].as_str().unwrap().contains(PROGRAM), "{explained}");
    assert!(explained["sentences_zh"][0].as_str().unwrap().contains("小程序"), "{explained}");
    house.json(&format!("request cancel {id}"));
    let moved = house.ask(Method::GET, &path).bearer_auth(&viewer).header("If-None-Match", &tag);
    let moved = Said::of(moved.send().await.unwrap()).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["state"]), (200, &"cancelled".into()));
    assert_ne!(moved.header("etag").get(..17), tag.get(..17), "what is decided on has changed");
    for nothing in ["0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b", "1e2a3b", "x"] {
        let said = house.get(&format!("/api/v1/requests/{nothing}"), &viewer).await;
        assert_eq!(said.problem(), (404, "not_found".to_owned()), "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_is_as_it_is_described() {
    let house = House::open("").await;
    let viewer = house.viewer().await;
    let id = house.json(&format!("request link {ACCOUNT} {PROGRAM} --label shop=1"))["id"].as_str().unwrap().to_owned();
    let described = house.get("/api/v1/openapi.json", &viewer).await.json();
    let mut answered = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let at = path.replace("{id}", &id).replace("{appid}", ACCOUNT).replace("{name}", "ops");
        let said = house.get(&at, &viewer).await;
        let status = said.status.as_u16().to_string();
        assert!(operation["responses"].get(&status).is_some(), "{path}: {status} is not described");
        if status != "200" || schema.is_null() {
            continue;
        }
        answered += 1;
        let body = said.json();
        assert_eq!(misfits(&body, schema, &described, path), Vec::<String>::new());
        if path == "/api/v1/openapi.json" {
            continue;
        }
        let known = names(schema, &described);
        let unknown: Vec<&String> = body.as_object().unwrap().keys().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?} is not described");
    }
    assert!(answered >= 20, "{answered}");
    let plan = house.get("/api/v1/plan", &viewer).await.json();
    assert_eq!(plan["per_second"], house.json("plan")["per_second"]);
    let account = house.get(&format!("/api/v1/accounts/{ACCOUNT}"), &viewer).await.json();
    assert_eq!(account["account"], house.json(&format!("account show {ACCOUNT}"))["account"]);
    let unknown = house.get("/api/v1/accounts/wx00000000000000ff", &viewer).await;
    assert_eq!(unknown.problem(), (404, "account_unknown".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_works_below_a_base() {
    let house = House::open("base_path = \"/x/y\"").await;
    let viewer = house.viewer().await;
    for program in ["wx0000000000000001", "wx0000000000000002"] {
        house.json(&format!("request link {ACCOUNT} {program}"));
    }
    let page = house.get("/api/v1/requests?limit=1", &viewer).await;
    assert!(page.header("link").starts_with("</x/y/api/v1/requests?limit=1&after="), "{page:?}");
    assert_eq!(house.get("/api/v1/openapi.json", &viewer).await.json()["servers"][0]["url"], "/x/y");
    let root = format!("http://127.0.0.1:{}", house.port);
    let at = async |path: &str| house.client.get(format!("{root}{path}")).send().await.unwrap().status().as_u16();
    for probe in ["/livez", "/readyz", "/x/y/livez", "/x/y/readyz"] {
        assert_eq!(at(probe).await, 200, "{probe}");
    }
    for outside in ["/api/v1/requests", "/x/api/v1/requests", "/x/yz/api/v1/requests", "/x/y/livez/api"] {
        assert_eq!(at(outside).await, 404, "{outside}");
    }
}
