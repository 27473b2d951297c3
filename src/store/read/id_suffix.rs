//! Finds ids by their ending, as people read them off a screen.
//!
//! This scans an index of ids, 80 ms with a million requests: a person can wait for that, while an index of endings
//! would slow down every accepted request.

use crate::store::{Store, StoreError, sql};

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun<'n> {
    /// A request.
    Request,
    /// An alert.
    Alert,
    /// A conflict.
    Conflict,
    /// A message that was given up on this channel; on any, if it is the empty text.
    GivenUp(&'n str),
}

const REQUESTS: &str = "
    SELECT r.id FROM request AS r INDEXED BY request_by_state WHERE r.id LIKE '%' || $1 ORDER BY r.id LIMIT $2";

const ALERTS: &str = "
    SELECT l.id FROM alert AS l INDEXED BY alert_by_state WHERE l.id LIKE '%' || $1 ORDER BY l.id LIMIT $2";

const CONFLICTS: &str = "
    SELECT c.id FROM conflict AS c INDEXED BY conflict_by_request WHERE c.id LIKE '%' || $1 ORDER BY c.id LIMIT $2";

const GIVEN_UP: &str = "
    SELECT d.id FROM delivery AS d INDEXED BY delivery_dead
    WHERE (d.channel = $3 OR $3 = '') AND d.state = 'dead' AND d.id LIKE '%' || $1 ORDER BY d.id LIMIT $2";

impl Store {
    /// Ids that end so, oldest first, at most `limit`. The ending consists of hexadecimal digits and dashes.
    pub async fn ids_ending(&self, noun: Noun<'_>, ending: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let query = match noun {
            Noun::Request => sql::query_scalar(REQUESTS).bind(ending).bind(limit),
            Noun::Alert => sql::query_scalar(ALERTS).bind(ending).bind(limit),
            Noun::Conflict => sql::query_scalar(CONFLICTS).bind(ending).bind(limit),
            Noun::GivenUp(channel) => sql::query_scalar(GIVEN_UP).bind(ending).bind(limit).bind(channel),
        };
        Ok(query.fetch_all(self.readers()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, sql::QueryBuilder};

    #[tokio::test]
    async fn an_ending_reads_ids_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for sql in [REQUESTS, ALERTS, CONFLICTS] {
            let mut query: QueryBuilder = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            assert!(steps[0].3.contains("USING COVERING INDEX"), "{sql}\n{steps:#?}");
        }
        for noun in [Noun::Request, Noun::Alert, Noun::Conflict, Noun::GivenUp("ops")] {
            assert!(store.ids_ending(noun, "1e2a3b", 9).await.unwrap().is_empty());
        }
        store.close().await;
    }
}
