//! What may be replaced while the engine works: its settings, whom it calls, and how fast. Work under way ends as it began.

use std::sync::{Arc, atomic::Ordering};

use super::{Engine, Settings, permits::Permits};
use crate::{clock::SharedClock, wechat::Wechat};

/// What is in force. Whoever needs several of them together takes them from one.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) settings: Settings,
    pub(super) wechat: Wechat,
    /// Kept while the rate is the same: a new one would allow a second's calls once more.
    pub(super) permits: Arc<Permits>,
}

impl InForce {
    pub(super) fn new(settings: Settings, wechat: Wechat, clock: SharedClock) -> Self {
        let permits = Arc::new(Permits::new(settings.per_second, clock));
        Self { settings, wechat, permits }
    }
}

impl Engine {
    /// What is in force at this moment.
    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Whom it calls.
    #[must_use]
    pub fn wechat(&self) -> Wechat {
        self.in_force().wechat.clone()
    }

    /// What an operator has set.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.in_force().settings.clone()
    }

    /// Goes by other settings from now on, and calls this `WeChat`. Accounts that wait longer than the new intervals allow
    /// are due sooner; where patience has changed, every list is read again at its next poll.
    pub fn reconfigure(&self, settings: Settings, wechat: Wechat) {
        let before = self.in_force();
        let permits = if before.settings.per_second == settings.per_second {
            Arc::clone(&before.permits)
        } else {
            Arc::new(Permits::new(settings.per_second, Arc::clone(self.clock())))
        };
        self.recorder.set_policy(settings.policy.clone());
        let has_changed = before.settings.policy != settings.policy;
        self.in_force.send_replace(Arc::new(InForce { settings, wechat, permits }));
        if has_changed {
            self.has_new_policy.store(true, Ordering::Release);
        }
    }
}
