//! A word to whoever has not answered, at the command line.

use amplinkd::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{ACCOUNT, Desk, NOBODY, OTHER, PROGRAM};

/// A desk whose nudges of `team=shop` go to a channel.
fn desk_with_channel(more: &str) -> Desk {
    let desk = Desk::new();
    let channel = "[[alerts.channel]]\nname = \"shops\"\nkind = \"log\"\n";
    let nudge = "[nudge]\nchannels = { \"team=shop\" = \"shops\" }\n";
    desk.write("amplinkd.toml", &format!("[database]\nurl = \"sqlite:a.db\"\n[alerts]\n{more}\n{channel}{nudge}"));
    desk
}

/// A link that waits for an administrator.
fn waiting(desk: &Desk, program: &str, labels: &str) -> String {
    let request = desk.json(&format!("request link {ACCOUNT} {program} {labels}"));
    desk.sql("UPDATE request SET state = 'awaiting_account_admin', attempt = 1 WHERE state = 'requested'");
    request["id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_words_name_the_program_and_say_what_to_do() {
    let desk = Desk::new();
    let id = waiting(&desk, PROGRAM, "");
    desk.sql(
        "INSERT INTO program (account, item, program, status, nickname, status_since, first_seen_at)
         SELECT account, 'gh_a', 'wxfedcba9876543210', 12, 'Noodles', since, since FROM account",
    );
    let said = desk.run(&format!("request nudge {id} --language en")).well();
    assert!(
        said.out.starts_with(&format!("Hello, administrator of the official account {ACCOUNT},\n")),
        "{}",
        said.out
    );
    assert!(said.out.contains("The mini program \"Noodles\" (wxfedcba9876543210) is to be linked"), "{}", said.out);
    assert_eq!(desk.number("SELECT count(*) FROM v_nudge WHERE channel IS NULL AND language = 'en'"), 1);
    assert_eq!(desk.number("SELECT count(*) FROM outbox WHERE type = 'amplinkd.nudge'"), 0);
    let again = desk.json(&format!("request nudge {id} --force"));
    assert_eq!(
        (&again[0]["stage"], &again[0]["language"], &again[0]["channel"]),
        (&json!("account_admin"), &json!("zh"), &json!(null))
    );
    assert!(again[0]["text"].as_str().is_some_and(|text| text.contains("小程序「Noodles」")), "{again}");
}

#[test]
fn nobody_is_nudged_twice_in_a_short_while_or_without_need() {
    let desk = Desk::new();
    let id = waiting(&desk, PROGRAM, "");
    desk.run(&format!("request nudge {id} --dry-run")).well();
    desk.run(&format!("request nudge {id}")).well();
    desk.run(&format!("request nudge {id}")).refused(1, "the next nudge is due at 20");
    assert_eq!(desk.number("SELECT count(*) FROM nudge"), 1);
    let requested = desk.link(ACCOUNT, OTHER);
    desk.run(&format!("request nudge {requested}")).refused(1, "nobody to nudge for request");
    desk.run(&format!("request nudge {NOBODY}")).refused(1, "there is no request");
    desk.run("request nudge").refused(2, "which requests to nudge?");
    desk.run(&format!("request nudge {NOBODY} --open")).refused(2, "not both");
}

#[test]
fn nobody_is_nudged_by_a_list_that_is_not_read() {
    let desk = Desk::new();
    let id = waiting(&desk, PROGRAM, "");
    desk.sql("UPDATE account SET unread_since = since, failures = 1, checked_at = 1773100800000");
    let why = format!("the list of account {ACCOUNT} has not been read since 2026-03-10T00:00:00.000Z");
    desk.run(&format!("request nudge {id}")).refused(1, &why);
    desk.run(&format!("request nudge {id} --force")).refused(1, "whether anybody still has to answer is not known");
    let many = desk.run(&format!("request nudge --account {ACCOUNT} --yes")).well();
    assert!(many.err.contains("1 request skipped: the lists of their accounts cannot be read"), "{}", many.err);
    desk.sql("UPDATE account SET unread_since = NULL, state = 'suspended', suspended_by = 'operator'");
    desk.run(&format!("request nudge {id}")).refused(1, "for the account is suspended");
    assert_eq!(desk.number("SELECT count(*) FROM nudge"), 0);
    desk.sql("UPDATE account SET state = 'active', suspended_by = NULL");
    desk.run(&format!("request nudge {id}")).well();
}

#[test]
fn a_nudge_is_sent_where_its_label_says() {
    let desk = desk_with_channel("");
    let id = waiting(&desk, PROGRAM, "--label team=shop");
    let said = desk.run(&format!("request nudge {id} -o json")).well();
    let said: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(said[0]["channel"], "shops");
    assert_eq!(
        desk.number(
            "SELECT count(*) FROM delivery AS d JOIN outbox AS o ON o.id = d.event_id JOIN nudge AS n ON n.channel = d.channel
             WHERE o.type = 'amplinkd.nudge' AND o.subject = n.request_id AND d.partition_key = n.request_id
               AND d.seq = o.seq AND d.state = 'pending' AND d.next_at = d.created_at AND o.data ->> 'text' = n.text
               AND o.data ->> 'stage' = 'account_admin' AND o.data ->> 'language' = 'zh'"
        ),
        1
    );
    let other = waiting(&desk, OTHER, "--label team=other");
    assert_eq!(desk.json(&format!("request nudge {other}"))[0]["channel"], json!(null));
    let printed = desk.json(&format!("request nudge {id} --print-only --force"));
    assert_eq!(printed[0]["channel"], json!(null));
    assert_eq!(desk.number("SELECT count(*) FROM delivery"), 1);
}

#[test]
fn in_quiet_hours_nothing_is_sent_unless_a_person_insists() {
    // From an hour ago until in an hour, whatever the time.
    let minute = SystemClock::new().now().ms() / 60_000;
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let quiet = format!("{}-{}", clock(minute - 60), clock(minute + 60));
    let desk = desk_with_channel(&format!("timezone = \"UTC\"\nquiet_hours = \"{quiet}\""));
    let id = waiting(&desk, PROGRAM, "--label team=shop");
    let said = desk.run(&format!("request nudge {id}")).well();
    assert!(said.err.contains("printed, but not sent to shops; --force overrides"), "{}", said.err);
    assert!(said.out.contains("公众号"), "{}", said.out);
    assert_eq!(desk.number("SELECT count(*) FROM delivery"), 0);
    let forced = desk.run(&format!("request nudge {id} --force")).well();
    assert!(forced.err.contains("1 nudge queued for the daemon to send to shops"), "{}", forced.err);
    assert_eq!(desk.number("SELECT count(*) FROM delivery"), 1);
}

#[test]
fn nudging_many_needs_a_filter_and_a_word() {
    let desk = Desk::new();
    for number in 1..=3 {
        waiting(&desk, &format!("wxp{number:015}"), "--label half=odd");
    }
    desk.link(ACCOUNT, PROGRAM);
    desk.run("request nudge --label half=odd").refused(1, "this would nudge 3 requests: use --yes");
    let dry = desk.run("request nudge --label half=odd --dry-run").well();
    assert!(dry.err.contains("3 requests to nudge; nothing was recorded"), "{}", dry.err);
    assert_eq!(dry.out.matches("--- ").count(), 3, "{}", dry.out);
    assert_eq!(desk.number("SELECT count(*) FROM nudge"), 0);
    let done = desk.json(&format!("request nudge --account {ACCOUNT} --yes"));
    assert_eq!(done.as_array().map(Vec::len), Some(3), "the fourth waits for nobody");
    let again = desk.run(&format!("request nudge --account {ACCOUNT} --yes")).well();
    assert!(again.err.contains("3 requests skipped: nudged less than 1d ago"), "{}", again.err);
    desk.run("request nudge --finished --yes").refused(2, "not finished ones");
}

#[test]
fn the_report_tells_what_nudges_brought_about() {
    let desk = Desk::new();
    for number in 1..=4 {
        waiting(&desk, &format!("wxp{number:015}"), "");
    }
    desk.run(&format!("request nudge --account {ACCOUNT} --yes")).well();
    // Nudged two days ago; one agreed 2 h later, one after a day and a half, one not at all, and one was just nudged.
    desk.sql(
        "UPDATE nudge SET at = at - 2 * 86400000
         WHERE request_id NOT IN (SELECT id FROM request WHERE program = 'wxp000000000000004');
         INSERT INTO transition (request_id, seq, from_state, to_state, at, cause, hash)
         SELECT n.request_id, 2, 'awaiting_account_admin', 'awaiting_program_admin',
                n.at + CASE r.program WHEN 'wxp000000000000001' THEN 7200000 ELSE 129600000 END, 'listing', zeroblob(32)
         FROM nudge AS n JOIN request AS r ON r.id = n.request_id
         WHERE r.program IN ('wxp000000000000001', 'wxp000000000000002');
         UPDATE request SET state = 'awaiting_program_admin', last_seq = 2
         WHERE program IN ('wxp000000000000001', 'wxp000000000000002')",
    );
    let rows = desk.json("report");
    let row = rows.as_array().into_iter().flatten().find(|row| row["stage"] == "account_admin").expect("a row");
    assert_eq!(
        [
            &row["nudges"],
            &row["nudges_undecided"],
            &row["nudges_effective"],
            &row["nudges_effective_percent"],
            &row["median_seconds_after_nudge"]
        ],
        [&json!(4), &json!(1), &json!(1), &json!(33), &json!(7_200)]
    );
    assert_eq!(desk.number("SELECT count(*) FROM v_nudge WHERE effective AND approved_within_seconds = 7200"), 1);
    assert_eq!(desk.number("SELECT count(*) FROM v_nudge WHERE approved_at IS NOT NULL"), 2);
    let table = desk.run("report").well().out;
    assert!(table.contains("account_admin       4  1 (33%)"), "{table}");
}
