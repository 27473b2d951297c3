//! Where the stories of faults happen: a world, a database, the real binary between them, and what must hold in the end
//! whatever happened.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    domain::{
        action,
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{record::Recorder, wish::Wish},
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after},
    store::{Location, Role, Store, read::request_page::RequestFilter},
};

use super::page::Page;
pub(super) use crate::harness::wait_for;
use crate::harness::{Log, Process};

/// How long everything may take to come to its end once nothing fails any more.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The policy of most stories, and the end of its section.
pub(super) const QUICK: &str = "appear_within = \"1s\"";

/// What is said when an outage of the database begins, and when it ends.
pub(super) const UNWRITABLE: &str = "db.unwritable";
pub(super) const WRITABLE: &str = "db.writable";

/// What systemd is told meanwhile.
pub(super) const STATUS_UNWRITABLE: &str = "STATUS=NOTHING CAN BE WRITTEN since ";

/// Requests of one account.
const SHARE: usize = 4;

/// A world, a folder with a configuration, and the page.
pub(super) struct Ground {
    pub(super) folder: tempfile::TempDir,
    pub(super) sim: Sim,
    pub(super) page: Page,
    /// Where the processes write down what they do to their files, where they do.
    pub(super) trace: Option<PathBuf>,
    /// Requests that were acknowledged.
    pub(super) acknowledged: Mutex<BTreeSet<usize>>,
}

impl Ground {
    /// Administrators agree within a second; one answer of ten is lost.
    pub(super) async fn lay() -> Self {
        Self::lay_with(QUICK, "amplinkd.db").await
    }

    pub(super) async fn lay_with(policy: &str, database: &str) -> Self {
        let sim = Sim::start(SimConfig { seed: 3, ..SimConfig::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        {
            let mut world = sim.world();
            let soon = Some(approves_after(Span::seconds(1)));
            world.plans.set(None, None, PlanSet { account_admin: soon, program_admin: soon, unlink: None });
            world.faults.rates.insert(FaultKind::LostAnswer, 0.1);
        }
        let config = format!(
            r#"
            [database]
            url = "sqlite:{database}"
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
            attempts = 50
            {policy}
            [log]
            format = "json"
            "#,
            sim.url(),
            sim.token_url()
        );
        std::fs::write(folder.path().join("amplinkd.toml"), config).unwrap();
        let page = Page::new(folder.path());
        Self { folder, sim, page, trace: None, acknowledged: Mutex::default() }
    }

    /// From now on some answers are late, so that some calls are always under way.
    pub(super) fn answer_late(&self) {
        let mut world = self.sim.world();
        world.faults.slow_for = Span::seconds(1);
        world.faults.rates.insert(FaultKind::Slow, 0.5);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with arguments that have no spaces of their own; nothing fails in it.
    pub(super) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        self.give(&mut command, arguments);
        command
    }

    /// The same arguments, after those that a command has already.
    pub(super) fn give(&self, command: &mut Command, arguments: &str) {
        command.current_dir(self.folder.path()).env_remove("AMPLINKD_CONFIG");
        command.args(["-c"]).arg(self.path("amplinkd.toml")).args(arguments.split_whitespace());
    }

    /// The daemon, steered by the page.
    pub(super) async fn start(&self) -> Process {
        self.start_as(self.command("run")).await
    }

    /// The same by a command of one's own.
    pub(super) async fn start_as(&self, command: Command) -> Process {
        Process::start(self.steered(command), &Log::default()).await
    }

    /// The daemon under a systemd that wants to hear every three seconds.
    pub(super) async fn start_watched(&self) -> Process {
        Process::start(self.watched(), &Log::default()).await
    }

    /// The same, not waited for.
    pub(super) fn spawn_watched(&self) -> Process {
        Process::spawn(self.watched(), &Log::default())
    }

    fn watched(&self) -> Command {
        let mut command = self.steered(self.command("run"));
        command.env("WATCHDOG_USEC", "9000000");
        command
    }

    fn steered(&self, mut command: Command) -> Command {
        self.page.steer(&mut command, self.trace.as_deref());
        command
    }

    /// A command that shares the page with the daemon.
    pub(super) fn shaken(&self, arguments: &str) -> Output {
        self.steered(self.command(arguments)).stdin(Stdio::null()).output().unwrap()
    }

    /// Somebody beside the daemon, in whose process nothing fails.
    pub(super) async fn recorder(&self) -> Recorder {
        let location = Location::file(self.path("amplinkd.db"), 0o640);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let clock: SharedClock = Arc::new(SystemClock::new());
        Recorder::new(store, clock, Policy::default())
    }

    /// Asks for links; what is answered is acknowledged.
    pub(super) async fn ask(&self, recorder: &Recorder, numbers: std::ops::Range<usize>) {
        recorder.by(action::By::simulated()).accept(numbers.clone().map(wish).collect()).await.unwrap();
        self.acknowledge(numbers);
    }

    pub(super) fn acknowledge(&self, numbers: std::ops::Range<usize>) {
        self.acknowledged.lock().unwrap().extend(numbers);
    }

    /// Calls with an effect that have reached the world.
    pub(super) fn calls(&self) -> usize {
        self.sim.ledger().len()
    }

    /// All is well that ends: every request there is comes to its end, the calls agree with what was recorded, and the
    /// program's own checks find nothing.
    pub(super) async fn conclude(&self, recorder: &Recorder, daemon: &mut Process) {
        let settled = wait_for(PATIENCE, async || open_requests(recorder).await == 0).await;
        assert!(settled, "still open: {:?}; {}", recorder.store().count_by_state().await, daemon.log.tail());
        assert!(daemon.lives(), "it was not restarted, and it runs; {}", daemon.log.tail());
        self.assert_ledger_agrees(&everything(recorder).await);
        for check in ["audit", "db verify"] {
            let said = self.command(check).output().unwrap();
            assert!(said.status.success(), "{check}: {}{}", text(&said.stdout), text(&said.stderr));
        }
    }

    /// Every acknowledged request is there; no more calls reached the world than were intended, and one invitation
    /// went out for each.
    pub(super) fn assert_ledger_agrees(&self, requests: &[Asked]) {
        let mut calls: HashMap<(String, String), (i64, i64)> = HashMap::new();
        for call in self.sim.ledger().into_iter().filter(|call| call.api == Api::Link) {
            let (made, sent) = calls.entry((call.account, call.program)).or_default();
            *made += 1;
            *sent += i64::from(call.effect);
        }
        let mut missing = self.acknowledged.lock().unwrap().clone();
        for request in requests {
            let (made, sent) = calls.remove(&(request.account.clone(), request.program.clone())).unwrap_or_default();
            assert_eq!(sent, 1, "{} was invited {sent} times", request.id);
            assert!(made <= request.attempt, "{made} calls for {} attempts of {}", request.attempt, request.id);
            assert_eq!(request.state, "linked", "{}", request.id);
            missing.retain(|number| request.key != wish(*number).key);
        }
        assert!(calls.is_empty(), "calls nobody asked for: {calls:?}");
        assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    }
}

/// A request, as anybody may read it.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Asked {
    id: String,
    account: String,
    program: String,
    state: String,
    attempt: i64,
    key: Option<String>,
}

/// Whether it was said that nothing can be written, and not yet that it can again.
pub(super) fn is_refused(log: &Log) -> bool {
    log.count(UNWRITABLE) > log.count(WRITABLE)
}

/// Every outage that was said to begin was said to end.
pub(super) fn assert_told(log: &Log) {
    assert!(log.count(UNWRITABLE) > 0, "nobody was told; {}", log.tail());
    assert_eq!(log.count(UNWRITABLE), log.count(WRITABLE), "{}", log.tail());
}

pub(super) fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: account(number).parse().unwrap(),
        program: program(number).parse().unwrap(),
        username: None,
        key: Some(format!("fault {number}")),
        labels: std::collections::BTreeMap::new(),
    }
}

