//! What every part of the benchmark needs: a daemon on a database, a client, wishes, and how work is measured.

use std::{
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    daemon,
    domain::{
        action,
        policy::{Policy, Steps},
        request::{Kind, LinkOptions},
    },
    engine::{Engine, Settings, drive::Driver, record::Recorder, wish::Wish},
    store::{Location, Role, Store},
    wechat::{ClientConfig, HttpSource, TokenSource, Wechat, token::TOKENS_MAX},
};

use crate::machine::cpu_time;

/// Calls under way at once, in every loop.
pub(crate) const IN_FLIGHT: usize = 64;

/// So often that everything is always due.
pub(crate) const OFTEN: Duration = Duration::from_millis(10);

/// Calls, the time they took and the CPU time of this process.
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls.max(1) as f64
    }
}

/// The two watches, started.
pub(crate) struct Watch {
    wall: Instant,
    cpu: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    pub(crate) fn stop(&self, calls: u64) -> Measured {
        Measured { calls, wall: self.wall.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

/// Where tokens come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// One for all.
    Configured,
    /// The server, account by account, kept by the daemon.
    Service,
}

pub(crate) fn wechat(url: &str, clock: &SharedClock, source: Source) -> Wechat {
    let client = ClientConfig {
        base_url: url.to_owned(),
        idle_per_host: IN_FLIGHT,
        timeout: Duration::from_secs(10),
        ..ClientConfig::default()
    };
    let source = match source {
        Source::Configured => TokenSource::Static([("*".to_owned(), token().into())].into_iter().collect()),
        Source::Service => TokenSource::Http(HttpSource {
            url: format!("{url}/token/{{account}}"),
            timeout: Duration::from_secs(10),
            ..HttpSource::default()
        }),
    };
    daemon::wechat(&client, source, TOKENS_MAX, clock).expect("a client")
}

/// The half that polls and calls on a database, looking at every account this often.
pub(crate) async fn drive(url: &str, path: &Path, every: Duration, source: Source) -> (Arc<Engine>, Driver) {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let store = Store::open(&Location::file(path.to_owned(), 0o600), Role::Daemon).await.expect("a store");
    let wechat = wechat(url, &clock, source);
    let settings = Settings {
        policy: Policy { steps: Steps::new(vec![], every).expect("steps"), ..Policy::default() },
        in_flight: IN_FLIGHT,
        per_second: NonZeroU32::MAX,
        daily_budget: u32::MAX,
    };
    daemon::drive(store, clock, wechat, settings).await.expect("a driver")
}

/// A daemon with this many requests, all of which are always due: the loop runs as fast as it can.
pub(crate) async fn daemon(url: &str, path: &Path, accounts: usize) -> (Arc<Engine>, Driver) {
    let store = Store::open(&Location::file(path.to_owned(), 0o600), Role::Tool).await.expect("a store");
    let door = Recorder::new(store.clone(), Arc::new(SystemClock::new()), Policy::default());
    door.by(action::By::simulated()).accept((0..accounts).map(wish).collect()).await.expect("requests");
    store.close().await;
    drive(url, path, OFTEN, Source::Configured).await
}

/// A wish for an account of its own; names of accounts come in no order, as real ones do.
pub(crate) fn wish(number: usize) -> Wish {
    // SplitMix64's mixing step: one to one, so no two accounts share a name.
    let mixed = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = mixed ^ (mixed >> 31);
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: format!("wx{mixed:016x}").parse().expect("an appid"),
        program: "wxbench00000000001".parse().expect("an appid"),
        username: None,
        key: None,
        labels: [("customer".to_owned(), format!("{:04}", number % 10_000))].into_iter().collect(),
    }
}

/// As long as a real one.
pub(crate) fn token() -> String {
    "t".repeat(157)
}
