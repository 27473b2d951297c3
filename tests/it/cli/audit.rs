//! What an audit says of files to which something happened that must not happen.

use serde_json::{Value, json};

use super::{ACCOUNT, Desk, OTHER, PROGRAM};

/// A fault, made by hand, and the rule that finds it.
const FAULTS: [(&str, &str); 24] = [
    ("no_next_step", "UPDATE account SET next_check_at = NULL"),
    ("overdue", "UPDATE account SET next_check_at = 1"),
    ("deferred_overdue", "UPDATE request SET state = 'deferred', deferred_until = 1"),
    ("call_unanswered", "UPDATE request SET state = 'initiating', since = 1"),
    (
        "conflict_left_open",
        "UPDATE request SET state = 'lapsed', finished_at = 1, since = 1;
         INSERT INTO conflict (id, request_id, kind, at, our_state) SELECT 'c', id, 'adopted', 1, state FROM request",
    ),
    ("wakeup_left", "UPDATE wakeup SET at = 1"),
    (
        "delivery_stuck",
        "INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, next_at)
         SELECT 'd', id, seq, partition_key, 'on-call', 'pending', 1, 1 FROM outbox",
    ),
    ("event_unread", "INSERT INTO watch (one, seq, policy) VALUES (1, 0, ''); UPDATE outbox SET at = 1"),
    ("vigil_overdue", "INSERT INTO vigil (request_id, due_at) SELECT id, 1 FROM request"),
    ("unread", "UPDATE account SET unread_since = 1, failures = 3, trouble = 'unreadable', last_error = 'no list'"),
    (
        "alert_untold",
        "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, notify_at, message_en, message_zh)
         VALUES ('a', 'k', 'stuck', 'stuck.unlink', 'firing', 1, 1, 1, 'en', 'zh')",
    ),
    ("bad_row", "PRAGMA ignore_check_constraints = 1; UPDATE account SET trouble = 'odd'"),
    (
        "bad_row",
        "PRAGMA ignore_check_constraints = 1;
         INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh)
         VALUES ('a', 'k', 'stuck', 'stuck.unlink', 'snoozed', 1, 1, 'en', 'zh')",
    ),
    (
        "bad_row",
        "PRAGMA ignore_check_constraints = 1;
         INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('moon', 'all', 1, 1, '', 1)",
    ),
    (
        "bad_row",
        "PRAGMA ignore_check_constraints = 1;
         INSERT INTO pace (one, stretch, late_ms, at) VALUES (1, 1, 1, 1)",
    ),
    (
        "bad_row",
        "PRAGMA writable_schema = 1;
         UPDATE sqlite_schema SET sql = replace(sql, ', STRICT', '') WHERE name = 'vigil';
         PRAGMA writable_schema = RESET;
         INSERT INTO vigil (request_id, due_at) SELECT id, 'soon' FROM request",
    ),
    ("cron_silent", "INSERT INTO job (name, due_at) VALUES ('audit', 1)"),
    ("copy_waits", "INSERT INTO copy (made_at) VALUES (1)"),
    (
        "import_left",
        "INSERT INTO import (id, state, begun_at, beat_at, accepted_at) VALUES (1, 'accepted', 1, 1, 1);
         INSERT INTO import_line (import, id, kind, account, program, notify_users, show_profile, requested_at, labels,
                                  chain)
         SELECT 1, 'l', kind, account, 'wxp', 0, 0, 1, '{}', chain FROM request",
    ),
    ("state_without_history", "DELETE FROM transition"),
    ("state_differs", "UPDATE request SET state = 'initiated'"),
    ("state_differs", "UPDATE request SET since = since + 1"),
    ("chain_broken", "UPDATE request SET chain = zeroblob(32)"),
    (
        "chain_broken",
        "INSERT INTO transition (request_id, seq, from_state, to_state, at, cause, hash)
         SELECT request_id, 2, 'requested', 'cancelled', at, 'operator', zeroblob(32) FROM transition",
    ),
];

#[test]
fn every_rule_finds_its_fault_and_says_what_to_do() {
    for (rule, fault) in FAULTS {
        let desk = Desk::new();
        desk.link(ACCOUNT, PROGRAM);
        assert_eq!(desk.json("audit"), json!([]), "{rule}");
        desk.sql(fault);
        for command in ["audit -o json", "audit --all -o json"] {
            let said = desk.run(command);
            assert_eq!(said.code, 3, "{rule}: {}", said.err);
            let found: Value = serde_json::from_str(&said.out).expect("JSON");
            let found = found.as_array().expect("rows").iter().find(|row| row["rule"] == rule);
            let sentence = found.and_then(|row| row["finding"].as_str()).unwrap_or_default().to_owned();
            assert!(sentence.contains(": "), "{rule} says what is wrong and what to do: {sentence:?}");
            assert!(said.err.contains("no daemon runs on this database"), "{}", said.err);
        }
    }
}

#[test]
fn what_the_configuration_promises_people_is_what_is_looked_for() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n[alerts]\nunread_after = \"3650d\"\n");
    desk.link(ACCOUNT, PROGRAM);
    desk.sql("UPDATE account SET unread_since = since - 3600000, failures = 3, trouble = 'unreadable'");
    assert_eq!(desk.json("audit"), json!([]), "ten years are allowed");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
    assert_eq!(desk.run("audit").code, 3);
}

#[test]
fn the_help_names_every_rule() {
    let help = Desk::new().run("audit --help").well().out;
    for (rule, _) in FAULTS {
        assert!(help.contains(rule), "{rule}");
    }
}

#[test]
fn one_flooded_rule_hides_no_other() {
    let desk = Desk::new();
    let lines: Vec<String> = (0..300).map(|number| format!("wxa{number:015},{PROGRAM}\n")).collect();
    desk.write("many.csv", &format!("account,program\n{}", lines.concat()));
    desk.run("request import many.csv").well();
    desk.sql("UPDATE account SET next_check_at = 1; INSERT INTO job (name, due_at) VALUES ('audit', 1)");
    let said = desk.run("audit -o json");
    let found: Value = serde_json::from_str(&said.out).expect("JSON");
    let of = |rule: &str| found.as_array().into_iter().flatten().filter(|row| row["rule"] == rule).count();
    assert_eq!((of("overdue"), of("cron_silent")), (100, 1));
    assert!(said.err.contains("showing at most 100 findings of each rule"), "{}", said.err);
}

#[test]
fn every_history_comes_up_in_turn() {
    let desk = Desk::new();
    let lines: Vec<String> =
        (0..45_000).map(|number| format!("wxa{:015},wxp{:015}\n", number / 50, number % 50)).collect();
    desk.write("many.csv", &format!("account,program\n{}", lines.concat()));
    desk.run("request import many.csv").well();
    desk.sql("UPDATE request SET chain = zeroblob(32) WHERE program = 'wxp000000000000007' AND account = 'wxa000000000000444'");
    assert_eq!(desk.run("audit --all").code, 3);
    let found = (0..60).find(|_| desk.run("audit").code == 3);
    assert!(found.is_some(), "three slices, and none of sixty audits met it");
    desk.run(&format!("request link {OTHER} {PROGRAM}")).well();
}
