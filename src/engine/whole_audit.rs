//! Audits of everything that somebody asked for over HTTP: in the background and part by part, so that nobody waits for a
//! million histories and its progress shows. What a process leaves under way, the next one begins anew.

use std::{sync::PoisonError, time::Duration};

use super::{Engine, audit::FINDINGS_MAX};
use crate::{
    domain::time::Time,
    shutdown::Shutdown,
    store::{StoreError, read::audit::Finding, write::bulk_action::BulkPage},
};

/// How often it is looked whether one was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What an audit of everything found.
#[derive(Debug, Clone)]
pub struct WholeAudit {
    /// The action that it is.
    pub action: String,
    /// When it was done.
    pub ran_at: Time,
    /// What it found, at most [`FINDINGS_MAX`] of each rule in each part.
    pub findings: Vec<Finding>,
}

impl Engine {
    /// Goes on with audits of everything until the end is asked for.
    pub(super) async fn tend_audits(&self, shutdown: &Shutdown) {
        while shutdown.unless_asked(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let done = self.audit_what_is_asked_for(shutdown).await;
            // That nothing can be written is said once, where it is watched.
            if let Some(error) = done.err().filter(|error| !error.is_of_disk()) {
                tracing::error!(event = "engine.audit.failed", error = %error, "could not go on with an audit; will retry");
            }
        }
    }

    /// What the last audit of everything found; `None` before the first of this process.
    #[must_use]
    pub fn whole_audit(&self) -> Option<WholeAudit> {
        self.whole_audit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn audit_what_is_asked_for(&self, shutdown: &Shutdown) -> Result<(), StoreError> {
        while let Some(action) = self.store().whole_audit_under_way().await? {
            let Some(findings) = self.audit_part_by_part(&action, shutdown).await? else { return Ok(()) };
            for Finding { rule, subject, finding } in &findings {
                tracing::error!(event = "engine.audit.found", rule, subject, finding, "audit");
            }
            let ran_at = self.clock().now();
            let whole = WholeAudit { action: action.clone(), ran_at, findings: findings.clone() };
            // Nothing in here panics halfway through a change.
            *self.whole_audit.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole);
            self.note_audit(findings);
            self.store().finish_bulk(action, ran_at).await?;
        }
        Ok(())
    }

    /// The slices of the histories, then everything else; `None` when the end is asked for meanwhile.
    async fn audit_part_by_part(&self, action: &str, shutdown: &Shutdown) -> Result<Option<Vec<Finding>>, StoreError> {
        let slices = self.store().history_slices().await?;
        self.store().restart_whole_audit(action.to_owned(), slices + 1).await?;
        let mut findings = Vec::new();
        for part in 0..=slices {
            if shutdown.asked() {
                return Ok(None);
            }
            let found = if part < slices {
                self.store().audit_histories(part, FINDINGS_MAX).await?
            } else {
                self.recorder().audit_beside_histories().await?
            };
            let page = BulkPage { action: action.to_owned(), position: part.to_string(), count: 1 };
            self.store().pass_audited(page, found.is_empty()).await?;
            findings.extend(found);
        }
        Ok(Some(findings))
    }
}
