//! Authorizers as other systems and people see them: `v_authorizer`, a page at a time; never a secret.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    domain::{authorizer::AuthorizerState, time::Time},
    store::{
        Store, StoreError, decode,
        sql::{self, Flag, QueryBuilder},
        tables::AUTHORIZER,
    },
};

/// A row of `v_authorizer`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct AuthorizerView {
    pub appid: String,
    pub state: String,
    pub since: String,
    #[sqlx(try_from = "Flag")]
    pub has_link_permission: bool,
    /// "yes", "no", or "unknown" while nothing of its permissions has been heard.
    pub links: String,
    pub token_until: Option<String>,
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub errcode: Option<i64>,
    pub errmsg: Option<String>,
}

const COLUMNS: &str = "
    SELECT v.appid, v.state, v.since, v.has_link_permission,
           CASE WHEN a.permissions IS NULL THEN 'unknown' WHEN v.has_link_permission = 1 THEN 'yes' ELSE 'no' END AS links,
           v.token_until, v.username, v.nickname, v.errcode, v.errmsg
    FROM v_authorizer AS v JOIN authorizer AS a ON a.appid = v.appid WHERE v.appid ";

impl Store {
    /// Authorizers after this appid, by appid, at most `limit`: in this state, or in any.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn authorizer_page(
        &self,
        state: Option<AuthorizerState>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AuthorizerView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push("> ").push_bind(after);
        if let Some(state) = state {
            query.push(" AND v.state = ").push_bind(state.as_str());
        }
        query.push(" ORDER BY v.appid LIMIT ").push_bind(limit);
        Ok(decode::legible(&query.build().fetch_all(self.readers()).await?, AUTHORIZER))
    }

    /// How many authorizers are in each state.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn authorizers_by_state(&self) -> Result<Vec<(String, i64)>, StoreError> {
        const BY_STATE: &str = "SELECT a.state, count(*) FROM authorizer AS a GROUP BY a.state";
        Ok(decode::legible(&sql::query(BY_STATE).fetch_all(self.readers()).await?, AUTHORIZER))
    }

    /// How many authorizers' tokens died early between these moments, and one of them.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn killed_tokens(&self, after: Time, until: Time) -> Result<(u64, Option<String>), StoreError> {
        const KILLED: &str = "
            SELECT count(*), min(a.appid) FROM authorizer AS a INDEXED BY authorizer_killed WHERE a.killed_at > $1 AND a.killed_at <= $2";
        let (count, example): (i64, Option<String>) =
            sql::query_as(KILLED).bind(after.ms()).bind(until.ms()).fetch_one(self.readers()).await?;
        Ok((count.unsigned_abs(), example))
    }

    /// One authorizer as people see it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn authorizer_view(&self, appid: &str) -> Result<Option<AuthorizerView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push("= ").push_bind(appid);
        Ok(query.build_query_as().fetch_optional(self.readers()).await?)
    }
}
