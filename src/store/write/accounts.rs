//! Rows of `account`: whether we may call, when we look next, what the last listing was. The due time of
//! an account with an open request is never lost.

use super::urgency::Urgency;
use crate::{
    domain::{id::AccountId, time::Time},
    store::{
        Store, StoreError,
        account_row::{AccountRow, AccountUpdate, UpdateRow, select_accounts},
        bulk, decode,
        executor::Db,
        sql::{self, Row, Tx, args},
        tables::ACCOUNT,
    },
};

pub use crate::store::account_row::Account;

/// What a poll that is about to be made must leave on disk first.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    /// The row's number.
    pub row: i64,
    /// When the account is due after that poll.
    pub due: Time,
    /// The Beijing day of the budget.
    pub day: i64,
    /// The budget used, that poll included.
    pub used: i64,
    /// When a listing was last received.
    pub read: Option<Time>,
    /// The Beijing day, when its budget is used up.
    pub spent: Option<i64>,
}

// An operator may have suspended the account while this was under way.
const RESERVE: &str = "
    UPDATE account
    SET next_check_at = CASE WHEN suspended_by = 'operator' THEN NULL ELSE ?2 END,
        budget_day = ?3, budget_used = ?4, checked_at = ?5, spent_day = ?6
    WHERE id = ?1";

// An operator's suspension outlives what a poll under way has learned, and no account with an open request loses its
// due time to a poll that did not know of it.
const UPDATE: &str = "
    UPDATE account
    SET next_check_at = CASE
            WHEN suspended_by = 'operator' THEN NULL
            WHEN ?2 IS NULL AND EXISTS (
                SELECT 1 FROM request AS r INDEXED BY request_one_open
                WHERE r.account = account.account AND r.finished_at IS NULL) THEN 0
            ELSE ?2
        END,
        asked = ?3, pace_from = ?4, reread_at = ?5, checked_at = ?6, listing_hash = ?7, failures = ?8,
        last_error = coalesce(?9, CASE WHEN ?8 > 0 THEN last_error END),
        trouble = CASE WHEN suspended_by = 'operator' THEN NULL ELSE ?10 END,
        unread_since = CASE WHEN suspended_by = 'operator' THEN NULL ELSE ?11 END,
        call_failures = ?12, calls_refused_since = ?13, call_after = ?14,
        call_error = CASE WHEN ?12 = 0 THEN NULL ELSE coalesce(?15, call_error) END,
        state = CASE WHEN suspended_by = 'operator' OR ?16 IS NOT NULL THEN 'suspended' ELSE 'active' END,
        suspended_by = CASE WHEN suspended_by = 'operator' THEN 'operator' ELSE ?16 END,
        errcode = CASE WHEN suspended_by = 'operator' THEN errcode
                  WHEN ?16 IS NULL THEN NULL ELSE coalesce(?17, errcode) END,
        errmsg = CASE WHEN suspended_by = 'operator' THEN errmsg
                 WHEN ?16 IS NULL THEN NULL ELSE coalesce(?18, errmsg) END,
        since = CASE WHEN suspended_by = 'operator' OR suspended_by IS NOT DISTINCT FROM ?16 THEN since ELSE ?19 END
    WHERE account.account = ?1";

// The same of an account that is well and was so before, as nearly all are: of its indexes, that of due times alone.
const WELL: &str = "
    UPDATE account
    SET next_check_at = CASE
            WHEN ?2 IS NULL AND EXISTS (
                SELECT 1 FROM request AS r INDEXED BY request_one_open
                WHERE r.account = account.account AND r.finished_at IS NULL) THEN 0
            ELSE ?2
        END,
        asked = ?3, pace_from = ?4, reread_at = ?5, checked_at = ?6, listing_hash = ?7
    WHERE account.account = ?1 AND state = 'active' AND failures = 0 AND last_error IS NULL AND trouble IS NULL
      AND unread_since IS NULL AND call_failures = 0 AND calls_refused_since IS NULL AND call_after IS NULL
      AND call_error IS NULL AND errcode IS NULL AND errmsg IS NULL";

// A resumed account is due at once; so is one that gets a new request, unless an operator suspended it. One that WeChat
// suspended keeps the time of its probe. Its pace is that of the new request, also before anybody has looked.
const MAKE_DUE: &str = "
    INSERT INTO account (account, state, since, next_check_at, pace_from, reread_at, asked)
    SELECT j.value, 'active', $2, $2, $2, $2, $3 FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (account) DO UPDATE
    SET asked = max(account.asked, excluded.asked), next_check_at = CASE account.suspended_by
            WHEN 'operator' THEN NULL
            WHEN 'wechat' THEN coalesce(account.next_check_at, $2)
            ELSE $2
        END,
        pace_from = $2, reread_at = $2";

// The same for accounts that are known, and nothing for a name that is not.
const WAKE: &str = "
    UPDATE account
    SET next_check_at = CASE suspended_by
            WHEN 'operator' THEN NULL
            WHEN 'wechat' THEN coalesce(next_check_at, ?2)
            ELSE ?2
        END,
        reread_at = ?2, asked = max(asked, ?3)
    WHERE account = ?1";

// Two statements: an import makes a million accounts due at one moment, and where both columns are compared at once, every
// page reads all of that moment from its beginning.
const DUE_AT: &str = select_accounts!(
    "account AS a INDEXED BY account_due WHERE a.next_check_at = $1 AND a.id > $2 AND (($4 >> CAST(a.id % 64 AS INTEGER)) & 1) = 1
     ORDER BY a.id LIMIT $3"
);

const DUE_LATER: &str = select_accounts!(
    "account AS a INDEXED BY account_due WHERE a.next_check_at > $1 AND (($3 >> CAST(a.id % 64 AS INTEGER)) & 1) = 1
     ORDER BY a.next_check_at, a.id LIMIT $2"
);

