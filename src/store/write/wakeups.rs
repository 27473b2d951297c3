//! Rows of `wakeup`: how a command tells the daemon that an account changed. It must never be the only place where an
//! account's being due is written.

use sqlx::{FromRow, SqliteConnection};

use super::{accounts, requests::Urgency};
use crate::{
    domain::{id::AccountId, time::Time},
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        executor::Db,
    },
};

/// The table.
const WAKEUP: Table = Table { name: "wakeup", key: &["seq"] };

const ADD: &str = "INSERT INTO wakeup (account, at, asked) SELECT j.value, ?2, ?3 FROM json_each(?1) AS j";
// A command wakes an account whose request it has just changed: that change says when.
const WAKE: &str = "
    INSERT INTO wakeup (account, at, asked)
    SELECT $1, coalesce((SELECT max(r.since) FROM request AS r INDEXED BY request_by_account WHERE r.account = $1), 0), 1";
// In the order of writing, so that a million of an import are read once and not again for every page. A row that names no
// account would stand before the others for ever.
const WAITING: &str = "
    SELECT seq, account, asked FROM wakeup WHERE seq > $1 AND typeof(account) = 'text' ORDER BY seq LIMIT $2";
const TAKE: &str = "DELETE FROM wakeup WHERE seq <= ?1 AND account IN (SELECT j.value FROM json_each(?2) AS j)";

/// An account that somebody wants looked at.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Wakeup {
    /// Its place in the order of writing.
    pub seq: i64,
    /// The account.
    pub account: String,
    /// Whether somebody waits for the answer.
    pub asked: bool,
}

impl Store {
    /// Wake-ups after the one with number `after`, in the order of writing, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn wakeups(&self, after: i64, limit: u32) -> Result<Vec<Wakeup>, StoreError> {
        Ok(decode::legible(&sqlx::query(WAITING).bind(after).bind(limit).fetch_all(self.readers()).await?, WAKEUP))
    }
}

pub(super) async fn add(
    tx: &mut SqliteConnection,
    accounts: &[&str],
    urgency: Urgency,
    now: Time,
) -> Result<(), StoreError> {
    if !accounts.is_empty() {
        sqlx::query(ADD).bind(bulk::json(accounts)).bind(now.ms()).bind(urgency.flag()).execute(tx).await?;
    }
    Ok(())
}

/// [`add`] on the database thread.
pub(super) fn add_all(db: Db<'_>, accounts: &[String], urgency: Urgency, now: Time) -> Result<(), StoreError> {
    db.execute(ADD, (bulk::json(accounts), now.ms(), urgency.flag())).map(drop)
}

pub(super) async fn wake(tx: &mut SqliteConnection, account: &AccountId) -> Result<u64, StoreError> {
    Ok(sqlx::query(WAKE).bind(account.as_str()).execute(tx).await?.rows_affected())
}

pub(in crate::store) fn take(db: Db<'_>, seq: i64, woken: &[(String, bool)], now: Time) -> Result<(), StoreError> {
    accounts::wake(db, woken, now)?;
    let names: Vec<&str> = woken.iter().map(|(account, _)| account.as_str()).collect();
    db.execute(TAKE, (seq, bulk::json(&names))).map(drop)
}
