//! What people read: the `v_` views, a page at a time.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::{
    request_page::{self, RequestFilter},
    window::{Counted, LOOKED_MAX, Looked},
};
use crate::store::{
    Store, StoreError,
    sql::{self, Flag, JsonText, QueryBuilder},
};

/// Rows in one page: a read transaction must stay short, or the log cannot be folded into the file.
const PAGE: u32 = 1_000;

/// A row of `v_request`. The first fields are the documented columns, in their order.
#[derive(Debug, Clone, Default, PartialEq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct RequestView {
    pub id: String,
    pub kind: String,
    pub account: String,
    pub program: String,
    pub username: Option<String>,
    pub state: String,
    pub waiting_on: Option<String>,
    pub since: String,
    pub requested_at: String,
    pub finished_at: Option<String>,
    pub attempt: i64,
    #[sqlx(try_from = "Flag")]
    pub outcome_unknown: bool,
    pub errcode: Option<i64>,
    pub errmsg: Option<String>,
    pub next_check_at: Option<String>,
    pub retry_of: Option<String>,
    #[sqlx(try_from = "JsonText")]
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub labels: Map<String, Value>,
    pub failure: Option<String>,
    pub key: Option<String>,
    #[sqlx(try_from = "Flag")]
    pub notify_users: bool,
    #[sqlx(try_from = "Flag")]
    pub show_profile: bool,
    pub seen_status: Option<i64>,
    pub called_at: Option<String>,
    pub account_state: String,
}

/// A row of `v_transition`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct TransitionView {
    pub request_id: String,
    pub seq: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub at: String,
    pub cause: String,
    pub status: Option<i64>,
    pub errcode: Option<i64>,
    pub detail: Option<String>,
    pub hash: String,
}

/// A row of `v_conflict`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct ConflictView {
    pub id: String,
    pub request_id: String,
    pub account: String,
    pub program: String,
    pub kind: String,
    pub errcode: Option<i64>,
    pub at: String,
    pub our_state: String,
    pub their_status: Option<i64>,
    pub resolved_at: Option<String>,
    pub resolution: Option<String>,
    pub errmsg: Option<String>,
}

/// A row of `v_account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct AccountView {
    pub account: String,
    pub state: String,
    pub since: String,
    pub suspended_by: Option<String>,
    pub errcode: Option<i64>,
    pub errmsg: Option<String>,
    pub open_requests: i64,
    pub next_check_at: Option<String>,
    pub checked_at: Option<String>,
    pub failures: i64,
    pub last_error: Option<String>,
    pub budget_day: Option<String>,
    pub budget_used: i64,
    pub last_read_at: Option<String>,
    pub trouble: Option<String>,
    pub unread_since: Option<String>,
    pub call_failures: i64,
    pub calls_refused_since: Option<String>,
    pub next_call_at: Option<String>,
    pub call_error: Option<String>,
    pub emptied_since: Option<String>,
    pub overfull_since: Option<String>,
}

/// A row of `v_program`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct ProgramView {
    pub account: String,
    pub program: Option<String>,
    pub username: Option<String>,
    pub status: i64,
    pub nickname: Option<String>,
    pub headimg_url: Option<String>,
    pub email: Option<String>,
    pub source: Option<String>,
    pub selected: Option<i64>,
    pub nearby_display_status: Option<i64>,
    pub released: Option<i64>,
    pub copy_verify_status: Option<i64>,
    pub func_infos: Option<String>,
    pub first_seen_at: String,
    pub last_seen_at: String,
    pub gone_at: Option<String>,
    pub status_since: String,
    pub item: String,
}

pub(super) const REQUEST_COLUMNS: &str = "
    SELECT id, kind, account, program, username, state, waiting_on, since, requested_at, finished_at, attempt,
           outcome_unknown, errcode, errmsg, next_check_at, retry_of, labels, failure, key, notify_users,
           show_profile, seen_status, called_at, account_state
    FROM v_request WHERE 1 = 1";

impl Store {
    /// Requests that match, newest first, at most `limit`, read in pages by key.
    pub async fn list_requests(&self, filter: &RequestFilter, limit: u32) -> Result<Vec<RequestView>, StoreError> {
        let mut rows: Vec<RequestView> = Vec::new();
        let mut filter = filter.clone();
        loop {
            let wanted = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)).min(PAGE);
            if wanted == 0 {
                return Ok(rows);
            }
            let page = self.request_page(&filter, wanted).await?;
            let is_last = page.len() < wanted as usize;
            filter.after = page.last().map(|row| row.id.clone()).or(filter.after);
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    async fn request_page(&self, filter: &RequestFilter, limit: u32) -> Result<Vec<RequestView>, StoreError> {
        self.requests_upto(filter, None, limit).await
    }

