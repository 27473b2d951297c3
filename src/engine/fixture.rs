//! An engine whose calls reach nobody, for unit tests of its parts.

use std::{collections::HashMap, num::NonZeroU32, path::Path, sync::Arc};

use super::{Engine, Settings, wish::Wish};
use crate::{
    clock::{ManualClock, SharedClock},
    domain::{
        policy::Policy,
        request::{Kind, LinkOptions},
        time::Time,
    },
    store::{Location, Role, Store},
    wechat::{Client, ClientConfig, TokenSource, Tokens, Wechat},
};

/// An engine on a database of its own.
pub(super) async fn engine(folder: &Path) -> Arc<Engine> {
    let location = Location::file(folder.join("a.db"), 0o600);
    let store = Store::open(&location, Role::Daemon).await.unwrap();
    let clock: SharedClock = ManualClock::starting_at(Time::from_ms(1_795_000_000_000));
    let nowhere = ClientConfig { base_url: "http://127.0.0.1:9".to_owned(), ..ClientConfig::default() };
    let tokens = Tokens::new(TokenSource::Static(HashMap::new()), Arc::clone(&clock)).unwrap();
    let wechat = Wechat::new(Client::new(&nowhere).unwrap(), tokens);
    let settings = Settings { policy: Policy::default(), in_flight: 1, per_second: NonZeroU32::MIN, daily_budget: 1 };
    Engine::new(store, wechat, clock, settings)
}

/// A link of the account with this number.
pub(super) fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: format!("wx{number:016}").parse().unwrap(),
        program: "wxfedcba9876543210".parse().unwrap(),
        username: None,
        key: None,
        labels: std::collections::BTreeMap::new(),
    }
}
