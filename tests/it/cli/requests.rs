//! One request at the command line, from the asking to the end.

use std::time::Duration;

use serde_json::json;

use super::{ACCOUNT, Desk, NOBODY, OTHER, PROGRAM, Said, V_REQUEST};

#[test]
fn a_link_is_answered_with_one_object_that_has_the_columns_of_the_view() {
    let desk = Desk::new();
    let said = desk.run(&format!("request link {ACCOUNT} {PROGRAM} --label shop=12 --key k1 -o json")).well();
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert!(said.err.starts_with("note: no daemon is running: "), "{}", said.err);
    let mut at = 0;
    for column in V_REQUEST {
        at += said.out[at..].find(&format!("\"{column}\":")).unwrap_or_else(|| panic!("{column}: {}", said.out));
    }
    let request: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        (&request["state"], &request["waiting_on"], &request["kind"]),
        (&json!("requested"), &json!("us"), &json!("link"))
    );
    assert_eq!((&request["labels"], &request["outcome_unknown"]), (&json!({"shop": "12"}), &json!(false)));
    assert_eq!((&request["notify_users"], &request["show_profile"]), (&json!(false), &json!(false)));
    assert_eq!(desk.number("SELECT count(*) FROM v_transition"), 1);
}

#[test]
fn asking_again_is_answered_with_the_same_request() {
    let desk = Desk::new();
    let first = desk.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    let again = desk.run(&format!("request link {ACCOUNT} {PROGRAM} -o json --notify-users")).well();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again.out).expect("JSON")["id"], first["id"]);
    assert!(again.err.contains("already open since 20"), "{}", again.err);
    assert!(again.err.contains("every follower") && again.err.contains("keeps its original options"), "{}", again.err);
    let keyed = desk.json(&format!("request link {ACCOUNT} {OTHER} --key k1"));
    let again = desk.run(&format!("request link {ACCOUNT} {OTHER} --key k2 -o json")).well();
    assert!(again.out.contains(keyed["id"].as_str().expect("an id")), "{}", again.out);
    assert!(again.err.contains("\"k2\" was not saved") && again.err.contains("has the key \"k1\""), "{}", again.err);
    desk.run(&format!("request link {ACCOUNT} {OTHER} --label a=1 --label a=2")).refused(2, "\"a\" is given twice");
    let unlink = desk.json(&format!("request unlink {ACCOUNT} {PROGRAM}"));
    assert_ne!(unlink["id"], first["id"]);
    assert_eq!(unlink["kind"], "unlink");
}

#[test]
fn a_key_stands_for_one_request_even_after_its_end() {
    let desk = Desk::new();
    let request = desk.json(&format!("request link {ACCOUNT} {PROGRAM} --key k"));
    let id = request["id"].as_str().expect("an id");
    desk.run(&format!("request cancel {id}")).well();
    let again = desk.run(&format!("request link {ACCOUNT} {PROGRAM} --key k -o json")).well();
    assert!(again.out.contains(id) && again.err.contains("this key was used before"), "{}", again.err);
    desk.run(&format!("request link {ACCOUNT} {OTHER} --key k")).refused(1, "key \"k\" belongs to request");
    let long = "x".repeat(300);
    desk.run(&format!("request link {ACCOUNT} {OTHER} --key {long}")).refused(2, "at most 256 bytes");
    assert_eq!(desk.run(&format!("request link {ACCOUNT} {OTHER} --label =1")).code, 2);
}

