//! The platform half of a life: a component with its secrets, accounts that authorize it, and what `WeChat` does not
//! document of both.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    daemon::TIMEOUT,
    generator::{ACCOUNTS, account},
    token_promises::Scale,
    witness::Witness,
};
use crate::{
    config::{Callback, Component, Config, Listen, TokenSource},
    daemon,
    sim::{
        AuthorizerInfoShape, AuthorizerKind, AuthorizerOrder, ComponentSetup, PushFormat, PushOrder, RefreshRotation,
        Sim, Span, World,
    },
    store::Store,
    vault::{Vault, new_key},
};

/// The platform of every life.
pub(super) const COMPONENT: &str = "wxdddddddddddddddd";

const PATH: &str = "/wechat/callback";

/// What processes log: all that a daemon says by itself, and what its own code says when it is asked for more.
const LOGGED: &str = "info,amplinkd=debug";

/// Keeps this draw apart from those of the life itself, which stay as they are.
const APART: u64 = 0x746f_6b65_6e73;

/// Permission sets with the one that links need, and without.
pub(super) const WITH_LINKS: [u32; 3] = [1, 11, 33];
pub(super) const WITHOUT_LINKS: [u32; 2] = [1, 11];

/// Whether the platform of this life keeps its tokens itself.
pub(super) fn keeps_tokens(seed: u64) -> bool {
    StdRng::seed_from_u64(seed ^ APART).random_bool(0.5)
}

/// What a life has besides, when its platform keeps its tokens itself.
pub(super) struct Platform {
    pub(super) witness: Witness,
    /// The secret that seals what is on disk.
    pub(super) key: SecretString,
    /// The component's secret as the daemon has it.
    pub(super) secret: String,
    /// When pushes that are held go out again, on the stopwatch, and whether they are lost.
    pub(super) held_until: Option<(std::time::Duration, Held)>,
    /// Moments in a row at which something was left to be done at once.
    pub(super) hurries: u32,
}

/// What becomes of pushes that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Late,
    Lost,
}

/// The configuration of a life's daemon.
pub(super) fn configuration(sim: &Sim, key: &SecretString) -> Config {
    let component = {
        let world = sim.world();
        let known = world.component().unwrap_or_else(|| panic!("a life without a component"));
        Component {
            appid: known.appid().to_owned(),
            secret: Some(SecretString::from(known.secret())),
            message_token: Some(SecretString::from(known.keys().token.as_str())),
            previous_message_token: None,
            aes_key: Some(SecretString::from(known.keys().encoding_aes_key.as_str())),
            previous_aes_key: None,
            callback: Callback { listen: Listen::Tcp(free_address()), path: PATH.to_owned(), plain_json: false },
            key: Some(key.clone()),
            previous_keys: Vec::new(),
        }
    };
    let mut config = Config { component: Some(component), ..Config::default() };
    config.wechat.base_url = sim.url();
    config.wechat.timeout = TIMEOUT;
    config.tokens.source = TokenSource::Component;
    config
}

/// The address of the callback, the same for every process of a life: below those that the system gives to connections.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 10_000).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Where pushes go to, by the daemon's configuration.
fn push_to(config: &Config) -> Option<String> {
    match &config.component.as_ref()?.callback.listen {
        Listen::Tcp(address) => Some(format!("http://{address}{PATH}")),
        Listen::Unix(_) => None,
    }
}

/// Sets a component up in the world, with accounts of which most have authorized it; the daemon's configuration and who
/// looks on.
pub(super) fn found(sim: &Sim, store: Store, at_once: usize, chance: &mut StdRng, now: i64) -> (Config, Platform) {
    let key = new_key();
    let setup = ComponentSetup {
        appid: Some(COMPONENT.to_owned()),
        by_hand: Some(true),
        tickets: Some(true),
        ..ComponentSetup::default()
    };
    let said = "what a life sets up is legal";
    sim.world().set_component(&setup, now).unwrap_or_else(|error| panic!("{said}: {error}"));
    let config = configuration(sim, &key);
    let mut world = sim.world();
    set_the_scene(&mut world, chance);
    let push_to = ComponentSetup { push_to: push_to(&config), ..ComponentSetup::default() };
    world.set_component(&push_to, now).unwrap_or_else(|error| panic!("{said}: {error}"));
    for number in 0..ACCOUNTS {
        let sets = if chance.random_ratio(1, 6) { WITHOUT_LINKS.as_slice() } else { &WITH_LINKS };
        if chance.random_ratio(5, 6) {
            // Nobody did so before.
            let _ = world.authorize(&account(number), AuthorizerKind::Account, Some(sets), now);
        }
    }
    let secret = world.component().map(|known| known.secret().to_owned()).unwrap_or_default();
    let tokens = usize::try_from(ACCOUNTS).unwrap_or(0) + 1;
    let scale = Scale { tokens, lifetime: world.switches.token_lifetime.as_millis(), at_once };
    drop(world);
    let witness = Witness::new(COMPONENT, vault(&config), store, scale);
    sim.watched_by(Arc::new(witness.clone()));
    (config, Platform { witness, key, secret, held_until: None, hurries: 0 })
}

