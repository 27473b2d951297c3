//! One process of the daemon in a simulation, on its own runtime, so that it can be killed in the middle of anything.
//! Checks look only at its database and the world.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::runtime::{Handle, Runtime};
use tracing::Dispatch;

use super::crash_clock::CrashClock;
use crate::{
    alerting::evaluator::AlertEvaluator,
    clock::{Clock, ManualClock, SharedClock},
    config::Config,
    daemon::{self, Alerting, Parts},
    domain::{id::AccountId, policy::Policy},
    engine::{
        Engine, Settings,
        drive::Driver,
        record::Recorder,
        tokens::{TokenKeeper, desk::ServeError},
        wish::AskError,
    },
    http::doors::Doors,
    schedule::CronJobs,
    shutdown::Shutdown,
    store::{Location, Role, Store},
};

/// How long a call may take, in the machine's time: no answer of the simulator takes a tenth of it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a killed process may take to let go of its threads.
const LETTING_GO: Duration = Duration::from_secs(20);

/// How often the half that tells people looks, at most: it costs more than all the rest of a moment.
const TELL_EVERY: Duration = Duration::from_mins(10);

/// What every process of one life is started with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) database: PathBuf,
    pub(super) wechat_url: String,
    pub(super) token_url: String,
    pub(super) time: Arc<ManualClock>,
    pub(super) policy: Policy,
    /// Polls and calls under way at once.
    pub(super) at_once: usize,
    pub(super) daily_budget: u32,
    /// Calls in a second.
    pub(super) per_second: NonZeroU32,
    /// The configuration of a platform that keeps its tokens itself.
    pub(super) platform: Option<Arc<Config>>,
    /// Where such a platform's processes log.
    pub(super) log: Option<Dispatch>,
}

/// The process ended before it had done what it was asked to do.
#[derive(Debug)]
pub(super) struct Died;

/// The threads of a process. Dropped in the middle of something, they are left to end by themselves.
struct Threads {
    runtime: Option<Runtime>,
    log: Option<Dispatch>,
}

