//! Gates at the command line.

use serde_json::Value;

use super::{ACCOUNT, Desk, PROGRAM};

/// A desk with a gate of three kinds, and one of a day that is over.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
         VALUES ('program_month', 'wxfedcba9876543210', 4102444800000, 89007, 'quota rid: 1', 1795000000000),
                ('api_day', 'wx0123456789abcdef/wxamplink', 4102444800000, 45009, 'reach max', 1795000000000),
                ('api_day', 'wx00000000000000aa/wxamplink', 1, 45009, 'reach max', 1),
                ('ip', 'all', 1, 61004, 'not in whitelist', 1)",
    );
    desk
}

fn subjects(rows: &Value) -> Vec<&str> {
    rows.as_array().into_iter().flatten().filter_map(|row| row["subject"].as_str()).collect()
}

#[test]
fn a_list_shows_what_holds_calls_back_and_what_is_over_no_more() {
    let desk = desk();
    let all = desk.json("gate list");
    assert_eq!(subjects(&all), ["wx0123456789abcdef/wxamplink", "all", PROGRAM]);
    assert_eq!((&all[2]["errcode"], &all[2]["errmsg"]), (&89_007.into(), &"quota rid: 1".into()));
    assert_eq!(subjects(&desk.json("gate list --kind ip,program_month")), ["all", PROGRAM]);
    assert_eq!(subjects(&desk.json("gate list --limit 1")).len(), 1);
    assert_eq!(desk.run("gate list --kind month").code, 2);
    assert!(desk.run("gate list -o csv").well().out.starts_with("kind,subject,until,errcode,errmsg,at"), "csv");
    let table = desk.run("gate list --limit 2").well();
    assert!(table.out.contains("api_day") && table.out.contains("due"), "{}", table.out);
    assert!(table.err.contains("showing 2 of more"), "{}", table.err);
}
