//! A simulator inside this process, for tests and the demo, on the loopback address only.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, MutexGuard},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{
    admin::{By, NoSuchMove},
    call_log::{CallLogEntry, Stats},
    courier,
    faults::Faults,
    now::{Now, accelerated},
    onlooker::Onlooker,
    server::serve,
    shared::Shared,
    world::World,
};

/// What a simulator starts with.
pub struct SimConfig {
    /// What everything made up depends on.
    pub seed: u64,
    /// Its time, milliseconds UTC.
    pub now: Now,
    /// Its faults.
    pub faults: Faults,
}

impl Default for SimConfig {
    /// Seed 1, the system's time, no faults.
    fn default() -> Self {
        Self { seed: 1, now: accelerated(1.0), faults: Faults::none() }
    }
}

/// A running simulator. Dropping it stops it; [`Sim::shutdown`] also waits until it has stopped.
pub struct Sim {
    shared: Shared,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl Sim {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut world = World::new(config.seed);
        world.faults = config.faults;
        let shared = Shared::new(world, config.now);
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender stops it as well as a sent word.
        let shutdown = async move { drop(stopped.await) };
        let served = tokio::spawn(serve(listener, shared.clone(), shutdown));
        Ok(Self { shared, address, stop, served })
    }

    /// The base URL in the place of `https://api.weixin.qq.com`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token endpoint; the account goes after it: `?appid=`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/token", self.url())
    }

    /// An administrator, for whoever plays them: says yes or no for an account's link to a program, now.
    pub fn played(&self) -> impl Fn(&str, &str, By, bool) -> Result<(), NoSuchMove> + Send + Sync + use<> {
        let shared = self.shared.clone();
        move |account, program, by, agrees| {
            let mut world = shared.world();
            let now = shared.now(&world);
            if agrees { world.approve(account, program, by, now) } else { world.refuse(account, program, by, now) }
        }
    }

    /// The world, locked. Hold it for a moment and never across an await: every call waits for it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// The simulator's time, milliseconds UTC.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.shared.now(&self.world())
    }

    /// From now on somebody looks on at every call and every push.
    pub fn watched_by(&self, onlooker: Arc<dyn Onlooker>) {
        self.shared.gallery().seat(onlooker);
    }

    /// How many requests [`Sim::deliver_pushes`] would make at `now`.
    #[must_use]
    pub fn due_pushes(&self, now: i64) -> usize {
        self.world().outgoing(now)
    }

    /// Every call of `wxamplink` and `wxampunlink` so far.
    #[must_use]
    pub fn ledger(&self) -> Vec<CallLogEntry> {
        self.world().ledger().cloned().collect()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world().stats().clone()
    }

    /// Delivers every push that is due now to the platform, and waits for the answers. How many requests that were comes
    /// back; how each was answered stands in [`super::Component::pushes`].
    pub async fn deliver_pushes(&self) -> usize {
        courier::deliver(&self.shared).await
    }

    /// Lets calls under way end, then stops.
    ///
    /// # Errors
    ///
    /// The listener failed for good while it ran.
    pub async fn shutdown(self) -> io::Result<()> {
        drop(self.stop);
        self.served.await.map_err(io::Error::other)?
    }
}
