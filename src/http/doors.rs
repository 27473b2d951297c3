//! The doors of a daemon that keeps the platform's tokens itself: both listeners, bound before it is ready, and whoever
//! answers behind them.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use tokio::sync::watch;

use super::{
    callback::{self, EventUrl},
    log_limit::LogLimit,
    server::{self, Listener},
    token_service::{self, Callers},
};
use crate::{
    clock::SharedClock,
    config::{Caller, Component, Listen, TokenService},
    engine::{
        refused_keys::RefusedKeys,
        tokens::{Settings, TokenKeeper},
    },
    shutdown::Shutdown,
    store::Store,
    vault::Vault,
    wechat::{
        callback::PushRules,
        component::Component as Client,
        crypt::{AesKey, Crypt},
        token::Asks,
    },
};

/// What a platform's doors go by, and what a reload can replace of it.
#[derive(Debug)]
pub struct Platform {
    /// How the platform's own calls are made, with its secret.
    pub client: Client,
    /// Tokens kept in memory at once.
    pub keep: usize,
    /// Which pushes are taken, and at which path.
    pub pushes: EventUrl,
    /// Who may ask for tokens.
    pub callers: Vec<Caller>,
}

/// What answers behind the doors.
#[derive(Debug)]
pub struct Doors {
    callback: Listener,
    service: Option<(Listener, String)>,
    control: DoorsControl,
    clock: SharedClock,
    refused_keys: RefusedKeys,
}

/// Replaces what open doors go by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DoorsControl {
    keeper: TokenKeeper,
    pushes: watch::Sender<Arc<EventUrl>>,
    callers: watch::Sender<Arc<Callers>>,
}

impl DoorsControl {
    /// Goes by this from now on; a request that is being answered ends as it began.
    pub async fn set(&self, platform: Platform) {
        let Platform { client, keep, pushes, callers } = platform;
        self.pushes.send_replace(Arc::new(pushes));
        self.callers.send_replace(Arc::new(Callers::new(&callers)));
        self.keeper.replace(client, keep).await;
    }
}

impl Doors {
    /// Opens them: the key must open what is written down, and the addresses must be free. From now on polls get tokens.
    ///
    /// # Errors
    /// A sentence that says what cannot be used and why; nothing was overwritten.
    pub async fn open(
        component: &Component,
        service: Option<&TokenService>,
        (client, vault): (Client, Vault),
        (store, clock): (Store, SharedClock),
        (asks, keep): (Asks, usize),
    ) -> anyhow::Result<Self> {
        let settings = Settings { appid: component.appid.clone(), keep };
        let (pushes, callers) = (push_rules(component)?, service.map_or(&[][..], |service| &service.callers));
        let keeper = TokenKeeper::open(store, clock.clone(), client, vault, settings).await?;
        let callback = bind(&component.callback.listen).await.context("[callback] listen")?;
        let service = match service {
            Some(service) => {
                let listener = bind(&service.listen).await.context("[token_service] listen")?;
                Some((listener, service.listen.to_string()))
            }
            None => None,
        };
        tracing::info!(
            event = "http.listening",
            callback = ?callback.address(),
            path = component.callback.path,
            token_service = ?service.as_ref().and_then(|(listener, _)| listener.address()),
            "listening for WeChat's pushes"
        );
        drop(tokio::spawn({
            let keeper = keeper.clone();
            async move { keeper.serve(asks).await }
        }));
        let callers = watch::Sender::new(Arc::new(Callers::new(callers)));
        let control = DoorsControl { keeper, pushes: watch::Sender::new(Arc::new(pushes)), callers };
        Ok(Self { callback, service, control, clock, refused_keys: RefusedKeys::default() })
    }

    /// Where pushes come in, when that is an address.
    #[must_use]
    pub fn callback_address(&self) -> Option<SocketAddr> {
        self.callback.address()
    }

    /// Counts refused keys here, where they are told of.
    #[must_use]
    pub fn counting_refused_keys(self, refused_keys: &RefusedKeys) -> Self {
        Self { refused_keys: refused_keys.clone(), ..self }
    }

    /// Who keeps the tokens.
    #[must_use]
    pub const fn keeper(&self) -> &TokenKeeper {
        &self.control.keeper
    }

    /// What replaces what they go by.
    #[must_use]
    pub fn control(&self) -> DoorsControl {
        self.control.clone()
    }

    /// Serves and tends until the end is asked for; what is under way then is finished.
    pub async fn run(self, shutdown: &Shutdown) {
        let keeper = self.keeper().clone();
        tokio::join!(self.serve(shutdown), keeper.tend(shutdown));
    }

    /// Serves alone: who moves the clock by hand tends by hand, too.
    pub async fn serve(self, shutdown: &Shutdown) {
        let Self { callback, service, control: DoorsControl { keeper, pushes, callers }, clock, refused_keys } = self;
        let refusals = LogLimit::default();
        let router = callback::router(keeper.clone(), pushes.subscribe(), refusals.clone());
        let pushes = server::serve(callback, router, callback::LIMITS, shutdown);
        let summaries = refusals.summarize(&clock, shutdown, callback::tell_more);
        let tokens = async {
            if let Some((listener, name)) = service {
                let told = (name.into(), refused_keys);
                let router = token_service::router(keeper.clone(), clock.clone(), callers.subscribe(), told);
                server::serve(listener, router, token_service::LIMITS, shutdown).await;
            }
        };
        tokio::join!(pushes, summaries, tokens);
    }
}

/// Which pushes a component takes, and at which path.
///
/// # Errors
/// A message token or a key that cannot be used; the sentence says which and why.
pub fn push_rules(component: &Component) -> anyhow::Result<EventUrl> {
    let rules = PushRules { crypt: crypt(component)?, plain_json: component.callback.plain_json };
    Ok(EventUrl { path: component.callback.path.clone(), rules })
}

fn secret<'a>(secret: Option<&'a SecretString>, key: &str) -> anyhow::Result<&'a SecretString> {
    secret.with_context(|| format!("[component] {key} was not read"))
}

fn crypt(component: &Component) -> anyhow::Result<Crypt> {
    let key = |secret: &SecretString, name: &'static str| {
        AesKey::parse(secret.expose_secret()).with_context(|| format!("[component] {name}"))
    };
    let token = secret(component.message_token.as_ref(), "message_token_file")?;
    let aes = secret(component.aes_key.as_ref(), "aes_key_file")?;
    let mut crypt = Crypt::new(&component.appid, token.clone(), key(aes, "aes_key_file")?);
    if let Some(token) = &component.previous_message_token {
        crypt = crypt.or_token(token.clone());
    }
    if let Some(previous) = &component.previous_aes_key {
        crypt = crypt.or_key(key(previous, "previous_aes_key_file")?);
    }
    Ok(crypt)
}

async fn bind(listen: &Listen) -> anyhow::Result<Listener> {
    match listen {
        Listen::Tcp(address) => Listener::tcp(*address).await.with_context(|| format!("cannot listen on {address}")),
        Listen::Unix(path) => {
            Listener::unix(path.clone()).await.with_context(|| format!("cannot listen on {}", path.display()))
        }
    }
}
