//! A daemon that is the platform itself: its vault, and the doors by which pushes come in and tokens go out.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::{Parts, reach::client};
use crate::{
    clock::SharedClock,
    config::{Component, Config},
    http::doors::{Doors, Platform, push_rules},
    store::Store,
    vault::{Key, Vault},
    wechat,
};

/// The doors of a daemon that keeps the platform's tokens itself; `None` when it asks somebody else.
///
/// # Errors
/// A key that does not fit the database, an address that is taken; the sentence says which and why.
pub async fn doors(
    config: &Config,
    parts: &mut Parts,
    store: &Store,
    clock: &SharedClock,
) -> anyhow::Result<Option<Doors>> {
    let (Some(component), Some(platform), Some(asks)) = (&config.component, parts.platform.take(), parts.asks.take())
    else {
        return Ok(None);
    };
    let (at, service) = ((store.clone(), Arc::clone(clock)), config.token_service.as_ref());
    let client = platform.client.counting(Arc::clone(parts.wechat.meters()));
    Doors::open(component, service, (client, vault(component)?), at, (asks, platform.keep)).await.map(Some)
}

/// What a platform's doors go by, and what a reload can replace of it; `None` when the daemon asks somebody else for tokens.
///
/// # Errors
/// A secret that cannot be used; the sentence says which and why.
pub fn platform(config: &Config) -> anyhow::Result<Option<Platform>> {
    let Some(component) = &config.component else { return Ok(None) };
    let secret = component.secret.clone().context("[component] secret_file was not read")?;
    Ok(Some(Platform {
        client: wechat::Component::new(&client(config)?, &component.appid, secret)?,
        keep: usize::try_from(config.tokens.keep)?,
        pushes: push_rules(component)?,
        callers: config.token_service.as_ref().map_or_else(Vec::new, |service| service.callers.clone()),
    }))
}

/// The key that seals tokens.
///
/// # Errors
/// A key file that holds no key.
pub fn vault(component: &Component) -> anyhow::Result<Vault> {
    let key = component.key.as_ref().context("[secrets] key_file was not read")?;
    let current = Key::parse(key.expose_secret().as_bytes()).context("[secrets] key_file")?;
    let previous = component.previous_keys.iter().map(|key| Key::parse(key.expose_secret().as_bytes()));
    let previous = previous.collect::<Result<Vec<_>, _>>().context("[secrets] previous_key_files")?;
    Ok(Vault::new(&current, &previous))
}
