//! What an audit says of files to which something happened that must not happen.

use serde_json::{Value, json};

use super::{ACCOUNT, Desk, OTHER, PROGRAM};

/// A fault, made by hand, and the rule that finds it.
const FAULTS: [(&str, &str); 25] = [
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
    ("aged_unchecked", "UPDATE request SET state = 'awaiting_account_admin', since = unixepoch() * 1000 - 172800000"),
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

/// Faults of a daemon that keeps the platform's tokens itself.
const OF_PLATFORM: [(&str, &str); 6] = [
    (
        "push_left",
        "INSERT INTO push (id, appid, kind, made, at, code)
         SELECT printf('%064d', 7), account, 'authorized', 1, 1, x'01' FROM account",
    ),
    ("token_task_left", "INSERT INTO token_task (kind, at) VALUES ('sync', 1)"),
    (
        "claim_left",
        "INSERT INTO authorizer (appid, state, since, claimed_by, claimed_until)
         SELECT account, 'authorized', 1, 'somebody', 1 FROM account",
    ),
    (
        "unauthorized_active",
        "INSERT INTO authorizer (appid, state, since) SELECT account, 'unauthorized', 1 FROM account;
         UPDATE account SET since = 1",
    ),
    (
        "authorized_suspended",
        "INSERT INTO authorizer (appid, state, since, token, token_until, permissions)
         SELECT account, 'authorized', 1, x'01', 1, '[1,33]' FROM account;
         UPDATE account SET state = 'suspended', suspended_by = 'wechat', errcode = 61003, since = 1",
    ),
    (
        "bad_row",
        "PRAGMA ignore_check_constraints = 1;
         INSERT INTO authorizer (appid, state, since, refresh) SELECT account, 'unauthorized', 1, x'5ec7e7' FROM account",
    ),
];

#[test]
fn every_rule_of_a_platform_finds_its_fault_and_none_where_somebody_else_keeps_tokens() {
    let platform = "[database]\nurl = \"sqlite:a.db\"\n[tokens]\nsource = \"component\"\n[component]\n\
                    appid = \"wxcccccccccccccccc\"\nsecret_file = \"s\"\nmessage_token_file = \"t\"\naes_key_file = \"a\"\n\
                    [secrets]\nkey_file = \"k\"\n";
    for (rule, fault) in OF_PLATFORM {
        let desk = Desk::new();
        desk.write("amplinkd.toml", platform);
        desk.link(ACCOUNT, PROGRAM);
        assert_eq!(desk.json("audit"), json!([]), "{rule}");
        desk.sql(fault);
        let said = desk.run("audit -o json");
        assert_eq!(said.code, 3, "{rule}: {}", said.err);
        let found: Value = serde_json::from_str(&said.out).expect("JSON");
        let found: Vec<&Value> = found.as_array().expect("rows").iter().filter(|row| row["rule"] == rule).collect();
        assert_eq!(found.len(), 1, "{rule}: {}", said.out);
        assert!(found[0]["finding"].as_str().is_some_and(|finding| finding.contains(": ")), "{rule}: {found:?}");
        assert!(!said.out.contains("5EC7E7"), "what is sealed is not shown: {}", said.out);
        desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
        let said = desk.run("audit -o json");
        assert_eq!(said.out.contains(rule), rule == "bad_row", "{rule}: {}", said.out);
    }
}

#[test]
fn a_request_that_was_looked_at_or_is_too_young_is_no_finding() {
    let aged = |state: &str, hours: u32| {
        format!("UPDATE request SET state = '{state}', since = unixepoch() * 1000 - {hours} * 3600000")
    };
    let looked_at = [
        "INSERT INTO vigil (request_id, due_at) SELECT id, 7258118400000 FROM request",
        "INSERT INTO alert (id, key, rule, reason, state, request_id, since, fired_at, message_en, message_zh)
         SELECT 'a', 'stuck/account_admin/' || id, 'stuck', 'stuck.account_admin', 'firing', id, since, 1, 'en', 'zh' FROM request",
        "INSERT INTO alert (id, key, rule, reason, state, request_id, since, fired_at, resolved_at, resolution, message_en, message_zh)
         SELECT 'a', 'stuck/unread/' || id, 'stuck', 'stuck.unread', 'resolved', id, since, 1, 2, 'operator', 'en', 'zh' FROM request",
    ];
    let is_found = |desk: &Desk| desk.run("audit -o json").out.contains("aged_unchecked");
    for seen in looked_at {
        let desk = Desk::new();
        desk.link(ACCOUNT, PROGRAM);
        desk.sql(&aged("awaiting_account_admin", 48));
        assert!(is_found(&desk), "{seen}");
        desk.sql(seen);
        assert!(!is_found(&desk), "{seen}");
    }
    for (state, hours, wanted) in [
        ("awaiting_account_admin", 24, false),
        ("awaiting_account_admin", 25, true),
        ("awaiting_program_admin", 48, false),
        ("awaiting_program_admin", 49, true),
        ("initiated", 1, false),
        ("initiated", 2, true),
    ] {
        let desk = Desk::new();
        desk.link(ACCOUNT, PROGRAM);
        desk.sql(&aged(state, hours));
        assert_eq!(is_found(&desk), wanted, "{state} for {hours} h");
    }
    let desk = Desk::new();
    desk.write(
        "amplinkd.toml",
        "[database]\nurl = \"sqlite:a.db\"\n[alerts]\nstuck_after = { account_admin = \"3d\" }\n",
    );
    desk.link(ACCOUNT, PROGRAM);
    desk.sql(&aged("awaiting_account_admin", 48));
    assert!(!is_found(&desk), "three days are allowed");
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
    for (rule, _) in FAULTS.into_iter().chain(OF_PLATFORM) {
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
