//! Files of wishes: all or none, and safe to repeat.

use std::{fmt::Write, fs};

use serde_json::json;

use super::{ACCOUNT, Desk, OTHER, PROGRAM, Said};

/// Enough for several statements of the store, few enough for a test.
const MANY: usize = 12_000;

#[test]
fn a_file_is_taken_whole_and_repeated_without_harm() {
    let desk = Desk::new();
    let mut lines = String::from("\u{feff}program,account,key\r\n");
    for number in 0..MANY {
        write!(lines, "wxp{number:015},wxa{:015},k{number}\r\n", number % 100).expect("a text grows");
    }
    desk.write("links.csv", &lines);
    assert_eq!(desk.json("request import links.csv"), json!({"lines": MANY, "accepted": MANY, "existing": 0}));
    assert_eq!(desk.json("request import links.csv"), json!({"lines": MANY, "accepted": 0, "existing": MANY}));
    assert_eq!(desk.number("SELECT count(*) FROM v_request WHERE state = 'requested'"), 12_000);
    assert_eq!(desk.number("SELECT count(*) FROM v_transition"), 12_000);
}

#[test]
fn every_bad_line_is_told_and_nothing_is_written() {
    let desk = Desk::new();
    desk.write(
        "bad.csv",
        &format!(
            "account,program,key\n{ACCOUNT},{PROGRAM},k\nnonsense,{PROGRAM},\n\n{ACCOUNT},{OTHER},k\n{ACCOUNT},x\n"
        ),
    );
    let said = desk.run("request import bad.csv");
    said.refused(1, "bad.csv: 3 of 4 lines are invalid; nothing was written");
    for words in [
        "bad.csv line 3: account: ",
        "bad.csv line 5: the key \"k\" belongs to another request in line 2",
        "bad.csv line 6: it has 2 fields",
    ] {
        assert!(said.err.contains(words), "{words:?}: {}", said.err);
    }
    assert!(!desk.path("a.db").exists());
}

#[test]
fn a_thousand_bad_lines_are_counted_not_told() {
    let desk = Desk::new();
    let text = format!("account,program\n{}", "x,y\n".repeat(1_000));
    let said = Said::from(desk.command("request import -").write_stdin(text).output().expect("it runs"));
    said.refused(1, "stdin: 1000 of 1000 lines are invalid (the first 100 are above)");
    assert_eq!(said.err.lines().count(), 101);
}