#[test]
fn every_side_of_one_request_can_be_seen() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO conflict (id, request_id, kind, errcode, errmsg, at, our_state)
         SELECT '0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3c', id, 'invitation_already_out', 89010, 'sent', since, 'initiating' FROM request",
    );
    let shown = desk.run(&format!("request show {id}")).well().out;
    assert!(shown.contains("accepted") && shown.contains("invitation_already_out"), "{shown}");
    assert_eq!(desk.json(&format!("request show {id}"))["id"], id.as_str());
    let history = desk.json(&format!("request history {id}"));
    assert_eq!(
        (&history[0]["to_state"], &history[0]["from_state"], &history[0]["seq"]),
        (&json!("requested"), &json!(null), &json!(1))
    );
    assert_eq!(desk.json("conflict list --open")[0]["account"], ACCOUNT);
    assert_eq!(desk.json("conflict list --resolved"), json!([]));
    assert_eq!(desk.json("conflict show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3c")["request_id"], id.as_str());
    assert_eq!(
        desk.json(&format!("conflict list --request {id} --account {ACCOUNT}"))[0]["id"],
        "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3c"
    );
    desk.run(&format!("conflict show {NOBODY}")).refused(1, "there is no conflict");
    assert_eq!(desk.run("conflict show c2").code, 2);
    for command in ["show", "history", "explain", "cancel", "retry", "watch --until-settled"] {
        desk.run(&format!("request {command} {NOBODY}")).refused(1, &format!("there is no request {NOBODY}"));
    }
}

#[test]
fn an_explanation_says_who_must_act_and_what_a_retry_would_do() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let explained = desk.json(&format!("request explain {id}"));
    assert_eq!((&explained["id"], &explained["state"]), (&json!(id), &json!("requested")));
    let told = |desk: &Desk| {
        let sentences = desk.json(&format!("request explain {id}"))["sentences"].clone();
        let sentences: Vec<String> = serde_json::from_value(sentences).expect("sentences");
        sentences.join("\n")
    };
    assert!(
        told(&desk).contains("amplinkd acts next") && told(&desk).contains("A retry is not possible while it is open")
    );

    desk.sql("UPDATE request SET state = 'awaiting_account_admin', seen_status = 12, attempt = 1");
    assert!(told(&desk).contains("The account's administrator must act"), "{}", told(&desk));
    desk.sql("UPDATE request SET state = 'initiating', outcome_unknown = 1, attempt = 3, called_at = since");
    let lost = told(&desk);
    assert!(lost.contains("it fails, because all 3 calls are used") && lost.contains("the list decides"), "{lost}");
    desk.sql(
        "UPDATE request SET state = 'deferred', outcome_unknown = 0, deferred_until = 4102416000000, errcode = 89016,
                            errmsg = ''",
    );
    let deferred = told(&desk);
    assert!(deferred.contains("2100-01-01 00:00 Beijing time") && deferred.contains("89016"), "{deferred}");
    desk.sql(
        "UPDATE request SET state = 'failed', failure = 'refused', deferred_until = NULL, finished_at = since,
                            errcode = 89013",
    );
    let failed = told(&desk);
    assert!(
        failed.contains("the program is banned") && failed.contains("invites both administrators again"),
        "{failed}"
    );
    desk.sql("UPDATE request SET errcode = 4711");
    assert!(told(&desk).contains("4711, which is not documented"), "{}", told(&desk));
}

#[test]
fn an_explanation_tells_of_a_list_that_is_not_read_and_of_calls_that_are_held_back() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let told = |sql| {
        desk.sql(sql);
        desk.json(&format!("request explain {id}"))["sentences"].to_string()
    };
    let unread = told(
        "UPDATE account SET failures = 4, trouble = 'token', unread_since = 1795000000000, last_error = 'HTTP 502'",
    );
    for words in ["4 polls of the account failed", "HTTP 502", "check the token service", "account check wx0123"] {
        assert!(unread.contains(words), "{words}: {unread}");
    }
    let held = told(
        "UPDATE account SET failures = 0, trouble = NULL, unread_since = NULL, last_error = NULL, call_failures = 3,
                calls_refused_since = 1795000000000, call_after = 4102444800000, call_error = 'errcode 45011'",
    );
    for words in ["last 3 calls were refused", "errcode 45011", "No call is made for it before 2100-01-01T00:00:00Z"] {
        assert!(held.contains(words), "{words}: {held}");
    }
    assert!(!held.contains("has not been readable since"), "{held}");
}

