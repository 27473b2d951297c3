//! What people are told of the platform itself, by a whole daemon whose clock is moved by hand: once, in words that say who
//! must act, over restarts, and as one alert however many accounts suffer from it.

mod accounts;
mod component;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use amplinkd::{
    alerting::evaluator::{AlertEvaluator, Settings as Alerting},
    clock::{Clock as _, ManualClock, SharedClock},
    config::{Callback, Component, Listen},
    daemon,
    domain::{
        action,
        policy::Policy,
        request::{Kind, LinkOptions},
        time::Time,
    },
    engine::{Engine, Settings, drive::Driver, tokens::TokenKeeper},
    http::doors::Doors,
    shutdown::Shutdown,
    sim::{
        AuthorizerKind, ComponentApi, ComponentSetup, FaultKind, Faults, PlanSet, PushAsk, Sim, SimConfig, Span,
        never_answers,
    },
    store::{Role, Store, write::token_task::TokenTask},
    wechat::{
        self, ClientConfig, TokenSource,
        token::{Asks, Desk},
    },
};
use rustix::process::Signal;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::{ACCOUNT, PATIENCE, Platform, now_ms};
use crate::{
    harness::wait_for,
    story::{alerts::everything, wish},
};

const PLATFORM: &str = "wxcccccccccccccccc";

/// 2026-03-10T00:00:00Z, eight in the morning in Beijing.
const START: i64 = 1_773_100_800_000;

/// How often the daemon looks around.
const LOOK: Duration = Duration::from_secs(15);

const LINKS: [u32; 2] = [1, 33];

/// A platform, its world, and a daemon that is turned by hand.
struct Watched {
    clock: Arc<ManualClock>,
    sim: Sim,
    folder: tempfile::TempDir,
    running: Option<Running>,
}

/// A daemon's process.
struct Running {
    keeper: TokenKeeper,
    engine: Arc<Engine>,
    driver: Driver,
    evaluator: AlertEvaluator,
    shutdown: Shutdown,
    doors: JoinHandle<()>,
}

/// An alert as its view shows it.
#[derive(Debug, sqlx::FromRow)]
struct Shown {
    key: String,
    reason: String,
    state: String,
    message_en: String,
    message_zh: String,
}

fn account(number: usize) -> String {
    format!("wxaaaa{number:012}")
}

fn setup(push_to: Option<String>) -> ComponentSetup {
    ComponentSetup {
        appid: Some(PLATFORM.to_owned()),
        push_to,
        by_hand: Some(true),
        tickets: Some(false),
        ..ComponentSetup::default()
    }
}

