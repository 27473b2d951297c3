//! Where the stories of telling happen: a world, a database, the real binary between them, and those it tells. It must
//! never steer the process but by its configuration, its end and its database.

use std::{
    ops::Range,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use amplinkd::{
    clock::{Clock, SharedClock, SystemClock},
    domain::{
        action,
        policy::Policy,
        request::{Kind, LinkOptions},
    },
    engine::{record::Recorder, wish::Wish},
    sim::{By, Phase, PlanSet, Sim, SimConfig, Span, approves_after, never_answers, refuses_after},
    store::{Role, Store},
};
use rustix::process::Signal;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::receiver::Receiver;
use crate::harness::{self, Log, Process};

/// How long anything may take before a story gives up on it.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// How often a file is looked at to see it being written, and how often at most.
const LOOK_EVERY: Duration = Duration::from_micros(50);
const LOOKS_MAX: u32 = 600_000;

/// Requests of one account.
const SHARE: usize = 4;

/// Alerts that come within seconds, and once.
pub(super) const QUICK: &str = r#"
    stuck_after = { account_admin = "1s", program_admin = "1s", unlink = "1s", initiated = "1m" }
    group_within = "200ms"
    repeat_every = "never""#;

/// What happens to a request, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Both administrators agree.
    Approved,
    /// Nobody answers, so that it is stuck, until it is [`House::release`]d.
    Stuck,
    /// The program's administrator says no.
    Rejected,
    /// Somebody began the link in the account's console: a conflict, and then approved.
    Contested,
    /// The account's administrator says no, which looks as if it had never been.
    Lapsed,
}

impl Fate {
    pub(super) const fn of(number: usize) -> Self {
        match number % 5 {
            0 => Self::Approved,
            1 => Self::Stuck,
            2 => Self::Rejected,
            3 => Self::Contested,
            _ => Self::Lapsed,
        }
    }
}

/// A world, a folder with a configuration, and a daemon or none.
pub(super) struct House {
    pub(super) sim: Sim,
    folder: tempfile::TempDir,
    recorder: Option<Recorder>,
    daemon: Option<Process>,
    /// Everything that every daemon here has said.
    pub(super) log: Log,
}

