//! The figures of `amplinkd status`, each answered by an index, and the daemon's own record in the file.
//!
//! Times are RFC 3339 strings, as in the views: programs read them as JSON.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    domain::time::Time,
    store::{Store, StoreError, bulk, sql},
};

/// The daemon that runs, or else the last one that ran: the row of `v_daemon`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct DaemonView {
    /// Its process.
    pub pid: i64,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_at: String,
    /// When it could last write.
    pub written_at: String,
    /// When it ended in good order; `None` while it runs, and when it was killed.
    pub stopped_at: Option<String>,
}

/// The request that has stood longest in a state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Longest {
    /// The state.
    pub state: String,
    /// The request.
    pub id: String,
    /// Since when.
    pub since: String,
}

/// Accounts that cannot be read for one kind of reason.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct UnreadCause {
    /// The word of `v_account.trouble`.
    pub trouble: String,
    /// How many accounts.
    pub count: i64,
    /// Since when the first of them.
    pub since: String,
    /// What the last look at one of them met.
    pub example: Option<String>,
}

/// Accounts that are suspended by the same hand with the same code.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct SuspendedCause {
    /// `wechat` or `operator`.
    pub suspended_by: String,
    /// `WeChat`'s code.
    pub errcode: Option<i64>,
    /// How many accounts.
    pub count: i64,
    /// Since when the first of them.
    pub since: String,
}

/// Accounts whose list can be read and whose calls are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct CallsHeld {
    /// How many accounts.
    pub count: i64,
    /// Since when the first of them.
    pub since: Option<String>,
    /// What `WeChat` said to that one.
    pub example: Option<String>,
}

/// Gates that one code has closed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct GateFigures {
    /// The word of `v_gate.kind`.
    pub kind: String,
    /// The code.
    pub errcode: i64,
    /// How many gates.
    pub count: i64,
    /// When the first of them opens, or is tried.
    pub until: String,
}

/// Open alerts of one reason in one state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AlertCount {
    /// The rule.
    pub rule: String,
    /// The reason.
    pub reason: String,
    /// The state.
    pub state: String,
    /// How many alerts.
    pub count: i64,
    /// When the first of them fired.
    pub fired_at: String,
}

const DAEMON: &str = "SELECT pid, version, started_at, written_at, stopped_at FROM v_daemon";

// From state to state along the index, whatever stands in each.
const LONGEST: &str = "
    SELECT r.state, r.id, coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch'), '') AS since
    FROM json_each($1) AS j
    CROSS JOIN request AS r ON r.id = (
        SELECT n.id FROM request AS n INDEXED BY request_waiting
        WHERE n.state = j.value AND n.finished_at IS NULL ORDER BY n.since LIMIT 1)";

const ACCOUNTS: &str = "SELECT count(*) FROM account";

const UNREAD: &str = "
    SELECT a.trouble, count(*) AS count,
           coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', min(a.unread_since) / 1000.0, 'unixepoch'), '') AS since,
           (SELECT e.last_error FROM account AS e INDEXED BY account_trouble
            WHERE e.trouble = a.trouble AND e.unread_since IS NOT NULL LIMIT 1) AS example
    FROM account AS a INDEXED BY account_trouble
    WHERE a.trouble IS NOT NULL AND a.unread_since IS NOT NULL
    GROUP BY a.trouble ORDER BY a.trouble";

const UNREAD_SINCE: &str = "
    SELECT count(*) FROM account AS a INDEXED BY account_unread WHERE a.unread_since <= $1";

const SUSPENDED: &str = "
    SELECT a.suspended_by, a.errcode, count(*) AS count,
           coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', min(a.since) / 1000.0, 'unixepoch'), '') AS since
    FROM account AS a INDEXED BY account_suspended_by
    WHERE a.suspended_by IS NOT NULL
    GROUP BY a.suspended_by, a.errcode ORDER BY a.suspended_by, a.errcode";

const CALLS_HELD: &str = "
    SELECT count(*) AS count,
           strftime('%Y-%m-%dT%H:%M:%fZ', min(a.calls_refused_since) / 1000.0, 'unixepoch') AS since,
           (SELECT e.call_error FROM account AS e INDEXED BY account_calls_refused
            WHERE e.calls_refused_since IS NOT NULL ORDER BY e.calls_refused_since LIMIT 1) AS example
    FROM account AS a INDEXED BY account_calls_refused
    WHERE a.calls_refused_since IS NOT NULL";

