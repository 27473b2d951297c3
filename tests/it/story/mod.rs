//! A daemon in a small world: the real client over HTTP, a real `SQLite` file, a clock that is moved by hand. Stories tell
//! the world what its people do, let time pass and look at the end. It must never reach into the engine.

mod crash;

mod link;

mod quota;

mod trouble;

mod unlink;

use std::{collections::HashMap, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use amplinkd::{
    clock::{Clock, ManualClock},
    domain::{
        id::RequestId,
        policy::Policy,
        request::{Kind, LinkOptions, Request},
        time::Time,
    },
    engine::{Engine, Settings, accept::Wish, drive::Driver},
    sim::{PlanSet, Sim, SimConfig, Span, approves_after, never_answers},
    store::{
        Location, Role, Store,
        views::{ConflictFilter, ConflictView, RequestView},
    },
    wechat::{Client, ClientConfig, HttpSource, TokenSource, Tokens, Wechat},
};

/// Where every story begins: the morning of 10 March 2026 in Beijing, in the middle of a month.
const MORNING: Time = Time::from_ms(1_773_100_800_000);

/// A step of the loop's clock never exceeds this, so that a story whose daemon has nothing to do still ends.
const STEP_MAX: Duration = Duration::from_hours(1);

pub(crate) const ACCOUNT: &str = "wxaaaa000000000001";
pub(crate) const PROGRAM: &str = "wxbbbb000000000001";

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

pub(crate) fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

pub(crate) fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

/// A daemon, its world, and what belongs to both.
pub(crate) struct Daemon {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) sim: Sim,
    pub(crate) settings: Settings,
    dir: tempfile::TempDir,
    running: Option<(Arc<Engine>, Driver)>,
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
        let sim =
            Sim::start(SimConfig { now: Arc::new(move || shown.now().ms()), ..SimConfig::default() }).await.unwrap();
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
        let mut daemon = Self { clock, sim, settings, dir: tempfile::tempdir().unwrap(), running: None };
        daemon.boot().await;
        daemon
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("amplinkd.db")
    }

    /// Starts the process.
    pub(crate) async fn boot(&mut self) {
        let location = Location { path: self.database(), mode: 0o640 };
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let config =
            ClientConfig { base_url: self.sim.url(), timeout: Duration::from_millis(1_500), ..ClientConfig::default() };
        let source = TokenSource::Http(HttpSource {
            url: format!("{}?appid={{account}}", self.sim.token_url()),
            headers: Vec::new(),
            timeout: Duration::from_secs(2),
        });
        let clock: Arc<dyn Clock> = self.clock.clone();
        let tokens = Tokens::new(source, Arc::clone(&clock)).unwrap();
        let wechat = Wechat::new(Client::new(&config).unwrap(), tokens);
        let engine = Engine::new(store, wechat, clock, self.settings.clone());
        let driver = Driver::start(Arc::clone(&engine)).await.unwrap();
        self.running = Some((engine, driver));
    }

    /// Ends the process in good order.
    pub(crate) async fn stop(&mut self) {
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
        let accepted = self.engine().recorder().accept(vec![wish]).await.unwrap();
        accepted[0].id.parse().unwrap()
    }

    /// Does everything that is due at this moment.
    pub(crate) async fn settle(&mut self) {
        self.running.as_mut().unwrap().1.settle().await.unwrap();
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
            let due = self.running.as_ref().unwrap().1.next_due().unwrap_or(Duration::MAX);
            let step = due.max(now + Duration::from_millis(1)).min(now + STEP_MAX).min(end);
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

    /// How many invitations really went out for the pair.
    pub(crate) fn invitations(&self) -> usize {
        self.sim.world().invitations(ACCOUNT, PROGRAM)
    }

    /// Nothing is lost and nothing stalls; every history leads to its state.
    pub(crate) async fn assert_sound(&self) {
        let findings = self.engine().recorder().audit().await.unwrap();
        assert!(findings.is_empty(), "audit: {findings:?}");
        let damage = Store::verify(&self.database(), 100).await.unwrap();
        assert!(damage.is_empty(), "verify: {damage:?}");
    }

    /// A request ended through exactly these states, by this many invitations, and all is sound.
    pub(crate) async fn assert_story(&self, id: &RequestId, states: &str) {
        assert_eq!(self.story(id).await, states);
        self.assert_sound().await;
    }
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
