//! Backups of a simulation's database, and old ones put back after the world has moved on. The daemon must find out for
//! itself.

use std::path::PathBuf;

use super::{
    runner::Runner,
    verdict::{Verdict, broken},
};
use crate::{
    clock::Clock as _,
    store::{Store, file::restore::Ready},
};

impl Runner {
    pub(super) fn copy(&self) -> PathBuf {
        self.setup.database.with_extension("copy")
    }

    /// Somebody makes a copy, in place of the one before.
    pub(super) async fn make_a_copy(&mut self) -> Verdict {
        // The first time there is none.
        let _ = std::fs::remove_file(self.copy());
        let made = Store::backup(&self.setup.database, &self.copy(), self.time.now()).await;
        made.or_else(|error| broken("a copy can be made at any time", error.to_string()))
    }

    /// The latest copy takes the place of the database, whatever has happened since it was made. The world knows.
    pub(super) async fn put_the_copy_back(&mut self) -> Verdict {
        if !self.copy().exists() {
            return Ok(());
        }
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        self.desk.store().clone().close().await;
        let now = self.time.now();
        let done = match Ready::make((&self.setup.database, 0o600), &self.copy(), now).await {
            Ok(ready) => ready.place(now).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            return broken("a copy can be put back", error.to_string());
        }
        self.desk = self.setup.desk().await;
        if let Some(platform) = &self.platform {
            platform.witness.reads(self.desk.store().clone());
        }
        self.promises.begin_anew(&self.desk, &self.sim).await;
        let dies_after = self.dies_soon();
        self.boot(dies_after).await
    }
}
