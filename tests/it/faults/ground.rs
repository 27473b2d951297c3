//! Where the stories of faults happen: a world, a database, the real binary between them, and what must hold in the end
//! whatever happened. It must never make anything fail itself.

use std::{
    collections::{BTreeSet, HashMap},
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    domain::{
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{accept::Wish, record::Recorder},
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after},
    store::{Location, Role, Store, read::views::RequestFilter},
};
use rustix::process::{Pid, Signal, kill_process};

use super::page::Page;

/// How long everything may take to come to its end once nothing fails any more.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The policy of most stories, and the end of its section.
pub(super) const QUICK: &str = "appear_within = \"1s\"";

/// The level of what was told to systemd and not to the log.
pub(super) const SYSTEMD: &str = "SYSTEMD";

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
    pub(super) async fn start(&self) -> Running {
        self.start_as(self.command("run")).await
    }

    /// The daemon with somebody who listens as systemd does, and wants to hear every three seconds.
    pub(super) async fn start_under_systemd(&self) -> Running {
        let running = self.spawn_under_systemd();
        let is_ready = wait_for(PATIENCE, async || running.said("INFO", "amplinkd is running") > 0).await;
        assert!(is_ready, "{}", running.tail());
        running
    }

    /// The same, not waited for.
    pub(super) fn spawn_under_systemd(&self) -> Running {
        let path = self.path("notify");
        // One that listened to a daemon before this one has gone with it.
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = self.command("run");
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "9000000");
        self.page.steer(&mut command, self.trace.as_deref());
        let running = Running::spawn(command);
        let kept = Arc::clone(&running.lines);
        std::thread::spawn(move || {
            let mut notice = [0; 4_096];
            while let Ok(length) = socket.recv(&mut notice) {
                let line = serde_json::json!({ "level": SYSTEMD, "message": text(&notice[..length]) });
                kept.lock().unwrap().push(line);
            }
        });
        running
    }

    pub(super) async fn start_as(&self, mut command: Command) -> Running {
        self.page.steer(&mut command, self.trace.as_deref());
        let running = Running::spawn(command);
        let is_ready = wait_for(PATIENCE, async || running.said("INFO", "amplinkd is running") > 0).await;
        assert!(is_ready, "{}", running.tail());
        running
    }

    /// A command that shares the page with the daemon.
    pub(super) fn shaken(&self, arguments: &str) -> Output {
        let mut command = self.command(arguments);
        self.page.steer(&mut command, self.trace.as_deref());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Somebody beside the daemon, in whose process nothing fails.
    pub(super) async fn recorder(&self) -> Recorder {
        let location = Location { path: self.path("amplinkd.db"), mode: 0o640 };
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let clock: SharedClock = Arc::new(SystemClock::new());
        Recorder::new(store, clock, Policy::default())
    }

    /// Asks for links; what is answered is acknowledged.
    pub(super) async fn ask(&self, recorder: &Recorder, numbers: std::ops::Range<usize>) {
        recorder.accept(numbers.clone().map(wish).collect()).await.unwrap();
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
    pub(super) async fn conclude(&self, recorder: &Recorder, daemon: &mut Running) {
        let settled = wait_for(PATIENCE, async || open_requests(recorder).await == 0).await;
        assert!(settled, "still open: {:?}; {}", recorder.store().count_by_state().await, daemon.tail());
        assert!(daemon.lives(), "it was not restarted, and it runs; {}", daemon.tail());
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

/// A daemon that runs, and what it has said.
pub(super) struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Running {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        // Over a pipe: a limit on files is none on what it says.
        let (said, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(serde_json::Value::String(line));
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until it has ended, however.
    pub(super) fn end(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// How often it said this at this level.
    pub(super) fn said(&self, level: &str, words: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line["level"] == level && line.to_string().contains(words)).count()
    }

    /// Whether it said that nothing can be written, and not yet that it can again.
    pub(super) fn is_refused(&self) -> bool {
        self.said("ERROR", "nothing can be written, so no call is made")
            > self.said("WARN", "the database can be written again")
    }

    /// Its last words, for whoever must find out why a story went wrong.
    pub(super) fn tail(&self) -> String {
        let lines = self.lines.lock().unwrap();
        let loud = lines.iter().filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG");
        let loud: Vec<String> = loud.map(ToString::to_string).collect();
        loud[loud.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

/// Whether it comes true in time.
pub(super) async fn wait_for(patience: Duration, mut comes_true: impl AsyncFnMut() -> bool) -> bool {
    let came_true = async {
        while !comes_true().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(patience, came_true).await.is_ok()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
