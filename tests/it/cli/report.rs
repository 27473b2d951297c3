//! How long approvals took, what nudges brought about, and the digest, at the command line.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{ACCOUNT, Desk, OTHER};

/// Ten links that came to their end by hand: the account's administrator took 1 h, the program's 2, 4, … 20 h.
pub(super) const LIVES: &str = "
    UPDATE request SET state = 'linked', attempt = 1, called_at = since, seen_status = 1,
                       requested_at = requested_at - 864000000, since = since - 800000000, finished_at = since - 800000000;
    INSERT INTO transition (request_id, seq, from_state, to_state, at, cause, hash)
    SELECT id, 2, 'requested', 'initiated', requested_at, 'answer', zeroblob(32) FROM request
    UNION ALL
    SELECT id, 3, 'initiated', 'awaiting_account_admin', requested_at + 60000, 'listing', zeroblob(32) FROM request
    UNION ALL
    SELECT id, 4, 'awaiting_account_admin', 'awaiting_program_admin', requested_at + 3660000, 'listing', zeroblob(32)
    FROM request
    UNION ALL
    SELECT id, 5, 'awaiting_program_admin', 'linked', requested_at + 3660000 + 7200000 * CAST(substr(program, 4) AS INTEGER),
           'listing', zeroblob(32) FROM request";

/// A desk with ten settled links of two accounts, half of them labelled.
fn desk_with_lives() -> Desk {
    let desk = Desk::new();
    let mut lines = String::from("account,program,labels\n");
    for number in 1..=10 {
        let (account, half) = if number % 2 == 0 { (ACCOUNT, "even") } else { (OTHER, "odd") };
        writeln!(lines, "{account},wxp{number:015},half={half}").expect("a text grows");
    }
    desk.write("many.csv", &lines);
    desk.run("request import many.csv").well();
    desk.sql(LIVES);
    desk
}

fn stage<'r>(rows: &'r Value, name: &str) -> &'r Value {
    rows.as_array().into_iter().flatten().find(|row| row["stage"] == name).unwrap_or(&Value::Null)
}

#[test]
fn an_empty_database_is_no_failure() {
    let desk = Desk::new();
    desk.run("report").refused(1, "there is no database at");
    desk.link(ACCOUNT, "wxp000000000000001");
    let said = desk.run("report").well().out;
    assert!(said.starts_with("No request has ended yet"), "{said}");
    assert!(desk.run("report --since 1d").well().out.starts_with("No settled request matches these filters"));
    let rows = desk.json("report");
    assert_eq!(rows.as_array().map(Vec::len), Some(5));
    assert_eq!(
        (&stage(&rows, "total")["approved"], &stage(&rows, "total")["median_seconds"]),
        (&json!(0), &Value::Null)
    );
}

#[test]
fn times_are_told_for_each_stage() {
    let desk = desk_with_lives();
    let rows = desk.json("report");
    let program = stage(&rows, "program_admin");
    assert_eq!(
        [&program["approved"], &program["median_seconds"], &program["p90_seconds"], &program["p95_seconds"]],
        [&json!(10), &json!(10 * 3_600), &json!(18 * 3_600), &json!(20 * 3_600)]
    );
    assert_eq!(stage(&rows, "account_admin")["median_seconds"], 3_600);
    assert_eq!(stage(&rows, "total")["median_seconds"], 11 * 3_600 + 60);
    assert_eq!(stage(&rows, "unlink")["approved"], 0);
    let table = desk.run("report").well().out;
    for words in [
        "How long approvals took, in 10 settled requests\n",
        "program_admin: the program's administrator agrees",
        "     12h-1d  ████████████████████████████████ 5\n",
        "Nobody was nudged",
    ] {
        assert!(table.contains(words), "{words:?} is not in:\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn times_are_told_apart_and_narrowed() {
    let desk = desk_with_lives();
    let by_account = desk.json("report --by account");
    assert_eq!(by_account.as_array().map(Vec::len), Some(8));
    assert_eq!((&by_account[0]["group"], &by_account[0]["approved"]), (&json!(OTHER), &json!(5)));
    let csv = desk.run("report --by label half -o csv").well().out;
    assert!(csv.starts_with("group,stage,approved,median_seconds,p90_seconds,p95_seconds,ended_otherwise,"), "{csv}");
    assert!(csv.contains("\neven,program_admin,5,43200,72000,72000,0,"), "{csv}");
    assert!(desk.run("report --by label half").well().out.contains("even   program_admin  12h"));
    let even = desk.json("report --label half=even --since 30d");
    assert_eq!(stage(&even, "program_admin")["approved"], 5);
    assert_eq!(stage(&desk.json(&format!("report --account {ACCOUNT} --since 5d")), "total")["approved"], 0);
    for wrong in ["--by", "--by program", "--by label", "--since 1y", "--digest --by account"] {
        assert_eq!(desk.run(&format!("report {wrong}")).code, 2, "{wrong}");
    }
}

#[test]
fn the_digest_counts_a_day() {
    let desk = Desk::new();
    let waiting = desk.link(ACCOUNT, "wxp000000000000001");
    let cancelled = desk.link(ACCOUNT, "wxp000000000000002");
    desk.run(&format!("request cancel {cancelled}")).well();
    desk.sql(
        "UPDATE request SET state = 'awaiting_account_admin', since = since - 5 * 86400000 WHERE state = 'requested';
         INSERT INTO conflict (id, request_id, kind, at, our_state)
         SELECT 'c', id, 'adopted', since, state FROM request WHERE state = 'awaiting_account_admin'",
    );
    let digest = desk.json("report --digest");
    assert_eq!(digest["ended"], json!([{ "word": "cancelled", "count": 1 }]));
    assert_eq!(digest["waiting"], json!([{ "stage": "account_admin", "by_age": [0, 0, 1, 0] }]));
    assert_eq!(digest["conflicts"], json!([{ "word": "adopted", "count": 1 }]));
    let told = desk.run("report --digest --language en").well().out;
    assert!(told.starts_with("0 linked and 1 ended otherwise since yesterday; 1 wait, 0 too long\n"), "{told}");
    assert!(
        told.contains("waits for the account's administrator") && told.contains("open conflict: adopted"),
        "{told}"
    );
    assert!(desk.run("report --digest").well().out.contains("等待公众号管理员"), "{waiting}");
    desk.sql("UPDATE account SET unread_since = since, failures = 3, trouble = 'unreadable'");
    let digest = desk.json("report --digest");
    assert_eq!((&digest["waiting"], &digest["unread"]), (&json!([]), &json!(1)), "nobody is said to be waited for");
    let told = desk.run("report --digest --language en").well().out;
    assert!(
        told.contains("1 wait, 0 too long") && told.contains("1 waiting with accounts that are not read"),
        "{told}"
    );
}
