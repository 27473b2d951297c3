//! Alerts at the command line: rows as the daemon writes them, and what people do to them.

use serde_json::{Value, json};

use super::{ACCOUNT, Desk, NOBODY, OTHER, PROGRAM};

const FIRING: &str = "0197c2d6-0000-7000-8000-000000000001";
const TAKEN: &str = "0197c2d6-0000-7000-8000-000000000002";
const PUT_OFF: &str = "0197c2d6-0000-7000-8000-000000000003";
const OVER: &str = "0197c2d6-0000-7000-8000-000000000004";

/// A desk with an alert in each state; the first is about a request.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO alert (id, key, rule, reason, request_id, account, program, state, since, fired_at,
                            acknowledged_at, snoozed_until, resolved_at, resolution, notify_at, message_en, message_zh)
         VALUES ('0197c2d6-0000-7000-8000-000000000001', 'stuck/a/1', 'stuck', 'stuck.account_admin',
                 (SELECT id FROM request), 'wx0123456789abcdef', NULL, 'firing', 1000, 2000, NULL, NULL, NULL, NULL,
                 9000, 'the account''s administrator must agree', 'zh'),
                ('0197c2d6-0000-7000-8000-000000000002', 'stuck/a/2', 'stuck', 'stuck.unlink', NULL,
                 'wx00000000000000aa', NULL, 'acknowledged', 1000, 2000, 3000, NULL, NULL, NULL, NULL, 'two', 'zh'),
                ('0197c2d6-0000-7000-8000-000000000003', 'rejected/3', 'rejected', 'rejected', NULL, NULL, NULL,
                 'snoozed', 1000, 2000, NULL, 3000, NULL, NULL, 3000, 'three', 'zh'),
                ('0197c2d6-0000-7000-8000-000000000004', 'failed/4', 'failed', 'failed', NULL, NULL, NULL,
                 'resolved', 1000, 2000, NULL, NULL, 4000, 'over', NULL, 'four', 'zh')",
    );
    desk
}

fn ids(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().filter_map(|row| row["id"].as_str()).collect()
}

#[test]
fn open_alerts_are_listed_newest_first_unless_another_state_is_asked_for() {
    let desk = desk();
    let list = |filters: &str| desk.json(&format!("alert list {filters}"));
    assert_eq!(ids(&list("")), [PUT_OFF, TAKEN, FIRING]);
    assert_eq!(ids(&list("--limit 2")), [PUT_OFF, TAKEN]);
    assert_eq!(ids(&list("--state all")), [OVER, PUT_OFF, TAKEN, FIRING]);
    assert_eq!(ids(&list("--state resolved")), [OVER]);
    assert_eq!(ids(&list("--rule stuck")), [TAKEN, FIRING]);
    assert_eq!(ids(&list("--rule failed")), [""; 0]);
    assert_eq!(ids(&list("--rule failed --state all")), [OVER]);
    assert_eq!(ids(&list(&format!("--account {OTHER}"))), [TAKEN]);
    let request = list("")[2]["request_id"].as_str().expect("a request").to_owned();
    assert_eq!(ids(&list(&format!("--request {request}"))), [FIRING]);
    assert_eq!(ids(&list(&format!("--request {NOBODY}"))), [""; 0]);
    for wrong in ["alert list --state open,firing", "alert list --rule nonsense", "alert show 12"] {
        assert_eq!(desk.run(wrong).code, 2, "{wrong}");
    }
}

#[test]
fn every_way_of_printing_has_every_alert() {
    let desk = desk();
    let table = desk.run("alert list --limit 2").well();
    assert!(table.out.contains("three") && !table.out.contains("administrator"), "{}", table.out);
    assert!(table.err.contains("there are more; --limit 0 shows all"), "{}", table.err);
    assert_eq!(desk.run("alert list --limit 3").well().err, "");
    let csv = desk.run("alert list -o csv").well().out;
    assert!(csv.starts_with("id,key,rule,request_id,account,state,since,fired_at,acknowledged_at,"), "{csv}");
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn an_alert_is_shown_with_what_became_of_its_messages() {
    let desk = desk();
    desk.sql(
        "INSERT INTO log (id, type, subject, partition_key, at, data)
         VALUES ('e1', 'amplinkd.alert.fired', 's', 'stuck', 2000,
                 '{\"alerts\":[{\"alert\":\"0197c2d6-0000-7000-8000-000000000001\"}]}'),
                ('e2', 'amplinkd.alert.fired', 's', 'stuck', 2000, '{\"alerts\":[{\"alert\":\"another\"}]}');
         INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at, last_error)
         VALUES ('d1', 'e1', 1, 'stuck', 'ops', 'pending', 2000, 9000, 'HTTP 502'),
                ('d2', 'e2', 2, 'stuck', 'ops', 'pending', 2000, 9000, NULL)",
    );
    let shown = desk.json(&format!("alert show {FIRING}"));
    assert_eq!((&shown["reason"], &shown["message_zh"]), (&json!("stuck.account_admin"), &json!("zh")));
    assert_eq!(ids(&shown["deliveries"]), ["d1"]);
    let table = desk.run(&format!("alert show {FIRING}")).well().out;
    assert!(table.contains("LAST ERROR") && table.contains("HTTP 502"), "{table}");
    desk.run(&format!("alert show {NOBODY}")).refused(1, "there is no alert");
}

