//! docs/http.md against the routes and the problems that there are. Its two tables are printed by this test.

use amplinkd::{
    domain::text::Language,
    http::api::{
        description,
        table::{Access, ROUTES},
        word::Word,
    },
};
use serde_json::Value;

/// Set to any value, the test writes the tables anew.
const REWRITE: &str = "AMPLINKD_WRITE_OPENAPI";

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md");

fn routes() -> String {
    let described: Value = serde_json::to_value(description()).unwrap();
    let mut rows = vec!["| method and path | who, scope | what |\n|---|---|---|\n".to_owned()];
    for route in ROUTES {
        let who = match route.access {
            Access::Open => "anybody".to_owned(),
            Access::Anyone => "signed in".to_owned(),
            Access::May(role, scope) => {
                format!("{} `{scope}`", role.as_str().chars().next().unwrap().to_ascii_uppercase())
            }
        };
        let operation = &described["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
        let summary = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
        let what = summary.trim_end_matches('.');
        rows.push(format!("| `{} {path}` | {who} | {what} |\n", route.method));
    }
    rows.concat()
}

fn problems() -> String {
    let mut rows = vec!["| `code` | status | what it means |\n|---|---|---|\n".to_owned()];
    for word in Word::ALL {
        let detail = word.detail();
        let (code, status, detail) = (word.as_str(), word.status().as_u16(), detail.pick(Language::En));
        let also = if *word == Word::Changed { ", 412 with `If-Match`" } else { "" };
        rows.push(format!("| `{code}` | {status}{also} | {} |\n", detail.replace('|', "\\|")));
    }
    rows.concat()
}

/// The text between two marks, and where it stands.
fn between<'t>(text: &'t str, name: &str) -> (usize, &'t str) {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let start = text.find(&begin).expect("the mark before it") + begin.len();
    let length = text[start..].find(&end).expect("the mark after it");
    (start, &text[start..start + length])
}

#[test]
fn every_route_and_every_problem_is_documented() {
    let mut text = std::fs::read_to_string(FILE).unwrap();
    for (name, table) in [("routes", routes()), ("problems", problems())] {
        let (start, found) = between(&text, name);
        if std::env::var_os(REWRITE).is_some() {
            let end = start + found.len();
            text.replace_range(start..end, &table);
            std::fs::write(FILE, &text).unwrap();
        } else {
            assert!(found == table, "{name}: {REWRITE}=1 cargo test --test it http::documented writes it");
        }
    }
}
