//! A daemon on a runtime of its own, so that it can be killed in the middle of whatever it does.

use std::{sync::Arc, time::Duration};

use amplinkd::{
    domain::action,
    engine::{Engine, drive::Driver, wish::AskError},
    store::write::requests::Accepted,
};
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{ACCOUNT, Daemon, PROGRAM, to_link};

/// How often a story looks whether something has come about.
const LOOK: Duration = Duration::from_millis(3);

/// How long it waits before it gives up, in real time.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Victim {
    runtime: Option<Runtime>,
    pub(super) engine: Arc<Engine>,
    driver: Option<Driver>,
    working: Option<JoinHandle<Driver>>,
}

impl Victim {
    pub(super) async fn boot(daemon: &Daemon) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (handle, process) = (runtime.handle().clone(), daemon.process.clone());
        let booted = tokio::task::spawn_blocking(move || handle.block_on(process.boot())).await;
        let (engine, driver) = booted.unwrap();
        Self { runtime: Some(runtime), engine, driver: Some(driver), working: None }
    }

    /// Asks for the one link of these stories.
    pub(super) async fn ask(&self) -> Result<Vec<Accepted>, AskError> {
        self.engine.recorder().by(action::By::simulated()).accept(vec![to_link(ACCOUNT, PROGRAM)]).await
    }

    /// Begins what is due, and does not wait for it.
    pub(super) fn begin(&mut self) {
        let mut driver = self.driver.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        self.working = Some(runtime.spawn(async move {
            driver.settle().await.unwrap();
            driver
        }));
    }

    /// Waits for what was begun.
    pub(super) async fn finish(&mut self) {
        self.driver = Some(self.working.take().unwrap().await.unwrap());
    }

    /// Does what is due.
    pub(super) async fn settle(&mut self) {
        self.begin();
        self.finish().await;
    }

    /// Ends everything at once: no task runs on, nothing is closed, whatever was not committed is lost.
    pub(super) async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // A test that fails halfway still has its runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until it is so.
pub(super) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    while !is_so().await {
        tokio::select! {
            () = &mut deadline => panic!("waited in vain for {what}"),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The state of the one request, as somebody else reads it.
pub(super) async fn state(daemon: &Daemon) -> Option<String> {
    let mut connection = daemon.connection().await;
    sqlx::query_scalar("SELECT state FROM v_request").fetch_optional(&mut connection).await.unwrap()
}

/// Waits until the one request stands there.
pub(super) async fn until_state(daemon: &Daemon, wanted: &str) {
    until(wanted, async || state(daemon).await.as_deref() == Some(wanted)).await;
}