fn vault(config: &Config) -> Vault {
    let vault = config.component.as_ref().map(daemon::vault);
    vault.and_then(Result::ok).unwrap_or_else(|| panic!("a new key is a key"))
}

/// What `WeChat` does not document of platforms.
fn set_the_scene(world: &mut World, chance: &mut StdRng) {
    let switches = &mut world.switches;
    let rarely = |chance: &mut StdRng| chance.random_ratio(1, 4);
    // Shorter ones would use up the day's calls.
    switches.token_lifetime = Span::minutes(if rarely(chance) { chance.random_range(30..120) } else { 120 });
    switches.component_token_expired = if rarely(chance) { 42_006 } else { 42_001 };
    switches.refresh_token_rotates = match chance.random_range(0..3) {
        0 => RefreshRotation::Never,
        1 => RefreshRotation::Each,
        _ => RefreshRotation::AfterGrace(Span::minutes(chance.random_range(1..10))),
    };
    switches.password_changed = if rarely(chance) { 61_023 } else { 42_007 };
    switches.list_hides_refresh = rarely(chance);
    switches.list_order = if rarely(chance) { AuthorizerOrder::NewestFirst } else { AuthorizerOrder::OldestFirst };
    switches.authorizer_info = if rarely(chance) { AuthorizerInfoShape::Old } else { AuthorizerInfoShape::New };
    switches.push_delay = Span::seconds(if rarely(chance) { chance.random_range(1..1_800) } else { 0 });
    switches.push_twice = rarely(chance);
    switches.push_order = match chance.random_range(0..3) {
        0 => PushOrder::Planned,
        1 => PushOrder::Reversed,
        _ => PushOrder::Shuffled,
    };
    let formats = [PushFormat::Xml, PushFormat::Cdata, PushFormat::CdataNumbers, PushFormat::Malformed];
    switches.push_format = formats.choose(chance).copied().unwrap_or(PushFormat::Cdata);
    switches.push_repeats = chance.random_range(0..4);
}

/// Every secret of a life, and how it is called.
pub(super) fn secrets(sim: &Sim, key: &SecretString) -> Vec<super::secret_search::Wanted> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let wanted = |kind: String, bytes: Vec<u8>| super::secret_search::Wanted { kind, bytes };
    let made = sim.world().secrets().into_iter();
    let mut all: Vec<_> = made.map(|secret| wanted(format!("{:?}", secret.kind), secret.text.into_bytes())).collect();
    let text = key.expose_secret();
    all.push(wanted("vault key".to_owned(), text.as_bytes().to_vec()));
    // A vault key that was made is base64.
    all.push(wanted("vault key".to_owned(), STANDARD.decode(text).unwrap_or_default()));
    all
}

/// Where the log of a life's processes is.
pub(super) fn log_of(database: &Path) -> std::path::PathBuf {
    database.with_extension("log")
}

/// A log of all that a daemon could say.
pub(super) fn log_to(database: &Path) -> tracing::Dispatch {
    let log = log_of(database);
    let file = std::fs::File::create(&log).unwrap_or_else(|error| panic!("no room for {}: {error}", log.display()));
    let lines = tracing_subscriber::fmt().with_ansi(false).with_env_filter(tracing_subscriber::EnvFilter::new(LOGGED));
    tracing::Dispatch::new(lines.with_writer(std::sync::Mutex::new(file)).finish())
}
