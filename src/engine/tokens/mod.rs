//! Keeps the platform's own tokens: the component's and each authorizer's. The rows decide and the memory only spares
//! reading them: a token is used once it is on disk, and whoever fetches one claims its row first.
//!
//! `memory` holds what was read, `pauses` what is not tried again yet, `component` fetches the component's token, `refresh` an
//! authorizer's, [`pushes`] takes up what `WeChat` tells of authorizations, `names` learns their names, [`sweep`] reads the list
//! of authorizers, [`desk`] answers whoever asks.

mod component;
pub mod desk;
mod memory;
mod names;
mod pauses;
pub mod pushes;
mod refresh;
pub mod sweep;
mod tasks;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use tokio::sync::{Mutex, Notify};
use tokio_util::task::TaskTracker;

use self::{
    memory::{Kept, Memory, Missing, Unanswered},
    pauses::Pauses,
};
use crate::{
    clock::SharedClock,
    domain::time::Time,
    store::{Store, StoreError, row_id::new_id, write::claim::Claimant},
    vault::{Place, Unsealable, Vault},
    wechat::component::Component as Client,
};

/// Calls in a day about single authorizers.
const LOOKUPS_PER_DAY: i64 = 5_000;

/// How long nothing is asked after an answer that may be different next time.
const PAUSE: Duration = Duration::from_mins(1);

/// How long a token lives whose answer does not say: what `WeChat`'s pages promise.
const LIFETIME: Duration = Duration::from_hours(2);

/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_mins(30);

/// How long our address is taken for refused.
const ADDRESS_PAUSE: Duration = Duration::from_mins(5);

/// What the platform is, as configured.
#[derive(Debug)]
pub struct Settings {
    /// The component's appid.
    pub appid: String,
    /// Tokens kept in memory at once.
    pub keep: usize,
}

/// Keeps tokens. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct TokenKeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: SharedClock,
    client: RwLock<Client>,
    vault: Vault,
    appid: String,
    /// Which process this is, in claims, and how many it has made: each piece of work claims in a name of its own.
    by: String,
    claims: AtomicU64,
    memory: std::sync::Mutex<Memory>,
    pauses: std::sync::Mutex<Pauses>,
    /// The component's token; whoever fetches the next one holds it.
    component: Mutex<Option<Kept>>,
    unanswered: std::sync::Mutex<Unanswered>,
    /// Something is to be done about a push or the list.
    work: Notify,
    /// Fetches under way.
    fetches: TaskTracker,
    /// A call is out that finds out whether `WeChat` takes calls of the platform again.
    probing: AtomicBool,
}

