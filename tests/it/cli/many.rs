//! Many requests at the command line: lists, and changes of all that filters name.

use std::fmt::Write;

use serde_json::json;

use super::{ACCOUNT, Desk, NOBODY, OTHER, PROGRAM};

/// A desk with `count` links of one account, written at once.
fn desk_with(count: usize) -> Desk {
    let desk = Desk::new();
    let mut lines = String::from("account,program,labels\n");
    for number in 0..count {
        let half = if number % 2 == 0 { "even" } else { "odd" };
        writeln!(lines, "{ACCOUNT},wxp{number:015},half={half}").expect("a text grows");
    }
    desk.write("many.csv", &lines);
    desk.run("request import many.csv").well();
    desk
}

#[test]
fn a_list_is_filtered_and_bounded() {
    let desk = desk_with(60);
    let count = |filters: &str| desk.json(&format!("request list {filters}")).as_array().map_or(0, Vec::len);
    assert_eq!(
        [
            count(""),
            count("--limit 7"),
            count("--label half=odd"),
            count("--state requested,linked --open --kind link"),
            count("--finished"),
            count(&format!("--account {OTHER}")),
            count("--program wxp000000000000003"),
        ],
        [60, 7, 30, 60, 0, 0, 1]
    );
    assert_eq!(desk.run("request list --state nonsense").code, 2);
    assert_eq!(desk.run("request list --open --finished").code, 2);
}

#[test]
fn a_table_shows_a_page_and_fits_a_screen() {
    let desk = desk_with(60);
    let said = desk.run("request list").well();
    assert_eq!(said.out.lines().count(), 52);
    assert!(said.err.contains("showing the first 50; --limit 0 shows all"), "{}", said.err);
    assert_eq!(desk.run("request list --limit 0").well().out.lines().count(), 62);
    desk.run(&format!("request unlink {ACCOUNT} {PROGRAM}")).well();
    desk.sql("UPDATE request SET state = 'awaiting_account_admin' WHERE kind = 'link'");
    let widest = desk.run("request list").well().out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(120), "{widest:?}");
}

#[test]
fn every_way_of_printing_has_every_row() {
    let desk = desk_with(3);
    assert_eq!(desk.run("request list -o jsonl").well().out.lines().count(), 3);
    let csv = desk.run("request list -o csv").well().out;
    assert!(csv.starts_with("id,kind,account,program,username,state,waiting_on,since,"), "{csv}");
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn cancelling_many_needs_a_filter_and_a_word() {
    let desk = desk_with(10);
    desk.run("request cancel").refused(2, "which requests to cancel?");
    desk.run(&format!("request cancel {NOBODY} --open")).refused(2, "not both");
    desk.run("request cancel --label half=odd").refused(1, "this would cancel 5 requests: use --yes");
    let dry = desk.run("request cancel --label half=odd --dry-run -o json").well();
    assert!(dry.err.contains("5 requests to cancel; nothing was changed"), "{}", dry.err);
    assert_eq!(desk.number("SELECT count(*) FROM request WHERE finished_at IS NOT NULL"), 0);
    let done = desk.json("request cancel --label half=odd --yes");
    assert_eq!((done.as_array().map(Vec::len), &done[0]["state"]), (Some(5), &json!("cancelled")));
    assert_eq!(desk.number("SELECT count(*) FROM request WHERE state = 'cancelled'"), 5);
    desk.run("request cancel --finished --yes").refused(2, "cancel takes open requests");
}

#[test]
fn what_was_sent_cannot_be_withdrawn_and_cancel_says_so() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.sql("UPDATE request SET state = 'initiated', attempt = 1, called_at = since");
    let said = desk.run(&format!("request cancel {id}")).well();
    assert!(said.err.contains("WeChat cannot withdraw"), "{}", said.err);
    desk.run(&format!("request cancel {id}")).refused(1, "is cancelled already: there is nothing to cancel");
}

#[test]
fn a_retry_is_a_new_request_that_names_the_old() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.run(&format!("request retry {id}")).refused(1, "is still requested");
    desk.run(&format!("request cancel {id}")).well();
    let retried = desk.json(&format!("request retry {id}"));
    assert_eq!((retried.as_array().map(Vec::len), &retried[0]["retry_of"]), (Some(1), &json!(id)));
    let again = desk.run(&format!("request retry {id}")).well();
    assert!(again.err.contains("already open again"), "{}", again.err);
    assert_eq!(desk.number("SELECT count(*) FROM request"), 2);
}

#[test]
fn retrying_many_takes_the_latest_of_each_pair_and_nothing_that_was_linked() {
    let desk = desk_with(3);
    desk.run("request cancel --open --yes").well();
    desk.run("request retry --program wxp000000000000000 --yes").well();
    desk.run("request cancel --open --yes").well();
    desk.sql("UPDATE request SET state = 'linked' WHERE program = 'wxp000000000000002'");
    let meant = desk.json("request retry --finished --dry-run");
    let mut programs: Vec<&str> =
        meant.as_array().into_iter().flatten().filter_map(|request| request["program"].as_str()).collect();
    programs.sort_unstable();
    assert_eq!(programs, ["wxp000000000000000", "wxp000000000000001"]);
    assert_eq!(desk.json("request retry --state linked --dry-run").as_array().map(Vec::len), Some(1));
}

#[test]
fn one_unknown_id_does_not_stop_the_others() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let said = desk.run(&format!("request cancel {NOBODY} {id}"));
    assert!(said.code == 1 && said.out.contains(&id) && said.err.contains("there is no request"), "{}", said.err);
}
