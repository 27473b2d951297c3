//! Retention: which old finished requests nothing refers to any more, and how they are deleted with everything that
//! belongs to them. A linked request is not old, however long ago it was made: its link still exists and is tracked.

use serde::Serialize;
use sqlx::FromRow;

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, bulk,
        read::{
            stage_times::first_id,
            views::{ConflictView, RequestView},
        },
        sql::{self, Tx},
    },
};

/// The states in which a request stays for ever.
pub const ENDED: [&str; 5] = ["rejected", "failed", "lapsed", "cancelled", "unlinked"];

/// That request `$r`, which ended before `$1`, is needed by nobody but perhaps by a later try of it: no conflict of it is
/// open, no alert of it is or was until lately, and no message of it is still to be sent.
macro_rules! spent {
    ($r:literal) => {
        concat!(
            $r,
            ".state IN ('rejected', 'failed', 'lapsed', 'cancelled', 'unlinked') AND ",
            $r,
            ".finished_at < $1
            AND NOT EXISTS (SELECT 1 FROM conflict AS c WHERE c.request_id = ",
            $r,
            ".id AND c.resolved_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM alert AS l
                            WHERE l.request_id = ",
            $r,
            ".id AND (l.resolved_at IS NULL OR l.resolved_at >= $1 OR l.notify_at IS NOT NULL))
            AND NOT EXISTS (SELECT 1 FROM salvage AS s WHERE s.request_id = ",
            $r,
            ".id)
            AND NOT EXISTS (SELECT 1 FROM channel AS h CROSS JOIN delivery AS d INDEXED BY delivery_in_order
                            WHERE d.channel = h.name AND d.partition_key = ",
            $r,
            ".id AND d.state = 'pending')"
        )
    };
}

/// The channels to which something is still to be sent, one after the other along their index.
macro_rules! channels {
    () => {
        "WITH RECURSIVE channel (name) AS (
            SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_in_order WHERE d.state = 'pending')
            UNION ALL
            SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_in_order
                    WHERE d.state = 'pending' AND d.channel > channel.name)
            FROM channel WHERE channel.name IS NOT NULL)"
    };
}

// Ids sort by the time of asking: what was asked later ended later, so that the younger half is never read. The youngest
// come first, because a try goes before the one that it tries again.
const PAGE: &str = concat!(
    channels!(),
    " SELECT r.id FROM request AS r INDEXED BY request_by_state
     WHERE r.state = $2 AND r.id < $3 AND NOT EXISTS (SELECT 1 FROM request AS n WHERE n.retry_of = r.id) AND ",
    spent!("r"),
    " ORDER BY r.id DESC LIMIT $4"
);

// Asked again in the transaction that takes them away: somebody may have retried one meanwhile.
const STILL: &str = concat!(
    channels!(),
    " SELECT r.id FROM jsonb_each($2) AS j CROSS JOIN request AS r ON r.id = j.value
     WHERE NOT EXISTS (SELECT 1 FROM request AS n WHERE n.retry_of = r.id) AND ",
    spent!("r")
);

// One that a later try names stays as long as that one does.
const COUNT: &str = concat!(
    channels!(),
    ", needed (id) AS (
        SELECT n.retry_of FROM request AS n INDEXED BY request_retry WHERE n.retry_of IS NOT NULL AND NOT (",
    spent!("n"),
    ")
        UNION
        SELECT p.retry_of FROM needed JOIN request AS p ON p.id = needed.id WHERE p.retry_of IS NOT NULL)
     SELECT r.state, strftime('%Y', r.finished_at / 1000.0, 'unixepoch') AS year, count(*) AS requests
     FROM request AS r INDEXED BY request_by_state
     WHERE r.id NOT IN (SELECT needed.id FROM needed) AND ",
    spent!("r"),
    " GROUP BY r.state, year ORDER BY r.state, year"
);

// Of what the watch has not read yet it may still tell somebody.
const UNREAD_SINCE: &str = "
    SELECT l.at FROM watch AS w CROSS JOIN log AS l ON l.seq > w.seq ORDER BY l.seq LIMIT 1";

