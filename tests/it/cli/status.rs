//! The page for whoever is woken up: with a daemon and without, and with everything that can be wrong.

use std::{fs, thread, time::Duration};

use serde_json::Value;

use super::{
    ACCOUNT, Desk, PROGRAM,
    process::{NOWHERE, daemon},
};

/// How often a daemon is given time to do what is waited for.
const TRIES: u32 = 300;

/// The words of the problems, after a look at their exit code.
fn problems(desk: &Desk) -> Vec<String> {
    let status = status(desk);
    let words = status["problems"].as_array().expect("a list").iter().map(|problem| &problem["problem"]);
    words.map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn status(desk: &Desk) -> Value {
    let said = desk.run("status -o json");
    let status: Value = serde_json::from_str(&said.out).unwrap_or_else(|wrong| panic!("{wrong}: {}", said.err));
    let is_well = status["problems"].as_array().is_some_and(Vec::is_empty);
    assert_eq!((said.code, status["ok"].as_bool()), (if is_well { 0 } else { 3 }, Some(is_well)), "{}", said.out);
    status
}

/// Waits until the page says what it should.
#[track_caller]
fn wait_for(desk: &Desk, what: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..TRIES {
        if let Ok(status) = serde_json::from_str(&desk.run("status -o json").out)
            && what(&status)
        {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it never came: {}", desk.run("status").out);
}

#[test]
fn where_there_is_no_database_none_is_made() {
    let desk = Desk::new();
    desk.run("status").refused(1, "there is no database at");
    assert_eq!(fs::read_dir(desk.folder.path()).expect("a folder").count(), 1, "the configuration alone");
    desk.run("status -o csv").refused(2, "-o json");
}

#[test]
fn an_older_database_is_neither_read_nor_brought_up_to_date() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql("PRAGMA user_version = 5");
    desk.run("status").refused(1, "was made by an older amplinkd (schema 5)");
    assert_eq!(desk.number("PRAGMA user_version"), 5);
}

#[test]
fn without_a_daemon_it_tells_who_waits_and_leaves_the_file_as_it_is() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let before = fs::read(desk.path("a.db")).expect("the file");
    assert_eq!(problems(&desk), ["no_daemon"]);
    let status = status(&desk);
    assert!(status["daemon"]["running"] == false && status["daemon"]["pid"].is_null(), "{status}");
    assert!(status["database"]["writable"].is_null(), "nobody has tried");
    assert_eq!((&status["requests"]["open"], &status["requests"]["finished"]), (&1.into(), &0.into()));
    let stages = status["requests"]["states"].as_array().expect("states");
    assert_eq!(
        (stages.len(), &stages[0]["state"], &stages[0]["longest"]),
        (12, &"requested".into(), &id.clone().into())
    );
    let page = desk.run("status").out;
    assert!(page.contains("no daemon has run on this database yet") && page.contains("systemctl start"), "{page}");
    assert!(page.contains(&format!("…{}", &id[28..])), "{page}");
    assert_eq!(fs::read(desk.path("a.db")).expect("the file"), before);
}

#[test]
fn a_daemon_leaves_its_mark_and_its_end_is_told_from_its_death() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let first = daemon(&desk, NOWHERE);
    let status = wait_for(&desk, |status| status["daemon"]["running"] == true && !status["daemon"]["pid"].is_null());
    assert_eq!((&status["daemon"]["pid"], &status["database"]["writable"]), (&first.id().into(), &true.into()));
    assert_eq!(problems(&desk), [""; 0], "{status}");
    desk.sql("UPDATE daemon SET written_at = 1");
    assert_eq!(problems(&desk), ["cannot_write"]);
    drop(first);
    let page = desk.run("status");
    assert!(page.code == 3 && page.out.contains("and was not stopped"), "{}", page.out);

    let second = daemon(&desk, NOWHERE);
    wait_for(&desk, |status| status["daemon"]["pid"] == second.id());
    second.stop();
    let page = desk.run("status");
    assert!(page.code == 3 && page.out.contains("the last one was stopped"), "{}", page.out);
}

