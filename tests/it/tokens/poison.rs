//! Rows of the platform's tokens that somebody changed past us: each holds up itself alone, is named, and shows no secret.

use std::time::Duration;

use amplinkd::sim::{AuthorizerKind, PushAsk};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{ACCOUNT, PATIENCE, Platform, now_ms};
use crate::{harness::wait_for, story::poison::past_all_checks};

/// The account whose rows are poisoned.
const POISONED: &str = "wx00000000000000ad";

/// A secret in the clear where a sealed one belongs.
const PLAIN: &str = "refreshtoken@@@in-the-clear";

/// What somebody wrote, `$` being an authorizer of each case's own, and the beginning of what the audit says of it.
const POISONS: [(&str, &str); 18] = [
    ("UPDATE authorizer SET generation = 'x' WHERE appid = $", "generation holds 'x'"),
    ("UPDATE authorizer SET token_until = 'soon' WHERE appid = $", "token_until holds 'soon'"),
    ("UPDATE authorizer SET permissions = '{' WHERE appid = $", "permissions holds '{'"),
    ("UPDATE authorizer SET permissions = x'ff' WHERE appid = $", "permissions holds X'FF'"),
    ("UPDATE authorizer SET state = 'odd' WHERE appid = $", "state holds 'odd'"),
    ("UPDATE authorizer SET refresh = 'refreshtoken@@@in-the-clear' WHERE appid = $", "refresh holds a text"),
    ("UPDATE authorizer SET nickname = zeroblob(5000000) WHERE appid = $", "nickname holds X'00"),
    ("UPDATE authorizer SET errmsg = CAST(x'ff' AS TEXT), failures = -5 WHERE appid = $", "failures holds -5"),
    ("UPDATE authorizer SET killed_at = 'x' WHERE appid = $", "killed_at holds 'x'"),
    ("UPDATE authorizer SET claimed_by = 'x', claimed_until = 'x' WHERE appid = $", "claimed_until holds 'x'"),
    ("INSERT INTO authorizer (appid, state, since) VALUES (x'ff', 'unknown', 'x')", "appid holds X'FF'"),
    (
        "INSERT INTO push (id, appid, kind, made, at, code) VALUES (x'00', 5, 'odd', 'x', 1, 'refreshtoken@@@in-the-clear')",
        "push X'00'",
    ),
    (
        "INSERT INTO push (id, appid, kind, made, at) VALUES ('b', 'wx00000000000000ad', 'authorized', 1, x'ff')",
        "push b",
    ),
    ("INSERT INTO token_task (kind, appid, at) VALUES ('refresh', x'ff', 1)", "appid holds X'FF'"),
    ("UPDATE component SET calls_used = 'x', lookups_used = 'x'", "calls_used holds 'x'"),
    ("UPDATE component SET errmsg = x'ff', held_until = 'x', errcode = 'x'", "errcode holds 'x'"),
    ("UPDATE component SET swept_at = 'x', sweep_offset = 'x'", "swept_at holds 'x'"),
    ("UPDATE account SET since = x'00' WHERE account = 'wx00000000000000ad'", "since holds X'00'"),
];

