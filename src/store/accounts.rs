//! Rows of `account`: whether we may call, when we look next, what the last listing was. It must never lose a due time
//! of an account with an open request.

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use super::{Store, StoreError, bulk};
use crate::domain::{account::Trouble, id::AccountId, time::Time};

/// An account as the engine works with it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AccountRow {
    /// The row's number, its handle in memory.
    pub id: i64,
    /// The account.
    pub account: String,
    /// `operator`, `wechat`, or nobody.
    pub suspended_by: Option<String>,
    /// When it is due, in milliseconds UTC; `None` when nothing waits.
    pub next_check_at: Option<i64>,
    /// Since when its youngest waiting state stands.
    pub pace_from: Option<i64>,
    /// From when on an unchanged listing must be read.
    pub reread_at: Option<i64>,
    /// When a listing was last received.
    pub checked_at: Option<i64>,
    /// The fingerprint of the last listing that was recorded.
    pub listing_hash: Option<i64>,
    /// Polls in a row that failed.
    pub failures: i64,
    /// The Beijing day of the budget.
    pub budget_day: i64,
    /// `wxamplinkget` calls of that day.
    pub budget_used: i64,
}

/// Whether we may call for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// We may.
    Active,
    /// An operator said no: nothing is called until an operator says yes.
    SuspendedByOperator,
    /// `WeChat` said no: a slow probe finds out when it says yes again.
    SuspendedByWechat {
        /// The code it said.
        errcode: i64,
        /// Its text.
        errmsg: String,
    },
}

impl Standing {
    fn columns(&self) -> (&'static str, Option<&'static str>, Option<i64>, Option<&str>) {
        match self {
            Self::Active => ("active", None, None, None),
            Self::SuspendedByOperator => ("suspended", Some("operator"), None, None),
            Self::SuspendedByWechat { errcode, errmsg } => ("suspended", Some("wechat"), Some(*errcode), Some(errmsg)),
        }
    }
}

/// What a poll that is about to be made must leave on disk first.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reservation(
    /// The row's number.
    pub i64,
    /// When the account is due after that poll, milliseconds UTC.
    pub i64,
    /// The Beijing day of the budget.
    pub i64,
    /// The budget used, that poll included.
    pub i64,
    /// When a listing was last received.
    pub Option<i64>,
);

/// What a poll learned about its account.
#[derive(Debug, Clone)]
pub struct AccountUpdate {
    /// The account.
    pub account: AccountId,
    /// When it is due; `None` when nothing waits.
    pub next_check_at: Option<Time>,
    /// Since when its youngest waiting state stands.
    pub pace_from: Option<Time>,
    /// From when on an unchanged listing must be read.
    pub reread_at: Option<Time>,
    /// When a listing was last received.
    pub checked_at: Option<Time>,
    /// The fingerprint of that listing.
    pub listing_hash: Option<i64>,
    /// Polls in a row that failed.
    pub failures: u32,
    /// What the last failure was.
    pub last_error: Option<String>,
    /// What kind of failure that was.
    pub trouble: Option<Trouble>,
    /// Since when its list cannot be read, unless that is known already; `None`: it can, or nobody tries.
    pub unread_since: Option<Time>,
    /// A change of standing.
    pub standing: Option<(Standing, Time)>,
}

#[derive(Serialize)]
struct UpdateRow<'a> {
    account: &'a AccountId,
    next: Option<i64>,
    pace: Option<i64>,
    reread: Option<i64>,
    checked: Option<i64>,
    hash: Option<i64>,
    failures: u32,
    error: Option<&'a str>,
    trouble: Option<&'static str>,
    unread: Option<i64>,
    standing: Option<i64>,
    state: Option<&'static str>,
    by: Option<&'static str>,
    code: Option<i64>,
    msg: Option<&'a str>,
}

impl<'a> From<&'a AccountUpdate> for UpdateRow<'a> {
    fn from(update: &'a AccountUpdate) -> Self {
        let (state, by, code, msg) = match &update.standing {
            Some((standing, _)) => {
                let (state, by, code, msg) = standing.columns();
                (Some(state), by, code, msg)
            }
            None => (None, None, None, None),
        };
        Self {
            account: &update.account,
            next: update.next_check_at.map(Time::ms),
            pace: update.pace_from.map(Time::ms),
            reread: update.reread_at.map(Time::ms),
            checked: update.checked_at.map(Time::ms),
            hash: update.listing_hash,
            failures: update.failures,
            error: update.last_error.as_deref(),
            trouble: update.trouble.map(Trouble::as_str),
            unread: update.unread_since.map(Time::ms),
            standing: update.standing.as_ref().map(|(_, at)| at.ms()),
            state,
            by,
            code,
            msg,
        }
    }
}

