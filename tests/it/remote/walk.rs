//! Every command of the program: what goes over HTTP prints there what it prints on the daemon's machine, and what does not
//! says so. A new command must be put into one of the two.

use std::collections::BTreeSet;

use amplinkd::cli::Cli;
use clap::CommandFactory as _;

use super::*;
use crate::http::ACCOUNT;

/// What works on its machine alone, with arguments that are legal.
const LOCAL: [(&str, &str); 24] = [
    ("demo", ""),
    ("run", ""),
    ("account check", "wx00000000000000aa"),
    ("authorizer sync", ""),
    ("authorizer refresh", "wx00000000000000aa"),
    ("gate open", "ip"),
    ("node list", ""),
    ("node drain", "a"),
    ("node resume", "a"),
    ("node forget", "a"),
    ("heartbeat test", ""),
    ("db backup", "copy.db"),
    ("db restore", "copy.db"),
    ("db move", "--to-file url"),
    ("db prune", ""),
    ("db verify", ""),
    ("secrets new-key", "key"),
    ("secrets rekey", ""),
    ("token-key new", ""),
    ("config check", ""),
    ("simulate", ""),
    ("selftest", ""),
    ("completions", "bash"),
    ("man", "folder"),
];

/// What goes over HTTP; reads with arguments that are compared.
const READS: [(&str, &str); 28] = [
    ("request list", ""),
    ("request list", "--open --limit 2"),
    ("request list", "--label shop=1"),
    ("request list", "--state linked"),
    ("request show", "ID"),
    ("request show", "ENDING"),
    ("request history", "ID"),
    ("request history", "ID --proof"),
    ("request explain", "ID"),
    ("account list", ""),
    ("account list", "--trouble unreachable,token --label shop=1"),
    ("account show", "ACCOUNT"),
    ("program list", "--account ACCOUNT"),
    ("conflict list", "--open"),
    ("conflict show", "CONFLICT"),
    ("alert list", "--state all"),
    ("alert show", "ALERT"),
    ("channel list", ""),
    ("gate list", "--kind program_month"),
    ("authorizer list", ""),
    ("user list", ""),
    ("api-token list", ""),
    ("action list", "--subject ID"),
    ("report", ""),
    ("report", "--by label shop --since 30d"),
    ("plan", "--per-second 400"),
    ("health", ""),
    ("channel retry", "ops --dry-run"),
];

/// What goes over HTTP and changes something, or is different at each moment: other tests look at them.
const OTHERS: [&str; 24] = [
    "request link",
    "request unlink",
    "request import",
    "request watch",
    "request cancel",
    "request retry",
    "request nudge",
    "account suspend",
    "account resume",
    "alert ack",
    "alert snooze",
    "alert resolve",
    "channel test",
    "user add",
    "user change",
    "user password",
    "user remove",
    "api-token new",
    "api-token revoke",
    "action show",
    "authorizer show",
    "component status",
    "status",
    "audit",
];

fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name()).trim().to_owned();
        if below.has_subcommands() {
            leaves(below, &path, found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn every_command_goes_over_http_or_says_that_it_does_not() {
    let mut found = BTreeSet::new();
    leaves(&Cli::command(), "", &mut found);
    let remote = READS.iter().map(|(path, _)| *path).chain(OTHERS);
    let known: BTreeSet<String> = remote.chain(LOCAL.iter().map(|(path, _)| *path)).map(str::to_owned).collect();
    assert_eq!(found, known);
    let folder = tempfile::tempdir().unwrap();
    for (path, arguments) in LOCAL {
        // Before anything else: there is no token and nobody at the address.
        let said = Printed::of(at("http://127.0.0.1:9", &folder.path().join("none"), &format!("{path} {arguments}")));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{path}: {said:?}");
        let is_told = said.err.contains("works on this machine alone, not over HTTP: leave out --server");
        assert!(is_told && said.err.lines().count() == 1, "{path}: {said:?}");
    }
}

/// Rows of every kind, at rest.
async fn furnished() -> (Far, [String; 3]) {
    let far = Far::open(
        "[polling]\nsteps = [{ every = \"9h\" }]\n[alerts]\nlanguage = \"en\"\ntimezone = \"Asia/Shanghai\"\n[[alerts.channel]]\nname = \"ops\"\n\
         kind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nevents = [\"conflict\"]",
    )
    .await;
    for shop in 0..5 {
        far.house.json(&format!("request link {ACCOUNT} wx000000000000000{shop} --label shop={shop} --key k{shop}"));
    }
    far.house
        .sql(
            "INSERT INTO conflict (id, request_id, kind, at, our_state)
             SELECT '0197c2d7-0000-7000-8000-0000000000c1', r.id, 'adopted', 1000, 'initiated' FROM request AS r LIMIT 1;
             INSERT INTO alert (id, key, rule, reason, state, since, fired_at, acknowledged_at, message_en, message_zh)
             VALUES ('0197c2d7-0000-7000-8000-0000000000a1', 'k', 'rejected', 'rejected', 'acknowledged', 1, 1, 1, 'so', '如此');
             INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
             VALUES ('program_month', 'wxbbbb000000000009', 4102444800000, 89007, 'used up', 1);
             INSERT INTO log (id, type, subject, partition_key, at, data)
             VALUES ('e1', 'amplinkd.alert.fired', 's', 'a', 1000, '{}');
             INSERT INTO delivery (id, event_id, seq, partition_key, channel, state, attempts, refusals, created_at, last_error)
             SELECT '0197c2d7-0000-7000-8000-0000000000d1', 'e1', l.seq, 'a', 'ops', 'dead', 9, 5, 1000, 'HTTP 404'
             FROM log AS l WHERE l.id = 'e1'",
        )
        .await;
    far.house.user("lena", Role::Operator, "correct horse").await;
    let id = far.house.json("request list --limit 1")[0]["id"].as_str().unwrap().to_owned();
    let told = |id: &str| id.to_owned();
    (far, [id, told("0197c2d7-0000-7000-8000-0000000000c1"), told("0197c2d7-0000-7000-8000-0000000000a1")])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_over_http_is_what_is_read_on_the_machine() {
    let (far, [id, conflict, alert]) = furnished().await;
    for (path, arguments) in READS {
        let arguments = arguments.replace("ENDING", &id[id.len() - 12..]).replace("ID", &id);
        let arguments = arguments.replace("ACCOUNT", ACCOUNT).replace("CONFLICT", &conflict).replace("ALERT", &alert);
        for form in ["-o json", "-o jsonl", "-o csv", ""] {
            if form == "-o csv" && arguments.contains("--proof") {
                continue;
            }
            // Sentences have the zone of whoever reads them on the machine; over HTTP they are in UTC.
            if form.is_empty() && path == "request explain" {
                continue;
            }
            let command = format!("{path} {arguments} {form}");
            same(&far, &command);
        }
    }
}

/// Compares where nothing moves between two looks on the machine.
fn same(far: &Far, command: &str) {
    for _ in 0..40 {
        let (before, there, after) = (far.near(command), far.far(command), far.near(command));
        if before != after {
            continue;
        }
        assert_eq!(there, before, "{command}");
        return;
    }
    panic!("{command}: it never rests");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_refused_in_the_same_words() {
    let (far, _) = furnished().await;
    for command in [
        "request show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "request show ffffff",
        "request history 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "request explain 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "request cancel 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "request cancel",
        "request cancel --finished --yes",
        "account show wx00000000000000ff",
        "account suspend wx00000000000000ff",
        "conflict show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "alert show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "alert ack 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "alert snooze --until tomorrow 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "channel retry tpyo",
        "action show 0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b",
        "user remove tpyo",
        "api-token revoke tpyo",
        "report --by tpyo",
        "status -o csv",
        "request link wx00000000000000aa wx00000000000000aa",
    ] {
        let (near, there) = (far.near(command), far.far(command));
        let without_notes = |text: &str| -> String {
            text.lines().filter(|line| !line.starts_with("note: ")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            (there.code, &there.out, without_notes(&there.err)),
            (near.code, &near.out, without_notes(&near.err)),
            "{command}"
        );
        assert_ne!(near.code, 0, "{command}");
    }
    let id = far.house.json("request list --limit 1")[0]["id"].as_str().unwrap().to_owned();
    let still_open = far.far(&format!("request retry {id}"));
    assert!(still_open.code == 1 && still_open.err.contains("is still"), "{still_open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_the_same_but_for_its_moment() {
    let (far, _) = furnished().await;
    let known = |said: &Printed| -> Value {
        let mut page = said.json();
        for moving in ["at", "database", "accounts", "audit", "plan", "daemon"] {
            page.as_object_mut().unwrap().remove(moving);
        }
        page
    };
    // Between the two a second may pass, in which something changes.
    let both = || (far.near("status -o json"), far.far("status -o json"));
    let same = |(near, there): &(Printed, Printed)| (known(there), there.code) == (known(near), near.code);
    let (near, there) = (0..9).map(|_| both()).find(same).unwrap_or_else(|| panic!("they never agree: {:?}", both()));
    let names = |said: &Printed| -> Vec<String> { said.json().as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&there), names(&near));
    let page = far.far("status");
    assert!(page.out.starts_with("amplinkd status at ") && page.out.contains("+08:00"), "{page:?}");
    assert_eq!(far.far("component status").code, 1);
}
