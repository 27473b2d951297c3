//! Open alerts by what they have in common, as messages group them.

use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::store::{Store, StoreError, sql};

/// Open alerts of one reason and state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, ToSchema)]
pub struct AlertGroup {
    /// What they have in common, as in `v_alert.reason`.
    pub reason: String,
    /// Their rule.
    pub rule: String,
    /// Their state.
    pub state: String,
    /// How many they are.
    pub count: i64,
    /// Since when the first of them holds.
    pub oldest_since: String,
    /// When the last of them fired.
    pub newest_fired_at: String,
}

const GROUPS: &str = "
    SELECT l.reason, l.rule, l.state, count(*) AS count,
           strftime('%Y-%m-%dT%H:%M:%fZ', min(l.since) / 1000.0, 'unixepoch') AS oldest_since,
           strftime('%Y-%m-%dT%H:%M:%fZ', max(l.fired_at) / 1000.0, 'unixepoch') AS newest_fired_at
    FROM alert AS l INDEXED BY alert_open
    WHERE l.resolved_at IS NULL
    GROUP BY l.rule, l.reason, l.state ORDER BY count(*) DESC, l.reason, l.state LIMIT $1";

impl Store {
    /// Open alerts by what they have in common, the largest groups first, at most `limit`.
    pub async fn alert_groups(&self, limit: u32) -> Result<Vec<AlertGroup>, StoreError> {
        Ok(sql::query_as(GROUPS).bind(limit).fetch_all(self.readers()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, sql::QueryBuilder};

    #[tokio::test]
    async fn groups_are_counted_along_the_index_of_open_alerts() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let mut query: QueryBuilder = QueryBuilder::new(["EXPLAIN QUERY PLAN ", GROUPS].concat());
        let steps: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
        assert!(steps.iter().any(|(.., step)| step.contains("USING INDEX alert_open")), "{steps:#?}");
        assert!(store.alert_groups(50).await.unwrap().is_empty());
        store.close().await;
    }
}