#[test]
fn whoever_may_not_look_at_the_lock_sees_a_daemon_by_its_mark() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    // A lock that leads elsewhere is not followed, as one that may not be opened.
    desk.write("elsewhere", "untouched");
    fs::remove_file(desk.path("a.db.lock")).expect("a lock");
    std::os::unix::fs::symlink(desk.path("elsewhere"), desk.path("a.db.lock")).expect("a link");
    assert_eq!(problems(&desk), ["no_daemon"]);
    desk.sql(
        "INSERT INTO daemon (one, pid, version, started_at, written_at)
         VALUES (1, 4711, '0.1.0', 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000)",
    );
    assert_eq!(problems(&desk), [""; 0]);
    let known = status(&desk);
    assert!(known["daemon"]["running"].is_null() && known["database"]["writable"] == true, "{known}");
    desk.sql("UPDATE daemon SET written_at = 1");
    let page = desk.run("status");
    assert!(page.code == 3 && page.out.contains("no sign of a daemon: the last one wrote"), "{}", page.out);
    assert_eq!(fs::read(desk.path("elsewhere")).expect("a file"), b"untouched");
}

/// A fault and the word it is told by.
const FAULTS: [(&str, &str); 6] = [
    (
        "address_blocked",
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('ip', 'all', 1, 61004, 'no', 1)",
    ),
    (
        "accounts_unread",
        "UPDATE account SET unread_since = 1, trouble = 'token', failures = 9, last_error = 'HTTP 502'",
    ),
    ("accounts_suspended", "UPDATE account SET state = 'suspended', suspended_by = 'wechat', errcode = 61007"),
    (
        "alerts_firing",
        "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, message_en, message_zh)
         VALUES ('a', 'k', 'stuck', 'stuck.unlink', 'firing', 1, 2, 'en', 'zh')",
    ),
    ("audit_findings", "INSERT INTO job (name, due_at) VALUES ('audit', 1)"),
    (
        "messages_dead",
        "INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, created_at, last_error)
         SELECT 'd', id, seq, partition_key, 'ops', 'dead', 1, 'HTTP 404' FROM outbox",
    ),
];

const CHANNEL: &str = "[database]\nurl = \"sqlite:a.db\"\n[[alerts.channel]]\nname = \"ops\"\nkind = \"log\"\n";

#[test]
fn everything_that_needs_a_person_is_found_counted_and_explained() {
    let help = Desk::new().run("status --help").well().out;
    for (word, fault) in FAULTS {
        let desk = Desk::new();
        desk.write("amplinkd.toml", CHANNEL);
        desk.link(ACCOUNT, PROGRAM);
        desk.sql(fault);
        // What stands still for long is found by the audit, too.
        let told: Vec<String> =
            problems(&desk).into_iter().filter(|told| told == word || told != "audit_findings").collect();
        assert_eq!(told, ["no_daemon", word], "{fault}");
        let status = status(&desk);
        let found = status["problems"].as_array().and_then(|all| all.iter().find(|one| one["problem"] == word));
        let found = found.expect("it is there");
        assert_eq!(found["count"], 1, "{found}");
        assert!(found["next"].as_str().is_some_and(|next| next.len() > 10) && help.contains(word), "{found}");
        let page = desk.run("status").out;
        assert!(page.contains(found["text"].as_str().expect("a text")), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
}

#[test]
fn what_somebody_has_taken_or_ends_by_itself_wakes_nobody() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", CHANNEL);
    desk.link(ACCOUNT, PROGRAM);
    for (_, fault) in FAULTS.into_iter().filter(|(word, _)| word.starts_with("accounts_") || *word == "messages_dead") {
        desk.sql(fault);
    }
    desk.sql(
        "INSERT INTO alert (id, key, rule, reason, state, since, fired_at, acknowledged_at, message_en, message_zh)
         VALUES ('a', 'a', 'account_suspended', 'account_suspended.61007', 'acknowledged', 1, 2, 3, 'en', 'zh'),
                ('b', 'b', 'token_failing', 'token_failing.no_token', 'acknowledged', 1, 2, 3, 'en', 'zh'),
                ('c', 'c', 'channel_failing', 'channel_failing.dead_letters', 'acknowledged', 1, 2, 3, 'en', 'zh'),
                ('d', 'd', 'deferred', 'deferred.monthly_quota', 'firing', 1, 2, NULL, 'en', 'zh')",
    );
    assert_eq!(problems(&desk), ["no_daemon"]);
    assert_eq!(status(&desk)["alerts"]["open"], 4);
    desk.sql("UPDATE alert SET state = 'firing', acknowledged_at = NULL");
    assert_eq!(
        problems(&desk),
        ["no_daemon", "accounts_unread", "accounts_suspended", "alerts_firing", "messages_dead"]
    );
    desk.sql("DELETE FROM alert; UPDATE account SET suspended_by = 'operator', errcode = NULL, unread_since = NULL");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
    assert_eq!(problems(&desk), ["no_daemon"], "an operator's own suspension, a channel that was taken away");
}