#[test]
fn whoever_takes_an_alert_is_not_told_again() {
    let desk = desk();
    let taken = desk.json(&format!("alert ack {FIRING} {PUT_OFF}"));
    assert!(taken.as_array().into_iter().flatten().all(|row| row["state"] == "acknowledged"), "{taken}");
    assert_eq!(taken[0]["notify_at"], json!(null));
    assert_eq!(desk.number("SELECT count(*) FROM alert WHERE acknowledged_at > 3000 AND version = 1"), 2);
    let again = desk.run(&format!("alert ack {FIRING}")).well();
    assert!(again.err.contains("1 alert already acknowledged: nothing was changed"), "{}", again.err);
    desk.run(&format!("alert ack {NOBODY}")).refused(1, "there is no alert");
    desk.run(&format!("alert ack {OVER}")).refused(1, "is already resolved: nothing to acknowledge");
    let said = desk.run(&format!("alert ack {NOBODY} {TAKEN} {OVER}"));
    assert!(said.code == 1 && said.out.contains(TAKEN) && said.err.contains("could not acknowledge 2 alerts"));
}

#[test]
fn an_alert_is_put_off_for_a_while_or_until_a_time() {
    let desk = desk();
    for (wrong, words) in
        [("", "--for"), ("--for soon", "a duration such as"), ("--for 1h --until x", "cannot be used")]
    {
        let said = desk.run(&format!("alert snooze {FIRING} {wrong}"));
        assert!(said.code == 2 && said.err.contains(words), "{}", said.err);
    }
    desk.run(&format!("alert snooze {FIRING} --until 2001-01-01T09:00")).refused(2, "is in the past");
    desk.run(&format!("alert snooze {FIRING} --until later")).refused(2, "expected a time such as");
    let off = desk.json(&format!("alert snooze {FIRING} {TAKEN} --until 2099-03-05T09:00"));
    for row in off.as_array().into_iter().flatten() {
        let times = (&row["state"], &row["snoozed_until"], &row["notify_at"]);
        // Beijing is the default.
        let then = json!("2099-03-05T01:00:00.000Z");
        assert_eq!(times, (&json!("snoozed"), &then, &then));
    }
    desk.run(&format!("alert snooze {PUT_OFF} --for 4h")).well();
    let hours = "SELECT (snoozed_until / 3600000) - (SELECT max(requested_at) / 3600000 FROM request) FROM alert
                 WHERE rule = 'rejected'";
    assert!((3..=5).contains(&desk.number(hours)));
}

#[test]
fn an_operator_ends_alerts_and_the_watch_hears_of_it() {
    let desk = desk();
    let over = desk.json(&format!("alert resolve {FIRING} {TAKEN}"));
    for row in over.as_array().into_iter().flatten() {
        assert_eq!((&row["state"], &row["resolution"]), (&json!("resolved"), &json!("operator")));
        // Who never heard of it needs no word of its end.
        let was_told = row["notified_at"].is_string();
        assert_eq!(row["notify_at"], if was_told { row["resolved_at"].clone() } else { json!(null) }, "{row}");
    }
    desk.run(&format!("alert resolve {FIRING}")).refused(1, "is already resolved: nothing to resolve");
}

#[test]
fn changing_many_needs_a_filter_and_a_word() {
    let desk = desk();
    desk.run("alert resolve").refused(2, "which alerts to resolve?");
    desk.run(&format!("alert resolve {FIRING} --rule stuck")).refused(2, "not both");
    desk.run("alert resolve --rule stuck").refused(1, "this would resolve 2 alerts: use --yes");
    desk.run("alert ack --state resolved --yes").refused(2, "cannot acknowledge an alert that is resolved");
    let dry = desk.run("alert ack --rule stuck --dry-run -o json").well();
    // One of the two is acknowledged already.
    assert!(dry.err.contains("1 alert to acknowledge; nothing was changed"), "{}", dry.err);
    assert_eq!(desk.number("SELECT count(*) FROM alert WHERE version > 0"), 0);
    assert_eq!(ids(&desk.json("alert resolve --rule stuck --yes")), [FIRING, TAKEN]);
    assert_eq!(desk.number("SELECT count(*) FROM alert WHERE resolution = 'operator'"), 2);
    let none = desk.run("alert resolve --rule stuck --yes").well();
    assert!(none.err.contains("0 alerts to resolve"), "{}", none.err);
}