// An operator may have suspended the account while this was under way.
const RESERVE: &str = "
    UPDATE account
    SET next_check_at = CASE WHEN account.suspended_by = 'operator' THEN NULL ELSE j.value ->> 1 END,
        budget_day = j.value ->> 2, budget_used = j.value ->> 3,
        checked_at = j.value ->> 4
    FROM jsonb_each($1) AS j
    WHERE account.id = j.value ->> 0";

// An operator's suspension outlives what a poll under way has learned, and no account with an open request loses its
// due time to a poll that did not know of it.
const UPDATE: &str = "
    UPDATE account
    SET next_check_at = CASE
            WHEN account.suspended_by = 'operator' THEN NULL
            WHEN j.value ->> 'next' IS NULL AND EXISTS (
                SELECT 1 FROM request AS r INDEXED BY request_one_open
                WHERE r.account = account.account AND r.finished_at IS NULL) THEN 0
            ELSE j.value ->> 'next'
        END,
        pace_from = j.value ->> 'pace', reread_at = j.value ->> 'reread', checked_at = j.value ->> 'checked',
        listing_hash = j.value ->> 'hash', failures = j.value ->> 'failures',
        last_error = CASE WHEN j.value ->> 'failures' = 0 THEN NULL
                     ELSE coalesce(j.value ->> 'error', account.last_error) END,
        trouble = CASE WHEN j.value ->> 'failures' = 0 THEN NULL
                  ELSE coalesce(j.value ->> 'trouble', account.trouble) END,
        unread_since = CASE WHEN j.value ->> 'unread' IS NULL THEN NULL
                       ELSE coalesce(account.unread_since, j.value ->> 'unread') END,
        state = CASE WHEN j.value ->> 'standing' IS NULL OR account.suspended_by = 'operator'
                     THEN account.state ELSE j.value ->> 'state' END,
        suspended_by = CASE WHEN j.value ->> 'standing' IS NULL OR account.suspended_by = 'operator'
                     THEN account.suspended_by ELSE j.value ->> 'by' END,
        errcode = CASE WHEN j.value ->> 'standing' IS NULL OR account.suspended_by = 'operator'
                     THEN account.errcode ELSE j.value ->> 'code' END,
        errmsg = CASE WHEN j.value ->> 'standing' IS NULL OR account.suspended_by = 'operator'
                     THEN account.errmsg ELSE j.value ->> 'msg' END,
        since = CASE WHEN j.value ->> 'standing' IS NULL OR account.suspended_by = 'operator'
                     THEN account.since ELSE j.value ->> 'standing' END
    FROM jsonb_each($1) AS j
    WHERE account.account = j.value ->> 'account'";

// A resumed account is due at once; so is one that gets a new request, unless an operator suspended it. One that WeChat
// suspended keeps the time of its probe.
const MAKE_DUE: &str = "
    INSERT INTO account (account, state, since, next_check_at, reread_at)
    SELECT j.value, 'active', $2, $2, $2 FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (account) DO UPDATE
    SET next_check_at = CASE account.suspended_by
            WHEN 'operator' THEN NULL
            WHEN 'wechat' THEN coalesce(account.next_check_at, $2)
            ELSE $2
        END,
        reread_at = $2";

// The same for accounts that are known, and nothing for a name that is not.
const WAKE: &str = "
    UPDATE account
    SET next_check_at = CASE account.suspended_by
            WHEN 'operator' THEN NULL
            WHEN 'wechat' THEN coalesce(account.next_check_at, $2)
            ELSE $2
        END,
        reread_at = $2
    FROM json_each($1) AS j
    WHERE account.account = j.value";

const STAND: &str = "
    UPDATE account
    SET state = $2, suspended_by = $3, errcode = NULL, errmsg = NULL, since = $4, next_check_at = $5, reread_at = $4,
        failures = 0, trouble = NULL, unread_since = NULL
    WHERE account = $1";

const DRIFT_PAGE: &str = "
    SELECT a.id FROM account AS a
    WHERE a.id > $1 AND a.next_check_at IS NULL AND a.suspended_by IS NULL
      AND EXISTS (SELECT 1 FROM request AS r INDEXED BY request_watched
                  WHERE r.account = a.account AND r.state = 'linked')
    ORDER BY a.id LIMIT $2";

const DRIFT: &str = "
    UPDATE account SET next_check_at = j.value ->> 1 FROM jsonb_each($1) AS j
    WHERE account.id = j.value ->> 0 AND account.next_check_at IS NULL";

// Two statements: an import makes a million accounts due at one moment, and where both columns are compared at once, every
// page reads all of that moment from its beginning.
const OPEN_AT: &str = "
    SELECT id, account, suspended_by, next_check_at, pace_from, reread_at, checked_at, listing_hash, failures,
           budget_day, budget_used
    FROM account INDEXED BY account_due
    WHERE next_check_at = $1 AND id > $2
    ORDER BY id LIMIT $3";

