//! Ids by their endings, wherever a command asks for one; results that cannot be written, and those without rows.

use std::fs::File;

use serde_json::Value;

use super::{ACCOUNT, Desk, OTHER, PROGRAM, Said};

/// The ends of the ids that the rows below have.
const ALERT: &str = "0000000a0001";
const CONFLICT: &str = "0000000c0001";
const MESSAGE: &str = "0000000d0001";

/// A desk with one request, one alert and one conflict of it, and a message that was given up; answers the request's id.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.write(
        "amplinkd.toml",
        "[database]\nurl = \"sqlite:a.db\"\n[[alerts.channel]]\nname = \"ops\"\nkind = \"log\"\n",
    );
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO alert (id, key, rule, reason, request_id, state, since, fired_at, message_en, message_zh)
         SELECT '0197c2d6-0000-7000-8000-0000000a0001', 'k', 'stuck', 'stuck.unlink', id, 'firing', 1, 2, 'en', 'zh'
         FROM request;
         INSERT INTO conflict (id, request_id, kind, at, our_state)
         SELECT '0197c2d6-0000-7000-8000-0000000c0001', id, 'adopted', 1, 'requested' FROM request;
         INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at)
         SELECT '0197c2d6-0000-7000-8000-0000000d0001', id, seq, partition_key, 'ops', 'dead', 1 FROM outbox",
    );
    (desk, id)
}

#[test]
fn every_command_that_takes_an_id_takes_its_end() {
    let (desk, id) = desk();
    let end = &id[id.len() - 6..];
    for command in [
        format!("request show {end}"),
        format!("request show …{}", end.to_uppercase()),
        format!("request history {end}"),
        format!("request history {end} --proof"),
        format!("request explain {end}"),
        format!("request cancel {end} --dry-run"),
        format!("conflict list --request {end}"),
        format!("alert list --request {end}"),
        format!("alert show {ALERT}"),
        format!("alert ack {ALERT}"),
        format!("alert snooze {ALERT} --for 4h"),
        format!("alert resolve {ALERT}"),
        format!("conflict show {CONFLICT}"),
        format!("channel retry ops {MESSAGE} --dry-run"),
        format!("channel retry ops {MESSAGE}"),
        format!("request cancel {end} {id}"),
        format!("request watch --until-settled {end}"),
    ] {
        let said = desk.run(&format!("{command} -o json")).well();
        let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|wrong| panic!("{command}: {wrong}"));
        let is_empty = json.as_array().is_some_and(Vec::is_empty);
        assert!(!is_empty || command.contains("watch"), "{command}: {json}");
    }
    let retried = desk.json(&format!("request retry {end}"));
    assert_eq!(retried[0]["retry_of"], id);
    desk.sql("UPDATE request SET state = 'awaiting_account_admin' WHERE finished_at IS NULL");
    let new = retried[0]["id"].as_str().expect("an id");
    let nudged = desk.json(&format!("request nudge {} --dry-run", &new[new.len() - 8..]));
    assert_eq!(nudged[0]["request_id"], new);
}

#[test]
fn an_end_that_is_short_unknown_or_shared_changes_nothing() {
    let (desk, id) = desk();
    let other = desk.link(OTHER, PROGRAM);
    let short = desk.run(&format!("request cancel {}", &id[id.len() - 5..]));
    assert!(short.code == 2 && short.err.contains("the last 6 characters"), "{}", short.err);
    desk.run("request show 000000").refused(1, "there is no request whose id ends in 000000; `amplinkd request list`");
    desk.run("alert ack 000000").refused(1, "there is no alert whose id ends in 000000");
    desk.run(&format!("channel retry ops {ALERT}")).refused(1, "there is no message whose id ends in");

    // Two requests whose ids end alike.
    desk.sql(
        "PRAGMA foreign_keys = OFF; DELETE FROM alert; DELETE FROM conflict;
         UPDATE request SET id = substr(id, 1, 24) || '0000001e2a3b' WHERE account = 'wx0123456789abcdef';
         UPDATE request SET id = substr(id, 1, 24) || '0000011e2a3b' WHERE account = 'wx00000000000000aa'",
    );
    let said = desk.run(&format!("request cancel 1e2a3b {other}"));
    said.refused(1, "more than one request has an id ending in 1e2a3b; use more characters:");
    let candidates = said.err.lines().filter(|line| line.starts_with("  ") && line.ends_with("1e2a3b")).count();
    assert_eq!(candidates, 2, "{}", said.err);
    assert_eq!(desk.number("SELECT count(*) FROM request WHERE finished_at IS NULL"), 2);
    assert_eq!(desk.json("request show 0001e2a3b --config amplinkd.toml")["account"], ACCOUNT);
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_with_its_reason() {
    let (desk, id) = desk();
    for command in [
        "request list".to_owned(),
        "request list -o csv".to_owned(),
        "alert list -o json".to_owned(),
        format!("request show {id}"),
        format!("request explain {id}"),
        "report".to_owned(),
        "status".to_owned(),
        "config check".to_owned(),
        "completions bash".to_owned(),
    ] {
        let full = File::options().write(true).open("/dev/full").expect("a full disk");
        let said = Said::from(desk.process(&command).stdout(full).output().expect("the binary runs"));
        said.refused(1, "cannot write the result: No space left on device");
        assert_eq!(said.err.matches("cannot write").count(), 1, "{}", said.err);
    }
}

#[test]
fn a_list_without_rows_says_why() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let all = [
        ("gate list", "no gate is closed: nothing holds calls back"),
        ("gate list --kind ip", "no gate of this kind"),
        ("authorizer list", "`amplinkd authorizer sync` reads WeChat's list"),
        ("authorizer list --state authorized", "no authorizer is in this state"),
        ("alert list", "no open alerts; `amplinkd alert list --state all`"),
        ("alert list --state all", "no alert matches"),
        ("conflict list", "no conflicts: "),
        ("conflict list --open", "no conflict matches"),
        ("program list", "no programs are known"),
        ("program list --account wx00000000000000aa", "no program matches"),
        ("request list --state failed", "no request matches"),
        ("account list --state suspended", "no account matches"),
        ("channel list", "no channels: nobody is notified"),
    ];
    for (command, why) in all {
        let said = desk.run(command).well();
        assert!(said.err.starts_with("note: ") && said.err.contains(why), "{command}: {}", said.err);
        assert_eq!((said.err.lines().count(), said.out.lines().count()), (1, 2), "{command}: a head and a note");
        assert_eq!(desk.json(command).as_array().map(Vec::len), Some(0), "{command}");
        assert_eq!(desk.run(&format!("{command} -o csv")).well().out.lines().count(), 1, "{command}");
        assert_eq!(desk.run(&format!("{command} -o jsonl")).well().out, "", "{command}");
    }
    assert_eq!(desk.run("request list").well().err, "", "a list with rows needs no word");
}