#[test]
fn json_lines_are_known_by_their_first_character() {
    let desk = Desk::new();
    let text = format!(
        "{{\"account\":\"{ACCOUNT}\",\"program\":\"{PROGRAM}\",\"labels\":{{\"a\":\"1\"}},\"show_profile\":true}}\n\n\
         {{\"account\":\"{ACCOUNT}\",\"program\":\"{OTHER}\",\"kind\":\"unlink\"}}\n"
    );
    let said =
        Said::from(desk.command("request import - -o json").write_stdin(text.clone()).output().expect("it runs"));
    assert_eq!(said.well().out.split_whitespace().collect::<String>(), r#"{"lines":2,"accepted":2,"existing":0}"#);
    assert_eq!(desk.json("request list --label a=1 --kind link")[0]["show_profile"], true);
    assert_eq!(desk.json("request list --kind unlink")[0]["program"], OTHER);
    desk.write("bad.jsonl", &text.replace("labels", "lables"));
    let said = desk.run("request import bad.jsonl");
    said.refused(1, "1 of 2 lines are invalid");
    assert!(said.err.contains("line 1: unknown field `lables`"), "{}", said.err);
    desk.write("array.json", "[{}]");
    desk.run("request import array.json").refused(1, "array.json: it is a JSON array");
}

#[test]
fn a_file_that_repeats_itself_asks_once() {
    let desk = Desk::new();
    desk.write(
        "twice.csv",
        &format!("account,program,key\n{ACCOUNT},{PROGRAM},k\n{ACCOUNT},{PROGRAM},k\n{ACCOUNT},{PROGRAM},\n"),
    );
    assert_eq!(desk.json("request import twice.csv"), json!({"lines": 3, "accepted": 1, "existing": 2}));
}

#[test]
fn a_key_that_is_not_kept_is_told_with_its_line() {
    let desk = Desk::new();
    desk.run(&format!("request link {ACCOUNT} {PROGRAM} --key k")).well();
    desk.write("other.csv", &format!("account,program,key\n{ACCOUNT},{PROGRAM},mine\n"));
    let said = desk.run("request import other.csv").well();
    assert!(said.err.contains("other.csv line 2: the key \"mine\" was not saved"), "{}", said.err);
}

#[test]
fn a_key_of_another_request_is_told_with_its_line() {
    let desk = Desk::new();
    desk.run(&format!("request link {ACCOUNT} {PROGRAM} --key k")).well();
    desk.write("taken.csv", &format!("account,program,key\n{ACCOUNT},{OTHER},free\n{OTHER},{PROGRAM},k\n"));
    desk.run("request import taken.csv").refused(1, "taken.csv line 3: key \"k\" belongs to request");
    assert_eq!(desk.number("SELECT count(*) FROM request"), 1);
}

#[test]
fn a_dry_run_needs_no_database_and_makes_none() {
    let desk = Desk::new();
    desk.write("good.csv", &format!("account,program,notify_users\n{ACCOUNT},{PROGRAM},yes\n"));
    let said = desk.run("request import good.csv --dry-run").well();
    assert!(
        said.err.contains("1 lines are valid; nothing was written") && said.err.contains("every follower"),
        "{}",
        said.err
    );
    assert!(!desk.path("a.db").exists());
    desk.run("request import missing.csv").refused(1, "cannot read missing.csv");
    desk.write("empty.csv", "");
    desk.run("request import empty.csv").refused(1, "empty.csv: it is empty");
    desk.write("header.csv", "account,program\n\n");
    desk.run("request import header.csv").refused(1, "header.csv has no lines");
    desk.write("columns.csv", "account;program\n");
    desk.run("request import columns.csv").refused(1, "unknown column");
}

#[test]
fn what_nobody_sees_in_a_file_is_named_with_its_line() {
    let desk = Desk::new();
    let line = |key: &str, labels: &str| format!("account,program,key,labels\n{ACCOUNT},{PROGRAM},{key},{labels}\n");
    for (bytes, expected) in [
        (
            line("order\u{200b}1", "").into_bytes(),
            "line 2: the key holds U+200B (zero width space), as its character 6",
        ),
        (line("", "shop\u{feff}=1").into_bytes(), "line 2: a label holds U+FEFF (byte order mark), as its character 5"),
        (line("", "shop=\u{202e}1").into_bytes(), "line 2: a label holds U+202E (direction mark), as its character 1"),
        (line("", "").replace(',', ";").into_bytes(), "is it separated by ';'? Columns are separated by commas"),
        (line("", "").replace(',', "\t").into_bytes(), "is it separated by '\\t'?"),
        (b"\xff\xfea\0c\0".to_vec(), "it is UTF-16, as of \"Unicode Text\": save it as \"CSV UTF-8\""),
        (b"account,program,labels\n\xc4\xe3,b,\n".to_vec(), "line 2: its account is not UTF-8: save the file as"),
    ] {
        fs::write(desk.path("a.csv"), &bytes).unwrap();
        let said = desk.run("request import a.csv");
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains(expected), "{expected}\n{}", said.err);
        assert!(!desk.path("a.db").exists(), "nothing was written");
    }
    let seen = "\u{feff}account,program,key,labels\r\n".to_owned()
        + ACCOUNT
        + ","
        + PROGRAM
        + ",👩\u{200d}💻,店=北京\u{3000}一\r\n";
    desk.write("b.csv", &seen);
    assert_eq!(desk.run("request import b.csv").code, 0);
    let rows = desk.json("request list");
    assert_eq!((&rows[0]["key"], &rows[0]["labels"]["店"]), (&"👩\u{200d}💻".into(), &"北京\u{3000}一".into()));
    let said = desk.run(&format!("request link {ACCOUNT} {OTHER} --label shop=\u{200b}1"));
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("a label holds U+200B (zero width space)"), "{}", said.err);
}

#[test]
fn what_a_spreadsheet_would_run_comes_back_as_it_was() {
    let desk = Desk::new();
    let keys = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "'=1", "＝1", "it's", "'"];
    let lines = keys.iter().enumerate().map(|(number, key)| {
        let labels = json!({ "=店": "@北京", "n": number.to_string() });
        json!({ "account": ACCOUNT, "program": format!("wx{number:016}"), "key": key, "labels": labels }).to_string()
            + "\n"
    });
    desk.write("a.jsonl", &lines.collect::<String>());
    assert_eq!(desk.run("request import a.jsonl").code, 0);
    let out = desk.run("request list -o csv --excel").out;
    assert!(out.starts_with('\u{feff}'), "{out:?}");
    let mut reader = csv::Reader::from_reader(out.trim_start_matches('\u{feff}').as_bytes());
    let headers = reader.headers().unwrap().clone();
    let wanted = ["account", "program", "key", "labels"];
    let places = wanted.map(|name| headers.iter().position(|header| header == name).unwrap());
    let mut copy = csv::Writer::from_writer(b"\xef\xbb\xbf".to_vec());
    copy.write_record(wanted).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let runs = |cell: &str| cell.starts_with(['=', '+', '-', '@', '＝']);
        assert!(!record.iter().any(runs), "{record:?}");
        copy.write_record(places.map(|place| record[place].to_owned())).unwrap();
    }
    let there = Desk::new();
    fs::write(there.path("b.csv"), copy.into_inner().unwrap()).unwrap();
    let said = there.run("request import b.csv");
    assert_eq!(said.code, 0, "{}", said.err);
    let told = |desk: &Desk| {
        let rows = desk.json("request list");
        let row = |row: &serde_json::Value| (row["program"].clone(), row["key"].clone(), row["labels"].clone());
        let mut rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
        rows.sort_by_key(|(program, ..)| program.to_string());
        rows
    };
    assert_eq!(told(&there), told(&desk));
    assert_eq!(told(&there).iter().map(|(_, key, _)| key.as_str().unwrap()).collect::<Vec<_>>(), keys);
    assert_eq!(desk.run("request list --excel").code, 2, "it is for CSV");
}
