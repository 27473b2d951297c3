//! Requests whose alerts may have changed through time or their account although they did not move: found a page at a
//! time, so that each recheck reads the same amount.

use sqlx::FromRow;

use super::stage_times::first_id;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, decode,
        executor::Db,
        sql::{self, CellError},
        tables::REQUEST,
    },
};

/// One page, and where the next one begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recheck {
    /// Requests to look at.
    pub requests: Vec<String>,
    /// The last of the page, `None` when it was the last page.
    pub last: Option<(String, String)>,
}

// What is told of a request while its account's list is read, and what while it is not, take each other's place.
const STALE: &str = "
    SELECT l.account AS place, l.id AS place_within, l.request_id AS request,
           CASE WHEN l.reason = 'stuck.requested' THEN a.suspended_by IS NOT NULL OR g.since IS NOT NULL
                ELSE (l.reason = 'stuck.unread')
                     <> (a.suspended_by IS NOT NULL OR coalesce(g.since, a.unread_since, $4 + 1) <= $4)
           END AS is_stale
    FROM (SELECT account, id, request_id, reason FROM alert INDEXED BY alert_stuck
          WHERE rule = 'stuck' AND resolved_at IS NULL AND (account, id) > ($1, $2)
          ORDER BY account, id LIMIT $3) AS l
    LEFT JOIN account AS a ON a.account = l.account
    LEFT JOIN alert AS g INDEXED BY alert_one_open ON g.key = 'ip_not_allowed/all' AND g.resolved_at IS NULL";

// An import of a million costs no look at each: only those are looked at that are still not called after all the time that
// any may have. Those that were told already, or will be looked at by themselves, are left out.
const UNCALLED: &str = "
    SELECT '' AS place, r.id AS place_within, r.id AS request,
           a.suspended_by IS NULL AND g.since IS NULL
           AND NOT EXISTS (SELECT 1 FROM vigil AS v WHERE v.request_id = r.id)
           AND NOT EXISTS (SELECT 1 FROM alert AS l INDEXED BY alert_once
                           WHERE l.key = 'stuck/requested/' || r.id AND l.since >= r.since
                             AND l.resolution IS DISTINCT FROM 'over') AS is_stale
    FROM (SELECT id, account, since FROM request INDEXED BY request_by_state
          WHERE state = 'requested' AND id > $1 AND id < $2 ORDER BY id LIMIT $3) AS r
    LEFT JOIN account AS a ON a.account = r.account
    LEFT JOIN alert AS g INDEXED BY alert_one_open ON g.key = 'ip_not_allowed/all' AND g.resolved_at IS NULL";

// Of one state, those that have been in it for longer than anybody's patience begins, from where the last page ended. What
// is to be looked at by itself or is told already is left out.
const AGED: &str = "
    SELECT r.since, r.row, r.id,
           NOT EXISTS (SELECT 1 FROM vigil AS v WHERE v.request_id = r.id)
           AND NOT EXISTS (SELECT 1 FROM alert AS l INDEXED BY alert_of_request
                           WHERE l.request_id = r.id AND l.resolved_at IS NULL AND l.rule = 'stuck')
    FROM request AS r INDEXED BY request_waiting
    WHERE r.state = ?1 AND (r.since, r.row) > (?2, ?3) AND r.since <= ?4 AND r.finished_at IS NULL
    ORDER BY r.since, r.row LIMIT ?5";

const NEXT_TO_AGE: &str = "
    SELECT min(r.since) FROM request AS r INDEXED BY request_waiting
    WHERE r.state = ?1 AND r.since > ?2 AND r.finished_at IS NULL";

/// How far a state has been looked through: a moment since when a request may be in it, and the row of a request.
pub type Aged = (i64, i64);

/// A page of requests that have got old in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgedPage {
    /// Those that nobody has looked at for it.
    pub requests: Vec<String>,
    /// Where the next page begins.
    pub place: Aged,
    /// Whether there may be more.
    pub is_full: bool,
}

