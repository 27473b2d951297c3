//! What stands beside the database: a lock that leads elsewhere, and a daemon and commands that come at one moment.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, chown, symlink},
    path::Path,
    process::Command,
    time::Duration,
};

use amplinkd::store::{Role, Store};

use super::{ACCOUNT, Desk, OTHER, PROGRAM, SOMEBODY, block_on};
use crate::{
    harness::{Log, Process, until},
    skip::skipped,
};

/// How often a daemon and commands are begun together; `AMPLINKD_ROUNDS` says otherwise.
const ROUNDS: u32 = 30;

/// Longer than a lock is waited for that nobody will let go.
const LONG: Duration = Duration::from_millis(2_500);

/// What may stand where the lock should, made beside a file that is not to be touched.
type Plant = fn(&Path, &Path);

const PLANTS: [(&str, Plant); 5] = [
    ("a symbolic link", |victim, lock| symlink(victim, lock).expect("a link")),
    ("a symbolic link", |victim, lock| symlink(victim.with_extension("none"), lock).expect("a link to nothing")),
    ("a hard link", |victim, lock| fs::hard_link(victim, lock).expect("a second name")),
    ("a folder", |_, lock| fs::create_dir(lock).expect("a folder")),
    ("a named pipe", |_, lock| {
        let made = Command::new("mkfifo").arg(lock).status().expect("mkfifo runs");
        assert!(made.success());
    }),
];

/// Everything about a file that somebody could have changed.
fn looks(path: &Path) -> (u32, u32, u32, u64, String) {
    let found = fs::metadata(path).expect("it is there");
    (found.uid(), found.gid(), found.mode(), found.len(), fs::read_to_string(path).expect("it can be read"))
}

#[test]
fn a_lock_that_leads_elsewhere_is_refused_and_nothing_is_given_away() {
    for (what, plant) in PLANTS {
        let desk = Desk::new();
        // The folder and the database of the service; whoever runs the commands may be root.
        desk.link(ACCOUNT, PROGRAM);
        fs::remove_file(desk.path("a.db.lock")).expect("the lock of the first command");
        desk.write("victim", "not yours");
        let is_root = chown(desk.path("a.db"), Some(SOMEBODY), Some(SOMEBODY)).is_ok();
        let before = looks(&desk.path("victim"));
        plant(&desk.path("victim"), &desk.path("a.db.lock"));

        // The audit asks whether a daemon runs when there is something to explain.
        desk.sql("INSERT INTO job (name, due_at) VALUES ('audit', 1)");
        assert_eq!(desk.run("audit").code, 3);
        assert_eq!(looks(&desk.path("victim")), before, "{what}");
        let daemon = block_on(Store::open(&desk.location(), Role::Daemon)).expect_err("it is no lock").to_string();
        assert!(daemon.contains(what) && daemon.contains("take it away (`rm "), "{what}: {daemon}");
        // A command that brings the file up to date takes the lock, too.
        desk.sql("PRAGMA user_version = 1");
        desk.run("request list").refused(1, what);
        assert_eq!(looks(&desk.path("victim")), before, "{what}");
        assert!(!desk.path("victim.none").exists(), "{what}");
        if !is_root {
            skipped(&format!("only root could have given {what} away"));
        }
    }
}

#[test]
fn a_log_that_leads_elsewhere_is_refused() {
    for name in ["a.db-wal", "a.db-shm", "a.db-journal"] {
        let desk = Desk::new();
        desk.link(ACCOUNT, PROGRAM);
        desk.write("victim", "not yours");
        fs::hard_link(desk.path("victim"), desk.path(name)).expect("a second name");
        let before = looks(&desk.path("victim"));
        desk.run(&format!("request link {ACCOUNT} {OTHER}")).refused(1, "a hard link");
        assert_eq!(looks(&desk.path("victim")), before, "{name}");
        fs::remove_file(desk.path(name)).expect("as it was told");
        desk.link(ACCOUNT, OTHER);
    }
}

#[test]
fn a_lock_is_made_for_the_owner_of_the_database_and_one_that_is_there_stays_whose_it_was() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    if chown(desk.path("a.db"), Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        return skipped("only root makes a lock for somebody else");
    }
    let owner = || fs::metadata(desk.path("a.db.lock")).expect("it is there").uid();
    let before = owner();
    block_on(async { Store::open(&desk.location(), Role::Daemon).await.expect("it opens").close().await });
    assert_eq!(owner(), before, "made by another process");
    fs::remove_file(desk.path("a.db.lock")).expect("nobody holds it");
    block_on(async { Store::open(&desk.location(), Role::Daemon).await.expect("it opens").close().await });
    assert_eq!(owner(), SOMEBODY, "made by this one");
}