/// A webhook that is told everything.
pub(super) fn everything(name: &str, receiver: &Receiver) -> String {
    let (url, secret) = (receiver.url(), Receiver::secret());
    format!(
        "
        [[alerts.channel]]
        name = \"{name}\"
        kind = \"webhook\"
        url = \"{url}/{name}\"
        secret = \"{secret}\"
        timeout = \"1s\"
        events = [\"alert\", \"transition\", \"conflict\"]"
    )
}

impl House {
    /// A house whose `[alerts]` section and all after it is this.
    pub(super) async fn build(alerts: &str) -> Self {
        let sim = Sim::start(SimConfig { seed: 5, ..SimConfig::default() }).await.unwrap();
        // Which of two unnamed rejections is whose is another story.
        sim.world().switches.rejected_items_have_appid = true;
        let folder = tempfile::tempdir().unwrap();
        let house = Self { sim, folder, recorder: None, daemon: None, log: Log::default() };
        house.configure(alerts);
        house
    }

    /// Writes the configuration anew, for the next start.
    pub(super) fn configure(&self, alerts: &str) {
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
            attempts = 50
            appear_within = "1s"
            [log]
            format = "json"
            filter = "trace,hyper=trace,hyper_util=trace"
            [alerts]
            {alerts}
            "#,
            self.sim.url(),
            self.sim.token_url()
        );
        std::fs::write(self.path("amplinkd.toml"), config).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(self.folder.path()).env_remove("AMPLINKD_CONFIG").stdin(Stdio::null());
        command.arg("-c").arg(self.path("amplinkd.toml")).args(arguments.split_whitespace());
        command
    }

    /// Starts a daemon, and does not wait for it.
    pub(super) fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.daemon = Some(Process::spawn(self.command("run"), &self.log));
    }

    /// Starts a daemon that is up.
    pub(super) async fn start(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.daemon = Some(Process::start(self.command("run"), &self.log).await);
        if self.recorder.is_none() {
            let location = crate::place::location(self.path("amplinkd.db"), 0o640);
            let store = Store::open(&location, Role::Tool).await.unwrap();
            let clock: SharedClock = Arc::new(SystemClock::new());
            self.recorder = Some(Recorder::new(store, clock, Policy::default()));
        }
    }

    /// Ends the daemon at this very moment.
    pub(super) fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Ends the daemon so long after this happens.
    pub(super) async fn kill_after(&mut self, event: &'static str, after: Duration) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.die_at(event, after);
        self.until(event, async |_| !daemon.lives()).await;
    }

    /// Ends the daemon while it, or somebody beside it, writes to the database for so many times.
    pub(super) fn kill_in_write(&mut self, writes: usize) {
        let log = self.path("amplinkd.db-wal");
        let stands = || log.metadata().ok().map(|found| (found.len(), found.modified().ok()));
        tokio::task::block_in_place(|| {
            for _ in 0..writes {
                let before = stands();
                let is_other = |_| {
                    std::thread::sleep(LOOK_EVERY);
                    stands() != before
                };
                assert!((0..LOOKS_MAX).any(is_other), "nobody writes");
            }
        });
        self.kill();
    }

    /// Ends the daemon in good order.
    pub(super) fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    /// Has the daemon read its configuration again, and waits until it goes by it or has refused it.
    pub(super) async fn reload(&self) {
        let said = || self.log.count("config.reloaded") + self.log.count("config.rejected");
        let known = said();
        self.signal(Signal::HUP);
        self.until("the configuration is read again", async |_| said() > known).await;
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.daemon.as_ref().unwrap().signal(signal);
    }

    /// How often the daemon has told systemd this.
    pub(super) fn told_systemd(&self, words: &str) -> usize {
        self.daemon.as_ref().unwrap().told_systemd(words)
    }

    /// The end of the daemon, which was asked for.
    pub(super) fn end(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().end()
    }

    /// Writes the whole configuration.
    pub(super) fn write(&self, config: &str) {
        std::fs::write(self.path("amplinkd.toml"), config).unwrap();
    }

    /// The whole configuration as it is.
    pub(super) fn config(&self) -> String {
        std::fs::read_to_string(self.path("amplinkd.toml")).unwrap()
    }

    /// Waits until it is so; the limit only ends what would last for ever.
    pub(super) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        if !harness::wait_for(PATIENCE, async || is_so(self).await).await {
            let listed = self.command("request list --open -o csv").output().unwrap();
            panic!("never: {what}\n{}\n{}", self.log.tail(), String::from_utf8_lossy(&listed.stdout));
        }
    }

    /// Asks for links, each with the fate of its number.
    pub(super) async fn ask(&self, numbers: Range<usize>) {
        let now = self.sim.now();
        for number in numbers.clone() {
            let soon = Some(approves_after(Span::millis(600)));
            let (account_admin, program_admin) = match Fate::of(number) {
                Fate::Approved | Fate::Contested => (soon, soon),
                Fate::Stuck => (Some(never_answers()), Some(never_answers())),
                Fate::Rejected => (soon, Some(refuses_after(Span::millis(600)))),
                Fate::Lapsed => (Some(refuses_after(Span::millis(600))), soon),
            };
            let mut world = self.sim.world();
            let plans = PlanSet { account_admin, program_admin, unlink: None };
            world.plans.set(None, Some(&program(number)), plans);
            if Fate::of(number) == Fate::Contested {
                world.place(&account(number), &program(number), Phase::AwaitingProgramAdmin, now).unwrap();
            }
        }
        self.recorder.as_ref().unwrap().by(action::By::simulated()).accept(numbers.map(wish).collect()).await.unwrap();
    }

    /// Those that nobody answered are agreed to, as far as they wait for somebody already.
    pub(super) fn release(&self, numbers: Range<usize>) {
        let now = self.sim.now();
        let mut world = self.sim.world();
        for number in numbers.filter(|number| Fate::of(*number) == Fate::Stuck) {
            for by in [By::AccountAdmin, By::ProgramAdmin] {
                // It may not wait for this one yet, or no longer.
                let _ = world.approve(&account(number), &program(number), by, now);
            }
        }
    }

    /// A connection of somebody else to the file.
    pub(super) async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("amplinkd.db")).busy_timeout(PATIENCE);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Runs SQL behind the daemon's back.
    pub(super) async fn sql(&self, statements: &str) {
        let mut connection = self.connection().await;
        let statements = sqlx::AssertSqlSafe(crate::past::in_words(statements));
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// One number out of the database.
    pub(super) async fn count(&self, query: &str) -> i64 {
        let mut connection = self.connection().await;
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
        let count = query.fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        count
    }

    /// Whether nothing is left to be found out or told: no event unread, no alert to be told, no message unsent.
    pub(super) async fn is_told(&self) -> bool {
        let left = format!(
            "SELECT (SELECT count(*) FROM outbox WHERE seq > (SELECT seq FROM watch))
                  + (SELECT count(*) FROM vigil WHERE due_at < {})
                  + (SELECT count(*) FROM alert WHERE notify_at IS NOT NULL)
                  + (SELECT count(*) FROM delivery WHERE state = 'pending')",
            now() + 3_600_000
        );
        self.count(&left).await == 0
    }

    /// Requests under way.
    pub(super) async fn open(&self) -> i64 {
        self.count("SELECT count(*) FROM v_request WHERE finished_at IS NULL").await
    }

    /// The program's own checks find nothing, and nothing in it ever panicked.
    pub(super) fn assert_sound(&self) {
        for check in ["audit", "db verify"] {
            let said = self.command(check).output().unwrap();
            let words = [said.stdout, said.stderr].map(|words| String::from_utf8_lossy(&words).into_owned()).concat();
            assert!(said.status.success(), "{check}: {words}");
        }
        let panicked = self.log.lines().iter().filter(|line| line.contains("panicked")).count();
        assert_eq!(panicked, 0, "{}", self.log.tail());
    }
}

/// The calendar, milliseconds UTC.
pub(super) fn now() -> i64 {
    SystemClock::new().now().ms()
}

fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: account(number).parse().unwrap(),
        program: program(number).parse().unwrap(),
        username: None,
        key: Some(format!("told {number}")),
        labels: std::collections::BTreeMap::new(),
    }
}

fn account(number: usize) -> String {
    format!("wxacc{:013}", number / SHARE)
}

fn program(number: usize) -> String {
    format!("wxprg{number:013}")
}