#[derive(Debug, FromRow)]
struct Row {
    place: String,
    place_within: String,
    request: String,
    is_stale: Option<bool>,
}

impl Store {
    /// Requests that are told to be stuck by what was known of their account before: not read since `unread_before`, or
    /// read again. At most `limit` alerts after the one at `after` are looked at.
    pub async fn stale_stuck(
        &self,
        after: &(String, String),
        unread_before: Time,
        limit: u32,
    ) -> Result<Recheck, StoreError> {
        let query = sql::query(STALE).bind(&after.0).bind(&after.1).bind(limit).bind(unread_before.ms());
        Ok(page(decode::legible(&query.fetch_all(self.readers()).await?, REQUEST), limit))
    }

    /// Requests that have been in this state since before `until` (milliseconds UTC) and that nobody has looked at for it: the
    /// next `limit` after `place`. One whose row cannot be read is left out.
    pub async fn aged(&self, state: &'static str, place: Aged, until: i64, limit: u32) -> Result<AgedPage, StoreError> {
        let read = move |db: Db<'_>| {
            db.all(AGED, (state, place.0, place.1, until, limit), |row| {
                let place: Aged = (row.get(0)?, row.get(1)?);
                let is_new: bool = row.get(3)?;
                Ok::<_, CellError>((place, is_new.then(|| row.get::<String>(2).ok()).flatten()))
            })
        };
        let rows: Vec<_> = self.executor.read(read).await?.into_iter().collect::<Result<_, _>>()?;
        let is_full = u32::try_from(rows.len()).unwrap_or(limit) >= limit;
        let place = rows.last().filter(|_| is_full).map_or((until, i64::MAX), |(place, _)| *place);
        Ok(AgedPage { requests: rows.into_iter().filter_map(|(_, id)| id).collect(), place, is_full })
    }

    /// Since when the next request has been in this state that [`Store::aged`] has not come to; `None` when there is none.
    pub async fn next_to_age(&self, state: &'static str, after: i64) -> Result<Option<i64>, StoreError> {
        self.executor.read(move |db| Ok(db.first(NEXT_TO_AGE, (state, after), |row| row.get(0))?.flatten())).await
    }

    /// Requests that were asked for before that moment, are not called yet, and are not told of. At most `limit` after the
    /// one at `after` are looked at.
    pub async fn uncalled(
        &self,
        after: &(String, String),
        asked_before: Time,
        limit: u32,
    ) -> Result<Recheck, StoreError> {
        let query = sql::query(UNCALLED).bind(&after.1).bind(first_id(asked_before)).bind(limit);
        Ok(page(decode::legible(&query.fetch_all(self.readers()).await?, REQUEST), limit))
    }
}

fn page(rows: Vec<Row>, limit: u32) -> Recheck {
    let is_whole = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let last = rows.last().filter(|_| is_whole).map(|row| (row.place.clone(), row.place_within.clone()));
    let stale = rows.into_iter().filter(|row| row.is_stale == Some(true));
    Recheck { requests: stale.map(|row| row.request).collect(), last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn a_page_begins_where_the_last_one_ended_and_reads_no_more_than_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for (sql, wanted) in [
            (STALE, "SEARCH alert USING INDEX alert_stuck ((account,id)>(?,?))"),
            (AGED, "SEARCH r USING INDEX request_waiting (state=? AND since>? AND since<?)"),
            (UNCALLED, "SEARCH request USING INDEX request_by_state (state=? AND id>? AND id<?)"),
        ] {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: Vec<(i64, i64, i64, String)> = sql::query_as(plan).fetch_all(store.readers()).await.unwrap();
            let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
            let is_whole = |step: &&str| step.starts_with("SCAN") && !["SCAN l", "SCAN r"].contains(step);
            assert!(steps.contains(&wanted) && !steps.iter().any(is_whole), "{steps:#?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "it sorts nothing: {steps:#?}");
        }
        store.close().await;
    }
}
