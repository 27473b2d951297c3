//! The file of the database: a disk without room, names that lead to it, a schema of another version, and what stands
//! in it afterwards.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::{
    domain::{action, gate::GateKind, time::Time},
    engine::wish::AskError,
    store::{
        Location, OpenError, Record, Recorded, Role, Store, StoreError,
        write::{
            gates::Gate,
            standing::Standing,
            wakeups::{Heard, Wakeup},
        },
    },
};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use super::{ACCOUNT, Daemon, MORNING};
use crate::skip::skipped;

/// The word by which a test knows that it runs in a process of its own.
const ALONE: &str = "in-a-process-of-its-own";

fn location(path: &Path) -> Location {
    crate::place::location(path, 0o600)
}

async fn open(path: &Path, role: Role) -> Result<Store, OpenError> {
    Store::open(&location(path), role).await
}

async fn sql(path: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn somebody_elses_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await;
    sqlx::raw_sql("CREATE TABLE customers (name TEXT)").execute(&mut connection.unwrap()).await.unwrap();

    for role in [Role::Daemon, Role::Tool] {
        let opened = open(&path, role).await;
        assert!(matches!(opened, Err(OpenError::Foreign { .. })), "{opened:?}");
    }
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master").fetch_all(&mut connection).await.unwrap();
    assert_eq!(tables, ["customers"]);
}

#[tokio::test]
async fn a_database_that_was_deleted_or_replaced_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amplinkd.db");
    let store = open(&path, Role::Daemon).await.unwrap();
    assert!(store.is_in_place());

    std::fs::remove_file(&path).unwrap();
    assert!(!store.is_in_place(), "deleted");
    std::fs::write(&path, "").unwrap();
    assert!(!store.is_in_place(), "replaced");
}

#[tokio::test]
async fn a_second_name_of_the_file_is_no_way_past_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("amplinkd.db"), folder.path().join("link.db"));
    let store = open(&path, Role::Daemon).await.unwrap();
    symlink(&path, &link).unwrap();
    assert!(matches!(open(&link, Role::Daemon).await, Err(OpenError::Locked(_))));
    store.close().await;
    open(&link, Role::Daemon).await.unwrap().close().await;
    assert!(!folder.path().join("link.db.lock").exists());
}

#[tokio::test]
async fn a_command_brings_no_file_up_to_date_under_a_daemon_that_is_older() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amplinkd.db");
    open(&path, Role::Tool).await.unwrap().close().await;
    let daemon = open(&path, Role::Daemon).await.unwrap();
    open(&path, Role::Tool).await.unwrap().close().await;
    sql(&path, "PRAGMA user_version = 1").await;
    std::fs::write(folder.path().join("amplinkd.db.lock"), "drive 1\n").unwrap();
    let refused = open(&path, Role::Tool).await.unwrap_err();
    assert!(matches!(refused, OpenError::Older { version: 1, .. }), "{refused}");
    daemon.close().await;
    open(&path, Role::Tool).await.unwrap().close().await;
}

