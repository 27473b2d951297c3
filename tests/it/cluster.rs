//! Several real daemons on one database of a private PostgreSQL: killed, stopped, drained. Whatever becomes of them, each link
//! is invited for once, and all of them come to their end.

use std::{
    collections::HashMap,
    process::{Command, Output},
    time::Duration,
};

use amplinkd::sim::{Api, PlanSet, Sim, SimConfig, Span, approves_after};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Log, Process, wait_for},
    postgres::{Database, database},
};

/// A lost call is looked for in the list for longer than a minute.
const PATIENCE: Duration = Duration::from_mins(4);

/// A silent daemon is taken over within so long: its lease, and as much again of beats of whoever takes over.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(40);

/// What is wrong with a daemon is told within so long, and that it is over.
const TOLD_WITHIN: Duration = Duration::from_mins(1);

struct Cluster {
    folder: TempDir,
    sim: Sim,
    database: Database,
    log: Log,
}

impl Cluster {
    async fn open() -> Option<Self> {
        let database = database().await?;
        let sim = Sim::start(SimConfig { seed: 5, ..SimConfig::default() }).await.unwrap();
        let soon = Some(approves_after(Span::seconds(2)));
        sim.world().plans.set(None, None, PlanSet { account_admin: soon, program_admin: soon, unlink: None });
        Some(Self { folder: tempfile::tempdir().unwrap(), sim, database, log: Log::default() })
    }

    fn command(&self, node: &str, arguments: &str) -> Command {
        let file = self.folder.path().join(format!("{node}.toml"));
        let budget = if node == "other" { 999_999 } else { 1_000_000 };
        let config = format!(
            r#"
            [database]
            url = "{}"
            [cluster]
            node = "{node}"
            lease = "10s"
            state = "state"
            [wechat]
            base_url = "{}"
            timeout = "2s"
            per_second = 400
            [tokens]
            url = "{}?appid={{account}}"
            [polling]
            steps = [ {{ every = "1s" }} ]
            daily_budget = {budget}
            [policy]
            appear_within = "72s"
            [log]
            format = "json"
            [[alerts.channel]]
            name = "ops"
            kind = "log"
            "#,
            self.database.url(),
            self.sim.url(),
            self.sim.token_url(),
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(self.folder.path()).env_remove("AMPLINKD_CONFIG").arg("-c").arg(file);
        command.args(arguments.split(' '));
        command
    }

    async fn run(&self, node: &str) -> Process {
        Process::start(self.command(node, "run"), &self.log).await
    }

    fn said(&self, arguments: &str) -> Output {
        self.command("a", arguments).output().unwrap()
    }

    /// The daemons by their names: what each does, and how many shards it has.
    fn nodes(&self) -> HashMap<String, (String, i64)> {
        let said = self.said("node list -o json");
        let rows: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (word(row, "name"), (word(row, "state"), row["shards"].as_i64().unwrap()))).collect()
    }

    async fn until(&self, what: &str, patience: Duration, is_so: impl Fn(&HashMap<String, (String, i64)>) -> bool) {
        let came = wait_for(patience, async || is_so(&self.nodes())).await;
        assert!(came, "{what}: {:?}\n{}", self.nodes(), self.log.tail());
    }

    /// Waits until the alert of this key is in this state.
    async fn alert(&self, key: &str, state: &str) {
        let ask = format!("SELECT count(*) FROM alert WHERE key = '{key}' AND state = '{state}' HAVING count(*) > 0");
        let came = wait_for(TOLD_WITHIN, async || !self.database.ask(&ask).is_empty()).await;
        assert!(came, "{key} {state}: {:?}", self.database.ask("SELECT key, state, message_en FROM alert"));
    }

    /// Asks for so many links more, on accounts of their own.
    fn ask(&self, first: usize, count: usize) {
        let row = |number| format!("link,wx{number:016x},wxbbbb{:012}\n", number % 7);
        let rows: String = (first..first + count).map(row).collect();
        let file = self.folder.path().join("links.csv");
        std::fs::write(&file, format!("kind,account,program\n{rows}")).unwrap();
        let said = self.said("request import links.csv");
        assert!(said.status.success(), "{said:?}");
    }

