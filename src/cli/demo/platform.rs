//! The demo's platform: the daemon keeps the tokens itself, and the accounts authorize it by pushes of the simulator.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::{TIMEOUT, world};
use crate::{
    clock::SharedClock,
    config::{Callback, Component, Listen},
    daemon,
    domain::{
        text::format::moment_as,
        time::{BEIJING, Time},
    },
    http::doors::Doors,
    shutdown::Shutdown,
    sim::{AuthorizerKind, ComponentApi, ComponentSetup, Sim},
    store::Store,
    vault,
    wechat::{
        self, ClientConfig, TokenSource, Wechat,
        token::{Asks, Desk, TOKENS_MAX},
    },
};

/// Permission sets that the accounts grant: 33 is what links need.
const GRANTED: [u32; 2] = [1, 33];

/// How long after one account the next one authorizes, on the demo's clock.
const AUTHORIZES_EVERY: Duration = Duration::from_mins(2);

/// How long after the last one an account withdraws its authorization, and how long it thinks about it.
const WITHDRAWS_AFTER: Duration = Duration::from_hours(1);
const RETURNS_AFTER: Duration = Duration::from_hours(3);

/// `WeChat` with tokens of the daemon's own, and what is asked of their keeper.
pub(super) fn wechat(sim: &Sim, clock: &SharedClock) -> anyhow::Result<(Wechat, Asks)> {
    let (desk, asks) = Desk::open();
    Ok((daemon::wechat(&client(sim), TokenSource::Asked(desk), TOKENS_MAX, clock)?, asks))
}

fn client(sim: &Sim) -> ClientConfig {
    ClientConfig { base_url: sim.url(), timeout: TIMEOUT, ..ClientConfig::default() }
}

/// Opens the event URL, and lets the simulator push to it.
pub(super) async fn open(sim: &Sim, store: &Store, clock: &SharedClock, asks: Asks) -> anyhow::Result<Doors> {
    set_up(sim, None)?;
    let component = component(sim).context("the simulator has no platform")?;
    let secret = component.secret.clone().context("the platform has no secret")?;
    let platform = wechat::Component::new(&client(sim), &component.appid, secret)?;
    let at = (store.clone(), Arc::clone(clock));
    let doors = Doors::open(&component, None, (platform, daemon::vault(&component)?), at, (asks, TOKENS_MAX)).await?;
    let address = doors.callback_address().context("the event URL has no address")?;
    set_up(sim, Some(format!("http://{address}{}", component.callback.path)))?;
    Ok(doors)
}

fn set_up(sim: &Sim, push_to: Option<String>) -> anyhow::Result<()> {
    let setup = ComponentSetup { push_to, tickets: Some(true), ..ComponentSetup::default() };
    let now = sim.now();
    Ok(sim.world().set_component(&setup, now)?)
}

fn component(sim: &Sim) -> Option<Component> {
    let world = sim.world();
    let component = world.component()?;
    let keys = component.keys();
    Some(Component {
        appid: component.appid().to_owned(),
        secret: Some(SecretString::from(component.secret())),
        message_token: Some(SecretString::from(keys.token.as_str())),
        previous_message_token: None,
        aes_key: Some(SecretString::from(keys.encoding_aes_key.as_str())),
        previous_aes_key: None,
        callback: Callback {
            listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
            path: "/wechat/callback".to_owned(),
            plain_json: false,
        },
        // Whoever keeps the demo's database needs no key to read it: nothing sealed is ever used again.
        key: Some(vault::new_key()),
        previous_keys: Vec::new(),
    })
}

/// The accounts authorize one after the other; one withdraws, and comes back. What happens is told as it does.
pub(super) async fn authorize(
    sim: &Sim,
    clock: &SharedClock,
    requests: u32,
    told: &mpsc::UnboundedSender<String>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let tell = |account: &str, what: &str| {
        let when = moment_as(Time::from_ms(sim.now()), &BEIJING, "%m-%d %H:%M %:z");
        // Whoever listened may have gone.
        let _ = told.send(format!("{when}  {account}  {what}"));
    };
    let pause = |of: Duration| shutdown.unless_asked(clock.sleep_until(clock.monotonic() + of));
    let accounts = world::accounts(requests);
    for account in &accounts {
        let now = sim.now();
        sim.world().authorize(account, AuthorizerKind::Account, Some(&GRANTED), now)?;
        tell(account, "authorizes the platform");
        if pause(AUTHORIZES_EVERY).await.is_none() {
            return Ok(());
        }
    }
    let Some(account) = accounts.get(accounts.len() / 2) else { return Ok(()) };
    if pause(WITHDRAWS_AFTER).await.is_some() {
        let now = sim.now();
        sim.world().revoke(account, now)?;
        tell(account, "withdraws its authorization: nothing is called for it");
    }
    if pause(RETURNS_AFTER).await.is_some() {
        let now = sim.now();
        sim.world().authorize(account, AuthorizerKind::Account, Some(&GRANTED), now)?;
        tell(account, "authorizes the platform again");
    }
    Ok(())
}

/// What the platform came to, for the summary.
pub(super) fn summary(sim: &Sim) -> Option<[String; 2]> {
    let world = sim.world();
    let component = world.component()?;
    let pushes = |kind: &str| component.pushes().filter(|push| push.info_type == kind).count();
    let called = |api| component.called(api);
    let tokens = called(ComponentApi::QueryAuth) + called(ComponentApi::AuthorizerToken);
    Some([
        format!(
            "  {:>6}  authorizations by pushes, {} of them withdrawn meanwhile",
            pushes("authorized"),
            pushes("unauthorized")
        ),
        format!("  {tokens:>6}  account tokens, with {} of the platform's own", called(ComponentApi::ComponentToken)),
    ])
}