#[tokio::test]
async fn an_account_that_nobody_knows_is_not_made_by_suspending_it() {
    let daemon = Daemon::start().await;
    let account = ACCOUNT.parse().unwrap();
    let refused = daemon
        .engine()
        .recorder()
        .by(action::By::simulated())
        .set_standing(&account, Standing::SuspendedByOperator)
        .await;
    assert!(matches!(refused, Err(AskError::NoAccount(_))));
    assert!(daemon.store().wakeups(0, 10, Heard::ALL).await.unwrap().is_empty());
    daemon.store().wake(&account).await.unwrap();
    let woken = daemon.store().wakeups(0, 10, Heard::ALL).await.unwrap();
    daemon.store().take_wakeups(vec![woken[0].seq], vec![(woken[0].account.clone(), false)], MORNING).await.unwrap();
    assert!(daemon.store().wakeups(0, 10, Heard::ALL).await.unwrap().is_empty());
    assert!(daemon.store().account_views(None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_busy_account_with_many_wake_ups_keeps_the_next_page_from_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.db"), Role::Tool).await.unwrap();
    let name = |account: &str| format!("{account:0<18}");
    for account in ["wxa", "wxa", "wxa", "wxb", "wxa"] {
        store.wake(&name(account).parse().unwrap()).await.unwrap();
    }
    let numbers = |woken: &[Wakeup]| woken.iter().map(|wakeup| wakeup.seq).collect::<Vec<_>>();
    // The busy one keeps its own until its poll is over.
    let woken = store.wakeups(0, 2, Heard::ALL).await.unwrap();
    store.take_wakeups(vec![], vec![], MORNING).await.unwrap();
    assert_eq!(numbers(&woken), [1, 2]);
    let woken = store.wakeups(2, 2, Heard::ALL).await.unwrap();
    store.take_wakeups(vec![4], vec![(name("wxb"), false)], MORNING).await.unwrap();
    assert_eq!((numbers(&woken), woken[1].account.clone()), (vec![3, 4], name("wxb")));
    assert_eq!(numbers(&store.wakeups(0, 10, Heard::ALL).await.unwrap()), [1, 2, 3, 5]);
}

#[tokio::test]
async fn a_gate_that_opens_is_gone_and_one_that_closes_with_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.db"), Role::Tool).await.unwrap();
    let gate = |kind: GateKind| Gate {
        kind,
        subject: "all".to_owned(),
        until: 5,
        errcode: 61004,
        errmsg: String::new(),
        at: 1,
        early: false,
    };
    let closed = Record { gates: vec![gate(GateKind::Ip), gate(GateKind::ApiDay)], ..Record::default() };
    assert_eq!(store.record(closed).await.unwrap(), Recorded::Written);
    let opened = Record { opened_gates: vec![(GateKind::Ip, "all".to_owned())], ..Record::default() };
    assert_eq!(store.record(opened.clone()).await.unwrap(), Recorded::Written);
    assert_eq!(store.closed_gates(Time::from_ms(0)).await.unwrap(), [gate(GateKind::ApiDay)]);
    store.record(Record { gates: vec![gate(GateKind::Ip)], ..opened }).await.unwrap();
    assert_eq!(store.closed_gates(Time::from_ms(0)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn polls_and_lists_of_accounts_read_no_finished_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open(&path, Role::Tool).await.unwrap().close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as("EXPLAIN QUERY PLAN SELECT open_requests FROM v_account WHERE account = 'wxa'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(plan.iter().any(|(.., step)| step.contains("INDEX request_one_open (account=?)")), "{plan:?}");
}

/// A limit on the size of files stands for a full disk: writing fails in the middle of a commit. It is the process's
/// own, so that this test starts itself again.
#[tokio::test]
async fn what_was_acknowledged_is_there_and_writing_goes_on_when_there_is_room_again() {
    if std::env::args().any(|argument| argument == ALONE) {
        return fill_and_make_room().await;
    }
    let name = "story::disk::what_was_acknowledged_is_there_and_writing_goes_on_when_there_is_room_again";
    // Past the limit a write must fail, not kill.
    let done = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, ALONE, "--nocapture"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
}

/// Whether the limit could be set: not everybody has the command for it.
fn limit_files(bytes: &str) -> bool {
    let limit = [format!("--pid={}", std::process::id()), format!("--fsize={bytes}:")];
    Command::new("prlimit").args(limit).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

async fn fill_and_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path, Role::Daemon).await.unwrap();
    if !limit_files("300000") {
        return skipped("no `prlimit` that may limit the size of files");
    }
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0..300 {
        match number {
            // Folding the log into the file, which a closed connection does, made room again and again; now there is none.
            100 => {
                assert!(refused > 0, "a commit was refused");
                assert!(limit_files("4096"));
            }
            200 => {
                assert!(refused > 100, "every commit was refused");
                assert!(limit_files("unlimited"));
            }
            _ => {}
        }
        let account = format!("wx{number:016}");
        match store.wake(&account.parse().unwrap()).await {
            Ok(()) => acknowledged.push(account),
            Err(StoreError::Full(_) | StoreError::Broken(_)) if number < 200 => refused += 1,
            Err(error) => panic!("{number}: {error}"),
        }
    }
    store.job_due("drift", None).await.unwrap();
    store.close().await;
    let store = tokio::time::timeout(Duration::from_secs(20), open(&path, Role::Daemon)).await.unwrap().unwrap();
    let mut there: Vec<String> =
        store.wakeups(0, 1_000, Heard::ALL).await.unwrap().into_iter().map(|wakeup| wakeup.account).collect();
    there.sort_unstable();
    assert_eq!(there, acknowledged);
}
