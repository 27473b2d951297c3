//! The `v_` views a page at a time by key, for lists of any length, and steps as they happen. A page from the middle
//! costs as much as the first.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;

use super::views::{ConflictFilter, ConflictView, ProgramView};
use crate::store::{
    Store, StoreError,
    sql::{self, JsonText, QueryBuilder},
};

/// Accounts in one page of programs: an account lists a few dozen programs, so that this is some thousand rows.
const ACCOUNTS_PAGE: u32 = 100;

/// A step as it is followed live: a row of `v_transition` beside what it is about.
#[derive(Debug, Clone, PartialEq, FromRow, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct StepView {
    /// Its place in the order of writing, of all requests.
    #[serde(skip)]
    pub event: i64,
    pub request_id: String,
    pub seq: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub at: String,
    pub cause: String,
    pub status: Option<i64>,
    pub errcode: Option<i64>,
    pub detail: Option<String>,
    pub kind: String,
    pub account: String,
    pub program: String,
    #[sqlx(try_from = "JsonText")]
    pub labels: Map<String, Value>,
}

// In the order of their commits.
const STEPS: &str = "
    SELECT l.seq AS event, t.request_id, t.seq, t.from_state, t.to_state,
           strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch') AS at,
           t.cause, t.status, t.errcode, t.detail, r.kind, r.account, r.program, r.labels
    FROM log AS l
    CROSS JOIN request AS r ON r.row = l.request
    CROSS JOIN transition AS t ON t.request_id = r.id AND t.seq = l.step
    WHERE l.seq > $1 AND l.seq <= $2
    ORDER BY l.seq";

const LAST_EVENT: &str = "SELECT coalesce(max(seq), 0) FROM log";

// One account has one page. Its own statements: one that takes any account or all reads the table from its beginning.
const PROGRAM_ACCOUNTS: &str = "
    SELECT DISTINCT p.account FROM program AS p
    WHERE p.account > $1
    ORDER BY p.account LIMIT $2";

const ACCOUNTS_OF_PROGRAM: &str = "
    SELECT DISTINCT p.account FROM program AS p INDEXED BY program_by_program
    WHERE p.program = $3 AND p.account > $1
    ORDER BY p.account LIMIT $2";

const PROGRAMS: &str = "
    SELECT account, program, username, status, nickname, headimg_url, email, source, selected,
           nearby_display_status, released, copy_verify_status, func_infos, first_seen_at, last_seen_at, gone_at,
           status_since, item
    FROM v_program
    WHERE account IN (SELECT j.value FROM json_each($1) AS j) AND (program = $2 OR $2 IS NULL)
    ORDER BY account, status_since DESC";

