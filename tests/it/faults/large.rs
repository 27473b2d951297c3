//! A file too large to be checked before the daemon is ready: it is checked beside the work, and damage that is found there
//! ends everything, and keeps the next start from beginning.

use std::{os::unix::fs::FileExt, time::Duration};

use amplinkd::store::{Location, Role, Store};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::ground::{Ground, account, import_file, program, text, wait_for};
use crate::harness::{Log, Process};

/// Megabytes beside what amplinkd itself writes: more than is checked first.
const FILLED: u32 = 70;

const PAGE: u64 = 4_096;

/// For what needs no patience.
const SOON: Duration = Duration::from_secs(20);

async fn connect(ground: &Ground) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(ground.path("amplinkd.db")).busy_timeout(SOON);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// A database of more than is checked first, and the root page of the table that makes it so.
async fn fill(ground: &Ground) -> u64 {
    let location = Location::file(ground.path("amplinkd.db"), 0o640);
    Store::open(&location, Role::Tool).await.unwrap().close().await;
    let mut connection = connect(ground).await;
    sqlx::query("CREATE TABLE filler (bytes BLOB)").execute(&mut connection).await.unwrap();
    for _ in 0..FILLED {
        sqlx::query("INSERT INTO filler (bytes) VALUES (zeroblob(1048576))").execute(&mut connection).await.unwrap();
    }
    let root: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'filler'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    root.unsigned_abs()
}

/// Overwrites a page, or writes it back.
fn overwrite(ground: &Ground, page: u64, bytes: &[u8]) -> Vec<u8> {
    let file = std::fs::File::options().read(true).write(true).open(ground.path("amplinkd.db")).unwrap();
    let mut before = vec![0; bytes.len()];
    file.read_exact_at(&mut before, (page - 1) * PAGE).unwrap();
    file.write_all_at(bytes, (page - 1) * PAGE).unwrap();
    before
}

/// Runs the daemon until it ends by itself, for its file is damaged; whether it had been ready.
fn ends_by_damage(ground: &Ground) -> bool {
    let mut daemon = Process::spawn(ground.command("run"), &Log::default());
    let (ended, said) = (daemon.end(), daemon.log.lines().join("\n"));
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("is damaged"), "{said}");
    daemon.told_systemd("READY=1") > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_checked_beside_the_work_and_damage_stops_everything_until_it_is_mended() {
    let ground = Ground::lay().await;
    let root = fill(&ground).await;
    let mut daemon = ground.start_watched().await;
    let recorder = ground.recorder().await;
    ground.ask(&recorder, 0..4).await;
    assert!(wait_for(SOON, async || daemon.log.count("db.whole") > 0).await, "{}", daemon.log.tail());
    assert!(daemon.told_systemd("EXTEND_TIMEOUT_USEC=") > 0, "{}", daemon.log.tail());
    ground.conclude(&recorder, &mut daemon).await;
    recorder.store().clone().close().await;
    drop(daemon);

    // Opened once more and closed by its last user, all of the log is in the file.
    drop(connect(&ground).await.close().await);
    let before = overwrite(&ground, root, &[0xff; 512]);
    assert!(ends_by_damage(&ground), "it is found beside the work");
    assert!(ground.path("amplinkd.db.damaged").exists());

    let calls = ground.calls();
    ground.command("request link").args([account(9), program(9)]).output().unwrap();
    assert!(!ends_by_damage(&ground), "it is found before any work");
    assert_eq!(ground.calls(), calls, "nobody is called any more");

    overwrite(&ground, root, &before);
    let mended = ground.start().await;
    assert!(!ground.path("amplinkd.db.damaged").exists());
    assert!(wait_for(SOON, async || ground.calls() > calls).await, "{}", mended.log.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_takes_its_time_tells_systemd_that_it_goes_on_and_can_be_ended() {
    let ground = Ground::lay().await;
    let location = Location::file(ground.path("amplinkd.db"), 0o640);
    Store::open(&location, Role::Tool).await.unwrap().close().await;
    // Somebody brings the file up to date, as far as anybody can see.
    std::fs::write(ground.path("amplinkd.db.lock"), "migrate 1000\n").unwrap();
    let lock = std::fs::File::open(ground.path("amplinkd.db.lock")).unwrap();
    lock.try_lock().unwrap();
    let daemon = ground.spawn_watched();
    assert!(
        wait_for(SOON, async || daemon.told_systemd("EXTEND_TIMEOUT_USEC=60000000") > 1).await,
        "again and again: {}",
        daemon.log.tail()
    );
    assert_eq!(daemon.told_systemd("READY=1"), 0);
    ended_by_sigterm(daemon);
    drop(lock);
    let daemon = ground.spawn_watched();
    assert!(wait_for(SOON, async || daemon.told_systemd("READY=1") > 0).await, "{}", daemon.log.tail());
}

fn ended_by_sigterm(mut daemon: Process) {
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.end().success(), "{}", daemon.log.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_illegal_row_stops_no_start_however_the_check_words_it() {
    let ground = Ground::lay().await;
    let file = import_file(ground.folder.path(), 0..4);
    let made = ground.command(&format!("request import {file}")).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    ground.acknowledge(0..4);
    let mut connection = connect(&ground).await;
    let poison = crate::story::poison::past_all_checks(
        "INSERT INTO gate (kind, subject, until, errcode, errmsg, at) VALUES ('x', 'y', 'never', 'x', x'00', 1)",
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(poison)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut daemon = ground.start().await;
    assert!(daemon.log.count("db.illegal_rows") > 0, "{}", daemon.log.tail());
    let audit = ground.command("audit").output().unwrap();
    assert_eq!((audit.status.code(), text(&audit.stdout).contains("bad_row")), (Some(3), true));
    let recorder = ground.recorder().await;
    let mut connection = connect(&ground).await;
    sqlx::query("DELETE FROM gate WHERE kind = 'x'").execute(&mut connection).await.unwrap();
    ground.conclude(&recorder, &mut daemon).await;
}
