//! Histories that anybody can check: the proof, what is found when somebody changed a row, and the recipe of the documents.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use amplinkd::domain::history::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ACCOUNT, Desk, NOBODY, PROGRAM};
use crate::skip::skipped;

const DOCUMENT: &str = include_str!("../../../docs/database.md");

fn desk_with_a_history() -> (Desk, String) {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.run(&format!("request cancel {id}")).well();
    (desk, id)
}

fn sha(row: &[Value]) -> Value {
    hex(&Sha256::digest(serde_json::to_vec(row).expect("JSON"))).into()
}

/// Checks a proof without us; how many steps it has, and the head to which they lead.
pub(super) fn checked(proof: &Value) -> (usize, Value) {
    let asked = ["id", "kind", "account", "program", "notify_users", "show_profile", "requested_at", "retry_of"];
    let step = ["request_id", "seq", "from_state", "to_state", "at", "cause", "status", "errcode", "detail"];
    let mut head = sha(&columns(&proof["request"], &asked));
    let steps = proof["transitions"].as_array().expect("steps");
    for row in steps {
        head = sha(&[vec![head], columns(row, &step)].concat());
        assert_eq!(row["hash"], head);
    }
    assert_eq!(proof["head"]["hash"], head);
    (steps.len(), head)
}

fn columns(of: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| of[name].clone()).collect()
}

#[test]
fn a_proof_is_checked_without_us() {
    let (desk, id) = desk_with_a_history();
    let proof = desk.json(&format!("request history {id} --proof"));
    let (steps, head) = checked(&proof);
    assert_eq!((steps, &proof["findings"]), (2, &json!([])));
    assert_eq!(desk.json(&format!("request history {id}"))[1]["hash"], head);
    // The same document whoever reads it.
    assert!(desk.run(&format!("request history {id} --proof")).well().out.contains("\"rule\""));
    assert_eq!(desk.run(&format!("request history {id} --proof -o jsonl")).well().out.lines().count(), 1);
    desk.run(&format!("request history {id} --proof -o csv")).refused(2, "one JSON document");
    desk.run(&format!("request history {NOBODY} --proof")).refused(1, "there is no request");
}

#[test]
fn the_recipe_of_the_documents_checks_a_proof() {
    let (desk, id) = desk_with_a_history();
    let recipe = DOCUMENT.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a recipe");
    let proof = desk.run(&format!("request history {id} --proof")).well().out;
    let check = |proof: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", recipe]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = python.spawn().ok()?;
        child.stdin.take().expect("a pipe").write_all(proof.as_bytes()).expect("it reads");
        Some(child.wait_with_output().expect("it ends"))
    };
    let Some(said) = check(&proof) else { return skipped("no `python3`") };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.starts_with("2 steps hold"), "{text}");
    let changed = proof.replace("nothing had been sent", "something had been sent");
    assert!(changed != proof && check(&changed).is_some_and(|said| !said.status.success()));
}

#[test]
fn whatever_somebody_changes_is_found() {
    let changes = [
        ("UPDATE transition SET at = at + 1 WHERE seq = 1", "step 1 was changed"),
        ("UPDATE transition SET detail = 'x' WHERE seq = 2", "step 2 was changed"),
        ("UPDATE transition SET hash = zeroblob(32) WHERE seq = 1", "step 1 was changed"),
        ("DELETE FROM transition WHERE seq = 1", "steps are missing"),
        ("DELETE FROM transition WHERE seq = 2", "its state is cancelled, its history ends in requested"),
        ("DELETE FROM transition", "it has no history"),
        ("UPDATE request SET program = 'wx00000000000000ab'", "step 1 was changed"),
        ("UPDATE request SET state = 'lapsed'", "its state is lapsed, its history ends in cancelled"),
        ("UPDATE request SET since = since - 1, finished_at = finished_at - 1", "it is cancelled since"),
        ("UPDATE request SET attempt = 1", "it counts 1 calls, its history 0"),
        ("UPDATE request SET called_at = 1", "when it was called"),
        ("UPDATE request SET chain = zeroblob(32)", "steps were added or taken away"),
    ];
    for (change, finding) in changes {
        let (desk, id) = desk_with_a_history();
        assert!(desk.run("db verify").well().err.contains("no problems found"));
        desk.sql(change);
        let said = desk.run("db verify -o json");
        assert_eq!(said.code, 3, "{change}: {}", said.err);
        let found: Value = serde_json::from_str(&said.out).expect("JSON");
        let text = found[0]["finding"].as_str().unwrap_or_default();
        assert!(found[0]["id"] == id.as_str() && text.contains(finding), "{change}: {found}");
        assert_eq!(desk.run(&format!("request history {id} --proof")).code, 3, "{change}");
    }
}

/// Who can write the file can hash anew; what nobody can do then is make a move that no request makes.
#[test]
fn a_chain_that_was_made_anew_still_has_to_be_a_possible_story() {
    let (desk, id) = desk_with_a_history();
    let proof = desk.json(&format!("request history {id} --proof"));
    let mut row = proof["transitions"][1].clone();
    row["to_state"] = "linked".into();
    let step = ["request_id", "seq", "from_state", "to_state", "at", "cause", "status", "errcode", "detail"];
    let hash = sha(&[vec![proof["transitions"][0]["hash"].clone()], columns(&row, &step)].concat());
    let hash = hash.as_str().expect("a hash").to_owned();
    desk.sql(Box::leak(
        format!(
            "UPDATE transition SET to_state = 'linked', hash = unhex('{hash}') WHERE seq = 2;
             UPDATE request SET state = 'linked', chain = unhex('{hash}')"
        )
        .into_boxed_str(),
    ));
    let said = desk.run("db verify");
    assert!(said.code == 3 && said.out.contains("no link can"), "{}", said.out);
}
