//! Looks again at requests of which nothing moved: those that are still not called, and those that are told by what was
//! known of their account before. A page of each at every look around, one round after the other.

use super::{PAGE, Watch};
use crate::{
    domain::attention::Stage,
    store::{StoreError, relook::Relook},
};

/// How far each round has come; from the beginning, when it is empty.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    stale: (String, String),
    uncalled: (String, String),
}

impl Watch {
    /// Looks at the next page of both.
    pub(super) async fn look_again(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let attention = &self.settings.attention;
        let unread_before = now - attention.unread_after;
        let asked_before = now - attention.thresholds.shortest(Stage::Requested);
        let Relook { mut requests, last } = self.store().stale_stuck(&self.rounds.stale, unread_before, PAGE).await?;
        self.rounds.stale = last.unwrap_or_default();
        let uncalled = self.store().uncalled(&self.rounds.uncalled, asked_before, PAGE).await?;
        self.rounds.uncalled = uncalled.last.unwrap_or_default();
        requests.extend(uncalled.requests);
        if requests.is_empty() {
            return Ok(());
        }
        let step = self.look_at(&[], requests, now).await?;
        self.write(step).await
    }
}