const ONE: &str = select_accounts!("account AS a WHERE a.account = ?1");

const BY_NAME: &str = select_accounts!("jsonb_each($1) AS j JOIN account AS a ON a.account = j.value");

/// A page of accounts with something due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuePage {
    /// Those that are legal.
    pub accounts: Vec<Account>,
    /// After which (due, row) the next page begins; `None`: there is none.
    pub next: Option<(i64, i64)>,
}

impl Store {
    /// Accounts with something due, oldest first: the next `limit` after (due, row) `after`. One whose row is not legal is
    /// left out, and told of.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn due_accounts(&self, after: (i64, i64), limit: u32, shard_bits: i64) -> Result<DuePage, StoreError> {
        let (due, row) = after;
        let mut page =
            sql::query(DUE_AT).bind(due).bind(row).bind(limit).bind(shard_bits).fetch_all(self.readers()).await?;
        let rest = limit.saturating_sub(u32::try_from(page.len()).unwrap_or(limit));
        if rest > 0 {
            page.extend(sql::query(DUE_LATER).bind(due).bind(rest).bind(shard_bits).fetch_all(self.readers()).await?);
        }
        let is_full = u32::try_from(page.len()).unwrap_or(limit) >= limit;
        Ok(DuePage { next: page.last().filter(|_| is_full).and_then(place), accounts: self.legal(&page) })
    }

    /// These accounts, as far as they are known and legal.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn accounts(&self, names: &[String]) -> Result<Vec<Account>, StoreError> {
        Ok(self.legal(&sql::query(BY_NAME).bind(bulk::json(names)).fetch_all(self.readers()).await?))
    }

    /// Writes, ahead of the polls they announce, when each account is due next and what its budget is then. Answers the rows
    /// that were refused because they are not legal: their polls may not be made.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, so none of these polls may be made.
    pub async fn reserve(&self, mut reservations: Vec<Reservation>) -> Result<Vec<i64>, StoreError> {
        // In the order of the table: neighbours are on one page, which is then found and written once.
        reservations.sort_unstable_by_key(|reservation| reservation.row);
        self.executor.write(move |db| reserve(db, &reservations)).await
    }
}

/// The place of a row in the order of due times. Whatever is no number comes after all numbers, and nothing after it is
/// legal.
fn place(row: &Row) -> Option<(i64, i64)> {
    let (due, id) = (decode::column::<i64>(row, "next_check_at"), decode::column(row, "id")?);
    match due {
        Some(due) => Some((due, id)),
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, and the order stays")]
        None => decode::column::<f64>(row, "next_check_at").map(|due| (due.ceil() as i64, i64::MIN)),
    }
}

/// Writes reservations; the rows that refused theirs.
fn reserve(db: Db<'_>, rows: &[Reservation]) -> Result<Vec<i64>, StoreError> {
    let mut refused = Vec::new();
    for Reservation { row, due, day, used, read, spent } in rows {
        let written = db.execute(RESERVE, (row, due.ms(), day, used, read.map(Time::ms), spent));
        if !decode::apart(ACCOUNT.name, row, written)? {
            refused.push(*row);
        }
    }
    Ok(refused)
}

pub(super) fn update(db: Db<'_>, update: &AccountUpdate) -> Result<(), StoreError> {
    let row = UpdateRow::from(update);
    if row.is_well() {
        let well = (row.account, row.next, row.asked, row.pace, row.reread, row.checked, row.hash);
        if db.execute(WELL, well)? > 0 {
            return Ok(());
        }
    }
    db.execute(
        UPDATE,
        args![
            row.account,
            row.next,
            row.asked,
            row.pace,
            row.reread,
            row.checked,
            row.hash,
            row.failures,
            row.error,
            row.trouble,
            row.unread,
            row.refused,
            row.refused_since,
            row.call_after,
            row.call_error,
            row.by,
            row.code,
            row.msg,
            row.at,
        ],
    )
    .map(drop)
}

/// One account; nothing when it is not known or its row is not legal.
pub(super) fn known(db: Db<'_>, account: &AccountId) -> Result<Option<Account>, StoreError> {
    let found = db.first(ONE, [account.as_str()], |row| Ok(decode::cells(row, ACCOUNT, AccountRow::read)))?;
    Ok(found.and_then(|row| row.and_then(Account::try_from).inspect_err(decode::tell).ok()))
}

/// Makes accounts due now, and known when they were not.
pub(super) async fn make_due(
    tx: &mut Tx<'_>,
    accounts: &[&str],
    urgency: Urgency,
    now: Time,
) -> Result<(), StoreError> {
    sql::query(MAKE_DUE).bind(bulk::json(accounts)).bind(now.ms()).bind(urgency.flag()).execute(tx).await?;
    Ok(())
}

/// Makes those of the accounts that are known due now; beside each, whether somebody waits for the answer.
pub(super) fn wake(db: Db<'_>, accounts: &[(String, bool)], now: Time) -> Result<(), StoreError> {
    for (account, asked) in accounts {
        decode::apart(ACCOUNT.name, account, db.execute(WAKE, (account, now.ms(), asked)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, sql::QueryBuilder};

    #[tokio::test]
    async fn a_page_of_a_start_begins_where_the_last_one_ended_and_not_at_the_beginning_of_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for (sql, wanted) in [(DUE_AT, "(next_check_at=? AND rowid>?)"), (DUE_LATER, "(next_check_at>?)")] {
            let mut query: QueryBuilder = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            assert!(steps.len() == 1 && steps[0].3.ends_with(wanted), "it must not sort either: {steps:#?}");
        }
        store.close().await;
    }
}