impl Watched {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = ManualClock::starting_at(Time::from_ms(START));
        let of = Arc::clone(&clock);
        let now = Arc::new(move || of.now().ms());
        let sim = Sim::start(SimConfig { seed: 5, now, faults: Faults::none() }).await.unwrap();
        sim.world().set_component(&setup(None), START).unwrap();
        sim.world().plans.set(
            None,
            None,
            PlanSet {
                account_admin: Some(never_answers()),
                program_admin: Some(never_answers()),
                unlink: Some(never_answers()),
            },
        );
        let folder = tempfile::tempdir().unwrap();
        let mut watched = Self { clock, sim, folder, running: None };
        watched.boot().await;
        watched
    }

    /// A platform that has a ticket, and these accounts, each with a request and permission to link.
    async fn with_accounts(count: usize) -> Self {
        let mut watched = Self::new().await;
        watched.ticket().await;
        for number in 0..count {
            let now = watched.now();
            watched.sim.world().authorize(&account(number), AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        }
        watched.taken_up().await;
        for number in 0..count {
            watched.link(number).await;
        }
        watched.pass(1).await;
        assert_eq!(watched.alerts().await.len(), 0, "{:?}", watched.alerts().await);
        watched
    }

    /// The daemon's process begins.
    async fn boot(&mut self) {
        let secret = SecretString::from(self.sim.world().component().unwrap().secret());
        self.boot_with(secret).await;
    }

    async fn boot_with(&mut self, secret: SecretString) {
        let location = crate::place::location(self.folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let clock: SharedClock = Arc::clone(&self.clock) as _;
        let (desk, asks) = Desk::open();
        let client = ClientConfig { base_url: self.sim.url(), timeout: LOOK, ..ClientConfig::default() };
        let wechat = daemon::wechat(&client, TokenSource::Asked(desk), 1_000, &clock).unwrap();
        let (keeper, doors, shutdown) = self.doors(&client, secret, &store, asks).await;
        let settings = Settings {
            policy: Policy::default(),
            in_flight: 8,
            per_second: NonZeroU32::new(1_000_000).unwrap(),
            daily_budget: 100_000,
        };
        let (engine, driver) = daemon::drive(store, clock, wechat, settings).await.unwrap();
        let told = Alerting {
            component: Some(PLATFORM.to_owned()),
            subscriptions: vec![everything("ops")],
            ..Alerting::default()
        };
        let days = Duration::from_hours(72);
        let evaluator = daemon::Alerting::start(&engine, told, Vec::new(), days).await.unwrap().evaluator;
        self.running = Some(Running { keeper, engine, driver, evaluator, shutdown, doors });
    }

    async fn doors(
        &self,
        client: &ClientConfig,
        secret: SecretString,
        store: &Store,
        asks: Asks,
    ) -> (TokenKeeper, JoinHandle<()>, Shutdown) {
        let keys = self.sim.world().component().unwrap().keys().clone();
        let component = Component {
            appid: PLATFORM.to_owned(),
            secret: Some(secret.clone()),
            message_token: Some(SecretString::from(keys.token)),
            previous_message_token: None,
            aes_key: Some(SecretString::from(keys.encoding_aes_key)),
            previous_aes_key: None,
            callback: Callback {
                listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
                path: "/wechat/callback".to_owned(),
                plain_json: false,
            },
            key: Some(SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")),
            previous_keys: Vec::new(),
        };
        let platform = wechat::Component::new(client, PLATFORM, secret).unwrap();
        let vault = daemon::vault(&component).unwrap();
        let at = (store.clone(), Arc::clone(&self.clock) as _);
        let doors = Doors::open(&component, None, (platform, vault), at, (asks, 1_000)).await.unwrap();
        let url = format!("http://{}/wechat/callback", doors.callback_address().unwrap());
        self.sim.world().set_component(&setup(Some(url)), self.now()).unwrap();
        let (keeper, shutdown) = (doors.keeper().clone(), Shutdown::new());
        let until = shutdown.clone();
        (keeper, tokio::spawn(async move { doors.run(&until).await }), shutdown)
    }

    /// The daemon's process ends, and another one begins.
    async fn restart(&mut self) {
        self.end().await;
        self.boot().await;
    }

    async fn end(&mut self) {
        let Running { engine, driver, evaluator, shutdown, doors, keeper } = self.running.take().unwrap();
        shutdown.ask();
        doors.await.unwrap();
        drop((driver, evaluator, keeper));
        engine.store().clone().close().await;
    }

    fn now(&self) -> i64 {
        self.clock.now().ms()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn store(&self) -> &Store {
        self.running().engine.store()
    }

    async fn ticket(&self) {
        self.sim.world().push(&PushAsk::default(), self.now()).unwrap();
        self.sim.deliver_pushes().await;
    }

    /// What was pushed is taken up.
    async fn taken_up(&self) {
        self.sim.deliver_pushes().await;
        for _ in 0..1_000 {
            if self.store().open_pushes(9).await.unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("pushes are left open: {:?}", self.store().open_pushes(9).await.unwrap());
    }

    async fn link(&self, number: usize) {
        let wish = wish(Kind::Link(LinkOptions::default()), &account(number), "wxbbbb000000000001");
        self.running().engine.recorder().by(action::By::simulated()).accept(vec![wish]).await.unwrap();
    }

    /// Does everything that is due at this moment.
    async fn settle(&mut self) {
        let running = self.running.as_mut().unwrap();
        running.driver.settle().await.unwrap();
        running.evaluator.settle().await.unwrap();
    }

    /// Lets minutes pass, with every look around that a daemon makes in them.
    async fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes * 4 {
            self.clock.advance(LOOK);
            self.settle().await;
        }
    }

    /// The same with a ticket every ten minutes, as WeChat pushes them.
    async fn pass_with_tickets(&mut self, minutes: u64) {
        for _ in 0..minutes.div_ceil(10) {
            self.pass(10).await;
            self.ticket().await;
        }
    }

    fn called(&self, api: ComponentApi) -> u64 {
        self.sim.world().component().unwrap().called(api)
    }

    async fn alerts(&self) -> Vec<Shown> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("a.db"));
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        let sql = "SELECT key, reason, state, message_en, message_zh FROM v_alert ORDER BY fired_at, key";
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    }

    /// The only alert that there ever was; its words stand in this snapshot.
    async fn only(&self) -> Shown {
        let mut all = self.alerts().await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// The only one, and how it stands.
    async fn stands(&self, key: &str, reason: &str, state: &str) -> Shown {
        let only = self.only().await;
        assert_eq!((only.key.as_str(), only.reason.as_str(), only.state.as_str()), (key, reason, state), "{only:#?}");
        only
    }
}

impl Shown {
    #[track_caller]
    fn says(&self, english: &[&str], chinese: &[&str]) {
        assert!(english.iter().all(|words| self.message_en.contains(words)), "{}", self.message_en);
        assert!(chinese.iter().all(|words| self.message_zh.contains(words)), "{}", self.message_zh);
    }
}