/// Why the keeper cannot start. Mend the configuration.
#[derive(Debug, thiserror::Error)]
pub enum BadKeeper {
    /// The key does not open what is written down.
    #[error(
        "[secrets] key_file is not the key that this database is sealed with ({0}): give that key, or name it in \
         previous_key_files"
    )]
    WrongKey(Unsealable),
    /// The key opens nothing of the component that the database was made for.
    #[error(
        "[secrets] key_file is not the key that this database is sealed with ({error}): it holds tokens of component {sealed_for}, \
         while [component] appid is {appid}. Give the key of this database, or name it in previous_key_files; another \
         component with a key of its own needs a database of its own"
    )]
    WrongKeyOfAnother {
        /// As configured.
        appid: String,
        /// Whose values are there.
        sealed_for: String,
        /// Why they do not open.
        error: Unsealable,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenKeeper {
    /// A keeper of this component's tokens. It makes sure that its key opens what is written down before it writes, and
    /// takes over what a process that is gone had begun.
    ///
    /// # Errors
    /// [`BadKeeper`]: nothing was overwritten.
    pub async fn open(
        store: Store,
        clock: SharedClock,
        client: Client,
        vault: Vault,
        settings: Settings,
    ) -> Result<Self, BadKeeper> {
        let now = clock.now();
        let Settings { appid, keep } = settings;
        let known = store.key_checks().await?;
        fits(&vault, &appid, &known)?;
        if !known.iter().any(|(one, _)| *one == appid) {
            store.add_component(&appid, vault.key_check(&appid), now).await?;
        }
        let ids: Vec<String> = vault.ids().map(|id| id.to_string()).collect();
        store.put_open_keys(&appid, ids.join(" ")).await?;
        store.retry_component(&appid).await?;
        store.free_claims().await?;
        let (memory, client) = (std::sync::Mutex::new(Memory::new(keep)), RwLock::new(client));
        let (component, work, unanswered) = (Mutex::new(None), Notify::new(), std::sync::Mutex::default());
        let (by, claims, fetches) = (new_id(now), AtomicU64::new(0), TaskTracker::new());
        let (probing, pauses) = (AtomicBool::new(false), std::sync::Mutex::default());
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            client,
            vault,
            appid,
            by,
            claims,
            memory,
            pauses,
            component,
            unanswered,
            work,
            fetches,
            probing,
        })))
    }

    /// Waits until every fetch under way has written down what it brought. Call it when nobody asks any more, and before the
    /// database is closed: `WeChat` may have made the tokens of before worthless.
    pub async fn finish(&self) {
        self.0.fetches.close();
        self.0.fetches.wait().await;
    }

    /// Calls by this client from now on, with its secret, and keeps so many tokens in memory. What waited for a person is tried
    /// once more, at once.
    pub async fn replace(&self, client: Client, keep: usize) {
        let inner = &self.0;
        inner.memory().set_max(keep);
        let acted = {
            // A call under way, with the former secret, says what it has to say first.
            let _fetch = inner.component.lock().await;
            *inner.client.write().unwrap_or_else(PoisonError::into_inner) = client;
            inner.store.retry_component(inner.appid()).await
        };
        match acted {
            // WeChat is asked beside: a reload waits for nobody outside.
            Ok(()) => {
                let keeper = self.clone();
                drop(tokio::spawn(async move { keeper.try_refused_secret().await }));
            }
            Err(error) => {
                tracing::error!(event = "tokens.not_retried", error = %error, "could not write that the component is to be tried again: reload once more");
            }
        }
    }
}

/// Whether the key is that of this database: the component's own known word opens, or that of another one.
fn fits(vault: &Vault, appid: &str, known: &[(String, Vec<u8>)]) -> Result<(), BadKeeper> {
    if let Some((_, own)) = known.iter().find(|(one, _)| one == appid) {
        return vault.check_keys(appid, own).map_err(BadKeeper::WrongKey);
    }
    let mut wrong = None;
    for (other, key_check) in known {
        match vault.check_keys(other, key_check) {
            Ok(()) => return Ok(()),
            Err(error) => wrong = Some((other, error)),
        }
    }
    wrong.map_or(Ok(()), |(other, error)| {
        Err(BadKeeper::WrongKeyOfAnother { appid: appid.to_owned(), sealed_for: other.clone(), error })
    })
}

impl Inner {
    fn now(&self) -> Time {
        self.clock.now()
    }

    /// A piece of work that claims a row: what it gives back is its own claim and nobody else's.
    fn claimant(&self, generation: i64) -> Claimant {
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        Claimant { by: format!("{}.{number}", self.by), generation, now: self.now() }
    }

    fn pauses(&self) -> std::sync::MutexGuard<'_, Pauses> {
        // Nothing in here panics halfway through a change.
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn appid(&self) -> &str {
        &self.appid
    }

    fn client(&self) -> Client {
        // Nothing in here panics halfway through a change.
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A value of a row; one that does not open is missing, and told of.
    fn opened(
        &self,
        table: &'static str,
        column: &'static str,
        appid: &str,
        sealed: &[u8],
    ) -> Result<SecretString, Missing> {
        self.vault.open(Place { table, column, appid }, sealed).map_err(|error| {
            tracing::error!(event = "tokens.unsealable", table, column, appid, error = %error, "a secret in the database cannot be opened");
            Missing::Later(format!("the {column} in the database cannot be opened: {error}"))
        })
    }

    fn sealed(&self, table: &'static str, column: &'static str, appid: &str, plain: &SecretString) -> Vec<u8> {
        self.vault.seal(Place { table, column, appid }, plain)
    }
}
