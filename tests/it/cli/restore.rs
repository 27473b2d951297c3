//! `db restore` at the command line: what it refuses, what it says, what it keeps.

use std::{fs, os::unix::fs::PermissionsExt};

use amplinkd::store::{Location, Role, Store};
use serde_json::json;

use super::{ACCOUNT, Desk, OTHER, PROGRAM};

/// A desk with a copy `b.db` of one request, and a database that has gone on: one more request, and one cancelled.
fn desk_that_went_on() -> (Desk, String) {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.run("db backup b.db").well();
    desk.run(&format!("request cancel {id}")).well();
    desk.link(OTHER, PROGRAM);
    (desk, id)
}

fn kept(desk: &Desk) -> Vec<String> {
    let names = fs::read_dir(desk.folder.path()).expect("a folder").flatten();
    let names = names.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let mut kept: Vec<String> = names.filter(|name| name.contains("replaced") || name.contains("restoring")).collect();
    kept.sort();
    kept
}

#[test]
fn a_dry_run_says_everything_and_changes_nothing() {
    let (desk, _) = desk_that_went_on();
    let before = fs::read(desk.path("b.db")).expect("the copy");
    let said = desk.run("db restore b.db --dry-run -o json").well();
    let plan: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&plan["requests"], &plan["open"], &plan["to_reconcile"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&plan["cancelled_since"], &plan["only_in_replaced"]), (&json!(1), &json!(1)));
    assert!(plan["made_at"].is_string() && plan["replaced_kept_as"].is_null(), "{plan}");
    for words in ["1 of these may have been called since", "1 stay cancelled", "nothing was changed"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    desk.run("db restore b.db").refused(1, "a.db: use --yes");
    assert_eq!(desk.number("SELECT count(*) FROM request"), 2);
    assert_eq!((kept(&desk), fs::read(desk.path("b.db")).expect("the copy")), (vec![], before));
}

#[test]
fn the_replaced_database_is_kept_and_can_still_be_asked() {
    let (desk, id) = desk_that_went_on();
    fs::set_permissions(desk.path("a.db"), fs::Permissions::from_mode(0o660)).expect("a mode");
    let said = desk.run("db restore b.db --yes -o json").well();
    let done: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let name = done["replaced_kept_as"].as_str().expect("a name").to_owned();
    assert!(name.contains("a.db.replaced-") && kept(&desk).len() == 1, "{:?}", kept(&desk));
    assert_eq!(desk.number("SELECT count(*) FROM request"), 1);
    assert_eq!(desk.json(&format!("request show {id}"))["state"], "requested", "the daemon will take it from there");
    let mode = fs::metadata(desk.path("a.db")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "as the replaced one had it");
    desk.run("db verify").well();
    let old = desk.command("request list -o json").env("AMPLINKD__DATABASE__URL", format!("sqlite:{name}")).output();
    assert!(String::from_utf8_lossy(&old.expect("it runs").stdout).contains(OTHER));
    // Once more, from the same copy: another name is found.
    desk.run("db restore b.db --yes").well();
    assert_eq!(kept(&desk).len(), 2);
}

#[test]
fn where_there_is_no_database_a_copy_makes_one() {
    let (desk, _) = desk_that_went_on();
    fs::remove_file(desk.path("a.db")).expect("it was there");
    let done = desk.run("db restore b.db --yes -o json").well();
    assert!(done.out.contains("\"replaced_kept_as\": null"), "{}", done.out);
    assert_eq!(desk.number("SELECT count(*) FROM request"), 1);
    assert!(kept(&desk).is_empty());
}

/// What a killed daemon leaves beside a database that somebody then deletes.
#[tokio::test]
async fn a_log_without_its_database_is_not_taken_for_the_copys() {
    let (desk, _) = desk_that_went_on();
    let location = Location::file(desk.path("a.db"), 0o600);
    let store = Store::open(&location, Role::Tool).await.expect("a database");
    store.wake(&ACCOUNT.parse().expect("an appid")).await.expect("a write");
    fs::copy(desk.path("a.db-wal"), desk.path("log")).expect("a log");
    store.close().await;
    fs::remove_file(desk.path("a.db")).expect("it was there");
    fs::rename(desk.path("log"), desk.path("a.db-wal")).expect("a log");
    desk.run("db restore b.db --yes").well();
    desk.run("db verify").well();
    let there = desk.json("request list");
    assert_eq!(there.as_array().map(Vec::len), Some(1));
    assert!(kept(&desk)[0].ends_with("-wal"), "{:?}", kept(&desk));
}

#[test]
fn what_is_not_fit_is_not_put_back() {
    let (desk, _) = desk_that_went_on();
    desk.run("db restore missing.db --yes").refused(1, "missing.db was not restored");
    desk.run("db restore a.db --yes").refused(1, "it is the database itself");
    desk.write("garbage.db", &"a shopping list ".repeat(999));
    desk.run("db restore garbage.db --yes").refused(1, "garbage.db was not restored");
    desk.write("empty.db", "");
    desk.run("db restore empty.db --yes").refused(1, "empty.db was not restored");
    desk.sql("UPDATE request SET since = 1");
    desk.run("db backup c.db").refused(1, "the backup is inconsistent");
    fs::copy(desk.path("a.db"), desk.path("c.db")).expect("a copy");
    desk.run("db restore c.db --yes").refused(1, "c.db was not restored: it does not hold together");
    assert_eq!(desk.number("SELECT count(*) FROM request"), 2);
    assert!(kept(&desk).is_empty(), "{:?}", kept(&desk));
}

#[test]
fn under_a_daemon_nothing_is_put_back() {
    let (desk, _) = desk_that_went_on();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let daemon = runtime.block_on(Store::open(&desk.location(), Role::Daemon)).expect("the daemon opens it");
    desk.run("db restore b.db --yes").refused(1, "a daemon is running on");
    runtime.block_on(daemon.close());
    desk.run("db restore b.db --yes").well();
}

#[test]
fn a_damaged_database_is_replaced_and_kept() {
    let (desk, id) = desk_that_went_on();
    desk.write("a.db", &"a shopping list ".repeat(999));
    let said = desk.run("db restore b.db --yes").well();
    assert!(said.err.contains("nothing can be taken over from the replaced database"), "{}", said.err);
    assert_eq!(desk.json(&format!("request show {id}"))["state"], "requested");
    assert_eq!(kept(&desk).len(), 1);
}
