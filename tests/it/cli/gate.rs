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
    assert!(desk.run("gate list -o csv").well().out.starts_with("kind,subject,until,errcode,errmsg,at,early"), "csv");
    let table = desk.run("gate list --limit 2").well();
    assert!(table.out.contains("api_day") && table.out.contains("due"), "{}", table.out);
    assert!(table.err.contains("showing the first 2;"), "{}", table.err);
}

#[test]
fn an_operator_opens_a_gate_and_what_waited_for_it_goes_on() {
    let desk = desk();
    let waiting = desk.link("wx00000000000000cc", PROGRAM);
    desk.sql(
        "UPDATE request SET state = 'deferred', deferred_until = 4102444800000, errcode = 89007, errmsg = 'quota'
         WHERE account = 'wx00000000000000cc'",
    );
    let opened = desk.run(&format!("gate open program_month {PROGRAM} -o json")).well();
    assert!(opened.err.contains("1 request waiting for it resumed"), "{}", opened.err);
    assert!(opened.err.contains("no daemon is running"), "{}", opened.err);
    let opened: Value = serde_json::from_str(&opened.out).expect("JSON");
    assert_eq!((&opened["requests"], &opened["errcode"]), (&1.into(), &89_007.into()));
    assert_eq!(opened["until"], "2100-01-01T00:00:00.000Z");
    assert_eq!(desk.json(&format!("request show {waiting}"))["state"], "requested");
    assert_eq!(subjects(&desk.json("gate list --kind program_month")).len(), 0);
    desk.run(&format!("gate open program_month {PROGRAM}")).refused(1, "no gate program_month");
    desk.run("gate open program_month").refused(2, "program_month needs a subject");
    assert_eq!(desk.json("gate open ip")["subject"], "all");
    assert_eq!(desk.run("gate open month x").code, 2);
}