const IS_COPY: &str = "SELECT EXISTS (SELECT 1 FROM copy)";

// What refers to a request goes before it.
const BELONGINGS: [&str; 6] = [
    "DELETE FROM request_label WHERE request_id IN (SELECT j.value FROM json_each($1) AS j)",
    "DELETE FROM log
     WHERE request IN (SELECT r.row FROM json_each($1) AS j CROSS JOIN request AS r ON r.id = j.value)",
    "DELETE FROM conflict WHERE request_id IN (SELECT j.value FROM json_each($1) AS j)",
    "DELETE FROM nudge WHERE request_id IN (SELECT j.value FROM json_each($1) AS j)",
    "DELETE FROM vigil WHERE request_id IN (SELECT j.value FROM json_each($1) AS j)",
    "DELETE FROM alert WHERE request_id IN (SELECT j.value FROM json_each($1) AS j)",
];

const REQUESTS: &str = "DELETE FROM request WHERE id IN (SELECT j.value FROM json_each($1) AS j)";

const CONFLICTS: &str = "
    SELECT id, request_id, account, program, kind, errcode, at, our_state, their_status, resolved_at, resolution, errmsg
    FROM v_conflict WHERE request_id IN (SELECT j.value FROM json_each($1) AS j) ORDER BY id";

const NUDGES: &str = "
    SELECT id, request_id, stage, language, channel, at, approved_at, text
    FROM v_nudge WHERE request_id IN (SELECT j.value FROM json_each($1) AS j) ORDER BY id";

/// How many requests would go, of one state and the year in which they ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Spent {
    /// How they ended.
    pub state: String,
    /// When, in UTC.
    pub year: String,
    /// How many.
    pub requests: i64,
}

/// A row of `v_nudge` with what is worth keeping of it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct NudgeRecord {
    pub id: String,
    pub request_id: String,
    pub stage: String,
    pub language: String,
    pub channel: Option<String>,
    pub at: String,
    pub approved_at: Option<String>,
    pub text: String,
}

/// Everything that is known of some requests beside their histories, each by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Belongings {
    /// The requests.
    pub requests: Vec<RequestView>,
    /// Their conflicts.
    pub conflicts: Vec<ConflictView>,
    /// Their nudges.
    pub nudges: Vec<NudgeRecord>,
}

/// The next page to be taken away.
#[derive(Debug, Clone)]
pub struct SpentPage<'s> {
    /// Of requests that ended before this,
    pub before: Time,
    /// in this state,
    pub state: &'s str,
    /// those with ids below this,
    pub below: String,
    /// and not more than so many.
    pub limit: u32,
}

impl<'s> SpentPage<'s> {
    /// The youngest that may be.
    #[must_use]
    pub fn first(before: Time, state: &'s str) -> Self {
        Self { before, state, below: first_id(before), limit: 0 }
    }
}

impl Store {
    /// Until when requests must have ended to be taken away: `before`, or earlier where the watch has not read all that was
    /// written by then; `None` where nothing may go, as in a copy that no daemon has reconciled.
    pub async fn prunable_before(&self, before: Time) -> Result<Option<Time>, StoreError> {
        if sql::query_scalar::<bool>(IS_COPY).fetch_one(self.readers()).await? {
            return Ok(None);
        }
        let unread: Option<i64> = sql::query_scalar(UNREAD_SINCE).fetch_optional(self.readers()).await?;
        Ok(Some(unread.map_or(before, |at| before.min(Time::from_ms(at)))))
    }

    /// Requests that nothing needs any more, the youngest first.
    pub async fn spent_requests(&self, page: &SpentPage<'_>) -> Result<Vec<String>, StoreError> {
        let query = sql::query_scalar(PAGE).bind(page.before.ms()).bind(page.state);
        Ok(query.bind(&page.below).bind(page.limit).fetch_all(self.readers()).await?)
    }

    /// How many requests nothing needs any more. It reads every finished request: for people, not for a loop.
    pub async fn count_spent(&self, before: Time) -> Result<Vec<Spent>, StoreError> {
        Ok(sql::query_as(COUNT).bind(before.ms()).fetch_all(self.readers()).await?)
    }