// The keys of one page, and then its rows.
const PROGRAM_ROWS: &str = "
    SELECT v.account, v.program, v.username, v.status, v.nickname, v.headimg_url, v.email, v.source, v.selected,
           v.nearby_display_status, v.released, v.copy_verify_status, v.func_infos, v.first_seen_at, v.last_seen_at,
           v.gone_at, v.status_since, v.item
    FROM (SELECT p.account, p.item FROM program AS p WHERE (p.account, p.item) > (";

const PROGRAM_ROWS_END: &str = ") AS k CROSS JOIN v_program AS v ON v.account = k.account AND v.item = k.item
    ORDER BY v.account, v.item";

// Through the table, because the view's times are texts and no index knows them; a page of them, and not all.
const OPEN_CONFLICTS_PAGE: &str = " AND id IN (
    SELECT c.id FROM conflict AS c INDEXED BY conflict_open WHERE c.resolved_at IS NULL AND c.id < ";

const RESOLVED_CONFLICTS_PAGE: &str = " AND id IN (
    SELECT c.id FROM conflict AS c INDEXED BY conflict_resolved WHERE c.resolved_at IS NOT NULL AND c.id < ";

impl Store {
    /// Every listed program of the next accounts after `after`; none when there are no more.
    pub async fn program_page(
        &self,
        after: &str,
        account: Option<&str>,
        program: Option<&str>,
    ) -> Result<Vec<ProgramView>, StoreError> {
        let accounts: Vec<String> = match account {
            Some(account) if account > after => vec![account.to_owned()],
            Some(_) => return Ok(Vec::new()),
            None => {
                let sql = if program.is_some() { ACCOUNTS_OF_PROGRAM } else { PROGRAM_ACCOUNTS };
                let query = sql::query_scalar(sql).bind(after).bind(ACCOUNTS_PAGE).bind(program);
                query.fetch_all(self.readers()).await?
            }
        };
        Ok(sql::query_as(PROGRAMS)
            .bind(crate::store::bulk::json(&accounts))
            .bind(program)
            .fetch_all(self.readers())
            .await?)
    }

    /// Listed programs after this account and item, by account and item, at most `limit`.
    pub async fn program_rows(
        &self,
        (account, program): (Option<&str>, Option<&str>),
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<ProgramView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(PROGRAM_ROWS);
        push_programs(&mut query, (account, program), after, limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Conflicts that match, newest first, at most `limit`, older than the one with the id `before`.
    pub async fn conflict_page(
        &self,
        filter: &ConflictFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConflictView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(
            "SELECT id, request_id, account, program, kind, errcode, at, our_state, their_status, resolved_at,
                    resolution, errmsg
             FROM v_conflict WHERE 1 = 1",
        );
        let texts = [
            (" AND id = ", filter.id.as_deref()),
            (" AND request_id = ", filter.request.as_deref()),
            (" AND account = ", filter.account.as_deref()),
            (" AND id < ", before),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        let is_of_one = filter.id.is_some() || filter.request.is_some() || filter.account.is_some();
        match filter.open {
            Some(open) if !is_of_one => {
                query.push(if open { OPEN_CONFLICTS_PAGE } else { RESOLVED_CONFLICTS_PAGE });
                // After every id there is.
                query.push_bind(before.unwrap_or("g"));
                query.push(" ORDER BY c.id DESC LIMIT ").push_bind(limit).push(")");
            }
            // One request or account has few.
            Some(true) => drop(query.push(" AND resolved_at IS NULL")),
            Some(false) => drop(query.push(" AND resolved_at IS NOT NULL")),
            None => {}
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// The number of the last event, 0 when there is none: where to begin to follow steps.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        Ok(sql::query_scalar(LAST_EVENT).fetch_one(self.readers()).await?)
    }

    /// The steps of events after number `after` up to `last`, in the order of writing.
    pub async fn steps_between(&self, after: i64, last: i64) -> Result<Vec<StepView>, StoreError> {
        Ok(sql::query_as(STEPS).bind(after).bind(last).fetch_all(self.readers()).await?)
    }
}

fn push_programs<'q>(
    query: &mut QueryBuilder,
    (account, program): (Option<&'q str>, Option<&'q str>),
    after: (&'q str, &'q str),
    limit: u32,
) {
    query.push_bind(after.0.to_owned()).push(", ").push_bind(after.1.to_owned()).push(")");
    for (condition, value) in [(" AND p.account = ", account), (" AND p.program = ", program)] {
        if let Some(value) = value {
            query.push(condition).push_bind(value.to_owned());
        }
    }
    query.push(" ORDER BY p.account, p.item LIMIT ").push_bind(limit).push(PROGRAM_ROWS_END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, Store};

    #[tokio::test]
    async fn open_conflicts_and_accounts_of_a_program_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let open =
            format!("SELECT id FROM v_conflict WHERE 1 = 1{OPEN_CONFLICTS_PAGE}'g' ORDER BY c.id DESC LIMIT 50)");
        let indexed = [(open.as_str(), "conflict_open"), (ACCOUNTS_OF_PROGRAM, "program_by_program")];
        for (sql, index) in indexed {
            let mut query: QueryBuilder = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            let reads_all = steps.iter().any(|(.., step)| step.starts_with("SCAN") && !step.contains("USING"));
            assert!(!reads_all && steps.iter().any(|(.., step)| step.contains(index)), "{steps:#?}");
        }
        let open = ConflictFilter { open: Some(true), ..ConflictFilter::default() };
        assert!(store.conflict_page(&open, None, 50).await.unwrap().is_empty());
        let (account, program) = (Some("wx0123456789abcdef"), Some("wxfedcba9876543210"));
        for of in [(None, None), (account, None), (None, program), (account, program)] {
            let mut query: QueryBuilder = QueryBuilder::new(["EXPLAIN QUERY PLAN ", PROGRAM_ROWS].concat());
            push_programs(&mut query, of, ("wx", "gh"), 50);
            let steps: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
            let is_slow = |step: &str| step == "SCAN p" || step == "SCAN a";
            // The outermost sorts one page; what stands below must not sort.
            let sorts = |parent: i64, step: &str| parent != 0 && step.contains("TEMP B-TREE");
            assert!(
                !steps.iter().any(|(_, parent, _, step)| is_slow(step) || sorts(*parent, step)),
                "{of:?}: {steps:#?}"
            );
            assert!(store.program_rows(of, ("wx", "gh"), 50).await.unwrap().is_empty());
        }
        assert!(store.program_page("", Some("wx0123456789abcdef"), None).await.unwrap().is_empty());
        store.close().await;
    }
}
