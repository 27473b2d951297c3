//! What holds back more than one request, as alerting reads it every few seconds: accounts that cannot be read or
//! called, from an index and up to a limit; unknown statuses; gates; the plan.

use sqlx::FromRow;

use crate::{
    domain::{account::Trouble, alert_rules::Count, time::Time},
    store::{
        Store, StoreError, bulk, decode, sql,
        tables::ACCOUNT,
        write::gates::{GATE, Gate},
    },
};

/// Codes by which accounts are suspended, and statuses that are unknown, of which anybody is told at once: a list may hold
/// thousands of them, and no person can use more.
const KINDS_MAX: u32 = 20;

/// An account that cannot be read or called.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AffectedAccount {
    /// The account.
    pub account: String,
    /// `WeChat`'s code, when it is suspended.
    pub errcode: Option<i64>,
    /// Its text; of other troubles the last error.
    pub said: Option<String>,
    /// Since when, milliseconds UTC.
    pub since: i64,
    /// When its list was last read, milliseconds UTC.
    pub read_at: Option<i64>,
}

/// An account as an alert of it is judged by.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AccountNow {
    /// The account.
    pub account: String,
    /// `operator`, `wechat`, or nobody.
    pub suspended_by: Option<String>,
    /// Since when its list cannot be read.
    pub unread_since: Option<i64>,
    /// Why.
    pub trouble: Option<String>,
    /// When it was last read.
    pub checked_at: Option<i64>,
    /// When it is looked at next; `None`: nothing of it waits.
    pub next_check_at: Option<i64>,
    /// Since when its calls are refused.
    pub calls_refused_since: Option<i64>,
}

/// Items that are listed with one status.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Listed {
    /// The status.
    pub status: i64,
    /// How many, counted to one more than [`Count::MAX`].
    pub count: i64,
    /// One of the accounts.
    pub account: String,
    /// Its item: the program, or its name in the list.
    pub item: String,
}

// The three looks are those of the index account_unreadable.
const UNREAD_COUNT: &str = "
    SELECT count(*)
    FROM (SELECT a.id FROM account AS a INDEXED BY account_unreadable
          WHERE a.trouble = $1 AND a.failures >= 3 AND a.unread_since IS NOT NULL AND a.state = 'active'
            AND a.next_check_at IS NOT NULL
          LIMIT $2) AS found";

const UNREAD: &str = "
    SELECT a.account, NULL AS errcode, a.last_error AS said, a.unread_since AS since, a.checked_at AS read_at
    FROM account AS a INDEXED BY account_unreadable
    WHERE a.trouble = $1 AND a.failures >= 3 AND a.unread_since IS NOT NULL AND a.state = 'active'
      AND a.next_check_at IS NOT NULL AND a.unread_since <= $2
    ORDER BY a.unread_since
    LIMIT $3";

// From code to code along the index, however many accounts each has.
const REFUSED_CODES: &str = "
    WITH RECURSIVE known (errcode, place) AS (
        SELECT min(f.errcode), 1 FROM account AS f INDEXED BY account_refused
        WHERE f.state = 'suspended' AND f.suspended_by = 'wechat'
        UNION ALL
        SELECT (SELECT min(n.errcode) FROM account AS n INDEXED BY account_refused
                WHERE n.state = 'suspended' AND n.suspended_by = 'wechat' AND n.errcode > known.errcode), known.place + 1
        FROM known WHERE known.errcode IS NOT NULL AND known.place < $1
    )
    SELECT known.errcode,
           (SELECT count(*) FROM (
                SELECT a.id FROM account AS a INDEXED BY account_refused
                WHERE a.state = 'suspended' AND a.suspended_by = 'wechat' AND a.errcode = known.errcode
                LIMIT $2) AS found)
    FROM known WHERE known.errcode IS NOT NULL";

const REFUSED: &str = "
    SELECT a.account, a.errcode, a.errmsg AS said, a.since, a.checked_at AS read_at
    FROM account AS a INDEXED BY account_refused
    WHERE a.state = 'suspended' AND a.suspended_by = 'wechat' AND a.errcode = $1
    LIMIT $2";

const CALLS_REFUSED: &str = "
    SELECT a.account, NULL AS errcode, a.call_error AS said, a.calls_refused_since AS since, a.checked_at AS read_at
    FROM account AS a INDEXED BY account_calls_refused
    WHERE a.calls_refused_since IS NOT NULL AND a.calls_refused_since <= $1 AND a.call_failures >= 3
      AND a.state = 'active' AND a.next_check_at IS NOT NULL
    ORDER BY a.calls_refused_since
    LIMIT $2";

const SPENT: &str = "
    SELECT a.account, NULL AS errcode, NULL AS said, a.spent_day AS since, a.checked_at AS read_at
    FROM account AS a INDEXED BY account_spent
    WHERE a.spent_day IS NOT NULL AND a.spent_day >= $1
    ORDER BY a.spent_day, a.id
    LIMIT $2";

const NOW: &str = "
    SELECT a.account, a.suspended_by, a.unread_since, a.trouble, a.checked_at, a.next_check_at, a.calls_refused_since
    FROM jsonb_each($1) AS j CROSS JOIN account AS a ON a.account = j.value";

