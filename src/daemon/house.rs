//! What exactly one of several daemons does for all of them: alerts, their deliveries, cron jobs, and what goes on in the
//! background. A daemon does it once in its life: whoever loses it and gets it back begins anew, since what it remembers of it
//! is old.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    domain::tenure::lease::{Lease, Leases},
    engine::Engine,
    shutdown::Shutdown,
};

/// How a daemon came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// Others have taken over what it had: it is to begin anew, and takes part again.
    Anew,
}

/// Those duties.
#[derive(Debug)]
pub(super) struct House {
    engine: Arc<Engine>,
    begins_anew: AtomicBool,
}

impl House {
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), begins_anew: AtomicBool::new(false) }
    }

    /// Does `work` from when the house is this daemon's until it is to be handed over, or the end is asked for.
    pub(super) async fn keep(&self, shutdown: &Shutdown, work: impl AsyncFnOnce(&Shutdown)) {
        let ownership = self.engine.ownership();
        let house: Leases = [Lease::House].into_iter().collect();
        if shutdown.unless_asked(self.until(true)).await.is_none() {
            return;
        }
        ownership.take_up(house);
        let leave = shutdown.child();
        let hand_over = async {
            let _ = leave.unless_asked(self.until(false)).await;
            leave.ask();
        };
        tokio::join!(work(&leave), hand_over);
        ownership.put_down(house);
        if shutdown.unless_asked(self.until(true)).await.is_some() {
            tracing::info!(event = "daemon.house_back", "alerts and cron jobs are this daemon's again: beginning anew");
            self.begin_anew(shutdown);
        }
    }

    /// Waits until the house is open here, or is not.
    async fn until(&self, is_open: bool) {
        match self.engine.ownership().watch() {
            Some(mut open) => {
                if open.wait_for(|open| open.contains(Lease::House) == is_open).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None if is_open => {}
            None => std::future::pending().await,
        }
    }

    /// Ends the daemon once others have taken over, so that it begins anew.
    pub(super) async fn watch(&self, shutdown: &Shutdown) {
        let ownership = self.engine.ownership();
        if shutdown.unless_asked(ownership.fenced()).await.is_some() {
            self.begin_anew(shutdown);
        }
    }

    fn begin_anew(&self, shutdown: &Shutdown) {
        self.begins_anew.store(true, Ordering::Relaxed);
        shutdown.ask();
    }

    pub(super) fn end(&self) -> End {
        if self.begins_anew.load(Ordering::Relaxed) { End::Anew } else { End::Stopped }
    }
}
