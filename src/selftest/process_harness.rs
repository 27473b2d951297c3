//! A test setup for the real program: a folder, a configuration, a simulator.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::SystemClock,
    domain::{
        action,
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{record::Recorder, wish::Wish},
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after, refuses_after},
    store::{Location, Role, Store, read::request_page::RequestFilter},
};

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(100);

/// Findings of one check that are told.
const FINDINGS_MAX: u32 = 10;

/// A ground, and what was asked for on it.
pub(super) struct ProcessHarness {
    folder: PathBuf,
    program: PathBuf,
    pub(super) sim: Sim,
    pub(super) recorder: Recorder,
    asked: usize,
}

/// A running program. It ends with its ground, however that ends.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn account(number: usize) -> String {
    format!("wxkill{:012}", number / 4)
}

fn program(number: usize) -> String {
    format!("wxprog{:012}", number % 4)
}

impl ProcessHarness {
    /// Lays it in a folder that is there and empty.
    pub(super) async fn lay(folder: &Path, program: &Path) -> Found<Self> {
        let sim = Sim::start(SimConfig { seed: 11, ..SimConfig::default() }).await;
        let sim = sim.map_err(|error| format!("the simulator does not start: {error}"))?;
        for (kind, rate) in
            [(FaultKind::LostAnswer, 0.1), (FaultKind::ResetBefore, 0.05), (FaultKind::BusyBefore, 0.05)]
        {
            sim.world().faults.rates.insert(kind, rate);
        }
        let written = std::fs::write(folder.join("amplinkd.toml"), configuration(&sim));
        written.map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        let location = Location::file(folder.join("amplinkd.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.map_err(|error| error.to_string())?;
        let recorder = Recorder::new(store, Arc::new(SystemClock::new()), Policy::default());
        Ok(Self { folder: folder.to_owned(), program: program.to_owned(), sim, recorder, asked: 0 })
    }

    /// Starts the program; what it says goes to one file, life after life.
    pub(super) fn start(&self) -> Found<Running> {
        let spawn = || -> io::Result<Child> {
            let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
            let mut command = Command::new(&self.program);
            command.args(["run", "-c"]).arg(self.folder.join("amplinkd.toml"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
        };
        spawn().map(Running).map_err(|error| format!("cannot start {}: {error}", self.program.display()))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log.txt")
    }

    /// What the program has said.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The bytes of the database's largest file.
    pub(super) fn largest_file(&self) -> u64 {
        let files = ["amplinkd.db", "amplinkd.db-wal"].map(|name| self.folder.join(name));
        files.iter().filter_map(|file| file.metadata().ok()).map(|found| found.len()).max().unwrap_or(0)
    }

    /// Asks for so many more links, each of its own pair; all are on disk when this returns.
    pub(super) async fn ask(&mut self, count: usize) -> Found<()> {
        let wishes: Vec<Wish> = (self.asked..self.asked + count).map(wish).collect::<Found<_>>()?;
        {
            let mut world = self.sim.world();
            (self.asked..self.asked + count).for_each(|number| plan(&mut world, number));
        }
        self.recorder.by(action::By::simulated()).accept(wishes).await.map_err(|error| error.to_string())?;
        self.asked += count;
        Ok(())
    }

    /// Waits until every request has come to its end.
    pub(super) async fn all_settle(&self, patience: Duration) -> Found<()> {
        let open = RequestFilter { open: Some(true), ..RequestFilter::default() };
        let settled = wait_for(patience, async || {
            let rows = self.recorder.store().list_requests(&open, 1).await;
            rows.map(|rows| rows.is_empty()).map_err(|error| error.to_string())
        });
        if settled.await? {
            return Ok(());
        }
        let states = self.recorder.store().count_by_state().await.map_err(|error| error.to_string())?;
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        Err(format!("not everything came to its end within {patience:?}: {states:?}; it said last {tail:#?}"))
    }

    /// Every request is there and ended well; as many calls reached the world as were intended, and one invitation went
    /// out for each; nothing is lost, nothing stalls, every history leads to its state.
    pub(super) async fn prove(&self) -> Found<()> {
        let rows = self.recorder.store().list_requests(&RequestFilter::default(), u32::MAX).await;
        let requests = rows.map_err(|error| error.to_string())?;
        if requests.len() != self.asked {
            return Err(format!("{} requests were acknowledged, {} are there", self.asked, requests.len()));
        }
        let mut calls: HashMap<(String, String), (i64, i64)> = HashMap::new();
        for call in self.sim.ledger().into_iter().filter(|call| call.api == Api::Link) {
            let (made, sent) = calls.entry((call.account, call.program)).or_default();
            *made += 1;
            *sent += i64::from(call.effect);
        }
        for request in requests {
            let pair = (request.account.clone(), request.program.clone());
            let (made, sent) = calls.remove(&pair).unwrap_or_default();
            let ended_well = ["linked", "rejected"].contains(&request.state.as_str());
            if sent != 1 || made > request.attempt || !ended_well {
                return Err(format!("{sent} invitations and {made} calls for {request:#?}"));
            }
        }
        if !calls.is_empty() {
            return Err(format!("calls that nobody asked for: {calls:?}"));
        }
        self.is_sound().await
    }

    async fn is_sound(&self) -> Found<()> {
        let findings = self.recorder.audit().await.map_err(|error| error.to_string())?;
        let damage = Store::verify(&self.folder.join("amplinkd.db"), FINDINGS_MAX).await;
        let damage = damage.map_err(|error| error.to_string())?;
        if findings.is_empty() && damage.is_empty() { Ok(()) } else { Err(format!("{findings:?} {damage:?}")) }
    }

    /// Closes what it holds.
    pub(super) async fn clear(self) {
        self.recorder.store().clone().close().await;
        // A listener that failed at its end has served all it had to.
        let _ = self.sim.shutdown().await;
    }
}

/// Waits until something is so; whether it came about.
pub(super) async fn wait_for(patience: Duration, is_so: impl AsyncFn() -> Found<bool>) -> Found<bool> {
    let deadline = tokio::time::sleep(patience);
    tokio::pin!(deadline);
    loop {
        if is_so().await? {
            return Ok(true);
        }
        tokio::select! {
            () = &mut deadline => return Ok(false),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn wish(number: usize) -> Found<Wish> {
    let bad = |error: crate::domain::id::BadId| error.to_string();
    Ok(Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: account(number).parse().map_err(bad)?,
        program: program(number).parse().map_err(bad)?,
        username: None,
        key: Some(format!("selftest {number}")),
        labels: BTreeMap::new(),
    })
}

fn plan(world: &mut crate::sim::World, number: usize) {
    let soon = i64::try_from(number % 7).unwrap_or(0);
    let program_admin =
        if number % 9 == 4 { refuses_after(Span::seconds(2)) } else { approves_after(Span::seconds(soon)) };
    let plans = PlanSet {
        account_admin: Some(approves_after(Span::seconds(soon / 2))),
        program_admin: Some(program_admin),
        unlink: None,
    };
    world.plans.set(Some(&account(number)), Some(&program(number)), plans);
}

fn configuration(sim: &Sim) -> String {
    format!(
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
        [schedule]
        audit = "*/2 * * * * *"
        "#,
        sim.url(),
        sim.token_url()
    )
}

/// What a check saw, or what it saw broken.
pub(super) type Found<T> = Result<T, String>;
