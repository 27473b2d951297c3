//! The health of each channel, for alerts and metrics, and the wakeup that tells all of them of something new. A
//! restart loses nothing: the rows say what is pending.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::{alerting::meters::DeliveryMeters, domain::time::Time};

/// How one channel fares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Since when nothing was taken, while something was tried; `None` when the last try was taken.
    pub since: Option<Time>,
    /// What the last failed try met, without addresses or secrets; `None` when the last one was taken.
    pub last_error: Option<String>,
    /// Messages that were given up and are still kept.
    pub dead: u64,
}

/// All channels, by name. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Channels {
    healths: Arc<Mutex<BTreeMap<String, Health>>>,
    bell: watch::Sender<()>,
    meters: DeliveryMeters,
}

impl Channels {
    pub(super) fn of(names: impl Iterator<Item = String>) -> Self {
        let healths: BTreeMap<String, Health> = names.map(|name| (name, Health::default())).collect();
        let meters = DeliveryMeters::default();
        meters.keep(healths.keys());
        Self { healths: Arc::new(Mutex::new(healths)), bell: watch::Sender::new(()), meters }
    }

    /// These are all from now on; of those that were there before, it stays known how they fare.
    pub(super) fn keep(&self, names: impl Iterator<Item = String>) {
        let mut healths = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
        *healths = names.map(|name| (name.clone(), healths.remove(&name).unwrap_or_default())).collect();
        self.meters.keep(healths.keys());
    }

    /// What is counted of each.
    #[must_use]
    pub const fn meters(&self) -> &DeliveryMeters {
        &self.meters
    }

    /// How every channel fares.
    #[must_use]
    pub fn health(&self) -> BTreeMap<String, Health> {
        self.healths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the channels that there is something new for them: they look at once. They look by themselves, too.
    pub fn notify(&self) {
        self.bell.send_replace(());
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    pub(in crate::alerting) fn note(&self, name: &str, change: impl FnOnce(&mut Health)) {
        // Nothing in here panics halfway through a change.
        let mut healths = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(health) = healths.get_mut(name) {
            change(health);
        }
    }
}
