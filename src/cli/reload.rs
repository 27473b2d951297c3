//! SIGHUP and `systemctl reload`: reads the configuration again and puts it in force in the running daemon. A wrong one
//! changes nothing and is told, in the log and to systemd.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::{open_files, systemd};
use crate::{
    clock::{SharedClock, SystemClock},
    config::{Changes, Config, Loaded, environment},
    daemon::{Controls, KeptTokens, Parts},
    shutdown::{Hangups, Shutdown},
    telemetry::Filter,
};

/// Keys of `[tokens]` that say nothing about where tokens come from.
const OF_NO_SOURCE: [&str; 5] =
    ["tokens.timeout", "tokens.keep", "tokens.proxy", "tokens.proxy_file", "tokens.ca_file"];

/// Why the last configuration was refused; nothing while the one in force is the one on disk. One line.
pub(super) type Refusal = Option<String>;

/// What reloads a daemon's configuration.
pub(super) struct Reload {
    in_force: Loaded,
    controls: Controls,
    filter: Filter,
    refusal: watch::Sender<Refusal>,
    /// Where others read the one in force.
    told: watch::Sender<Arc<Config>>,
}

impl Reload {
    /// For a daemon that was started with this configuration.
    pub(super) fn new(in_force: Loaded, controls: Controls, filter: Filter, told: watch::Sender<Arc<Config>>) -> Self {
        Self { in_force, controls, filter, refusal: watch::Sender::new(None), told }
    }

    /// Why the last configuration was refused.
    pub(super) fn refusal(&self) -> watch::Receiver<Refusal> {
        self.refusal.subscribe()
    }

    /// Reloads as often as somebody asks for it, until the end is asked for.
    pub(super) async fn run(mut self, mut hangups: Hangups, shutdown: &Shutdown) {
        while shutdown.unless_asked(hangups.next()).await.is_some() {
            let begun = NotifyState::monotonic_usec_now().ok();
            let status = NotifyState::Status("reloading the configuration");
            systemd::tell(
                &[Some(NotifyState::Reloading), begun, Some(status)].into_iter().flatten().collect::<Vec<_>>(),
            );
            Box::pin(self.reload()).await;
            if !shutdown.asked() {
                let status = self.refusal.borrow().clone().map_or("running".to_owned(), |why| refused(&why));
                systemd::tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
            }
        }
    }

    async fn reload(&mut self) {
        match read(self.in_force.clone()).await {
            Ok((new, parts, changes)) => {
                self.put_in_force(new, parts, &changes).await;
                self.refusal.send_replace(None);
                tell(&changes);
            }
            Err(error) => {
                let why = super::sentence(&error);
                tracing::error!(
                    event = "config.rejected",
                    error = why,
                    "configuration rejected; the previous one stays in effect"
                );
                self.refusal.send_replace(why.lines().next().map(str::to_owned));
            }
        }
    }

    async fn put_in_force(&mut self, new: Loaded, parts: Parts, changes: &Changes) {
        let is_of_source = |key: &&str| key.starts_with("tokens.") && !OF_NO_SOURCE.contains(key);
        let has_new_source = changes.at_once.iter().any(is_of_source);
        let tokens = if has_new_source { KeptTokens::Drop } else { KeptTokens::Keep };
        if let Err(error) = self.filter.set(&new.config.log.filter) {
            tracing::warn!(event = "config.filter", error = %error, "the log filter is unchanged");
        }
        parts.put_in_force(&self.controls, tokens).await;
        self.controls.ownership().go_by(new.common_hash());
        self.in_force = new;
        self.told.send_replace(Arc::new(self.in_force.config.clone()));
    }
}

/// Reads and checks everything, beside the runtime: files may lie on a disk that is slow today. Answers what will be in force,
/// and what was changed on disk.
async fn read(in_force: Loaded) -> anyhow::Result<(Loaded, Parts, Changes)> {
    let reading = tokio::task::spawn_blocking(move || {
        let on_disk = in_force.again(environment()?)?;
        let lost = in_force.sections_lost_in(&on_disk);
        anyhow::ensure!(
            lost.is_empty(),
            "the file has lost its section [{}], as one that is still being written: save it whole and reload again, or \
             restart to run without",
            lost.join("], [")
        );
        let changes = in_force.changes_to(&on_disk);
        let new = in_force.replaced_by(on_disk);
        let clock: SharedClock = Arc::new(SystemClock::new());
        let parts = Parts::from_config(&open_files::fitted(&new.config), clock)?;
        Ok((new, parts, changes))
    });
    reading.await?
}

fn tell(changes: &Changes) {
    tracing::info!(event = "config.reloaded", changed = changes.at_once.join(" "), "configuration reloaded");
    for key in &changes.at_restart {
        tracing::warn!(event = "config.needs_restart", key, "this key has changed: restart to apply");
    }
}

/// The refusal as a part of a status line.
pub(super) fn refused(why: &str) -> String {
    format!("CONFIGURATION REJECTED, the previous one stays in effect: {why}")
}
