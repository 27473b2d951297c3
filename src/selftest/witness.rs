//! Looks on at every call and every push of a life whose platform keeps its own tokens, and holds the promises at that
//! very moment: it reads the rows while the call waits for its answer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret as _;

use super::{
    crash_clock::CrashClock,
    generator::{ACCOUNTS, account},
    token_promises::{Scale, TokenPromises},
    verdict::Violation,
};
use crate::{
    sim::{Arrival, Called, ComponentApi, Looking, Onlooker, Push},
    store::Store,
    vault::{Place, Vault},
};

/// How long a refresh is held up, in the machine's time, so that another one of the same token would meet it.
const HELD_UP: Duration = Duration::from_millis(2);

/// A process that dies when a call of this kind reaches `WeChat`.
type Doomed = Option<(ComponentApi, Arc<CrashClock>)>;

/// Somebody who sees all that `WeChat` sees, and the rows. Cheap to clone.
#[derive(Clone)]
pub(super) struct Witness(Arc<Inner>);

struct Inner {
    component: String,
    vault: Vault,
    store: Mutex<Store>,
    promises: Mutex<TokenPromises>,
    doomed: Mutex<Doomed>,
    pushes: Mutex<HashMap<String, Heard>>,
    /// The latest call, and the latest one of a process that is gone.
    newest: AtomicU64,
    gone: AtomicU64,
    broken: Mutex<Option<Violation>>,
}

/// The latest push of an account that has gone out, by its `CreateTime` in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    made: i64,
    /// Pushes of that second.
    count: u32,
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    pub(super) fn new(component: &str, vault: Vault, store: Store, scale: Scale) -> Self {
        Self(Arc::new(Inner {
            component: component.to_owned(),
            vault,
            store: Mutex::new(store),
            promises: Mutex::new(TokenPromises::new(scale)),
            doomed: Mutex::new(None),
            pushes: Mutex::default(),
            newest: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            broken: Mutex::new(None),
        }))
    }

    /// The rows lie elsewhere from here on.
    pub(super) fn reads(&self, store: Store) {
        *locked(&self.0.store) = store;
    }

    /// A process begins; those before it are gone.
    pub(super) fn process_begins(&self, now: i64) {
        self.0.gone.store(self.0.newest.load(Ordering::SeqCst), Ordering::SeqCst);
        *locked(&self.0.doomed) = None;
        locked(&self.0.promises).process_begins(now);
    }

    /// Something that may cost a few calls has come about.
    pub(super) fn event(&self, now: i64) {
        locked(&self.0.promises).event(now);
    }

    /// The process dies when a call of this kind has reached `WeChat`, with its answer.
    pub(super) fn dooms(&self, api: ComponentApi, victim: &Arc<CrashClock>) {
        *locked(&self.0.doomed) = Some((api, Arc::clone(victim)));
    }

    /// What was broken first.
    pub(super) fn broken(&self) -> Result<(), Violation> {
        let of_pushes = locked(&self.0.broken).take();
        of_pushes.or_else(|| locked(&self.0.promises).broken()).map_or(Ok(()), Err)
    }

    /// Whether this token was ever found in a row.
    pub(super) fn knows(&self, token: &str) -> bool {
        locked(&self.0.promises).knows(token)
    }

    /// Calls that were looked at.
    pub(super) fn seen(&self) -> u64 {
        locked(&self.0.promises).seen()
    }

    /// Takes note of every token that lies in a row.
    pub(super) async fn reads_the_rows(&self) {
        self.0.note_component().await;
        for number in 0..ACCOUNTS {
            self.0.note_authorizer(&account(number)).await;
        }
    }
}

impl Inner {
    fn store(&self) -> Store {
        locked(&self.store).clone()
    }

    async fn note_component(&self) {
        // A file that is just being replaced has no rows.
        if let Ok(Some(row)) = self.store().component(&self.component).await
            && let Some((sealed, _)) = row.token
        {
            self.note("component", &self.component, &sealed);
        }
    }

    async fn note_authorizer(&self, appid: &str) {
        if let Ok(Some(Ok(row))) = self.store().authorizer(appid).await
            && let Some((sealed, _)) = row.token
        {
            self.note("authorizer", appid, &sealed);
        }
    }

    fn note(&self, table: &'static str, appid: &str, sealed: &[u8]) {
        if let Ok(token) = self.vault.open(Place { table, column: "token", appid }, sealed) {
            locked(&self.promises).lies_on_disk(token.expose_secret().to_owned());
        }
    }

    async fn look_at(&self, arrival: Arrival) {
        let account = match &arrival.called {
            Called::Link { account, .. } => account.clone(),
            Called::Component { about, .. } => {
                self.note_component().await;
                about.clone()
            }
        };
        if let Some(account) = account {
            self.note_authorizer(&account).await;
        }
        if arrival.number <= self.gone.load(Ordering::SeqCst) {
            return;
        }
        locked(&self.promises).arrives(&arrival);
        if let Called::Component { api, .. } = arrival.called {
            tokio::time::sleep(HELD_UP).await;
            self.strike(api);
        }
    }

    /// Ends the process that waits for the answer to this call, if that is its doom.
    fn strike(&self, api: ComponentApi) {
        let mut doomed = locked(&self.doomed);
        if let Some((_, victim)) = doomed.take_if(|(wanted, _)| *wanted == api) {
            victim.die_after(0);
        }
    }

    /// An authorization that was taken back has suspended its account before the push was answered.
    async fn look_at_push(&self, push: Push) {
        let Some(account) = push.account.as_deref() else { return };
        locked(&self.promises).event(push.answers.last().map_or(push.made, |answer| answer.at));
        let is_latest = self.hears(account, push.made.div_euclid(1_000), push.answers.len());
        let is_first_word = push.answers.len() == 1 && push.answers[0].is_success();
        if push.info_type != "unauthorized" || !is_latest || !is_first_word {
            return;
        }
        let Ok(views) = self.store().account_views(Some(account), None, 1).await else { return };
        if let Some(view) = views.into_iter().find(|view| view.state == "active") {
            let what =
                format!("a push that takes an authorization back was answered, and its account goes on: {view:?}");
            locked(&self.broken).get_or_insert(Violation { promise: "suspended before the push is answered", what });
        }
    }

    /// Whether nothing that was made later, or in the same second, has gone out before.
    fn hears(&self, account: &str, made: i64, times: usize) -> bool {
        let mut pushes = locked(&self.pushes);
        let heard = pushes.entry(account.to_owned()).or_default();
        if made > heard.made {
            *heard = Heard { made, count: 1 };
            return true;
        }
        heard.count += u32::from(made == heard.made && times == 1);
        made == heard.made && heard.count == 1
    }
}

impl Onlooker for Witness {
    fn arrives(&self, arrival: Arrival) -> Looking {
        self.0.newest.fetch_max(arrival.number, Ordering::SeqCst);
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.look_at(arrival).await })
    }

    fn leaves(&self, number: u64, said: Option<i64>) {
        locked(&self.0.promises).leaves(number, said);
    }

    fn answers(&self, push: Push) -> Looking {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.look_at_push(push).await })
    }
}
