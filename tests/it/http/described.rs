//! The description against the table of routes, and against the file that people read.

use std::collections::BTreeSet;

use amplinkd::http::api::{description, table::ROUTES};
use serde_json::Value;

/// Set to any value, the test writes the file anew.
const REWRITE: &str = "AMPLINKD_WRITE_OPENAPI";

fn described() -> Value {
    serde_json::to_value(description()).unwrap()
}

#[test]
fn every_route_is_described_and_stands_in_the_table() {
    let described = described();
    let (mut found, mut operations) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone()));
            let place = format!("{method} {path}");
            let has_text = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
            assert!(has_text(&operation["summary"]) && has_text(&operation["operationId"]), "{place}");
            assert!(operation["security"].is_array(), "{place}");
            assert!(operations.insert(operation["operationId"].to_string()), "{place}: its name is another's, too");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(has_text(&parameter["description"]) && parameter["schema"].is_object(), "{place}: {parameter}");
            }
            let in_path: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let named = |name: &str| {
                operation["parameters"].as_array().into_iter().flatten().any(|parameter| {
                    parameter["name"] == name && parameter["in"] == "path" && parameter["required"] == true
                })
            };
            assert!(in_path.iter().all(|name| named(name)), "{place}: a parameter of the path is not described");
        }
    }
    let table: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    assert_eq!(found, table);
}

#[test]
fn every_body_is_described_whole() {
    let described = described();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1."));
    let schemas = described["components"]["schemas"].as_object().unwrap();
    let sent = described["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let sent: Vec<String> = sent.map(|operation| operation["requestBody"].to_string()).collect();
    let is_sent = |name: &str| sent.iter().any(|body| body.contains(&format!("schemas/{name}\"")));
    for (name, schema) in schemas {
        for object in schema["allOf"].as_array().into_iter().flatten().chain([schema]) {
            let members: Vec<&String> =
                object["properties"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
            let required: Vec<&str> =
                object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let is_whole = members.iter().all(|member| required.contains(&member.as_str()));
            let is_partial = ["Beside", "BulkAsked", "Problem", "NewRequest"].contains(&name.as_str()) || is_sent(name);
            assert!(is_whole || is_partial, "{name}: {required:?} of {members:?}");
        }
    }
    // Whatever is referred to is there.
    let text = described.to_string();
    for (at, _) in text.match_indices("\"$ref\":\"#") {
        let pointer = text[at + "\"$ref\":\"#".len()..].split('"').next().unwrap();
        assert!(described.pointer(pointer).is_some(), "{pointer}");
    }
    let request = &schemas["RequestView"]["properties"];
    assert_eq!(request["since"]["format"], "date-time");
    assert_eq!(request["errcode"]["type"], serde_json::json!(["integer", "null"]));
    assert_eq!(request["labels"]["additionalProperties"]["type"], "string");
}

#[test]
fn the_description_that_people_read_is_the_one_in_force() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let ours = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    let is_to_be_written = std::env::var_os(REWRITE).is_some();
    if is_to_be_written {
        std::fs::write(file, &ours).unwrap();
    }
    let theirs = std::fs::read_to_string(file).unwrap_or_default();
    assert!(ours == theirs, "docs/openapi.json is another: {REWRITE}=1 cargo test --test it http::described writes it");
}
