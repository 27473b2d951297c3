//! The audit's statements about the platform's own tokens: what came of pushes and commands, and whether accounts stand as
//! their authorizations do. Each is bounded by an index; they only read.

use super::audit::{FINDING, Finding};
use crate::{
    domain::time::Time,
    store::{Store, StoreError, decode, sql},
};

// A code lives for an hour. While the platform has no ticket, pushes wait for one.
const PUSH_LEFT: &str = "
    SELECT 'push_left' AS rule, p.appid AS subject,
           'the ' || p.kind || ' push that came at ' || strftime('%Y-%m-%dT%H:%M:%fZ', p.at / 1000.0, 'unixepoch')
           || ' was not taken up: see `amplinkd component status` and the log; `amplinkd authorizer refresh ' || p.appid
           || '` asks for its token' AS finding
    FROM push AS p INDEXED BY push_open WHERE p.done_at IS NULL AND p.at < $1 - 2700000
    ORDER BY p.at LIMIT $2";

const TOKEN_TASK_LEFT: &str = "
    SELECT 'token_task_left' AS rule, coalesce(t.appid, t.kind) AS subject,
           '`amplinkd authorizer ' || t.kind || '` of ' || strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch')
           || ' was not done: see that the daemon runs, then run it again' AS finding
    FROM token_task AS t INDEXED BY token_task_open WHERE t.done_at IS NULL AND t.at < $1
    ORDER BY t.id LIMIT $2";

// A claim ends by itself, and whoever needs the token next takes it over: within a day somebody does.
const CLAIM_LEFT: &str = "
    SELECT 'claim_left' AS rule, a.appid AS subject,
           'a fetch of its token was begun and neither ended nor begun anew since '
           || strftime('%Y-%m-%dT%H:%M:%fZ', a.claimed_until / 1000.0, 'unixepoch')
           || ': see the log for db errors; a restart frees it' AS finding
    FROM authorizer AS a INDEXED BY authorizer_claimed
    WHERE a.claimed_until IS NOT NULL AND a.claimed_until < $1 - 86400000
    ORDER BY a.claimed_until LIMIT $2";

// Whoever withdraws is suspended in the same transaction; an account that came later is at its first poll.
const UNAUTHORIZED_ACTIVE: &str = "
    SELECT 'unauthorized_active' AS rule, a.account AS subject,
           'is polled although it is not authorized since ' || strftime('%Y-%m-%dT%H:%M:%fZ', g.since / 1000.0, 'unixepoch')
           || ': `amplinkd account check ' || a.account || '` shows what WeChat says; please report this' AS finding
    FROM (SELECT appid, since, state FROM authorizer INDEXED BY authorizer_gone WHERE state <> 'authorized' LIMIT $3) AS g
    CROSS JOIN account AS a ON a.account = g.appid
    WHERE g.state = 'unauthorized' AND g.since < $1 AND a.since < $1 AND a.suspended_by IS NULL
      AND a.next_check_at IS NOT NULL
    LIMIT $2";

// Every refresh lifts the suspension, and a token lives for two hours: one that lasts longer was not lifted.
const AUTHORIZED_SUSPENDED: &str = "
    SELECT 'authorized_suspended' AS rule, s.account AS subject,
           'is suspended with 61003 since ' || strftime('%Y-%m-%dT%H:%M:%fZ', s.since / 1000.0, 'unixepoch')
           || ' although it is authorized with permission set 33: `amplinkd account resume ' || s.account
           || '` lifts that; please report this' AS finding
    FROM (SELECT account, since FROM account INDEXED BY account_refused
          WHERE errcode = 61003 AND state = 'suspended' AND suspended_by = 'wechat' LIMIT $3) AS s
    CROSS JOIN authorizer AS g ON g.appid = s.account
    WHERE s.since < $1 - 10800000 AND g.since < $1 - 10800000 AND g.state = 'authorized' AND g.token IS NOT NULL
      AND (SELECT v.has_link_permission FROM v_authorizer AS v WHERE v.appid = g.appid) = 1
    LIMIT $2";

const RULES: [&str; 3] = [PUSH_LEFT, TOKEN_TASK_LEFT, CLAIM_LEFT];

/// The rules that compare accounts with their authorizations.
const COMPARING: [&str; 2] = [UNAUTHORIZED_ACTIVE, AUTHORIZED_SUSPENDED];

/// Accounts that are compared with their authorizations in one audit.
const COMPARED_MAX: u32 = 10_000;

impl Store {
    /// What is left undone or contradicts itself about the platform's own tokens, due before this moment; at most `limit` of
    /// each rule. For a daemon that keeps them: rows of one that did before say nothing of today.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn audit_platform(&self, overdue_before: Time, limit: u32) -> Result<Vec<Finding>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        let mut found: Vec<Finding> = Vec::new();
        for rule in RULES {
            let rows = sql::query(rule).bind(overdue_before.ms()).bind(limit).fetch_all(&mut tx).await?;
            found.extend(decode::legible::<Finding>(&rows, FINDING));
        }
        for rule in COMPARING {
            let query = sql::query(rule).bind(overdue_before.ms()).bind(limit).bind(COMPARED_MAX);
            found.extend(decode::legible::<Finding>(&query.fetch_all(&mut tx).await?, FINDING));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn what_is_left_is_found_along_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for sql in RULES.into_iter().chain(COMPARING) {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: Vec<(i64, i64, i64, String)> = sql::query_as(plan).fetch_all(store.readers()).await.unwrap();
            let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
            // `g` and `s` are bounded themselves; open tasks are as many as commands wait; `p` is one row's list.
            let is_whole = |step: &&str| {
                step.starts_with("SCAN")
                    && !step.contains("_open")
                    && !step.contains("_gone")
                    && !["SCAN g", "SCAN s"].contains(step)
                    && !step.starts_with("SCAN p VIRTUAL TABLE")
            };
            assert!(!steps.iter().any(is_whole), "{steps:#?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "it sorts nothing: {steps:#?}");
        }
        store.close().await;
    }
}