#[test]
fn an_account_can_be_suspended_and_resumed() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    assert_eq!(desk.json(&format!("account suspend {ACCOUNT}"))["suspended_by"], "operator");
    let told = desk.run(&format!("request explain {id}")).well().out;
    assert!(told.contains("suspended by an operator"), "{told}");
    assert!(told.contains("account resume"), "{told}");
    let again = desk.run(&format!("account suspend {ACCOUNT}")).well();
    assert!(again.err.contains("already suspended by an operator"), "{}", again.err);
    assert_eq!(desk.json("account list --state suspended")[0]["account"], ACCOUNT);
    assert_eq!(desk.json(&format!("account resume {ACCOUNT}"))["state"], "active");
    let again = desk.run(&format!("account resume {ACCOUNT}")).well();
    assert!(again.err.contains("is not suspended"), "{}", again.err);
    assert_eq!(desk.json("account list --state suspended"), json!([]));
    assert_eq!(desk.json(&format!("account show {ACCOUNT}"))["open_requests"], 1);
    assert!(desk.run("account list").well().out.contains(ACCOUNT));
    for verb in ["show", "suspend", "resume", "check"] {
        desk.run(&format!("account {verb} {OTHER}")).refused(1, &format!("account {OTHER} is not known"));
    }
}

#[test]
fn programs_are_listed_as_they_were_last_seen() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO program (account, item, program, username, status, nickname, status_since, first_seen_at)
         SELECT account, 'gh_a', 'wxfedcba9876543210', 'gh_a', 12, 'Shop', since, since FROM account
         UNION ALL SELECT account, 'gh_b', NULL, 'gh_b', 1, 'Tools', since, since FROM account",
    );
    assert_eq!(desk.json("program list").as_array().map(Vec::len), Some(2));
    let of_program = desk.json(&format!("program list --program {PROGRAM} --account {ACCOUNT}"));
    assert_eq!((of_program.as_array().map(Vec::len), &of_program[0]["status"]), (Some(1), &json!(12)));
    assert_eq!(desk.json(&format!("program list --account {OTHER}")), json!([]));
    assert!(desk.run("program list").well().out.contains("12 account_admin"));
}

#[test]
fn a_watch_tells_of_steps_and_ends_with_its_request() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let mut watch = desk.command(&format!("request watch -o jsonl --until-settled {id}"));
    let watching = std::thread::spawn(move || watch.timeout(Duration::from_mins(1)).output());
    // It begins with what comes after its start, and tells nobody when that is.
    std::thread::sleep(Duration::from_secs(2));
    desk.link(ACCOUNT, OTHER);
    desk.run(&format!("request cancel {id}")).well();
    let said = Said::from(watching.join().expect("it ends").expect("it runs")).well();
    let step: serde_json::Value = serde_json::from_str(said.out.trim()).expect(&said.out);
    assert_eq!(
        (&step["request_id"], &step["to_state"], &step["cause"]),
        (&json!(id), &json!("cancelled"), &json!("operator"))
    );
    let settled = desk.run(&format!("request watch --until-settled {id}")).well();
    assert!(settled.err.contains("already finished"), "{}", settled.err);
}

#[test]
fn people_see_the_zone_of_the_messages_and_programs_see_utc() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.sql("UPDATE request SET since = 1772366400000, requested_at = 1772366400000");
    let shown = desk.run(&format!("request show {id}")).well().out;
    assert!(shown.contains("2026-03-01 20:00:00 +08:00") && !shown.contains("2026-03-01T"), "{shown}");
    let explained = desk.run(&format!("request explain {id}")).well().out;
    assert!(explained.contains("2026-03-01 20:00:00 +08:00"), "{explained}");
    assert_eq!(desk.json(&format!("request show {id}"))["since"], "2026-03-01T12:00:00.000Z");
    assert!(desk.run(&format!("request show {id} -o csv")).well().out.contains("2026-03-01T12:00:00.000Z"));
    let again = desk.run(&format!("request link {ACCOUNT} {PROGRAM}")).well().err;
    assert!(again.contains("open since 2026-03-01 20:00:00 +08:00"), "{again}");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n[alerts]\ntimezone = \"America/New_York\"\n");
    let elsewhere = desk.run(&format!("request show {id}")).well().out;
    assert!(elsewhere.contains("2026-03-01 07:00:00 -05:00"), "{elsewhere}");
    let history = desk.run(&format!("request history {id}")).well().out;
    assert!(history.contains("-05:00") || history.contains("-04:00"), "{history}");
    assert!(
        desk.run("status").out.lines().next().is_some_and(|line| line.contains("-05:00") || line.contains("-04:00"))
    );
}
