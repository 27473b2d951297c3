//! Rows of `gate`: calls that a quota or a block holds back until a time. It must never decide which.

use serde::Serialize;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Store, StoreError, bulk,
    decode::{self, Table},
};

/// A closed gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Gate {
    /// `program_month`, `api_day` or `ip`.
    pub kind: String,
    /// The program; the account and the API; or `all`.
    pub subject: String,
    /// When it opens, milliseconds UTC.
    pub until: i64,
    /// The code that closed it.
    pub errcode: i64,
    /// Its text.
    pub errmsg: String,
    /// When it closed, milliseconds UTC.
    pub at: i64,
}

/// The table.
pub(super) const GATE: Table = Table { name: "gate", key: &["kind", "subject"] };

const CLOSE: &str = "
    INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
    SELECT j.value ->> 'kind', j.value ->> 'subject', j.value ->> 'until', j.value ->> 'errcode',
           j.value ->> 'errmsg', j.value ->> 'at'
    FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (kind, subject) DO UPDATE
    SET until = excluded.until, errcode = excluded.errcode, errmsg = excluded.errmsg, at = excluded.at";

const OPEN: &str = "
    DELETE FROM gate
    WHERE (kind, subject) IN (SELECT j.value ->> 0, j.value ->> 1 FROM json_each($1) AS j)";

/// A row of `v_gate`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns are described in docs/database.md")]
pub struct GateView {
    pub kind: String,
    pub subject: String,
    pub until: String,
    pub errcode: i64,
    pub errmsg: String,
    pub at: String,
}

// A day's gate is open once its time has come; the others let one call through that finds out.
const PAGE: &str = "
    SELECT v.kind, v.subject, v.until, v.errcode, v.errmsg, v.at
    FROM gate AS g JOIN v_gate AS v ON v.kind = g.kind AND v.subject = g.subject
    WHERE (g.until > ";

const CLOSED: &str = "SELECT kind, subject, until, errcode, errmsg, at FROM gate WHERE until > $1";

impl Store {
    /// Gates that hold something back at `now` (milliseconds UTC), by kind and subject, after the one of this kind and
    /// subject, at most `limit`: of these kinds, or of all when there are none.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn gate_page(
        &self,
        kinds: &[String],
        after: (&str, &str),
        now: i64,
        limit: u32,
    ) -> Result<Vec<GateView>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(PAGE);
        query.push_bind(now).push(" OR g.kind <> 'api_day') AND (g.kind, g.subject) > (").push_bind(after.0);
        query.push(", ").push_bind(after.1).push(")");
        if !kinds.is_empty() {
            query.push(" AND g.kind IN (SELECT j.value FROM json_each(").push_bind(bulk::json(kinds)).push(") AS j)");
        }
        query.push(" ORDER BY g.kind, g.subject LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Gates that are closed at `now`, milliseconds UTC. One whose row is not legal holds nobody back.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn closed_gates(&self, now: i64) -> Result<Vec<Gate>, StoreError> {
        Ok(decode::legible(&sqlx::query(CLOSED).bind(now).fetch_all(self.readers()).await?, GATE))
    }
}

pub(super) async fn close(tx: &mut SqliteConnection, gates: &[&Gate]) -> Result<(), StoreError> {
    bulk::execute(tx, CLOSE, gates).await.map(drop)
}

/// Takes gates away, by kind and subject: they opened before their time.
pub(super) async fn open(tx: &mut SqliteConnection, gates: &[&(String, String)]) -> Result<(), StoreError> {
    bulk::execute(tx, OPEN, gates).await.map(drop)
}