    async fn requests_upto(
        &self,
        filter: &RequestFilter,
        upto: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RequestView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(REQUEST_COLUMNS);
        request_page::push(&mut query, filter, upto, limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Requests that match, newest first, at most `limit`, as far as one page looks.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn look_at_requests(
        &self,
        filter: &RequestFilter,
        limit: u32,
    ) -> Result<Looked<RequestView>, StoreError> {
        let upto = request_page::edge(self.readers(), filter, LOOKED_MAX).await?;
        Ok(Looked { rows: self.requests_upto(filter, upto.as_deref(), limit).await?, upto })
    }

    /// How many requests match, counted up to `most`, of which each is one more row to look at.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn count_requests(&self, filter: &RequestFilter, most: u32) -> Result<Counted, StoreError> {
        let all = RequestFilter { after: None, ..filter.clone() };
        let upto = request_page::edge(self.readers(), &all, most).await?;
        let mut query: QueryBuilder = QueryBuilder::new("");
        request_page::push_count(&mut query, &all, upto.as_deref(), most.saturating_add(1));
        let count: i64 = query.build_query_scalar().fetch_one(self.readers()).await?;
        let most = u64::from(most);
        let count = count.unsigned_abs();
        Ok(Counted { count: count.min(most), is_cut: upto.is_some() || count > most })
    }

    /// One request as people see it.
    pub async fn request_view(&self, id: &str) -> Result<Option<RequestView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(REQUEST_COLUMNS);
        query.push(" AND id = ").push_bind(id);
        Ok(query.build_query_as().fetch_optional(self.readers()).await?)
    }

    /// Many requests as people see them, in no order.
    pub async fn request_views(&self, ids: &[String]) -> Result<Vec<RequestView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(REQUEST_COLUMNS);
        query.push(" AND id IN (SELECT j.value FROM json_each(");
        query.push_bind(crate::store::bulk::json(ids)).push(") AS j)");
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Every step of one request, first to last.
    pub async fn history(&self, id: &str) -> Result<Vec<TransitionView>, StoreError> {
        const SQL: &str = "
            SELECT request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash
            FROM v_transition WHERE request_id = $1 ORDER BY seq";
        Ok(sql::query_as(SQL).bind(id).fetch_all(self.readers()).await?)
    }

    /// Conflicts, newest first, at most `limit`: all or the unresolved ones, of all requests or of one.
    pub async fn conflicts(&self, filter: &ConflictFilter, limit: u32) -> Result<Vec<ConflictView>, StoreError> {
        self.conflict_page(filter, None, limit).await
    }

    /// Listed programs by account, at most `limit`; of all accounts or of one, of all programs or of one.
    pub async fn program_views(
        &self,
        account: Option<&str>,
        program: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ProgramView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(
            "SELECT account, program, username, status, nickname, headimg_url, email, source, selected,
                    nearby_display_status, released, copy_verify_status, func_infos, first_seen_at, last_seen_at,
                    gone_at, status_since, item
             FROM v_program WHERE 1 = 1",
        );
        for (column, value) in [("account", account), ("program", program)] {
            if let Some(value) = value {
                query.push(" AND ").push(column).push(" = ").push_bind(value);
            }
        }
        query.push(" ORDER BY account, status_since DESC LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// How many requests stand in each state.
    pub async fn count_by_state(&self) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "SELECT state, count(*) FROM request GROUP BY state ORDER BY state";
        Ok(sql::query_as(SQL).fetch_all(self.readers()).await?)
    }

    /// The latest events after a sequence number, newest first.
    pub async fn latest_events(&self, after: i64, limit: u32) -> Result<Vec<EventView>, StoreError> {
        const SQL: &str = "SELECT seq, type, subject, at, data FROM outbox WHERE seq > $1 ORDER BY seq DESC LIMIT $2";
        Ok(sql::query_as(SQL).bind(after).bind(limit).fetch_all(self.readers()).await?)
    }

    /// Open requests that have stood longest in a state that waits for a person.
    pub async fn longest_waiting(&self, limit: u32) -> Result<Vec<RequestView>, StoreError> {
        // From one stage and the other as many as are wanted of both: neither is sorted.
        const SQL: &str = "
            SELECT id FROM (
                SELECT id, since FROM (
                    SELECT r.id, r.since FROM request AS r INDEXED BY request_waiting
                    WHERE r.state = 'awaiting_account_admin' AND r.finished_at IS NULL ORDER BY r.since LIMIT $1) AS account
                UNION ALL
                SELECT id, since FROM (
                    SELECT r.id, r.since FROM request AS r INDEXED BY request_waiting
                    WHERE r.state = 'awaiting_program_admin' AND r.finished_at IS NULL ORDER BY r.since LIMIT $1) AS program) AS waiting
            ORDER BY since LIMIT $1";
        let ids: Vec<String> = sql::query_scalar(SQL).bind(limit).fetch_all(self.readers()).await?;
        let mut rows = self.request_views(&ids).await?;
        rows.sort_by(|one, other| one.since.cmp(&other.since));
        Ok(rows)
    }

    /// The request that was asked for with this key.
    pub async fn request_by_key(&self, key: &str) -> Result<Option<RequestView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(REQUEST_COLUMNS);
        query.push(" AND key = ").push_bind(key);
        Ok(query.build_query_as().fetch_optional(self.readers()).await?)
    }
}

/// Which conflicts to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// Only this one.
    pub id: Option<String>,
    /// Only this request's.
    pub request: Option<String>,
    /// Only this account's.
    pub account: Option<String>,
    /// Only those that are, or are not, still open.
    pub open: Option<bool>,
}

/// A message owed to the outside.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EventView {
    /// Its place in the order of writing.
    pub seq: i64,
    /// As in `amplinkd.request.linked`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// The request's id.
    pub subject: String,
    /// Milliseconds UTC.
    pub at: i64,
    /// The body, JSON as text.
    pub data: String,
}
