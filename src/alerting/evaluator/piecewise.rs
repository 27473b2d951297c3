//! Writes what alerting found, all at once; piece by piece if the database refuses the whole, so that one invalid row
//! delays only itself. The audit reports such rows.

use std::time::Duration;

use super::AlertEvaluator;
use crate::{
    domain::alert_rules::Rule,
    store::{StoreError, write::alerts::WatchRecord},
};

/// How long what the database refused to write of one row waits for another try: somebody may be mending it.
pub(super) const AGAIN_AFTER: Duration = Duration::from_mins(10);

impl AlertEvaluator {
    /// Writes a step.
    ///
    /// # Errors
    /// [`StoreError`]: nothing, or not all of it, was written; all of it is found again.
    pub(super) async fn write(&self, step: WatchRecord) -> Result<(), StoreError> {
        let fired: Vec<Rule> = step.fired.iter().filter_map(|alert| Rule::from_word(&alert.rule)).collect();
        match self.store().watch(step.clone()).await {
            Err(error) if error.is_of_one_row() => self.write_apart(step, error).await?,
            written => written?,
        }
        for rule in fired {
            self.meters.fired(rule);
        }
        Ok(())
    }

    /// What belongs to one alert each alone, and last when all requests are looked at again and how far everything was read.
    async fn write_apart(&self, step: WatchRecord, why: StoreError) -> Result<(), StoreError> {
        let WatchRecord { seq, over, fired, mut rechecks, deliveries, told, events, reworded } = step;
        let one = WatchRecord::default;
        let over = over.into_iter().map(|over| WatchRecord { over: vec![over], ..one() });
        let fired = fired.into_iter().map(|fired| WatchRecord { fired: vec![fired], ..one() });
        let reworded = reworded.into_iter().map(|words| WatchRecord { reworded: vec![words], ..one() });
        let pieces: Vec<WatchRecord> = over.chain(fired).chain(reworded).collect();
        if pieces.is_empty() {
            return Err(why);
        }
        let mut is_refused = false;
        for piece in pieces {
            match self.store().watch(piece).await {
                Err(error) if error.is_of_one_row() => {
                    tracing::error!(event = "db.bad_row", error = %error, "could not write the alert evaluation");
                    is_refused = true;
                }
                written => written?,
            }
        }
        if is_refused {
            let again = (self.engine.clock().now() + AGAIN_AFTER).ms();
            for (_, due) in &mut rechecks {
                *due = Some(due.map_or(again, |due| due.min(again)));
            }
        }
        let rest = WatchRecord { seq, rechecks, deliveries, told, events, ..one() };
        if rest.is_empty() { Ok(()) } else { self.store().watch(rest).await }
    }
}