pub(super) fn account(number: usize) -> String {
    format!("wxacc{:013}", number / SHARE)
}

/// One for each request, so that a call tells whose it is.
pub(super) fn program(number: usize) -> String {
    format!("wxprg{number:013}")
}

/// Wishes as lines that `request import` reads.
pub(super) fn import_file(folder: &Path, numbers: std::ops::Range<usize>) -> String {
    let name = format!("wishes-{}.jsonl", numbers.start);
    let line = |number| {
        let key = wish(number).key;
        serde_json::json!({ "account": account(number), "program": program(number), "key": key }).to_string()
    };
    std::fs::write(folder.join(&name), numbers.map(line).collect::<Vec<_>>().join("\n")).unwrap();
    name
}

async fn everything(recorder: &Recorder) -> Vec<Asked> {
    let requests = recorder.store().list_requests(&RequestFilter::default(), u32::MAX).await.unwrap();
    serde_json::from_value(serde_json::to_value(requests).unwrap()).unwrap()
}

pub(super) async fn open_requests(recorder: &Recorder) -> usize {
    let filter = RequestFilter { open: Some(true), ..RequestFilter::default() };
    recorder.store().list_requests(&filter, u32::MAX).await.unwrap().len()
}

/// Several stories at once, each with a daemon of its own: most of their time is waiting.
pub(super) async fn together<S: Future<Output = ()> + 'static>(stories: impl IntoIterator<Item = S>) {
    let all = tokio::task::LocalSet::new();
    let told: Vec<_> = stories.into_iter().map(|story| all.spawn_local(story)).collect();
    all.await;
    for story in told {
        story.await.unwrap();
    }
}

/// A story among others of another kind.
pub(super) fn boxed(story: impl Future<Output = ()> + 'static) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(story)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
