//! Commands of somebody who may only read, on a read-only file system, and beside a log that was left behind.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Command};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{ACCOUNT, Desk, OTHER, PROGRAM, SOMEBODY, Said, block_on};
use crate::skip::skipped;

/// Every command that only reads.
fn readers(id: &str) -> Vec<String> {
    let plain = [
        "request list",
        "request list -o csv",
        "account list",
        "program list",
        "conflict list",
        "alert list",
        "gate list",
        "authorizer list",
        "channel list",
        "plan",
        "report",
        "report --digest",
        "audit",
        "audit --all",
        "db verify",
        "config check",
        "request cancel --open --dry-run",
        "account suspend --state active --dry-run",
        "alert ack --rule stuck --dry-run",
    ];
    let of_one = ["show", "explain", "history", "history --proof"].map(|verb| match verb.split_once(' ') {
        Some((verb, option)) => format!("request {verb} {id} {option}"),
        None => format!("request {verb} {id}"),
    });
    plain.map(str::to_owned).into_iter().chain(of_one).chain([format!("account show {ACCOUNT}")]).collect()
}

/// The binary on a read-only view of the folder; `None` where nobody may make one.
fn on_read_only(desk: &Desk, arguments: &str) -> Option<Said> {
    const MOUNT: &str = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\" && exec \"$@\"";
    let alone = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]).args(program);
        command.current_dir(desk.folder.path()).env_remove("AMPLINKD_CONFIG");
        command.output()
    };
    if !alone(&["true"]).is_ok_and(|done| done.status.success()) {
        return None;
    }
    let words: Vec<&str> = [env!("CARGO_BIN_EXE_amplinkd")].into_iter().chain(arguments.split_whitespace()).collect();
    Some(Said::from(alone(&words).expect("unshare runs")))
}

/// The binary as somebody who may read everything in the folder and write nothing; `None` where it cannot be run so.
fn as_reader(desk: &Desk, arguments: &str) -> Option<Said> {
    let mut command = desk.process(arguments);
    if rustix::process::geteuid().is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    command.output().ok().map(Said::from)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder").flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

#[test]
fn whatever_only_reads_works_on_a_read_only_file_system() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let before = names(desk.folder.path());
    for command in readers(&id) {
        let Some(said) = on_read_only(&desk, &command) else {
            return skipped("nothing may be mounted here");
        };
        assert_eq!(said.code, 0, "{command}: {}", said.err);
    }
    assert_eq!(on_read_only(&desk, "status").map(|said| said.code), Some(3), "no daemon runs");
    let backup = desk.folder.path().with_extension("copy");
    let said = on_read_only(&desk, &format!("db backup {}", backup.display()));
    assert_eq!(said.map(|said| said.code), Some(0));
    fs::remove_file(backup).expect("the backup");
    for writes in [format!("request link {ACCOUNT} {OTHER}"), format!("request cancel {id}"), "gate open ip".to_owned()]
    {
        let said = on_read_only(&desk, &writes).expect("it ran before");
        said.refused(1, "is on a read-only file system: remount it writable; commands that only read");
    }
    on_read_only(&desk, "request watch").expect("it ran before").refused(1, "steps could not be followed");
    assert_eq!(names(desk.folder.path()), before);
}

#[test]
fn whoever_may_only_read_reads() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let before = names(desk.folder.path());
    desk.seal("a.db", 0o444);
    desk.seal("amplinkd.toml", 0o444);
    // Anybody may make files in it, as in /tmp: whoever only reads must leave none there that a daemon cannot use.
    for folder in [0o555, 0o1777] {
        desk.seal(".", folder);
        for command in readers(&id) {
            let Some(said) = as_reader(&desk, &command) else {
                return skipped("nobody but root may run the binary where it is");
            };
            assert_eq!(said.code, 0, "{command}: {}", said.err);
            assert!(!command.starts_with("request list") || said.out.contains(&id), "{}", said.out);
        }
        assert_eq!(names(desk.folder.path()), before, "{folder:o}");
        let said = as_reader(&desk, &format!("request cancel {id}")).expect("it ran before");
        assert!(said.code == 1 && said.err.contains("a.db belongs to "), "{}", said.err);
    }
    desk.seal("a.db", 0o000);
    let said = as_reader(&desk, "request list").expect("it ran before");
    said.refused(1, "a.db belongs to ");
    assert!(said.err.contains("cannot read the database") && !said.err.contains("chown"), "{}", said.err);
    desk.seal(".", 0o755);
}

#[test]
fn a_log_that_was_left_behind_is_read_or_named() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let left = Desk::new();
    block_on(async {
        // While somebody has the file open, nobody folds the log into it.
        let options = SqliteConnectOptions::new().filename(desk.path("a.db"));
        let mut open = SqliteConnection::connect_with(&options).await.expect("the database opens");
        let _: i64 = sqlx::query_scalar("SELECT count(*) FROM request").fetch_one(&mut open).await.expect("a count");
        desk.link(ACCOUNT, OTHER);
        for name in ["a.db", "a.db-wal", "a.db-shm"] {
            fs::copy(desk.path(name), left.path(name)).expect("a copy");
            left.seal(name, 0o444);
        }
        open.close().await.expect("it closes");
    });
    left.seal(".", 0o555);
    let Some(said) = as_reader(&left, "request list") else {
        return skipped("nobody but root may run the binary where it is");
    };
    assert!(said.well().out.contains(OTHER), "the log is read");

    left.seal(".", 0o755);
    fs::remove_file(left.path("a.db-shm")).expect("the index");
    left.seal(".", 0o555);
    for command in ["request list", "status", "db verify", "audit"] {
        let said = as_reader(&left, command).expect("it ran before");
        said.refused(1, "a.db-wal holds changes that are not in the file yet");
        assert!(said.err.contains("cp "), "{}", said.err);
    }
    left.seal(".", 0o755);
    assert!(left.run("request list").well().out.contains(OTHER), "who may write makes the index");
}
