//! The key that seals tokens: a wrong one is refused before anything is written, and nothing is sealed under one that the
//! running daemon does not know.

use rusqlite::Connection;

use super::*;

impl Platform {
    fn rewrite(&self, from: &str, to: &str) {
        let config = std::fs::read_to_string(self.path("amplinkd.toml")).unwrap();
        assert!(config.contains(from), "{from} in {config}");
        std::fs::write(self.path("amplinkd.toml"), config.replace(from, to)).unwrap();
    }

    /// What a command says where it fails.
    fn fails(&self, arguments: &str) -> String {
        let said = self.command(arguments).output().unwrap();
        assert!(!said.status.success(), "{arguments}: {}", String::from_utf8_lossy(&said.stdout));
        String::from_utf8(said.stderr).unwrap()
    }

    /// Every component of the database with its known word.
    fn key_checks(&self) -> Vec<(String, Vec<u8>)> {
        let disk = Connection::open(self.path("a.db")).unwrap();
        let mut rows = disk.prepare("SELECT appid, key_check FROM component ORDER BY appid").unwrap();
        rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn appid(&self) -> String {
        self.sim.world().component().unwrap().appid().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_under_another_appid_too() {
    const OTHER: &str = "wx00000000000000fe";
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let (appid, before) = (platform.appid(), platform.key_checks());
    platform.rewrite(&format!("appid = \"{appid}\""), &format!("appid = \"{OTHER}\""));

    let why = platform.fails("component status");
    assert!(why.contains(OTHER) && why.contains(&appid), "{why}");
    std::fs::rename(platform.path("database.key"), platform.path("true.key")).unwrap();
    platform.run(&format!("secrets new-key {}", platform.path("database.key").display()));
    let why = platform.fails("run");
    assert!(why.contains("key_file") && why.contains(OTHER) && why.contains(&appid), "{why}");
    assert_eq!(platform.key_checks(), before, "nothing was written");

    std::fs::rename(platform.path("true.key"), platform.path("database.key")).unwrap();
    let mut daemon = platform.daemon().await;
    assert_eq!(platform.json("component status")["appid"], OTHER, "what is configured, not what comes first");
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sealed_under_a_key_that_the_running_daemon_does_not_know() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[33]), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    assert!(wait_for(PATIENCE, async || platform.token(&platform.key, ACCOUNT).await.0 == 200).await);
    std::fs::rename(platform.path("database.key"), platform.path("old.key")).unwrap();
    platform.run(&format!("secrets new-key {}", platform.path("database.key").display()));
    platform.rewrite("[secrets]\n", "[secrets]\nprevious_key_files = [\"old.key\"]\n");
    let before = platform.key_checks();

    let why = platform.fails("secrets rekey");

    assert!(why.contains("restart"), "{why}");
    assert_eq!(platform.key_checks(), before);
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    let mut daemon = platform.daemon().await;
    let sealed = platform.json("secrets rekey");
    assert!(sealed["resealed"].as_u64().unwrap() >= 4, "{sealed}");
    assert_ne!(platform.key_checks(), before);
    assert_eq!(platform.token(&platform.key, ACCOUNT).await.0, 200);
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
    // Without a daemon nobody has to be restarted first.
    platform.run("secrets rekey");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_of_permissions_is_said_and_an_unauthorized_account_is_explained() {
    let platform = Platform::new().await;
    let mut daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    assert!(wait_for(PATIENCE, async || platform.authorizer()["links"] == "yes").await, "{}", platform.authorizer());
    let disk = Connection::open(platform.path("a.db")).unwrap();
    disk.execute("UPDATE authorizer SET permissions = NULL", ()).unwrap();
    let shown = platform.authorizer();
    assert_eq!((&shown["links"], &shown["has_link_permission"]), (&"unknown".into(), &false.into()), "{shown}");
    assert!(platform.run("authorizer list -o table").contains("unknown"));

    tokio::time::sleep(Duration::from_millis(1_100)).await;
    platform.sim.world().revoke(ACCOUNT, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    let made = platform.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    let id = made["id"].as_str().or_else(|| made[0]["id"].as_str()).unwrap().to_owned();
    let explained = || platform.run(&format!("request explain {id}"));
    let is_told = async || explained().replace("\n  ", " ").contains("administrator must act first");
    assert!(wait_for(PATIENCE, is_told).await, "{}", explained());
    let told = explained();
    assert!(told.contains("61003"), "{told}");
    assert!(!told.contains("Nobody else") && !told.contains("token service"), "{told}");
    let written =
        |line: &str| line.split("since ").skip(1).any(|at| at.split(['(', '.']).next().unwrap().contains('Z'));
    let zones: Vec<bool> = told.lines().filter(|line| line.contains("since 2")).map(written).collect();
    assert!(zones.len() >= 2 && zones.iter().all(|zone| *zone == zones[0]), "one zone in all of it: {told}");
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
}
