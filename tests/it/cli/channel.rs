//! Channels at the command line: how they stand, a test that nobody takes, and another try for what was given up.

use serde_json::json;

use super::{ACCOUNT, Desk, PROGRAM};

const CHANNELS: &str = "
[database]
url = \"sqlite:a.db\"
[tokens.headers_file]
Authorization = \"none\"
[[alerts.channel]]
name = \"ops\"
kind = \"webhook\"
url_file = \"url\"
events = [\"alert\", \"transition\"]
[[alerts.channel]]
name = \"book\"
kind = \"log\"
";

/// A desk with two channels: two messages pending on one, two given up, one delivered; and one that is owed to a
/// channel that is gone.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.write("amplinkd.toml", CHANNELS);
    desk.sql(
        "INSERT INTO log (id, type, subject, partition_key, at, data)
         VALUES ('e1', 'amplinkd.alert.fired', 's', 'a', 1000, '{}'), ('e2', 'amplinkd.alert.fired', 's', 'a', 1000, '{}'),
                ('e3', 'amplinkd.alert.fired', 's', 'a', 1000, '{}'), ('e4', 'amplinkd.alert.fired', 's', 'a', 1000, '{}'),
                ('e5', 'amplinkd.alert.fired', 's', 'a', 1000, '{}');
         INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, attempts, refusals, created_at, next_at,
                               delivered_at, last_error)
         VALUES ('0197c2d7-0000-7000-8000-000000000001', 'e1', 1, 'a', 'ops', 'dead', 9, 5, 1000, NULL, NULL, 'HTTP 404'),
                ('0197c2d7-0000-7000-8000-000000000002', 'e2', 2, 'a', 'ops', 'dead', 9, 5, 1000, NULL, NULL, 'HTTP 404'),
                ('0197c2d7-0000-7000-8000-000000000003', 'e3', 3, 'a', 'ops', 'pending', 1, 0, 1000, 9000, NULL, 'HTTP 502'),
                ('0197c2d7-0000-7000-8000-000000000004', 'e4', 4, 'a', 'ops', 'pending', 0, 0, 1000, 1000, NULL, NULL),
                ('0197c2d7-0000-7000-8000-000000000005', 'e5', 5, 'a', 'ops', 'delivered', 1, 0, 1000, NULL, 2000, NULL),
                ('0197c2d7-0000-7000-8000-000000000006', 'e5', 5, 'a', 'gone', 'pending', 0, 0, 1000, 1000, NULL, NULL)",
    );
    desk
}

#[test]
fn channels_are_listed_with_what_they_are_owed() {
    let desk = desk();
    let rows = desk.json("channel list");
    assert_eq!(
        rows,
        json!([
            { "name": "ops", "kind": "webhook", "events": ["alert", "transition"], "pending": 2, "dead": 2,
              "delivered_at": "1970-01-01T00:00:02.000Z", "last_error": "HTTP 502" },
            { "name": "book", "kind": "log", "events": ["alert"], "pending": 0, "dead": 0, "delivered_at": null,
              "last_error": null },
            { "name": "gone", "kind": null, "events": [], "pending": 1, "dead": 0, "delivered_at": null,
              "last_error": null },
        ])
    );
    let table = desk.run("channel list").well();
    assert!(table.out.contains("alert, transition") && table.err.contains("gone is no longer configured"));
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
    desk.sql("DELETE FROM delivery");
    assert!(desk.run("channel list").well().err.contains("nobody is notified"));
}

#[test]
fn what_was_given_up_is_due_again() {
    let desk = desk();
    let dry = desk.run("channel retry ops --dry-run -o jsonl").well();
    assert_eq!(dry.out.lines().count(), 2);
    assert!(dry.err.contains("2 messages to resend; nothing was changed"), "{}", dry.err);
    assert_eq!(desk.number("SELECT count(*) FROM delivery WHERE state = 'dead'"), 2);
    let one = desk.json("channel retry ops 0197c2d7-0000-7000-8000-000000000002");
    assert_eq!(one, json!({ "channel": "ops", "retried": 1 }));
    let again = desk.run("channel retry ops 0197c2d7-0000-7000-8000-000000000002");
    assert!(again.code == 1 && again.err.contains("cannot resend 1 message of these on ops"), "{}", again.err);
    assert_eq!(desk.json("channel retry ops")["retried"], 1);
    assert_eq!(desk.json("channel retry ops")["retried"], 0);
    let due =
        "SELECT count(*) FROM delivery WHERE state = 'pending' AND next_at > 9000 AND attempts = 9 AND refusals = 0";
    assert_eq!(desk.number(due), 2);
    desk.run("channel retry opps").refused(1, "there is no channel \"opps\"; the channels are ops, book");
    assert_eq!(desk.run("channel retry ops 12").code, 2);
}

#[test]
fn a_test_reads_the_secrets_of_channels_and_no_others() {
    let desk = desk();
    desk.run("channel test opps").refused(1, "there is no channel \"opps\"");
    desk.run("channel test ops").refused(1, "[[alerts.channel]] url_file");
    assert_eq!(desk.run("channel test ops --event nonsense").code, 2);
}

#[test]
fn a_test_that_is_not_taken_says_why_and_shows_no_address() {
    let desk = desk();
    // Nobody listens on this port.
    desk.write("url", "http://127.0.0.1:1/hush");
    for event in ["alert", "resolved", "transition", "conflict"] {
        let said = desk.run(&format!("channel test ops --event {event}"));
        assert!(said.err.contains("channel ops did not accept the test: ") && said.code == 1, "{}", said.err);
        assert!(!said.err.contains("hush") && said.out.is_empty(), "{}", said.err);
    }
}
