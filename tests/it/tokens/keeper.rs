//! Stories of the keeper of tokens, whose clock is moved by hand: what it asks WeChat, how often, and what it never does.

mod pauses;

use std::{path::PathBuf, sync::Arc, time::Duration};

use amplinkd::{
    clock::{Clock as _, ManualClock},
    config::{Callback, Component, Listen},
    daemon,
    domain::{id::AccountId, time::Time},
    engine::tokens::TokenKeeper,
    http::doors::Doors,
    shutdown::Shutdown,
    sim::{AuthorizerKind, ComponentApi, ComponentSetup, Faults, PushAsk, Recovery, RefreshRotation, Sim, SimConfig},
    store::{Role, Store},
    wechat::{self, ClientConfig, Token, TokenError, token::Desk},
};
use secrecy::SecretString;
use tokio::task::JoinHandle;

use super::gate::Gate;

pub(super) const ACCOUNT: &str = "wx00000000000000aa";

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200_000;

pub(super) const LINKS: [u32; 2] = [1, 33];

/// A platform, its world and the keeper of its tokens.
pub(super) struct Platform {
    pub(super) clock: Arc<ManualClock>,
    pub(super) sim: Sim,
    pub(super) keeper: TokenKeeper,
    pub(super) store: Store,
    /// Where WeChat is asked: the simulator, or a gate before it.
    api: String,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    folder: tempfile::TempDir,
}

pub(super) fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn setup(push_to: Option<String>) -> ComponentSetup {
    ComponentSetup {
        appid: Some("wxcccccccccccccccc".to_owned()),
        push_to,
        by_hand: Some(true),
        // Only those that a story pushes.
        tickets: Some(false),
        ..ComponentSetup::default()
    }
}

impl Platform {
    pub(super) async fn new() -> Self {
        Self::asking(async |sim| sim).await
    }

    /// A platform that asks WeChat through a gate.
    pub(super) async fn behind_a_gate() -> (Self, Gate) {
        let mut gate = None;
        let platform = Self::asking(async |sim| gate.insert(Gate::before(sim).await).url()).await;
        (platform, gate.unwrap())
    }