// The gate of our address stays closed until a call goes through, whenever the next one is tried.
const GATES: &str = "
    SELECT g.kind, g.errcode, count(*) AS count,
           coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', min(g.until) / 1000.0, 'unixepoch'), '') AS until
    FROM gate AS g
    WHERE g.until > $1 OR g.kind = 'ip'
    GROUP BY g.kind, g.errcode ORDER BY g.kind, g.errcode";

const ALERTS: &str = "
    SELECT c.rule, c.reason, c.state, c.count,
           coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', l.fired_at / 1000.0, 'unixepoch'), '') AS fired_at
    FROM (SELECT n.rule, n.reason, n.state, count(*) AS count, min(n.id) AS first
          FROM alert AS n INDEXED BY alert_open WHERE n.resolved_at IS NULL
          GROUP BY n.rule, n.reason, n.state) AS c
    CROSS JOIN alert AS l ON l.id = c.first
    ORDER BY c.rule, c.reason, c.state";

const COPY: &str = "
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', c.made_at / 1000.0, 'unixepoch') FROM copy AS c ORDER BY c.made_at LIMIT 1";

impl Store {
    /// The daemon that runs or ran last; `None` when none ever did.
    pub async fn daemon(&self) -> Result<Option<DaemonView>, StoreError> {
        Ok(sql::query_as(DAEMON).fetch_optional(self.readers()).await?)
    }

    /// The request that has stood longest in each of these states; open ones.
    pub async fn longest_in(&self, states: &[&str]) -> Result<Vec<Longest>, StoreError> {
        Ok(sql::query_as(LONGEST).bind(bulk::json(states)).fetch_all(self.readers()).await?)
    }

    /// How many accounts are known.
    pub async fn count_accounts(&self) -> Result<i64, StoreError> {
        Ok(sql::query_scalar(ACCOUNTS).fetch_one(self.readers()).await?)
    }

    /// Accounts that cannot be read, by cause.
    pub async fn unread_causes(&self) -> Result<Vec<UnreadCause>, StoreError> {
        Ok(sql::query_as(UNREAD).fetch_all(self.readers()).await?)
    }

    /// How many accounts could not be read since then, or longer.
    pub async fn count_unread_since(&self, since: Time) -> Result<i64, StoreError> {
        Ok(sql::query_scalar(UNREAD_SINCE).bind(since.ms()).fetch_one(self.readers()).await?)
    }

    /// Suspended accounts, by cause.
    pub async fn suspended_causes(&self) -> Result<Vec<SuspendedCause>, StoreError> {
        Ok(sql::query_as(SUSPENDED).fetch_all(self.readers()).await?)
    }

    /// Accounts whose calls are held back because they were refused.
    pub async fn calls_held(&self) -> Result<CallsHeld, StoreError> {
        Ok(sql::query_as(CALLS_HELD).fetch_one(self.readers()).await?)
    }

    /// Closed gates, by cause.
    pub async fn gate_figures(&self, now: Time) -> Result<Vec<GateFigures>, StoreError> {
        Ok(sql::query_as(GATES).bind(now.ms()).fetch_all(self.readers()).await?)
    }

    /// Open alerts, by reason and state.
    pub async fn count_alerts(&self) -> Result<Vec<AlertCount>, StoreError> {
        Ok(sql::query_as(ALERTS).fetch_all(self.readers()).await?)
    }

    /// When the copy was made that this database is, while no daemon has started on it.
    pub async fn copy_waiting(&self) -> Result<Option<String>, StoreError> {
        Ok(sql::query_scalar(COPY).fetch_optional(self.readers()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, sql::QueryBuilder};

    #[tokio::test]
    async fn no_figure_reads_a_row_of_every_request_account_or_alert() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for sql in [LONGEST, ACCOUNTS, UNREAD, UNREAD_SINCE, SUSPENDED, CALLS_HELD, ALERTS] {
            let mut query: QueryBuilder = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            // A covering index of what is counted may be read to its end; the subquery of the alerts is few rows.
            let reads_rows = |step: &str| step.starts_with("SCAN") && !step.contains("COVERING INDEX");
            let wrong = steps.iter().filter(|(.., step)| reads_rows(step) && !["SCAN j", "SCAN c"].contains(&&**step));
            let wrong: Vec<_> = wrong.filter(|(.., step)| !step.contains("VIRTUAL TABLE")).collect();
            assert!(wrong.is_empty(), "{sql}\n{steps:#?}");
        }
        store.close().await;
    }
}
