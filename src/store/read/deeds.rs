//! What an action on many did: its deeds a page at a time, in the order in which they were done, with what each was done to.

use super::bulk::Found;
use crate::{
    domain::{
        id::{timed, uuid_v7},
        time::Time,
    },
    store::{Store, StoreError, bulk, sql},
};

// A deed is done by whoever began the action, and while it goes on: what was done before and since is not looked at.
const DEEDS: &str = "
    SELECT d.id AS key, d.subject AS name
    FROM action AS a CROSS JOIN action AS d INDEXED BY action_of_actor ON d.actor = a.actor
    WHERE a.id = ?1 AND d.id > ?2 AND d.id < ?3 AND d.subject IS NOT NULL AND d.arguments ->> 'part_of' = a.id
    ORDER BY d.id LIMIT ?4";

const ENDED: &str = "SELECT a.finished_at FROM action AS a WHERE a.id = ?1";

const RETRIES: &str = "
    SELECT min(n.id)
    FROM json_each(?1) AS j CROSS JOIN request AS r ON r.id = j.value
         CROSS JOIN request AS n INDEXED BY request_by_account ON n.account = r.account
    WHERE n.id > ?2 AND n.program = r.program AND n.kind = r.kind AND n.retry_of = r.id
    GROUP BY r.id";

impl Store {
    /// What an action on many did after the deed `after`, at most `limit` deeds: each with what it was done to.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deeds_of(&self, action: &str, after: &str, limit: u32) -> Result<Vec<Found>, StoreError> {
        let ended: Option<Option<i64>> = sql::query_scalar(ENDED).bind(action).fetch_optional(self.readers()).await?;
        let upto = ended.flatten().map(|ended| uuid_v7(timed(Time::from_ms(ended + 1), 0)).to_string());
        let query = sql::query_as(DEEDS).bind(action).bind(after.max(action));
        // Above all ids while it goes on.
        Ok(query.bind(upto.as_deref().unwrap_or("g")).bind(limit).fetch_all(self.readers()).await?)
    }

    /// The requests that an action asked for anew, by the ids of the old ones; in no order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn retries_of(&self, old: &[String], action: &str) -> Result<Vec<String>, StoreError> {
        Ok(sql::query_scalar(RETRIES).bind(bulk::json(old)).bind(action).fetch_all(self.readers()).await?)
    }
}