const OPEN_LATER: &str = "
    SELECT id, account, suspended_by, next_check_at, pace_from, reread_at, checked_at, listing_hash, failures,
           budget_day, budget_used
    FROM account INDEXED BY account_due
    WHERE next_check_at > $1
    ORDER BY next_check_at, id LIMIT $2";

const BY_NAME: &str = "
    SELECT a.id, a.account, a.suspended_by, a.next_check_at, a.pace_from, a.reread_at, a.checked_at, a.listing_hash,
           a.failures, a.budget_day, a.budget_used
    FROM jsonb_each($1) AS j JOIN account AS a ON a.account = j.value";

impl Store {
    /// Accounts with something due, oldest first: the next `limit` after (due, row) `after`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn due_accounts(&self, after: (i64, i64), limit: u32) -> Result<Vec<AccountRow>, StoreError> {
        let (due, row) = after;
        let mut page: Vec<AccountRow> =
            sqlx::query_as(OPEN_AT).bind(due).bind(row).bind(limit).fetch_all(self.readers()).await?;
        let rest = limit.saturating_sub(u32::try_from(page.len()).unwrap_or(limit));
        if rest > 0 {
            let later: Vec<AccountRow> =
                sqlx::query_as(OPEN_LATER).bind(due).bind(rest).fetch_all(self.readers()).await?;
            page.extend(later);
        }
        Ok(page)
    }

    /// These accounts, as far as they are known.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn accounts(&self, names: &[String]) -> Result<Vec<AccountRow>, StoreError> {
        Ok(sqlx::query_as(BY_NAME).bind(bulk::json(names)).fetch_all(self.readers()).await?)
    }
}

pub(super) async fn reserve(tx: &mut SqliteConnection, rows: &[Reservation]) -> Result<u64, StoreError> {
    let mut rows = rows.to_vec();
    // In the order of the table: neighbours are on one page, which is then found and written once.
    rows.sort_unstable_by_key(|Reservation(row, ..)| *row);
    bulk::execute(tx, RESERVE, &rows).await
}

pub(super) async fn update(tx: &mut SqliteConnection, updates: &[&AccountUpdate]) -> Result<(), StoreError> {
    let rows: Vec<UpdateRow<'_>> = updates.iter().map(|update| UpdateRow::from(*update)).collect();
    bulk::execute(tx, UPDATE, &rows).await.map(drop)
}

/// Makes accounts due now, and known when they were not.
pub(super) async fn make_due(tx: &mut SqliteConnection, accounts: &[&str], now: Time) -> Result<(), StoreError> {
    sqlx::query(MAKE_DUE).bind(bulk::json(accounts)).bind(now.ms()).execute(tx).await?;
    Ok(())
}

/// Makes those of the accounts that are known due now.
pub(super) async fn wake(tx: &mut SqliteConnection, accounts: &[String], now: Time) -> Result<(), StoreError> {
    sqlx::query(WAKE).bind(bulk::json(accounts)).bind(now.ms()).execute(tx).await?;
    Ok(())
}

pub(super) async fn set_standing(
    tx: &mut SqliteConnection,
    account: &AccountId,
    standing: &Standing,
    now: Time,
) -> Result<u64, StoreError> {
    let (state, by, ..) = standing.columns();
    let due = matches!(standing, Standing::Active).then_some(now.ms());
    let changed = sqlx::query(STAND)
        .bind(account.as_str())
        .bind(state)
        .bind(by)
        .bind(now.ms())
        .bind(due)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if changed > 0 {
        super::wakeups::add(tx, &[account.as_str()], now).await?;
    }
    Ok(changed)
}

/// Spreads the drift check of one page of accounts from `now` on; the page's last row, 0 after the last page.
pub(super) async fn begin_drift(
    tx: &mut SqliteConnection,
    after: i64,
    limit: u32,
    now: Time,
    spread_ms: i64,
) -> Result<u64, StoreError> {
    let page: Vec<i64> = sqlx::query_scalar(DRIFT_PAGE).bind(after).bind(limit).fetch_all(&mut *tx).await?;
    // Row numbers are dense: their remainder spreads them evenly and the same way every day.
    let rows: Vec<(i64, i64)> =
        page.iter().map(|id| (*id, now.ms() + id.wrapping_mul(7_919).rem_euclid(spread_ms.max(1)))).collect();
    bulk::execute(tx, DRIFT, &rows).await?;
    Ok(page.last().and_then(|id| u64::try_from(*id).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use sqlx::{QueryBuilder, Sqlite};

    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn a_page_of_a_start_begins_where_the_last_one_ended_and_not_at_the_beginning_of_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location { path: folder.path().join("a.db"), mode: 0o600 }, Role::Tool).await.unwrap();
        for (sql, wanted) in [(OPEN_AT, "(next_check_at=? AND rowid>?)"), (OPEN_LATER, "(next_check_at>?)")] {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            assert!(steps.len() == 1 && steps[0].3.ends_with(wanted), "it must not sort either: {steps:#?}");
        }
        store.close().await;
    }
}
