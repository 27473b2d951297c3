//! A daemon in a small world: the real client over HTTP, a real `SQLite` file, the half that tells people, a clock that
//! is moved by hand. Stories tell the world what its people do, let time pass and look at the end. It does not reach
//! into the engine.

mod again;

pub(crate) mod alerts;

mod backup;

mod copying;

mod crash;

mod disk;

mod door;

mod link;

mod metrics;

mod pacing;

pub(crate) mod poison;

mod quota;

mod times;

mod trouble;

mod turn;

mod unlink;

use std::{collections::HashMap, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use amplinkd::{
    alerting::evaluator::{AlertEvaluator, Settings as Alerting},
    clock::{Clock, ManualClock},
    daemon,
    domain::{
        action,
        id::RequestId,
        policy::Policy,
        request::{Kind, LinkOptions, Request},
        time::Time,
    },
    engine::{Engine, Settings, drive::Driver, wish::Wish},
    sim::{Api, FaultKind, PlanSet, Sim, SimConfig, Span, approves_after, never_answers},
    store::{
        Role, Store,
        read::views::{AccountView, ConflictFilter, ConflictView, RequestView},
    },
};

use sqlx::AnyConnection;

/// Where every story begins: the morning of 10 March 2026 in Beijing, in the middle of a month.
const MORNING: Time = Time::from_ms(1_773_100_800_000);

/// A step of the loop's clock never exceeds this, so that a story whose daemon has nothing to do still ends.
const STEP_MAX: Duration = Duration::from_hours(1);

/// How long a call may take, in the machine's time.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a message is tried.
const GIVE_UP_AFTER: Duration = days(3);

pub(crate) const ACCOUNT: &str = "wxaaaa000000000001";
pub(crate) const PROGRAM: &str = "wxbbbb000000000001";

/// A second account and a second program.
pub(crate) const OTHER_ACCOUNT: &str = "wxaaaa000000000002";
pub(crate) const OTHER_PROGRAM: &str = "wxbbbb000000000002";

/// What a link goes through when nothing goes wrong.
pub(crate) const FULL: &str = "requested initiating initiated awaiting_account_admin awaiting_program_admin linked";

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

pub(crate) fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

pub(crate) const fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

/// Everything a process is started with; it may be started on any runtime.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) database: PathBuf,
    pub(crate) wechat_url: String,
    pub(crate) token_url: String,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) settings: Settings,
}

impl Process {
    /// Starts it, on the runtime that this is called on.
    pub(crate) async fn boot(self) -> (Arc<Engine>, Driver) {
        let location = crate::place::location(self.database, 0o640);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let clock: Arc<dyn Clock> = self.clock;
        let wechat = daemon::simulated(self.wechat_url, &self.token_url, TIMEOUT, &clock).unwrap();
        daemon::drive(store, clock, wechat, self.settings).await.unwrap()
    }
}

/// A daemon, its world, and what belongs to both.
pub(crate) struct Daemon {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) sim: Sim,
    pub(crate) process: Process,
    /// Who is told what.
    pub(crate) alerting: Alerting,
    dir: tempfile::TempDir,
    running: Option<(Arc<Engine>, Driver)>,
    watch: Option<AlertEvaluator>,
}