impl Threads {
    fn start(log: Option<Dispatch>) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        if let Some(log) = log.clone() {
            // For as long as the thread lives.
            builder.on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&log)));
        }
        let runtime = builder.build().unwrap_or_else(|error| panic!("no runtime for a process: {error}"));
        Self { runtime: Some(runtime), log }
    }

    fn handle(&self) -> Handle {
        self.runtime.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A process.
pub(super) struct Daemon {
    runtime: Threads,
    clock: Arc<CrashClock>,
    engine: Arc<Engine>,
    /// Away while it works.
    inner: Option<Inner>,
}

struct Inner {
    driver: Driver,
    keeper: Option<TokenKeeper>,
    chores: CronJobs,
    watch: AlertEvaluator,
    /// When it looks next, on the stopwatch; `None`: at once.
    watch_due: Option<Duration>,
}

/// How a process that was asked to do something ended up.
type Alive<T> = Result<T, Died>;

impl Setup {
    /// Where the database is.
    pub(super) fn location(&self) -> Location {
        Location::file(self.database.clone(), 0o600)
    }

    /// A command beside the daemon, whether one runs or not.
    pub(super) async fn desk(&self) -> Recorder {
        let store = Store::open(&self.location(), Role::Tool).await;
        let store = store.unwrap_or_else(|error| panic!("a command cannot open the database: {error}"));
        Recorder::new(store, Arc::clone(&self.time) as SharedClock, self.policy.clone())
    }

    async fn boot(self, clock: SharedClock) -> (Arc<Engine>, Inner) {
        let store = Store::open(&self.location(), Role::Daemon).await;
        let store = store.unwrap_or_else(|error| panic!("the daemon cannot open its database: {error}"));
        let mut parts = self.parts(&clock);
        let keeper = match &self.platform {
            Some(config) => {
                let doors = daemon::doors(config, &mut parts, &store, &clock).await;
                doors.unwrap_or_else(|error| panic!("the doors do not open: {error:#}")).map(serve)
            }
            None => None,
        };
        let opened = daemon::Daemon::open(store, parts).await;
        let opened = opened.unwrap_or_else(|error| panic!("the daemon does not start: {error}"));
        let daemon::Daemon { engine, driver, alerting: Alerting { evaluator, .. }, mut jobs, .. } = opened;
        jobs.take_up().await;
        (engine, Inner { driver, keeper, chores: jobs, watch: evaluator, watch_due: None })
    }

    fn parts(&self, clock: &SharedClock) -> Parts {
        let engine = Settings {
            policy: self.policy.clone(),
            in_flight: self.at_once,
            per_second: self.per_second,
            daily_budget: self.daily_budget,
        };
        if let Some(config) = &self.platform {
            let parts = Parts::from_config(config, Arc::clone(clock));
            return Parts { engine, ..parts.unwrap_or_else(|error| panic!("no parts: {error:#}")) };
        }
        let wechat = daemon::simulated(self.wechat_url.clone(), &self.token_url, TIMEOUT, clock);
        Parts::new(Arc::clone(clock), wechat.unwrap_or_else(|error| panic!("no client: {error}")), engine)
    }
}

/// Serves a platform's doors for as long as the process lives.
fn serve(doors: Doors) -> TokenKeeper {
    let keeper = doors.keeper().clone();
    drop(tokio::spawn(async move { doors.serve(&Shutdown::new()).await }));
    keeper
}

impl Daemon {
    /// Starts a process that ends at its `dies_after`th look at the clock, if at all.
    pub(super) async fn boot(setup: &Setup, dies_after: Option<u64>) -> Alive<Self> {
        let clock = CrashClock::new(Arc::clone(&setup.time));
        if let Some(questions) = dies_after {
            clock.die_after(questions);
        }
        let runtime = Threads::start(setup.log.clone());
        let (setup, asked) = (setup.clone(), Arc::clone(&clock) as SharedClock);
        let booted = on(&runtime, async move || setup.boot(asked).await).await;
        match booted {
            Ok((engine, inner)) => Ok(Self { runtime, clock, engine, inner: Some(inner) }),
            Err(ended) => {
                let_go(runtime).await;
                died(&clock, ended)
            }
        }
    }

    /// Does everything that is due at this moment.
    pub(super) async fn work(&mut self) -> Alive<()> {
        let clock = Arc::clone(&self.clock);
        self.inside(async move |inner| {
            if let Some(keeper) = &inner.keeper {
                let tended = keeper.tend_once(&Shutdown::new()).await;
                tended.unwrap_or_else(|error| panic!("the keeper cannot read its database: {error}"));
            }
            inner.driver.settle().await.unwrap_or_else(|error| panic!("the daemon cannot read its database: {error}"));
            if let Some(keeper) = &inner.keeper {
                keeper.settle().await;
            }
            let now = clock.monotonic();
            if inner.watch_due.is_none_or(|due| due <= now) {
                inner.watch.settle().await.unwrap_or_else(|error| panic!("the watch cannot look: {error}"));
                let due = inner.watch.next_due().await;
                let due = due.unwrap_or_else(|error| panic!("the watch cannot tell when it is due: {error}"));
                inner.watch_due = Some(due.map_or(now + TELL_EVERY, |due| due.min(now + TELL_EVERY)));
            }
        })
        .await
    }

    /// Lets the watchdog of the cron jobs look.
    pub(super) async fn watch(&mut self) -> Alive<()> {
        self.inside(async |inner| {
            inner.chores.run_missed().await;
        })
        .await
    }

    async fn inside(&mut self, work: impl AsyncFnOnce(&mut Inner) + Send + 'static) -> Alive<()> {
        let Some(mut inner) = self.inner.take() else { return Err(Died) };
        let done = on(&self.runtime, async move || {
            work(&mut inner).await;
            inner
        });
        match done.await {
            Ok(inner) => {
                self.inner = Some(inner);
                // A task beside the loop may have been the one that asked.
                if self.clock.is_dead() { Err(Died) } else { Ok(()) }
            }
            Err(ended) => died(&self.clock, ended),
        }
    }

    /// When something is next due, on the stopwatch.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.inner.as_ref()?.driver.next_due()
    }

    /// The clock that can end it.
    pub(super) const fn clock(&self) -> &Arc<CrashClock> {
        &self.clock
    }

    /// The process ends at its `questions`th look at the clock from now on.
    pub(super) fn die_after(&self, questions: u64) {
        self.clock.die_after(questions);
    }

    /// What doors of this process ask of it.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        wish: impl AsyncFnOnce(&Recorder) -> Result<T, AskError> + Send + 'static,
    ) -> Alive<Result<T, AskError>> {
        let engine = Arc::clone(&self.engine);
        match on(&self.runtime, async move || wish(engine.recorder()).await).await {
            Ok(answer) => Ok(answer),
            Err(ended) => died(&self.clock, ended),
        }
    }

    /// Many other systems ask for an account's token at once.
    pub(super) async fn ask_for_token(
        &self,
        account: AccountId,
        times: usize,
    ) -> Alive<Vec<Result<String, ServeError>>> {
        let keeper = self.inner.as_ref().and_then(|inner| inner.keeper.clone());
        let Some(keeper) = keeper else { return Ok(Vec::new()) };
        let asked = on(&self.runtime, async move || {
            let mut asking = tokio::task::JoinSet::new();
            for _ in 0..times {
                let (keeper, account) = (keeper.clone(), account.clone());
                asking.spawn(async move { keeper.serve_one(&account).await });
            }
            let answers = asking.join_all().await;
            keeper.settle().await;
            answers
        });
        let answers = match asked.await {
            Ok(answers) if !self.clock.is_dead() => answers,
            Ok(_) => return Err(Died),
            Err(ended) => return died(&self.clock, ended),
        };
        Ok(answers.into_iter().map(|answer| answer.map(|served| served.token.expose_secret().to_owned())).collect())
    }

    /// Ends the process in good order.
    pub(super) async fn stop(self) {
        let store = self.engine.store().clone();
        drop((self.inner, self.engine));
        let closing = self.runtime.handle().spawn(store.close());
        // A store that could not be closed is one that was killed.
        let _ = closing.await;
        let_go(self.runtime).await;
    }

    /// Ends the process at once: no task runs on, nothing is closed.
    pub(super) async fn kill(self) {
        drop((self.inner, self.engine));
        let_go(self.runtime).await;
    }
}

/// Works on the runtime of a process: what is begun there ends when that does.
async fn on<T: Send + 'static>(
    runtime: &Threads,
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let (log, runtime) = (runtime.log.clone().unwrap_or_default(), runtime.handle());
    tokio::task::spawn_blocking(move || tracing::dispatcher::with_default(&log, || runtime.block_on(work()))).await
}

async fn let_go(mut threads: Threads) {
    let Some(runtime) = threads.runtime.take() else { return };
    let gone = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(LETTING_GO)).await;
    gone.unwrap_or_else(|error| panic!("a killed process did not end: {error}"));
}

/// A task ended early: killed, or by a defect that must be seen.
fn died<T>(clock: &CrashClock, ended: tokio::task::JoinError) -> Alive<T> {
    match ended.try_into_panic() {
        Ok(_) if clock.is_dead() => Err(Died),
        Ok(defect) => std::panic::resume_unwind(defect),
        Err(_) => Err(Died),
    }
}