    async fn asking(api: impl AsyncFnOnce(String) -> String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = ManualClock::starting_at(Time::from_ms(START));
        let folder = tempfile::tempdir().unwrap();
        let of = Arc::clone(&clock);
        let now = Arc::new(move || of.now().ms());
        let sim = Sim::start(SimConfig { seed: 5, now, faults: Faults::none() }).await.unwrap();
        sim.world().set_component(&setup(None), START).unwrap();
        let location = crate::place::location(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        let api = api(sim.url()).await;
        let (keeper, shutdown, running) = begin(&sim, &api, &clock, &store, Tended::ByItself).await;
        Self { clock, sim, keeper, store, api, shutdown, running, folder }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    /// A second process on the same database: its keeper, and what ends it.
    pub(super) async fn another(&self) -> (TokenKeeper, Shutdown) {
        let location = crate::place::location(self.database(), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let (keeper, shutdown, _running) = begin(&self.sim, &self.api, &self.clock, &store, Tended::ByItself).await;
        (keeper, shutdown)
    }

    /// The daemon's process ends, and another one begins.
    pub(super) async fn restart(&mut self) {
        self.shutdown.ask();
        (&mut self.running).await.unwrap();
        (self.keeper, self.shutdown, self.running) =
            begin(&self.sim, &self.api, &self.clock, &self.store, Tended::ByItself).await;
    }

    /// The daemon's own loop ends, and a story tends by hand; pushes are still taken.
    async fn tend_by_hand(&mut self) {
        self.shutdown.ask();
        (&mut self.running).await.unwrap();
        (self.keeper, self.shutdown, self.running) =
            begin(&self.sim, &self.api, &self.clock, &self.store, Tended::ByHand).await;
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().ms()
    }

    pub(super) async fn ticket(&self) {
        self.sim.world().push(&PushAsk::default(), self.now()).unwrap();
        self.sim.deliver_pushes().await;
    }

    /// The account authorizes, and its code is traded.
    pub(super) async fn authorize(&self) {
        let now = self.now();
        self.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
        self.taken_up().await;
    }

    /// What was pushed is taken up.
    pub(super) async fn taken_up(&self) {
        self.sim.deliver_pushes().await;
        for _ in 0..500 {
            if self.store.open_pushes(9).await.unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("pushes are left open: {:?}", self.store.open_pushes(9).await.unwrap());
    }

    /// What was pushed is taken up, after pauses if need be: time goes by.
    pub(super) async fn taken_up_in_time(&self) {
        self.sim.deliver_pushes().await;
        for _ in 0..200 {
            if self.store.open_pushes(9).await.unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.clock.advance(Duration::from_secs(2));
        }
        panic!("pushes are left open: {:?}", self.store.open_pushes(9).await.unwrap());
    }

    pub(super) fn pass(&self, hours: u64, minutes: u64) {
        self.clock.advance(Duration::from_mins(hours * 60 + minutes));
    }

    pub(super) fn called(&self, api: ComponentApi) -> u64 {
        self.sim.world().component().unwrap().called(api)
    }

    pub(super) async fn token(&self) -> Result<String, TokenError> {
        Ok(text(&self.keeper.get(&account()).await?))
    }
}

/// Whether the daemon's loop takes up what is pushed.
#[derive(Clone, Copy)]
enum Tended {
    ByItself,
    ByHand,
}

async fn begin(
    sim: &Sim,
    api: &str,
    clock: &Arc<ManualClock>,
    store: &Store,
    tended: Tended,
) -> (TokenKeeper, Shutdown, JoinHandle<()>) {
    let (appid, secret, keys) = {
        let world = sim.world();
        let component = world.component().unwrap();
        (component.appid().to_owned(), SecretString::from(component.secret()), component.keys().clone())
    };
    let component = Component {
        appid: appid.clone(),
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
    let client = ClientConfig { base_url: api.to_owned(), timeout: Duration::from_secs(30), ..ClientConfig::default() };
    let platform = wechat::Component::new(&client, &appid, secret).unwrap();
    let vault = daemon::vault(&component).unwrap();
    let (_, asks) = Desk::open();
    let at = (store.clone(), Arc::clone(clock) as _);
    let doors = Doors::open(&component, None, (platform, vault), at, (asks, 1_000)).await.unwrap();
    let url = format!("http://{}/wechat/callback", doors.callback_address().unwrap());
    sim.world().set_component(&setup(Some(url)), clock.now().ms()).unwrap();
    let (keeper, shutdown) = (doors.keeper().clone(), Shutdown::new());
    let until = shutdown.clone();
    let running = tokio::spawn(async move {
        match tended {
            Tended::ByItself => doors.run(&until).await,
            Tended::ByHand => doors.serve(&until).await,
        }
    });
    (keeper, shutdown, running)
}

/// What a token says.
pub(super) fn text(token: &Token) -> String {
    secrecy::ExposeSecret::expose_secret(&token.secret()).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_of_one_ended_token_cost_one_call() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 0, "the code brought it");
    platform.pass(2, 1);
    platform.ticket().await;

    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let keeper = platform.keeper.clone();
            tokio::spawn(async move { keeper.get(&account()).await.is_ok() })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }

    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
    assert_eq!(platform.called(ComponentApi::ComponentToken), 2, "its own had ended, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_its_end_and_used_meanwhile() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let first = platform.token().await.unwrap();
    platform.pass(1, 39);
    assert_eq!(platform.token().await.unwrap(), first, "more than twenty minutes are left");
    platform.pass(0, 12);
    assert_eq!(platform.token().await.unwrap(), first, "nobody waits for the next one");
    for _ in 0..500 {
        if platform.called(ComponentApi::AuthorizerToken) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_ne!(platform.token().await.unwrap(), first);
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ticket_nothing_is_asked_and_a_push_heals_it() {
    let mut platform = Platform::new().await;
    let said = platform.token().await.unwrap_err();
    assert!(matches!(&said, TokenError::Refused(refusal) if refusal.errcode == 61_003), "{said}");
    let now = platform.now();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), now).unwrap();
    platform.sim.deliver_pushes().await;
    let said = platform.token().await.unwrap_err();
    assert!(matches!(&said, TokenError::Unavailable(_)), "{said}");
    assert_eq!(platform.called(ComponentApi::ComponentToken), 0);
    platform.restart().await;
    platform.ticket().await;
    platform.taken_up().await;
    platform.token().await.unwrap();
    assert_eq!(platform.called(ComponentApi::QueryAuth), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn eleven_hours_without_a_ticket_go_on_and_thirteen_cost_no_storm() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(11, 50);
    platform.token().await.unwrap();
    let before = platform.called(ComponentApi::ComponentToken);
    platform.pass(2, 10);
    for _ in 0..20 {
        platform.token().await.unwrap_err();
        platform.pass(0, 10);
    }
    assert_eq!(platform.called(ComponentApi::ComponentToken) - before, 1, "one try with a ticket that is dead");
    let row = platform.store.only_component().await.unwrap().unwrap();
    assert!(row.ticketless_since.is_some() && row.refusal.is_some());
    platform.ticket().await;
    platform.token().await.unwrap();
    let row = platform.store.only_component().await.unwrap().unwrap();
    assert_eq!((row.ticketless_since, row.refusal), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_token_that_was_killed_outside_is_renewed_once() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    platform.pass(1, 30);
    let now = platform.now();
    platform.sim.world().expire_component_tokens(now).unwrap();
    platform.pass(0, 35);
    platform.ticket().await;
    let before = platform.called(ComponentApi::ComponentToken);
    platform.token().await.unwrap();
    assert!(platform.called(ComponentApi::ComponentToken) - before <= 1);
    let now = platform.now();
    platform.sim.world().expire_component_tokens(now).unwrap();
    platform.pass(1, 55);
    platform.token().await.unwrap();
    assert!(platform.called(ComponentApi::ComponentToken) - before <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_rotates_is_kept_each_time() {
    let mut platform = Platform::new().await;
    platform.sim.world().switches.refresh_token_rotates = RefreshRotation::Each;
    platform.ticket().await;
    platform.authorize().await;
    for _ in 0..5 {
        platform.pass(2, 1);
        platform.ticket().await;
        platform.restart().await;
        platform.token().await.unwrap();
    }
    assert_eq!(platform.called(ComponentApi::AuthorizerToken), 5);
    assert_eq!(platform.called(ComponentApi::AuthorizerList), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_refresh_token_is_found_in_the_list_and_one_that_is_not_there_needs_a_person() {
    for (recovery, is_healed) in [(Recovery::Listed, true), (Recovery::Empty, false)] {
        let platform = Platform::new().await;
        platform.ticket().await;
        platform.authorize().await;
        platform.pass(2, 1);
        platform.ticket().await;
        let now = platform.now();
        platform.sim.world().forget_refresh(ACCOUNT, recovery, now).unwrap();
        let _ = platform.token().await;
        let settled = async || match platform.token().await {
            Ok(_) => true,
            Err(TokenError::Refused(refusal)) => refusal.errcode == 61_023,
            Err(TokenError::Unavailable(_)) => false,
        };
        for _ in 0..500 {
            if settled().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(platform.token().await.is_ok(), is_healed, "{recovery:?}: {:?}", platform.token().await);
        assert!(
            platform.called(ComponentApi::AuthorizerList) <= 2,
            "one page, and one that says that there is no more"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_authorization_ends_the_tokens_before_it() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.authorize().await;
    let first = platform.token().await.unwrap();
    platform.pass(0, 5);
    let now = platform.now();
    platform.sim.world().reauthorize(ACCOUNT, Some(&LINKS), now).unwrap();
    platform.taken_up().await;
    assert_ne!(platform.token().await.unwrap(), first);
    platform.pass(0, 1);
    let now = platform.now();
    platform.sim.world().revoke(ACCOUNT, now).unwrap();
    platform.taken_up().await;
    let said = platform.token().await.unwrap_err();
    assert!(matches!(&said, TokenError::Refused(refusal) if refusal.errcode == 61_003), "{said}");
}