const UNKNOWN_STATUSES: &str = "
    WITH RECURSIVE known (status, place) AS (
        SELECT min(f.status), 1 FROM program AS f INDEXED BY program_unknown
        WHERE f.gone_at IS NULL AND f.status NOT BETWEEN 1 AND 3 AND f.status <> 12
        UNION ALL
        SELECT (SELECT min(n.status) FROM program AS n INDEXED BY program_unknown
                WHERE n.gone_at IS NULL AND n.status NOT BETWEEN 1 AND 3 AND n.status <> 12
                  AND n.status > known.status), known.place + 1
        FROM known WHERE known.status IS NOT NULL AND known.place < $1
    )
    SELECT known.status,
           (SELECT count(*) FROM (
                SELECT c.item FROM program AS c INDEXED BY program_unknown
                WHERE c.gone_at IS NULL AND c.status NOT BETWEEN 1 AND 3 AND c.status <> 12
                  AND c.status = known.status LIMIT $2) AS found) AS count,
           p.account, coalesce(p.program, p.item) AS item
    FROM known
    CROSS JOIN program AS p ON (p.account, p.item) = (
        SELECT e.account, e.item FROM program AS e INDEXED BY program_unknown
        WHERE e.gone_at IS NULL AND e.status NOT BETWEEN 1 AND 3 AND e.status <> 12
          AND e.status = known.status LIMIT 1)
    WHERE known.status IS NOT NULL";

// A day that has perhaps not rolled yet is not used up.
const GATES: &str = "
    SELECT kind, subject, until, errcode, errmsg, at, early FROM gate
    WHERE kind = 'ip' OR (kind = 'api_day' AND early = 0)
    ORDER BY kind DESC LIMIT $1";

/// One more than is counted, so that a count which ended there is known to have.
fn beyond() -> i64 {
    i64::try_from(Count::MAX + 1).unwrap_or(i64::MAX)
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

impl Store {
    /// How many accounts could not be read at three looks in a row for this reason, to one more than [`Count::MAX`].
    pub async fn unread_count(&self, trouble: Trouble) -> Result<u64, StoreError> {
        let query = sql::query_scalar(UNREAD_COUNT).bind(trouble.as_str()).bind(beyond());
        Ok(whole(query.fetch_one(self.readers()).await?))
    }

    /// Those of them whose lists could last be read before then, the longest first, at most `limit`.
    pub async fn unread(&self, trouble: Trouble, before: Time, limit: u64) -> Result<Vec<AffectedAccount>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sql::query(UNREAD).bind(trouble.as_str()).bind(before.ms()).bind(limit);
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// Codes by which `WeChat` suspended accounts, each with how many, to one more than [`Count::MAX`].
    pub async fn refused_codes(&self) -> Result<Vec<(i64, u64)>, StoreError> {
        let query = sql::query(REFUSED_CODES).bind(KINDS_MAX).bind(beyond());
        let codes: Vec<(i64, i64)> = decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT);
        Ok(codes.into_iter().map(|(code, count)| (code, whole(count))).collect())
    }

    /// Accounts that `WeChat` suspended with this code, at most `limit`.
    pub async fn refused(&self, errcode: i64, limit: u64) -> Result<Vec<AffectedAccount>, StoreError> {
        let query = sql::query(REFUSED).bind(errcode).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// Accounts whose calls were refused three times in a row, and are since before then, the longest first; at most
    /// `limit`.
    pub async fn calls_refused(&self, before: Time, limit: u64) -> Result<Vec<AffectedAccount>, StoreError> {
        let query = sql::query(CALLS_REFUSED).bind(before.ms()).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// Accounts whose looks of this Beijing day are used up, to one more than [`Count::MAX`].
    pub async fn spent(&self, day: i64) -> Result<Vec<AffectedAccount>, StoreError> {
        let query = sql::query(SPENT).bind(day).bind(beyond());
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// These accounts, as far as they are known and their rows are legal.
    pub async fn accounts_now(&self, names: &[&str]) -> Result<Vec<AccountNow>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(decode::legible(&sql::query(NOW).bind(bulk::json(names)).fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// Statuses that no page documents and that something is listed with, the smallest first.
    pub async fn unknown_statuses(&self) -> Result<Vec<Listed>, StoreError> {
        let query = sql::query(UNKNOWN_STATUSES).bind(KINDS_MAX).bind(beyond());
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ACCOUNT))
    }

    /// Gates that hold back whole accounts, to one more than [`Count::MAX`]: our address first.
    pub async fn account_gates(&self) -> Result<Vec<Gate>, StoreError> {
        Ok(decode::legible(&sql::query(GATES).bind(beyond()).fetch_all(self.readers()).await?, GATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn no_look_around_reads_all_accounts_or_all_programs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for sql in [UNREAD_COUNT, UNREAD, REFUSED_CODES, REFUSED, CALLS_REFUSED, SPENT, NOW, UNKNOWN_STATUSES] {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: Vec<(i64, i64, i64, String)> = sql::query_as(plan).fetch_all(store.readers()).await.unwrap();
            // What else is scanned is what another step has found and bounded.
            let tables = ["SCAN a", "SCAN f", "SCAN n", "SCAN c", "SCAN e", "SCAN p"];
            let is_whole =
                |step: &str| tables.iter().any(|table| step == *table || step.starts_with(&format!("{table} ")));
            let is_bad = |step: &str| is_whole(step) || step.contains("TEMP B-TREE");
            assert!(!plan.iter().any(|(.., step)| is_bad(step)), "{sql}: {plan:#?}");
        }
        store.close().await;
    }
}
