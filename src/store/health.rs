//! How writing goes: what the disk refused, and whether the last write was taken.

use tokio::sync::watch;

use super::StoreError;

/// How writing goes.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Writes refused because of the file or its disk, since the start.
    pub refused: u64,
    /// Why the last write was refused; `None` when it was not.
    pub wrong: Option<StoreError>,
}

/// Counts what was refused; tells only what is news, for most groups succeed after others that did.
pub(in crate::store) fn tell(health: &watch::Sender<Health>, outcomes: &[Result<(), StoreError>]) {
    let Some(last) = outcomes.last() else { return };
    let refused =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).filter(|error| error.is_of_disk()).count();
    let wrong = last.as_ref().err().filter(|error| error.is_of_disk());
    health.send_if_modified(|told| {
        let is_news = refused > 0 || wrong.is_some() != told.wrong.is_some();
        told.refused += refused as u64;
        told.wrong = wrong.cloned();
        is_news
    });
}
