//! Rows of `wakeup`: how a command tells the daemon that an account changed. It must never be the only place where an
//! account's being due is written.

use sqlx::SqliteConnection;

use super::{Store, StoreError, accounts, bulk};
use crate::domain::{id::AccountId, time::Time};

const ADD: &str = "INSERT INTO wakeup (account, at) SELECT j.value, $2 FROM json_each($1) AS j";
// A command wakes an account whose request it has just changed: that change says when.
const WAKE: &str = "
    INSERT INTO wakeup (account, at)
    SELECT $1, coalesce((SELECT max(r.since) FROM request AS r INDEXED BY request_by_account WHERE r.account = $1), 0)";
// By account: thousands of one busy account must not fill the page that everybody else is waiting for.
const WAITING: &str = "SELECT max(seq) AS last, account FROM wakeup GROUP BY account ORDER BY last LIMIT $1";
const TAKE: &str = "DELETE FROM wakeup WHERE seq <= $1 AND account IN (SELECT j.value FROM json_each($2) AS j)";

impl Store {
    /// Woken accounts, each once with its latest wake-up, at most `limit`; the last of them is the latest of all, and
    /// what comes after this answer is later still.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn wakeups(&self, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        Ok(sqlx::query_as(WAITING).bind(limit).fetch_all(self.readers()).await?)
    }
}

pub(super) async fn add(tx: &mut SqliteConnection, accounts: &[&str], now: Time) -> Result<(), StoreError> {
    if !accounts.is_empty() {
        sqlx::query(ADD).bind(bulk::json(accounts)).bind(now.ms()).execute(tx).await?;
    }
    Ok(())
}

pub(super) async fn wake(tx: &mut SqliteConnection, account: &AccountId) -> Result<u64, StoreError> {
    Ok(sqlx::query(WAKE).bind(account.as_str()).execute(tx).await?.rows_affected())
}

pub(super) async fn take(tx: &mut SqliteConnection, seq: i64, names: &[String], now: Time) -> Result<u64, StoreError> {
    accounts::wake(tx, names, now).await?;
    Ok(sqlx::query(TAKE).bind(seq).bind(bulk::json(names)).execute(tx).await?.rows_affected())
}