    /// What belongs to these requests beside their histories.
    pub async fn belongings(&self, ids: &[String]) -> Result<Belongings, StoreError> {
        let mut requests = self.request_views(ids).await?;
        requests.sort_by(|a, b| a.id.cmp(&b.id));
        let ids = bulk::json(ids);
        let conflicts = sql::query_as(CONFLICTS).bind(&ids).fetch_all(self.readers()).await?;
        let nudges = sql::query_as(NUDGES).bind(&ids).fetch_all(self.readers()).await?;
        Ok(Belongings { requests, conflicts, nudges })
    }

    /// Takes requests away that nothing needs, with all that belongs to them; how many it were.
    ///
    /// # Errors
    /// [`StoreError`]: none was taken away.
    pub async fn take_requests_away(&self, ids: Vec<String>, before: Time) -> Result<u64, StoreError> {
        self.writer.write(TakeAway { ids, before }).await
    }
}

#[derive(Debug)]
struct TakeAway {
    ids: Vec<String>,
    before: Time,
}

impl WriteCommand for TakeAway {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let query = sql::query_scalar(STILL).bind(self.before.ms()).bind(bulk::json(&self.ids));
        let still: Vec<String> = query.fetch_all(&mut *tx).await?;
        let still = bulk::json(&still);
        for statement in BELONGINGS {
            sql::query(statement).bind(&still).execute(&mut *tx).await?;
        }
        Ok(sql::query(REQUESTS).bind(&still).execute(tx).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    /// Tables that refer to requests, with the column; none of them may be forgotten, nor searched from its beginning.
    const REFERENCES: &str = "
        SELECT m.name, f.\"from\",
               EXISTS (SELECT 1 FROM pragma_index_list(m.name) AS x JOIN pragma_index_info(x.name) AS c ON c.seqno = 0
                       JOIN sqlite_master AS s ON s.name = x.name
                       WHERE c.name = f.\"from\"
                         AND (x.partial = 0 OR s.sql LIKE '%WHERE ' || f.\"from\" || ' IS NOT NULL')
                       UNION ALL
                       SELECT 1 FROM pragma_index_list(m.name) AS x JOIN pragma_index_info(x.name) AS c ON c.seqno = 0
                       WHERE x.origin = 'pk' AND c.name = f.\"from\")
        FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
        WHERE m.type = 'table' AND f.\"table\" = 'request'";

    #[tokio::test]
    async fn whatever_refers_to_a_request_goes_with_it_and_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let references: Vec<(String, String, bool)> =
            sql::query_as(REFERENCES).fetch_all(store.readers()).await.unwrap();
        assert!(references.len() >= 8, "{references:?}");
        for (table, column, is_indexed) in references {
            assert!(is_indexed, "to take a request away reads all of {table}: index {column}");
            // A retry keeps what it names, and so does what a copy still has to be told.
            let goes = BELONGINGS.iter().any(|statement| statement.starts_with(&format!("DELETE FROM {table}")));
            assert!(goes || ["request", "salvage"].contains(&table.as_str()), "{table} is left behind");
        }
        store.close().await;
    }

    #[tokio::test]
    async fn nothing_that_refers_to_a_request_is_searched_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Tool).await.unwrap();
        for statement in [PAGE, STILL, REQUESTS].into_iter().chain(BELONGINGS) {
            let plan = format!("EXPLAIN QUERY PLAN {statement}");
            let query = sql::query_as(plan).bind(1).bind("a").bind("b").bind(1);
            let steps: Vec<(i64, i64, i64, String)> = query.fetch_all(store.readers()).await.unwrap();
            let is_whole = |step: &str| {
                step.starts_with("SCAN")
                    && ["SCAN j", "SCAN h", "SCAN channel", "SCAN CONSTANT ROW"]
                        .iter()
                        .all(|one| !step.starts_with(one))
            };
            assert!(!steps.iter().any(|(.., step)| is_whole(step)), "{statement}\n{steps:#?}");
        }
        store.close().await;
    }
}
