//! Accounts at the command line: lists of those with something wrong, and the words that concern many.

use std::{fmt::Write, thread, time::Duration};

use serde_json::{Value, json};

use super::{
    ACCOUNT, Desk, PROGRAM,
    process::{NOWHERE, daemon, wechat},
};

/// How often a daemon is given time to do what is waited for.
const TRIES: u32 = 600;

/// A desk with `count` accounts, each with a request whose label says whether its number is even.
fn desk_with(count: usize) -> Desk {
    let desk = Desk::new();
    let mut lines = String::from("account,program,labels\n");
    for number in 0..count {
        let half = if number % 2 == 0 { "even" } else { "odd" };
        writeln!(lines, "wxa{number:015},{PROGRAM},half={half}").expect("a text grows");
    }
    desk.write("many.csv", &lines);
    desk.run("request import many.csv").well();
    desk.sql("DELETE FROM wakeup");
    desk
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().filter_map(|row| row["account"].as_str()).collect()
}

#[test]
fn a_list_shows_what_is_wrong_and_is_narrowed_by_it() {
    let desk = desk_with(1_203);
    desk.sql(
        "UPDATE account SET trouble = 'token', unread_since = 1795000000000, failures = 4, last_error = 'HTTP 502'
         WHERE id % 3 = 0;
         UPDATE account SET trouble = 'unreachable', unread_since = 1795000000000, failures = 4 WHERE id = 1;
         UPDATE account SET state = 'suspended', suspended_by = 'wechat', errcode = 61007, errmsg = 'no' WHERE id = 2;
         UPDATE account SET state = 'suspended', suspended_by = 'wechat', errcode = 61003, errmsg = 'no' WHERE id = 4;
         UPDATE account SET state = 'suspended', suspended_by = 'operator' WHERE id = 5;
         UPDATE account SET call_failures = 2, calls_refused_since = 1795000000000, call_error = '45011' WHERE id = 7",
    );
    let count = |filters: &str| names(&desk.json(&format!("account list {filters}"))).len();
    assert_eq!(
        [
            count(""),
            count("--limit 7"),
            count("--trouble token"),
            count("--trouble token,unreachable --state active"),
            count("--suspended-by wechat"),
            count("--suspended-by 61007"),
            count("--suspended-by operator,61003"),
            count("--state suspended"),
            count("--label half=odd"),
            count("--label half=odd --trouble token"),
            count("--label half=none"),
        ],
        [1_203, 7, 401, 402, 2, 1, 2, 3, 601, 200, 0]
    );
    assert_eq!(desk.run("account list --trouble nonsense").code, 2);
    assert_eq!(desk.run("account list --suspended-by me").code, 2);
    let all = desk.json("account list");
    assert!(names(&all).is_sorted(), "by name");

    let table = desk.run("account list").well();
    assert_eq!(table.out.lines().count(), 52);
    assert!(table.err.contains("showing the first 50;"), "{}", table.err);
    let words = ["unread", "unreachable", "wechat 61007", "operator", "calls held back", "HTTP 502"];
    assert!(words.iter().all(|word| table.out.contains(word)), "{}", table.out);
    let one = desk.json("account show wxa000000000000006");
    assert_eq!(
        (&one["call_failures"], &one["call_error"], &one["trouble"]),
        (&json!(2), &json!("45011"), &Value::Null)
    );
    assert!(desk.run("account list -o csv").well().out.starts_with("account,state,since,suspended_by,"), "csv");
}