    /// All are linked, each was invited for once, and the database is sound.
    async fn all_is_well(&self, count: usize) {
        let linked = format!("SELECT count(*) FROM request WHERE state = 'linked' HAVING count(*) = {count}");
        let came = wait_for(PATIENCE, async || !self.database.ask(&linked).is_empty()).await;
        let left = "SELECT state, attempt, outcome_unknown, errcode FROM request WHERE state <> 'linked'";
        assert!(came, "{:?}\n{}", self.database.ask(left), self.log.tail());
        let mut sent: HashMap<(String, String), u32> = HashMap::new();
        for call in self.sim.ledger().into_iter().filter(|call| call.api == Api::Link && call.effect) {
            *sent.entry((call.account, call.program)).or_default() += 1;
        }
        let twice: Vec<_> = sent.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty() && sent.len() == count, "{} pairs, {twice:?}", sent.len());
        for check in ["audit --all", "db verify"] {
            let said = self.said(check);
            assert!(said.status.success(), "{check}: {said:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_either_daemon_lose_nothing_and_invite_nobody_twice() {
    const KILLS: usize = 16;
    let Some(cluster) = Cluster::open().await else { return };
    let mut chance = StdRng::seed_from_u64(23);
    let mut nodes = [cluster.run("a").await, cluster.run("b").await];
    for kill in 0..KILLS {
        cluster.ask(kill * 20, 20);
        tokio::time::sleep(Duration::from_millis(chance.random_range(100..1_500))).await;
        let (at, name) = if kill % 2 == 0 { (0, "a") } else { (1, "b") };
        nodes[at].signal(Signal::KILL);
        let next = Process::spawn(cluster.command(name, "run"), &cluster.log);
        std::mem::replace(&mut nodes[at], next).kill();
    }
    cluster.all_is_well(KILLS * 20).await;
    nodes.into_iter().for_each(Process::kill);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_stopped_for_longer_than_its_lease_is_taken_over_and_takes_part_again() {
    let Some(cluster) = Cluster::open().await else { return };
    let (a, b) = (cluster.run("a").await, cluster.run("b").await);
    cluster.until("both work", TAKEN_OVER_WITHIN, |nodes| nodes["b"].1 >= 8).await;
    cluster.ask(0, 100);
    a.signal(Signal::STOP);
    cluster.ask(100, 100);
    cluster.until("b has all", TAKEN_OVER_WITHIN, |nodes| nodes["b"].1 == 64).await;
    assert_eq!(cluster.nodes()["a"].0, "fenced");
    cluster.ask(200, 100);
    cluster.alert("node_silent/a", "firing").await;
    a.signal(Signal::CONT);
    cluster
        .until("a takes part again", TAKEN_OVER_WITHIN, |nodes| {
            // For a moment, between what it was and what it will be, it is not there.
            nodes.get("a").is_some_and(|(state, shards)| state == "active" && *shards >= 4)
        })
        .await;
    assert!(cluster.log.count("db.fenced") > 0);
    cluster.alert("node_silent/a", "resolved").await;
    cluster.all_is_well(300).await;
    a.kill();
    b.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_drained_hands_over_at_once_and_takes_part_again_when_told() {
    let Some(cluster) = Cluster::open().await else { return };
    let a = cluster.run("a").await;
    let b = cluster.run("b").await;
    cluster.ask(0, 200);
    let said = cluster.said("node drain a");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(cluster.nodes()["a"], ("idle".to_owned(), 0));
    cluster.until("b has all", Duration::from_secs(30), |nodes| nodes["b"].1 == 64).await;
    cluster.ask(200, 40);
    cluster.all_is_well(240).await;
    for (order, why) in [
        ("node forget b", "lives"),
        ("node drain c", "no daemon of the database is called"),
        ("node resume c", "no daemon of the database is called"),
        ("node forget c", "no daemon of the database is called"),
    ] {
        let said = cluster.said(order);
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(1) && text.contains(why), "{order}: {text}");
    }
    assert!(cluster.said("node resume a").status.success());
    let spread = |nodes: &HashMap<String, (String, i64)>| nodes["a"].1 == 32 && nodes["b"].1 == 32;
    cluster.until("both have half", Duration::from_secs(90), spread).await;
    // Whoever ends in good order leaves nothing behind; whoever dies is silent, and forgotten when told.
    a.stop();
    cluster.until("a is gone", Duration::from_secs(30), |nodes| !nodes.contains_key("a") && nodes["b"].1 == 64).await;
    b.kill();
    cluster.until("b is silent", TAKEN_OVER_WITHIN, |nodes| nodes["b"].0 == "silent").await;
    assert!(cluster.said("node forget b").status.success());
    assert_eq!(cluster.nodes(), HashMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_of_one_name_is_refused_and_one_that_was_killed_begins_at_once() {
    let Some(cluster) = Cluster::open().await else { return };
    let a = cluster.run("a").await;
    let said = cluster.said("run");
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(
        !said.status.success() && text.contains("another daemon is called \"a\"") && text.contains("node"),
        "{text}"
    );
    a.kill();
    let again = cluster.run("a").await;
    cluster.until("it has all", Duration::from_secs(9), |nodes| nodes["a"] == ("active".to_owned(), 64)).await;
    again.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_differ_are_told_and_work_that_nobody_does() {
    let Some(cluster) = Cluster::open().await else { return };
    let (a, other) = (cluster.run("a").await, cluster.run("other").await);
    cluster.alert("config_differs/all", "firing").await;
    let said = cluster.said("node list");
    assert!(String::from_utf8_lossy(&said.stderr).contains("configurations differ"), "{said:?}");
    other.stop();
    cluster.alert("config_differs/all", "resolved").await;
    // One lease that nobody can take, as a row that somebody changed.
    cluster.database.ask("UPDATE lease SET node = NULL, free_since = 1 WHERE name = 'tokens'");
    cluster.database.ask("UPDATE lease SET name = 'nothing' WHERE name = 'tokens'");
    cluster.alert("lease_free/all", "firing").await;
    a.kill();
}
