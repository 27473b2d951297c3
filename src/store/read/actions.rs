//! Who did what, as people see it: `v_action`, a page at a time.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, QueryBuilder, Sqlite};
use utoipa::ToSchema;

use crate::store::{Store, StoreError, decode, decode::Table};

/// The view, as errors name its rows.
const ACTION: Table = Table { name: "action", key: &["id"] };

/// A row of `v_action`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct ActionView {
    pub id: String,
    pub at: String,
    pub actor: String,
    pub via: String,
    pub token: Option<String>,
    pub address: Option<String>,
    pub action: String,
    pub subject_kind: String,
    pub subject: Option<String>,
    pub filter: Option<String>,
    pub count: Option<i64>,
    pub reason: Option<String>,
    pub outcome: Option<String>,
    pub state: String,
    pub done: i64,
    pub failed: i64,
    pub left: Option<i64>,
    pub finished_at: Option<String>,
}

/// Which actions to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// Only this actor's.
    pub actor: Option<String>,
    /// Only those of this subject: a request's id, an appid, a name.
    pub subject: Option<String>,
    /// Only of this kind.
    pub action: Option<String>,
    /// Only by this door: cli, api or web.
    pub via: Option<String>,
    /// Only with the API token of this id.
    pub token: Option<String>,
}

const COLUMNS: &str = "
    SELECT v.id, v.at, v.actor, v.via, v.token, v.address, v.action, v.subject_kind, v.subject, v.filter, v.count,
           v.reason, v.outcome, v.state, v.done, v.failed, v.\"left\", v.finished_at
    FROM v_action AS v WHERE 1 = 1";

impl Store {
    /// Actions that match, newest first, at most `limit`, older than the one with the id `before`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn action_page(
        &self,
        filter: &ActionFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ActionView>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(COLUMNS);
        let texts = [
            (" AND v.actor = ", filter.actor.as_deref()),
            (" AND v.subject = ", filter.subject.as_deref()),
            // Not worth an index of its own: the newest are read first.
            (" AND +v.action = ", filter.action.as_deref()),
            (" AND +v.via = ", filter.via.as_deref()),
            (" AND +v.token = ", filter.token.as_deref()),
            (" AND v.id < ", before),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(condition).push_bind(value.to_owned());
            }
        }
        query.push(" ORDER BY v.id DESC LIMIT ").push_bind(limit);
        Ok(decode::legible(&query.build().fetch_all(self.readers()).await?, ACTION))
    }

    /// One action.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn action_view(&self, id: &str) -> Result<Option<ActionView>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(COLUMNS);
        query.push(" AND v.id = ").push_bind(id);
        Ok(query.build_query_as().fetch_optional(self.readers()).await?)
    }
}