impl Platform {
    async fn sql(&self, statements: &str) {
        let options = SqliteConnectOptions::new().filename(self.path("a.db")).busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn authorize(&self, appid: &str) {
        self.sim.world().authorize(appid, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
        self.sim.deliver_pushes().await;
    }

    /// How the last push of this kind was answered.
    fn answer(&self, kind: &str) -> Option<u16> {
        let world = self.sim.world();
        let last = world.component().unwrap().pushes().filter(|push| push.info_type == kind).last();
        last.and_then(|push| push.answers.last()?.status)
    }

    /// Everything that concerns no poisoned row works.
    async fn is_sound(&self, poison: &str, log: &crate::harness::Log) {
        self.sim.world().push(&PushAsk::default(), now_ms()).unwrap();
        self.sim.deliver_pushes().await;
        assert_eq!(self.answer("component_verify_ticket"), Some(200), "{poison}");
        assert!(
            wait_for(PATIENCE, async || self.token(&self.key, ACCOUNT).await.0 == 200).await,
            "{poison}: {}",
            log.tail()
        );
        let listed = self.json("authorizer list");
        let listed: Vec<&Value> = listed.as_array().unwrap().iter().filter(|row| row["appid"] == ACCOUNT).collect();
        assert_eq!(listed.len(), 1, "{poison}");
        let synced = self.command("authorizer sync").output().unwrap();
        assert!(synced.status.success(), "{poison}: {}\n{}", String::from_utf8_lossy(&synced.stderr), log.tail());
        self.run("component status");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_row_holds_up_itself_alone_and_is_named() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.authorize(ACCOUNT).await;
    platform.authorize(POISONED).await;
    platform.run(&format!("request link {POISONED} {ACCOUNT}"));
    platform.is_sound("none", &daemon.log).await;
    let mut audited = String::new();
    for (number, (poison, named)) in POISONS.into_iter().enumerate() {
        let own = format!("wx000000000000ff{number:02}");
        if poison.contains('$') {
            platform.authorize(&own).await;
            // Its name is learned last.
            let show = format!("authorizer show {own}");
            assert!(wait_for(PATIENCE, async || !platform.json(&show)["username"].is_null()).await, "{poison}");
        }
        platform.sql(&past_all_checks(&poison.replace('$', &format!("'{own}'")))).await;
        let said = platform.command("audit --all -o json").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains(named), "{poison}: {said}");
        audited.push_str(&said);
        platform.is_sound(poison, &daemon.log).await;
    }
    // Pushes about others go on: one that withdraws and one that grants, with all the poison in the file.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    platform.sim.world().revoke(ACCOUNT, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    assert_eq!(platform.authorizer()["state"], "unauthorized");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    platform.authorize(ACCOUNT).await;
    assert!(wait_for(PATIENCE, async || platform.token(&platform.key, ACCOUNT).await.0 == 200).await);
    // So does a start.
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let mut again = platform.daemon().await;
    platform.is_sound("after a start", &again.log).await;
    // What WeChat says next of the poisoned account is written down, and mends its row.
    platform.sim.world().revoke(POISONED, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    assert_eq!(platform.answer("unauthorized"), Some(200), "{}", again.log.tail());
    assert_eq!(platform.json(&format!("authorizer show {POISONED}"))["state"], "unauthorized");
    again.signal(Signal::TERM);
    assert!(again.end().success());
    let told = [daemon.log.lines(), again.log.lines()].concat().join("\n");
    assert!(told.contains("db.bad_row"), "{told}");
    assert!(!told.contains(PLAIN) && !audited.contains(PLAIN), "a secret in the clear is shown to nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_key_opens_keeps_the_others_from_no_new_key() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    for appid in [ACCOUNT, POISONED] {
        platform.authorize(appid).await;
    }
    for appid in [ACCOUNT, POISONED] {
        let show = format!("authorizer show {appid}");
        assert!(wait_for(PATIENCE, async || !platform.json(&show)["username"].is_null()).await, "{appid}");
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    platform.sql(&format!("UPDATE authorizer SET refresh = x'0102' WHERE appid = '{ACCOUNT}'")).await;
    platform.sql(&past_all_checks("UPDATE authorizer SET killed_at = 'x' WHERE appid = 'wx00000000000000ad'")).await;
    std::fs::rename(platform.path("database.key"), platform.path("old.key")).unwrap();
    platform.run(&format!("secrets new-key {}", platform.path("database.key").display()));
    let config = std::fs::read_to_string(platform.path("amplinkd.toml")).unwrap();
    let both = config.replace("[secrets]\n", "[secrets]\nprevious_key_files = [\"old.key\"]\n");
    std::fs::write(platform.path("amplinkd.toml"), both).unwrap();

    let said = platform.command("secrets rekey").output().unwrap();

    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains(&format!("authorizer.refresh of {ACCOUNT}")), "{why}");
    // Of the other account both values: its row takes no write.
    assert!(why.contains("3 values are as they were"), "{why}");
    // The component's ticket, token and known word, and the account's token are sealed anew.
    assert!(why.contains("4 values are sealed anew"), "{why}");
}
