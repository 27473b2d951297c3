//! What every handler may use: the database with its recorder, the time, the configuration in force, and the bounds of it
//! all. The loop of polls waits for none of it: handlers read through readers, and so many at once.

use std::{
    future::Future,
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Semaphore, watch};

use super::{
    feed::Feed,
    guesses::{SignInLimits, TestLimits},
    problem::Problem,
    pulse::Pulse,
    word::Word,
};
use crate::{
    clock::SharedClock,
    config::{Config, Http},
    domain::time::Time,
    engine::{Engine, record::Recorder},
    metrics::Metrics,
    shutdown::Shutdown,
    store::Store,
};

/// Reads of the database at once: as many as leave polls and alerting a core of the two of a small machine most of the time.
const READS: usize = 2;

/// Reports at once, beside the reads: one reads some ten thousand rows.
const REPORTS: usize = 1;

/// Passwords that are compared at once: each takes 19 MiB and a core.
const PASSWORDS: usize = 2;

/// Why callers were turned away, counted since the start.
#[derive(Debug, Default)]
pub struct AuthFailures {
    /// They showed nothing.
    pub missing: AtomicU64,
    /// Their token or session is not good, or not any more.
    pub refused: AtomicU64,
    /// Their name or password was wrong.
    pub password: AtomicU64,
    /// They may not do what they asked for.
    pub forbidden: AtomicU64,
}

impl AuthFailures {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api(Arc<Shared>);

/// What all handlers share.
#[derive(Debug)]
pub struct Shared {
    engine: Arc<Engine>,
    store: Store,
    config: watch::Receiver<Arc<Config>>,
    shutdown: Shutdown,
    /// Where it listens and by what bounds; these stay until a restart.
    pub http: Http,
    /// Why callers were turned away.
    pub failures: AuthFailures,
    /// Whether the loop goes round.
    pub(super) pulse: Pulse,
    pub(super) sign_ins: SignInLimits,
    pub(super) tests: TestLimits,
    pub(super) passwords: Semaphore,
    metrics: OnceLock<Metrics>,
    /// What event streams are fed from.
    pub(super) feed: Feed,
    /// One for each stream that there may be.
    pub(super) streams: Arc<Semaphore>,
    /// One, for a backup at a time.
    pub(super) backups: Arc<Semaphore>,
    reads: Semaphore,
    reports: Semaphore,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// Shows what is measured of the daemon, and is measured with it.
    pub(super) fn measure(&self, metrics: Metrics) {
        // A door belongs to one daemon.
        let _ = self.metrics.set(metrics);
    }

    /// What is measured of the daemon.
    pub(super) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.get()
    }

    /// For this daemon.
    #[must_use]
    pub fn new(engine: Arc<Engine>, config: watch::Receiver<Arc<Config>>, http: Http, shutdown: Shutdown) -> Self {
        let (sign_ins, tests) = (SignInLimits::new(engine.clock()), TestLimits::new(engine.clock()));
        let streams = Arc::new(Semaphore::new(usize::try_from(http.streams).unwrap_or(usize::MAX)));
        Self(Arc::new(Shared {
            metrics: OnceLock::new(),
            store: engine.store().for_door(),
            engine,
            config,
            shutdown,
            http,
            failures: AuthFailures::default(),
            pulse: Pulse::default(),
            sign_ins,
            tests,
            passwords: Semaphore::new(PASSWORDS),
            feed: Feed::default(),
            streams,
            backups: Arc::new(Semaphore::new(1)),
            reads: Semaphore::new(READS),
            reports: Semaphore::new(REPORTS),
        }))
    }
}

impl Shared {
    /// What polls and calls; for what it counts.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The database, read through connections of the door's own.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What writes decisions.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        self.engine.recorder()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        self.engine.clock()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock().now()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// The wish that the daemon end: streams end with it.
    #[must_use]
    pub const fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Reads the database when it is this one's turn.
    ///
    /// # Errors
    /// [`Problem`] of what was met.
    pub async fn reading<T, E: Into<Problem>>(&self, read: impl Future<Output = Result<T, E>>) -> Result<T, Problem> {
        let _turn = self.reads.acquire().await.map_err(|_| Problem::of(Word::Ending))?;
        read.await.map_err(Into::into)
    }

    /// The same for a report, which takes long.
    ///
    /// # Errors
    /// [`Problem`] of what was met.
    pub async fn reporting<T, E: Into<Problem>>(&self, read: impl Future<Output = Result<T, E>>) -> Result<T, Problem> {
        let _turn = self.reports.acquire().await.map_err(|_| Problem::of(Word::Ending))?;
        read.await.map_err(Into::into)
    }
}
