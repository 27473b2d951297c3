//! Rows of `gate`: calls that a quota or a block holds back until a time. It must never decide which.

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

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

const CLOSED: &str = "SELECT kind, subject, until, errcode, errmsg, at FROM gate WHERE until > $1";

impl Store {
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