impl Daemon {
    /// A daemon in a world where everybody agrees after an hour.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = ManualClock::starting_at(MORNING);
        let shown = Arc::clone(&clock);
        // Nobody who steps our calendar steps WeChat's.
        let now = Arc::new(move || (MORNING + shown.monotonic()).ms());
        let sim = Sim::start(SimConfig { now, ..SimConfig::default() }).await.unwrap();
        let agree = PlanSet {
            account_admin: Some(approves_after(Span::hours(1))),
            program_admin: Some(approves_after(Span::hours(1))),
            unlink: Some(approves_after(Span::hours(1))),
        };
        sim.world().plans.set(None, None, agree);
        let mut settings = Settings {
            policy: Policy::default(),
            in_flight: 8,
            per_second: NonZeroU32::new(1_000_000).unwrap(),
            daily_budget: 100_000,
        };
        change(&mut settings);
        let dir = tempfile::tempdir().unwrap();
        let process = Process {
            database: dir.path().join("amplinkd.db"),
            wechat_url: sim.url(),
            token_url: sim.token_url(),
            clock: Arc::clone(&clock),
            settings,
        };
        let alerting = Alerting::default();
        let mut daemon = Self { clock, sim, process, alerting, dir, running: None, watch: None };
        daemon.boot().await;
        daemon
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("amplinkd.db")
    }

    /// Starts the process.
    pub(crate) async fn boot(&mut self) {
        self.running = Some(self.process.clone().boot().await);
        self.watch_over().await;
    }

    /// Starts the half that tells people.
    async fn watch_over(&mut self) {
        let started = daemon::Alerting::start(self.engine(), self.alerting.clone(), Vec::new(), GIVE_UP_AFTER).await;
        self.watch = Some(started.unwrap().evaluator);
    }

    /// Ends the process in good order.
    pub(crate) async fn stop(&mut self) {
        self.watch = None;
        let (engine, driver) = self.running.take().unwrap();
        drop(driver);
        engine.store().clone().close().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.boot().await;
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn store(&self) -> &Store {
        self.engine().store()
    }

    /// What everybody does from now on.
    pub(crate) fn people(&self, plans: PlanSet) {
        self.sim.world().plans.set(None, None, plans);
    }

    pub(crate) fn nobody_answers(&self) {
        self.people(PlanSet {
            account_admin: Some(never_answers()),
            program_admin: Some(never_answers()),
            unlink: Some(never_answers()),
        });
    }

    pub(crate) async fn link(&mut self) -> RequestId {
        self.ask(wish(Kind::Link(LinkOptions::default()), ACCOUNT, PROGRAM)).await
    }

    pub(crate) async fn unlink(&mut self) -> RequestId {
        self.ask(wish(Kind::Unlink, ACCOUNT, PROGRAM)).await
    }

    pub(crate) async fn ask(&mut self, wish: Wish) -> RequestId {
        let accepted = self.engine().recorder().by(action::By::simulated()).accept(vec![wish]).await.unwrap();
        accepted[0].id.parse().unwrap()
    }

    /// Does everything that is due at this moment.
    pub(crate) async fn settle(&mut self) {
        self.running.as_mut().unwrap().1.settle().await.unwrap();
        if let Some(watch) = &mut self.watch {
            watch.settle().await.unwrap();
        }
    }

    /// When it does something next, on the stopwatch.
    async fn next_due(&self) -> Duration {
        let polls = self.running.as_ref().unwrap().1.next_due();
        let tells = match &self.watch {
            Some(watch) => watch.next_due().await.unwrap(),
            None => None,
        };
        [polls, tells].into_iter().flatten().min().unwrap_or(Duration::MAX)
    }

    /// Lets time pass, from due time to due time.
    pub(crate) async fn run_for(&mut self, span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            self.settle().await;
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            let step = self.next_due().await.max(now + Duration::from_millis(1)).min(now + STEP_MAX).min(end);
            self.clock.advance(step.saturating_sub(now));
        }
    }

    pub(crate) async fn request(&self, id: &RequestId) -> Request {
        self.store().request(id).await.unwrap().unwrap()
    }

    pub(crate) async fn view(&self, id: &RequestId) -> RequestView {
        self.store().request_view(id.as_str()).await.unwrap().unwrap()
    }

    /// The states a request went through, in order.
    pub(crate) async fn story(&self, id: &RequestId) -> String {
        let steps = self.store().history(id.as_str()).await.unwrap();
        steps.into_iter().map(|step| step.to_state).collect::<Vec<_>>().join(" ")
    }

    pub(crate) async fn conflicts(&self, id: &RequestId) -> Vec<ConflictView> {
        let filter = ConflictFilter { request: Some(id.to_string()), ..ConflictFilter::default() };
        self.store().conflicts(&filter, 100).await.unwrap()
    }

    pub(crate) async fn account(&self, account: &str) -> AccountView {
        let views = self.store().account_views(Some(account), None, 1).await.unwrap();
        views.into_iter().next().unwrap()
    }

    /// Does what is due, and has every call that follows the next listing answered with `errcode`, once.
    pub(crate) async fn settle_answering(&mut self, account: &str, errcode: i64) {
        let sim = &self.sim;
        let listed = sim.stats().wxamplinkget;
        sim.world().faults.slow_for = Span::millis(150);
        sim.world().faults.next(Some(Api::Listing), FaultKind::Slow);
        let driver = &mut self.running.as_mut().unwrap().1;
        let change = async {
            while sim.stats().wxamplinkget == listed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            sim.world().account(account).answers_always = Some(errcode);
        };
        let (settled, ()) = tokio::join!(driver.settle(), change);
        settled.unwrap();
        sim.world().account(account).answers_always = None;
    }

    /// Lets the daemon do what is due while `meanwhile` happens.
    pub(crate) async fn settle_while<T>(&mut self, meanwhile: impl AsyncFnOnce(&Engine, &Sim) -> T) -> T {
        let (engine, driver) = self.running.as_mut().unwrap();
        let (settled, came) = tokio::join!(driver.settle(), meanwhile(engine, &self.sim));
        settled.unwrap();
        came
    }

    /// Runs SQL on the file behind the daemon's back.
    pub(crate) async fn sql(&self, statements: &str) {
        crate::place::run(&self.database(), &crate::past::in_words(statements)).await;
    }

    /// A connection of somebody else to the file.
    pub(crate) async fn connection(&self) -> AnyConnection {
        crate::place::connection(&self.database()).await
    }

    /// How many invitations really went out for the pair.
    pub(crate) fn invitations(&self) -> usize {
        self.sim.world().invitations(ACCOUNT, PROGRAM)
    }

    /// Nothing is lost and nothing stalls; every history leads to its state.
    pub(crate) async fn assert_sound(&self) {
        let mut findings = self.engine().recorder().audit().await.unwrap();
        // That a list cannot be read is WeChat's or the token source's doing: it is found, and nothing of ours is unsound.
        findings.retain(|finding| finding.rule != "unread");
        assert!(findings.is_empty(), "audit: {findings:?}");
        let damage = crate::place::verify(&self.database(), self.store()).await;
        assert!(damage.is_empty(), "verify: {damage:?}");
    }

    /// A request ended through exactly these states, by this many invitations, and all is sound.
    pub(crate) async fn assert_story(&self, id: &RequestId, states: &str) {
        assert_eq!(self.story(id).await, states);
        self.assert_sound().await;
    }
}

pub(crate) fn to_link(account: &str, program: &str) -> Wish {
    wish(Kind::Link(LinkOptions::default()), account, program)
}

pub(crate) fn wish(kind: Kind, account: &str, program: &str) -> Wish {
    Wish {
        kind,
        account: account.parse().unwrap(),
        program: program.parse().unwrap(),
        username: None,
        key: None,
        labels: HashMap::<String, String>::new().into_iter().collect(),
    }
}
