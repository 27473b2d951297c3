//! Actions on many that go on: what they choose, on whose word, and how far each has come.

use sqlx::FromRow;

use super::bulk::{Choice, bulk_kind};
use crate::{
    domain::{
        action::{Actor, By, Via},
        time::Time,
    },
    store::{Store, StoreError, decode, decode::Table, sql},
};

/// The table of actions.
const ACTION: Table = Table { name: "action", key: &["id"] };

/// An action on many that goes on.
#[derive(Debug, Clone, FromRow)]
pub struct UnderWay {
    /// Its id.
    pub id: String,
    actor: String,
    via: String,
    token: Option<String>,
    address: Option<String>,
    action: String,
    filter: Option<String>,
    reason: Option<String>,
    until: Option<i64>,
    /// The key up to which it goes.
    pub cutoff: String,
    /// The key up to which it has come.
    pub position: String,
}

impl UnderWay {
    /// What it chooses; `None` where that cannot be read any more.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        let filters = serde_json::from_str(self.filter.as_deref()?).ok()?;
        Choice::of(bulk_kind(&self.action)?, &filters)
    }

    /// Until when alerts are silent.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        self.until.map(Time::from_ms)
    }

    /// On whose word it is.
    #[must_use]
    pub fn by(&self) -> By {
        let via = [Via::Cli, Via::Api, Via::Web].into_iter().find(|via| via.as_str() == self.via).unwrap_or(Via::Api);
        let (name, token, address) = (self.actor.clone(), self.token.clone(), self.address.clone());
        let (reason, filter) = (self.reason.clone(), self.filter.clone());
        By { actor: Actor { name, via, token, address }, reason, filter, part_of: Some(self.id.clone()) }
    }
}

// The oldest first. What has no cutoff is not done page by page.
const UNDER_WAY: &str = "
    SELECT a.id, a.actor, a.via, a.token, a.address, a.action, a.filter, a.reason, a.arguments ->> 'until' AS until,
           a.cutoff, coalesce(a.position, '') AS position
    FROM action AS a INDEXED BY action_under_way
    WHERE a.outcome IS NULL AND a.cutoff IS NOT NULL ORDER BY a.id LIMIT 1";

impl Store {
    /// The oldest action on many that goes on.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn bulk_under_way(&self) -> Result<Option<UnderWay>, StoreError> {
        let rows = sql::query(UNDER_WAY).fetch_all(self.readers()).await?;
        Ok(rows.first().map(|row| decode::one(row, ACTION)).transpose()?)
    }
}
