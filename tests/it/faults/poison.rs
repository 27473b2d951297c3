//! An account whose row somebody made illegal, under the real daemon: it alone waits, until it is mended.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::ground::{Ground, account, text, wait_for};

/// For what needs no patience.
const SOON: Duration = Duration::from_secs(40);

async fn sql(ground: &Ground, statements: String) {
    let options = SqliteConnectOptions::new().filename(ground.path("amplinkd.db")).busy_timeout(SOON);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn linked(ground: &Ground, account: &str) -> usize {
    let list = ground.command(&format!("request list --state linked --account {account} -o csv")).output().unwrap();
    text(&list.stdout).lines().filter(|line| line.contains(account)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_account_stops_no_start_and_no_other_account_and_goes_on_when_it_is_mended() {
    let ground = Ground::lay().await;
    let recorder = ground.recorder().await;
    // Two accounts, four requests each.
    ground.ask(&recorder, 0..8).await;
    let (poisoned, other) = (account(0), account(4));
    let poison = format!("UPDATE account SET failures = 'x' WHERE account = '{poisoned}'");
    sql(&ground, crate::story::poison::past_all_checks(&poison)).await;

    let mut daemon = ground.start().await;
    assert!(wait_for(SOON, async || linked(&ground, &other) == 4).await, "{}", daemon.log.tail());
    assert_eq!(linked(&ground, &poisoned), 0);
    let audit = ground.command("audit -o json").output().unwrap();
    let said = text(&audit.stdout);
    assert_eq!(audit.status.code(), Some(3), "{said}");
    assert!(said.contains("bad_row") && said.contains(&format!("account {poisoned}")), "{said}");
    let of_failures = daemon.log.such(|line| line["event"] == "db.bad_row" && line["column"] == "failures");
    assert_eq!(of_failures.len(), 1, "told once: {}", daemon.log.tail());

    sql(&ground, format!("UPDATE account SET failures = 0 WHERE account = '{poisoned}'")).await;
    ground.conclude(&recorder, &mut daemon).await;
}
