//! A database that somebody else holds: a backup's long transaction, and our own copy while everything is under way.

use std::{process::Stdio, time::Duration};

use amplinkd::store::Store;
use serde_json::Value;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use super::ground::{Ground, STATUS_UNWRITABLE, UNWRITABLE, WRITABLE, account, program, text, wait_for};

/// How long somebody holds it: several times what the daemon waits for it.
const HELD: Duration = Duration::from_secs(15);

/// From its release to the first call: the rest of a pause.
const RECOVERY: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_held_by_a_backup_stops_calls_and_not_the_loop() {
    let ground = Ground::lay().await;
    let mut daemon = ground.start_watched().await;
    let recorder = ground.recorder().await;
    ground.ask(&recorder, 0..8).await;
    assert!(wait_for(RECOVERY, async || ground.calls() > 2).await, "calls are under way");

    let path = ground.path("amplinkd.db");
    let mut backup = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut backup).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let calls = ground.calls();
    // Asked meanwhile: it waits for the holder, and is acknowledged after.
    let mut asking = ground.command("request link");
    asking.args([account(8), program(8)]).args(["--key", "fault 8"]).stdout(Stdio::null());
    let mut asking = asking.spawn().unwrap();
    tokio::time::sleep(HELD).await;
    assert_eq!(ground.calls(), calls, "nothing is sent that could not be recorded first");
    // One outage, however many parts of the daemon were refused in it.
    assert_eq!(daemon.log.count(UNWRITABLE), 1, "{}", daemon.log.tail());
    let is_busy =
        |line: &Value| line["event"] == UNWRITABLE && line["error"].to_string().contains("the database is busy");
    assert!(!daemon.log.such(is_busy).is_empty(), "{}", daemon.log.tail());
    assert_eq!(daemon.log.count("engine.stands_still"), 0, "{}", daemon.log.tail());
    assert!(daemon.told_systemd(STATUS_UNWRITABLE) > 0, "{}", daemon.log.tail());
    sqlx::raw_sql("ROLLBACK").execute(&mut backup).await.unwrap();

    assert!(asking.wait().unwrap().success());
    ground.acknowledge(8..9);
    assert!(wait_for(RECOVERY, async || ground.calls() > calls).await, "it did not go on; {}", daemon.log.tail());
    ground.conclude(&recorder, &mut daemon).await;
    assert_eq!(daemon.log.count(WRITABLE), 1, "{}", daemon.log.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_made_while_requests_arrive_hold_up_nobody_and_are_whole() {
    let ground = Ground::lay().await;
    let mut daemon = ground.start().await;
    let recorder = ground.recorder().await;
    for turn in 0..5 {
        ground.ask(&recorder, turn * 6..(turn + 1) * 6).await;
        let copied = ground.command(&format!("db backup copy-{turn}.db")).output().unwrap();
        assert!(copied.status.success(), "{}", text(&copied.stderr));
        let copy = ground.path(&format!("copy-{turn}.db"));
        assert_eq!(Store::verify(&copy, 10).await.unwrap(), []);
        let mut copy = SqliteConnectOptions::new().filename(copy).connect().await.unwrap();
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM v_request").fetch_one(&mut copy).await.unwrap();
        assert_eq!(usize::try_from(there), Ok((turn + 1) * 6), "whatever was acknowledged before it is in it");
    }
    ground.conclude(&recorder, &mut daemon).await;
    assert_eq!(daemon.log.errors(), 0, "{}", daemon.log.tail());
}