/// Begins the daemon and three commands on a database that none of them finds.
fn begin_together(round: u32) {
    let desk = Desk::new();
    desk.write(
        "amplinkd.toml",
        "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"http://127.0.0.1:9\"\n[tokens]\nsource = \"command\"\n\
         command = [\"false\"]\n",
    );
    let start = |arguments: &str| Process::spawn(desk.process(arguments), &Log::default());
    let mut daemon = start("run");
    let commands =
        [PROGRAM, OTHER, "wx00000000000000bb"].map(|program| start(&format!("request link {ACCOUNT} {program}")));
    for mut command in commands {
        assert!(command.end().success(), "round {round}: {}", command.log.tail());
    }
    until("the daemon is ready", || daemon.is_ready());
    assert_eq!(desk.json("request list").as_array().map(Vec::len), Some(3), "round {round}");
}
#[test]
fn a_daemon_and_commands_that_begin_at_one_moment_on_no_database_all_succeed() {
    let rounds = std::env::var_os("AMPLINKD_ROUNDS").and_then(|rounds| rounds.to_str()?.parse().ok()).unwrap_or(ROUNDS);
    (1..=rounds).for_each(begin_together);
}

#[test]
fn a_process_waits_for_another_one_that_brings_the_file_up_to_date_and_not_for_one_that_keeps_it() {
    let desk = Desk::new();
    fs::write(desk.path("a.db"), "").expect("an empty file");
    let held_for = |purpose: &str| {
        let mut lock = File::create(desk.path("a.db.lock")).expect("a lock");
        lock.write_all(purpose.as_bytes()).expect("a word");
        lock.try_lock().expect("nobody holds it");
        lock
    };
    let link = || desk.command(&format!("request link {ACCOUNT} {PROGRAM}")).timeout(Duration::from_mins(1)).ok();

    // An older daemon says nothing.
    let lock = held_for("");
    desk.run("request list").refused(1, "belongs to an older amplinkd that is running");
    drop(lock);

    let lock = held_for("drive 1000\n");
    let waiting = std::thread::scope(|threads| {
        let waiting = threads.spawn(link);
        std::thread::sleep(LONG);
        drop(lock);
        waiting.join().expect("it did not panic")
    });
    assert!(waiting.is_ok(), "{waiting:?}");

    let lock = held_for("migrate 1000\n");
    let daemon = std::thread::scope(|threads| {
        let daemon = threads.spawn(|| block_on(Store::open(&desk.location(), Role::Daemon)).map(drop));
        std::thread::sleep(LONG);
        drop(lock);
        daemon.join().expect("it did not panic")
    });
    assert!(daemon.is_ok(), "{daemon:?}");

    let lock = held_for("replace 1000\n");
    let refused = block_on(Store::open(&desk.location(), Role::Daemon)).expect_err("a person decides");
    assert!(refused.to_string().contains("another amplinkd is already running on"), "{refused}");
    drop(lock);
}

#[test]
fn a_database_with_two_names_is_opened_under_neither() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    fs::hard_link(desk.path("a.db"), desk.path("b.db")).expect("a second name");
    desk.run(&format!("request link {ACCOUNT} {OTHER}")).refused(1, "has another name (a hard link)");
    let daemon = block_on(Store::open(&desk.location(), Role::Daemon)).expect_err("two logs").to_string();
    assert!(daemon.contains("keep one name"), "{daemon}");
    fs::remove_file(desk.path("b.db")).expect("as it was told");
    desk.link(ACCOUNT, OTHER);
}

#[test]
fn whoever_asks_beside_a_daemon_whose_file_is_gone_is_told_so() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let daemon = block_on(Store::open(&desk.location(), Role::Daemon)).expect("it opens");
    for name in ["a.db", "a.db-wal", "a.db-shm"] {
        let _ = fs::remove_file(desk.path(name));
    }
    desk.run(&format!("request link {ACCOUNT} {PROGRAM}")).refused(1, "was deleted or replaced");
    block_on(daemon.close());
}
