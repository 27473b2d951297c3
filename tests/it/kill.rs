//! The real binary, killed at random moments while requests are under way: nothing is lost, nobody is invited twice. It must
//! never look into the process: only at its database and at the world's ledger.

use std::{
    collections::HashMap,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    domain::{
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{accept::Wish, record::Recorder},
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after, refuses_after},
    store::{Location, Role, Store, views::RequestFilter},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Kills of the process.
const KILLS: usize = 50;

/// Requests under way.
const REQUESTS: usize = 200;

/// Lives are this long, in milliseconds: from before the first call to well into the polls.
const LIFE_MS: std::ops::Range<u64> = 30..600;

/// How long the last life may take to bring everything to its end.
const PATIENCE: Duration = Duration::from_secs(90);

struct Ground {
    folder: tempfile::TempDir,
    sim: Sim,
}

impl Ground {
    async fn lay() -> Self {
        let sim = Sim::start(SimConfig { seed: 11, ..SimConfig::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        {
            let mut world = sim.world();
            for number in 0..REQUESTS {
                let soon = i64::try_from(number % 13).unwrap();
                let program_admin =
                    if number % 9 == 4 { refuses_after(Span::seconds(2)) } else { approves_after(Span::seconds(soon)) };
                let plans = PlanSet {
                    account_admin: Some(approves_after(Span::seconds(soon / 2))),
                    program_admin: Some(program_admin),
                    unlink: None,
                };
                world.plans.set(Some(&account(number)), Some(&program(number)), plans);
            }
            for (kind, rate) in
                [(FaultKind::LostAnswer, 0.1), (FaultKind::ResetBefore, 0.05), (FaultKind::BusyBefore, 0.05)]
            {
                world.faults.rates.insert(kind, rate);
            }
        }
        let config = format!(
            r#"
            [database]
            url = "sqlite:amplinkd.db"
            [wechat]
            base_url = "{}"
            timeout = "2s"
            per_second = 100000
            [tokens]
            source = "http"
            url = "{}?appid={{account}}"
            [polling]
            steps = [ {{ every = "200ms" }} ]
            daily_budget = 1000000
            [policy]
            appear_within = "1s"
            attempts = 50
            "#,
            sim.url(),
            sim.token_url()
        );
        std::fs::write(folder.path().join("amplinkd.toml"), config).unwrap();
        Self { folder, sim }
    }

    fn spawn(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_amplinkd"))
            .args(["run", "-c"])
            .arg(self.folder.path().join("amplinkd.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log())
            .spawn()
            .unwrap()
    }

    /// What every life says, one after the other, for whoever must find out why a life went wrong.
    fn log(&self) -> Stdio {
        let path = self.folder.path().join("log.txt");
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().into()
    }

    fn database(&self) -> Location {
        Location { path: self.folder.path().join("amplinkd.db"), mode: 0o640 }
    }
}

fn account(number: usize) -> String {
    format!("wxkill{:012}", number / 4)
}

fn program(number: usize) -> String {
    format!("wxprog{:012}", number % 4)
}

fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: account(number).parse().unwrap(),
        program: program(number).parse().unwrap(),
        username: None,
        key: Some(format!("kill {number}")),
        labels: std::collections::BTreeMap::new(),
    }
}

async fn open_requests(recorder: &Recorder) -> usize {
    let filter = RequestFilter { open: Some(true), ..RequestFilter::default() };
    recorder.store().list_requests(&filter, u32::MAX).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_invite_nobody_twice() {
    let ground = Ground::lay().await;
    let store = Store::open(&ground.database(), Role::Tool).await.unwrap();
    let clock: SharedClock = Arc::new(SystemClock::new());
    let recorder = Recorder::new(store, clock, Policy::default());
    let mut luck = StdRng::seed_from_u64(5);

    for life in 0..KILLS {
        // New requests arrive while the daemon is up, down and dying.
        let share = life * REQUESTS / KILLS..(life + 1) * REQUESTS / KILLS;
        let mut daemon = ground.spawn();
        recorder.accept(share.map(wish).collect()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(luck.random_range(LIFE_MS))).await;
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
    let mut last = ground.spawn();
    let settled = tokio::time::timeout(PATIENCE, async {
        while open_requests(&recorder).await > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let settled = settled.await;
    let audit = recorder.audit().await.unwrap();
    last.kill().unwrap();
    last.wait().unwrap();

    let log = std::fs::read_to_string(ground.folder.path().join("log.txt")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(20).collect();
    assert!(settled.is_ok(), "still open: {:?}; {tail:#?}", recorder.store().count_by_state().await);
    assert!(audit.is_empty(), "{audit:?}");
    assert_ledger_agrees(&ground.sim, &recorder).await;
    recorder.store().clone().close().await;
    assert_file_is_sound(&ground.database().path).await;
}

/// Every request is there; as many calls reached the world as were intended, and one invitation went out for each.
async fn assert_ledger_agrees(sim: &Sim, recorder: &Recorder) {
    let requests = recorder.store().list_requests(&RequestFilter::default(), u32::MAX).await.unwrap();
    assert_eq!(requests.len(), REQUESTS);
    let mut calls: HashMap<(String, String), (i64, i64)> = HashMap::new();
    for call in sim.ledger().into_iter().filter(|call| call.api == Api::Link) {
        let (made, sent) = calls.entry((call.account, call.program)).or_default();
        *made += 1;
        *sent += i64::from(call.effect);
    }
    for request in requests {
        let (made, sent) = calls.remove(&(request.account.clone(), request.program.clone())).unwrap_or_default();
        assert_eq!(sent, 1, "{} was invited {sent} times", request.id);
        assert!(made <= request.attempt, "{made} calls for {} attempts of {}", request.attempt, request.id);
        assert!(["linked", "rejected"].contains(&request.state.as_str()), "{} is {}", request.id, request.state);
    }
    assert!(calls.is_empty(), "calls nobody asked for: {calls:?}");
}

async fn assert_file_is_sound(path: &Path) {
    let damage = Store::verify(path, 100).await.unwrap();
    assert!(damage.is_empty(), "{damage:?}");
}