#[test]
fn many_are_suspended_and_resumed_by_filter_and_after_a_word() {
    let desk = desk_with(10);
    desk.run("account suspend")
        .refused(2, "which accounts to suspend? give their appids, or filters such as --trouble");
    desk.run(&format!("account suspend {ACCOUNT} --label half=odd")).refused(2, "give appids or filters, not both");
    desk.run("account suspend --label half=odd").refused(1, "this would suspend 5 accounts: use --yes");
    let dry = desk.run("account suspend --label half=odd --dry-run -o json").well();
    assert!(dry.err.contains("5 accounts to suspend; nothing was changed"), "{}", dry.err);
    assert_eq!(desk.number("SELECT count(*) FROM account WHERE state = 'suspended'"), 0);

    let done = desk.json("account suspend --label half=odd --yes");
    assert_eq!((names(&done).len(), &done[0]["suspended_by"]), (5, &json!("operator")));
    assert_eq!(
        desk.number("SELECT count(*) FROM account WHERE suspended_by = 'operator' AND next_check_at IS NULL"),
        5
    );
    assert_eq!(desk.number("SELECT count(DISTINCT account) FROM wakeup"), 5, "the daemon hears of it");
    let again = desk.run("account suspend --label half=odd --yes -o json").well();
    assert!(again.err.contains("0 accounts to suspend"), "{}", again.err);

    desk.sql(
        "UPDATE account SET suspended_by = 'wechat', errcode = 61007 WHERE account LIKE '%1';
         UPDATE account SET call_failures = 3, calls_refused_since = 1, call_after = 9, call_error = 'x'",
    );
    assert_eq!(names(&desk.json("account resume --suspended-by 61007 --yes")), ["wxa000000000000001"]);
    assert_eq!(names(&desk.json("account resume --state suspended --dry-run")).len(), 4);
    desk.run("account resume --suspended-by operator --yes").well();
    assert_eq!(desk.number("SELECT count(*) FROM account WHERE state = 'active' AND next_check_at > 0"), 10);
    assert_eq!(
        desk.number("SELECT count(*) FROM account WHERE call_failures = 0 AND call_after IS NULL"),
        5,
        "calls of the resumed go on"
    );
    desk.run("account resume wxa000000000000000 wxa000000000000002").well();
    assert_eq!(desk.number("SELECT count(*) FROM account WHERE call_failures = 0"), 7, "also where only calls waited");
}

#[test]
fn a_check_without_a_daemon_is_kept_for_the_next_one() {
    let desk = desk_with(4);
    desk.sql(
        "UPDATE account SET next_check_at = 1995000000000;
         UPDATE account SET state = 'suspended', suspended_by = 'wechat', errcode = 61007 WHERE id = 2;
         UPDATE account SET state = 'suspended', suspended_by = 'operator', next_check_at = NULL WHERE id = 3",
    );
    let said = desk.run("account check wxa000000000000000 wxa000000000000001 -o json").well();
    assert!(said.err.contains("no daemon is running: they are polled first when one starts"), "{}", said.err);
    let rows: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((names(&rows).len(), &rows[0]["result"]), (2, &json!("waiting")));
    let due = "SELECT count(*) FROM account WHERE asked = 1 AND next_check_at < 1995000000000";
    assert_eq!((desk.number(due), desk.number("SELECT count(*) FROM wakeup WHERE asked = 1")), (2, 2));
    desk.run("account check wxa000000000000002").refused(1, "suspended by an operator, so it is not polled");
    let said = desk.run("account check --label half=even --yes -o json").well();
    assert_eq!(names(&serde_json::from_str(&said.out).expect("JSON")), ["wxa000000000000000"], "not the suspended one");
}

#[test]
fn a_check_waits_for_the_daemon_and_tells_what_came_of_it() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let running = daemon(&desk, NOWHERE);
    let said = desk.run(&format!("account check {ACCOUNT} --wait 30s -o json"));
    let rows: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.code, &rows[0]["result"], &rows[0]["cause"]), (3, &json!("failed"), &json!("token")));
    running.stop();

    let (_wechat, address) = wechat(&desk);
    let _running = daemon(&desk, &address);
    desk.run("request cancel --open --yes").well();
    desk.link(ACCOUNT, "wx00000000000000bb");
    // Its first look is made by the daemon's own will; then it rests for half a minute.
    let called = "SELECT count(*) FROM request WHERE state = 'initiated'";
    let begun = (0..TRIES).any(|_| {
        thread::sleep(Duration::from_millis(50));
        desk.number(called) > 0
    });
    assert!(begun, "{}", desk.run("request list").out);
    let said = desk.run(&format!("account check {ACCOUNT} --wait 30s")).well();
    assert!(said.out.contains("read"), "{}", said.out);
    let quick = desk.json(&format!("account check {ACCOUNT} --no-wait"));
    assert_eq!(quick[0]["account"], ACCOUNT);
}
