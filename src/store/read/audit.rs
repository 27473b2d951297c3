//! The audit's statements, one per rule, each bounded by an index: an unbounded one would be too expensive to run every
//! minute. They only read.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    domain::{alert_rules::Stage, time::Time},
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        sql::{self, Tx},
    },
};

/// Requests whose end of history is compared in one audit: a few milliseconds.
const HISTORIES: u32 = 20_000;

/// One thing that the audit found.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The rule it breaks.
    pub rule: String,
    /// The request, account, job or row.
    pub subject: String,
    /// What is wrong and what to do, as a sentence.
    pub finding: String,
}

/// A row that cannot even be named is one of those that the search for them names.
pub(super) const FINDING: Table = Table { name: "audit", key: &["rule", "subject"] };

// An account that an operator suspended waits for that operator.
const NO_NEXT_STEP: &str = "
    SELECT 'no_next_step' AS rule, r.id AS subject,
           'open in ' || r.state || ', but its account ' || r.account
           || ' has no due time: `amplinkd account resume ' || r.account || '` makes it due; please report this' AS finding
    FROM account AS a INDEXED BY account_idle
    CROSS JOIN request AS r INDEXED BY request_one_open ON r.account = a.account AND r.finished_at IS NULL
    WHERE a.next_check_at IS NULL AND a.suspended_by IS DISTINCT FROM 'operator' AND $1 IS NOT NULL
    LIMIT $2";

const OVERDUE: &str = "
    SELECT 'overdue' AS rule, a.account AS subject,
           'due since ' || strftime('%Y-%m-%dT%H:%M:%fZ', a.next_check_at / 1000.0, 'unixepoch')
           || ' and not looked at: see that the daemon runs, and raise [wechat] per_second if it cannot keep up' AS finding
    FROM account AS a WHERE a.next_check_at < $1
    ORDER BY a.next_check_at LIMIT $2";

const DEFERRED_OVERDUE: &str = "
    SELECT 'deferred_overdue' AS rule, r.id AS subject,
           'deferred until ' || strftime('%Y-%m-%dT%H:%M:%fZ', r.deferred_until / 1000.0, 'unixepoch')
           || ' and not taken up: see that the daemon runs, else ask again with `amplinkd request cancel` and `retry`' AS finding
    FROM request AS r INDEXED BY request_deferred JOIN account AS a ON a.account = r.account
    WHERE r.deferred_until < $1 AND a.suspended_by IS NULL
    LIMIT $2";

// A process makes a call within seconds, and the next one takes an unanswered call for lost.
const CALL_UNANSWERED: &str = "
    SELECT 'call_unanswered' AS rule, r.id AS subject,
           'its call is out since ' || strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch')
           || ' and neither answered nor given up: look for db errors in the log, then restart the daemon' AS finding
    FROM request AS r INDEXED BY request_calling
    WHERE r.state = 'initiating' AND r.outcome_unknown = 0 AND r.since < $1
    LIMIT $2";

// What WeChat said to be linked keeps its conflict until the list confirms it.
const CONFLICT_LEFT_OPEN: &str = "
    SELECT 'conflict_left_open' AS rule, c.id AS subject,
           'still open, but its request ' || r.id || ' has ended as ' || r.state
           || ': nothing will resolve it; please report this' AS finding
    FROM conflict AS c INDEXED BY conflict_open JOIN request AS r ON r.id = c.request_id
    WHERE c.resolved_at IS NULL AND r.finished_at < $1 AND NOT (r.state = 'linked' AND r.seen_status IS DISTINCT FROM 1)
    LIMIT $2";

const WAKEUP_LEFT: &str = "
    SELECT 'wakeup_left' AS rule, w.account AS subject,
           'a command changed it at ' || strftime('%Y-%m-%dT%H:%M:%fZ', w.at / 1000.0, 'unixepoch')
           || ' and the daemon has not noticed: see that it runs' AS finding
    FROM wakeup AS w WHERE w.at < $1
    LIMIT $2";

// Somebody tries as long as something of the channel was taken lately, or was tried and put off: while a service is
// away, one message after the other asks whether it is back, and the others wait for that one.
const DELIVERY_STUCK: &str = "
    WITH RECURSIVE c (name) AS (
        SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_pending WHERE d.state = 'pending')
        UNION ALL
        SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_pending
                WHERE d.state = 'pending' AND d.channel > c.name)
        FROM c WHERE c.name IS NOT NULL)
    SELECT 'delivery_stuck' AS rule, d.id AS subject,
           'a message for ' || d.channel || ' was due '
           || coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 1000.0, 'unixepoch'), 'never')
           || ' and was neither sent nor given up: see that the daemon runs' AS finding
    FROM c
    CROSS JOIN delivery AS d INDEXED BY delivery_pending
        ON d.channel = c.name AND d.state = 'pending' AND d.next_at < $1
    WHERE NOT EXISTS (
          SELECT 1 FROM delivery AS t INDEXED BY delivery_done
          WHERE t.channel = c.name AND t.state = 'delivered' AND t.delivered_at >= $1)
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS t INDEXED BY delivery_pending
          WHERE t.channel = c.name AND t.state = 'pending' AND t.next_at >= $1 AND t.attempts > 0)
      AND NOT EXISTS (
          SELECT 1 FROM delivery AS e INDEXED BY delivery_in_order
          WHERE e.channel = d.channel AND e.partition_key = d.partition_key AND e.state = 'pending' AND e.seq < d.seq)
    LIMIT $2";

// The events are read in their order: the first that was not shows how far behind the watch is.
const EVENT_UNREAD: &str = "
    SELECT 'event_unread' AS rule, o.subject AS subject,
           o.type || ' of ' || strftime('%Y-%m-%dT%H:%M:%fZ', o.at / 1000.0, 'unixepoch')
           || ' was not looked at, so alerts and messages stand still: see the log, else restart the daemon' AS finding
    FROM watch AS w CROSS JOIN outbox AS o ON o.seq = (SELECT min(n.seq) FROM log AS n WHERE n.seq > w.seq)
    WHERE o.at < $1
    LIMIT $2";

const VIGIL_OVERDUE: &str = "
    SELECT 'vigil_overdue' AS rule, v.request_id AS subject,
           'should have been looked at for alerts by ' || strftime('%Y-%m-%dT%H:%M:%fZ', v.due_at / 1000.0, 'unixepoch')
           || ': see the log, else restart the daemon' AS finding
    FROM vigil AS v WHERE v.due_at < $1
    LIMIT $2";

const CRON_SILENT: &str = "
    SELECT 'cron_silent' AS rule, w.name AS subject,
           'should have run by ' || strftime('%Y-%m-%dT%H:%M:%fZ', w.due_at / 1000.0, 'unixepoch')
           || ': see that the daemon runs, else restart it' AS finding
    FROM job AS w WHERE w.due_at < $1
    LIMIT $2";

const COPY_WAITS: &str = "
    SELECT 'copy_waits' AS rule, 'database' AS subject,
           'a copy of ' || strftime('%Y-%m-%dT%H:%M:%fZ', c.made_at / 1000.0, 'unixepoch')
           || ' was put back and no daemon has started on it since: start it' AS finding
    FROM copy AS c WHERE coalesce(c.restored_at, c.made_at) < $1
    LIMIT $2";

const IMPORT_LEFT: &str = "
    SELECT 'import_left' AS rule, l.id AS subject,
           'accepted at ' || strftime('%Y-%m-%dT%H:%M:%fZ', i.accepted_at / 1000.0, 'unixepoch')
           || CASE l.stuck WHEN 1 THEN ' in an import, but its row is not legal: mend it and restart the daemon'
                           ELSE ' in an import, and not moved to the others: see that the daemon runs' END AS finding
    FROM import AS i CROSS JOIN import_line AS l ON l.import = i.id
    WHERE i.state IN ('accepted', 'stuck') AND i.accepted_at < $1
    LIMIT $2";

/// The words of `rule` in findings.
pub const RULES: [&str; 18] = [
    "no_next_step",
    "overdue",
    "deferred_overdue",
    "call_unanswered",
    "conflict_left_open",
    "wakeup_left",
    "delivery_stuck",
    "event_unread",
    "vigil_overdue",
    "cron_silent",
    "copy_waits",
    "import_left",
    "unread",
    "alert_untold",
    "state_without_history",
    "state_differs",
    "chain_broken",
    "bad_row",
];

/// The rules that an index answers alone.
const INDEXED: [&str; 12] = [
    NO_NEXT_STEP,
    OVERDUE,
    DEFERRED_OVERDUE,
    CALL_UNANSWERED,
    CONFLICT_LEFT_OPEN,
    WAKEUP_LEFT,
    DELIVERY_STUCK,
    EVENT_UNREAD,
    VIGIL_OVERDUE,
    CRON_SILENT,
    COPY_WAITS,
    IMPORT_LEFT,
];

// Three looks, as people are told. Of accounts that are only watched for what others unlink nothing waits.
const UNREAD: &str = "
    SELECT 'unread' AS rule, a.account AS subject,
           'its list cannot be read since ' || coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', a.unread_since / 1000.0, 'unixepoch'), '?')
           || ' (' || coalesce(a.trouble, 'no reason was kept') || coalesce(', ' || a.last_error, '')
           || '), so its open requests stand still: docs/alerts.md says what to do' AS finding
    FROM (SELECT account, unread_since, trouble, last_error FROM account INDEXED BY account_unread
          WHERE unread_since IS NOT NULL AND unread_since <= $1 AND failures >= 3 AND state = 'active'
            AND next_check_at IS NOT NULL
          ORDER BY unread_since LIMIT $3) AS a
    WHERE EXISTS (SELECT 1 FROM request AS r INDEXED BY request_one_open
                  WHERE r.account = a.account AND r.finished_at IS NULL)
    LIMIT $2";

// The first of each reason that is due, from reason to reason: they are told together.
const ALERT_UNTOLD: &str = "
    WITH RECURSIVE known (reason) AS (
        SELECT min(f.reason) FROM alert AS f INDEXED BY alert_to_tell WHERE f.notify_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(l.reason) FROM alert AS l INDEXED BY alert_to_tell
                WHERE l.notify_at IS NOT NULL AND l.reason > known.reason)
        FROM known WHERE known.reason IS NOT NULL
    )
    SELECT 'alert_untold' AS rule, l.id AS subject,
           'an alert of ' || l.reason || ' should have been told by '
           || coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', l.notify_at / 1000.0, 'unixepoch'), '?')
           || ' and was not: see the log, else restart the daemon' AS finding
    FROM known
    CROSS JOIN alert AS l ON l.id = (
        SELECT e.id FROM alert AS e INDEXED BY alert_to_tell
        WHERE e.notify_at IS NOT NULL AND e.reason = known.reason AND e.notify_at < $1 ORDER BY e.notify_at LIMIT 1)
    WHERE $3 IS NULL OR l.rule IN (SELECT j.value FROM json_each($3) AS j)
    LIMIT $2";

// Whoever has been in a state for as long as concerns somebody was looked at: it has an alert, or a time for the next look.
const AGED_UNCHECKED: &str = "
    SELECT 'aged_unchecked' AS rule, r.id AS subject,
           'in ' || r.state || ' since ' || strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch')
           || ' and never looked at for alerts: see the log, else restart the daemon' AS finding
    FROM (SELECT i.id, i.state, i.since FROM request AS i INDEXED BY request_waiting
          WHERE i.state = $1 AND i.since > $2 AND i.since < $3 AND i.finished_at IS NULL
          ORDER BY i.since DESC LIMIT $4) AS r
    WHERE NOT EXISTS (SELECT 1 FROM vigil AS v WHERE v.request_id = r.id)
      AND NOT EXISTS (
          SELECT 1 FROM json_each($5) AS w CROSS JOIN alert AS l INDEXED BY alert_once
          WHERE l.key = 'stuck/' || w.value || '/' || r.id AND l.since >= r.since)
    LIMIT $6";

/// Requests of a state of which that is asked, those first that got so old last.
const AGED_MAX: u32 = 2_000;

/// Accounts that cannot be read of which it is asked whether anything of theirs is open.
const UNREAD_MAX: u32 = 10_000;

/// By when people should have been told of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Accounts that are unread since before then are told of.
    pub unread_before: Time,
    /// Alerts that were due before then are told.
    pub due_before: Time,
    /// Those of these rules alone, because the others wait for the end of quiet hours; `None`: of all.
    pub rules: Option<Vec<&'static str>>,
    /// Requests that are to have been looked at.
    pub aged: Vec<Aged>,
}

/// Requests that got so old between two moments that somebody may have to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    /// The state that they are in.
    pub state: &'static str,
    /// Since after this.
    pub since_after: Time,
    /// Since before this.
    pub since_before: Time,
}

const COUNT: &str = "SELECT count(*) FROM request";

// A request must stand where its last transition led, and no transition may come after that one.
const HISTORY: &str = "
    SELECT CASE WHEN t.seq IS NULL THEN 'state_without_history'
                WHEN t.to_state <> r.state OR t.at <> r.since THEN 'state_differs'
                ELSE 'chain_broken' END AS rule,
           r.id AS subject,
           CASE WHEN t.seq IS NULL THEN 'stands in ' || r.state || ' without the transition that led there'
                WHEN t.to_state <> r.state THEN 'stands in ' || r.state || ', its history ends in ' || t.to_state
                WHEN t.at <> r.since THEN 'stands in ' || r.state || ' since another time than its history says'
                WHEN n.seq IS NOT NULL THEN 'its history goes on after its end'
                ELSE 'its last transition is not the one that was written' END
           || ': somebody changed the file; run `amplinkd db verify` and keep a copy before you do anything else' AS finding
    FROM (SELECT i.id FROM request AS i INDEXED BY request_by_state ORDER BY i.state, i.id LIMIT $1 OFFSET $2) AS s
    CROSS JOIN request AS r ON r.id = s.id
    LEFT JOIN (SELECT l.seq, l.request, l.step, l.at, l.hash, CASE l.to_state
                   WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
                   WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin' WHEN 5 THEN 'deferred'
                   WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected' WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed'
                   WHEN 10 THEN 'cancelled' WHEN 11 THEN 'unlinked' END AS to_state
               FROM log AS l) AS t ON t.request = r.row AND t.step = r.last_seq
    LEFT JOIN log AS n ON n.request = r.row AND n.step = r.last_seq + 1
    WHERE t.seq IS NULL OR t.to_state IS DISTINCT FROM r.state OR t.at <> r.since OR t.hash <> r.chain OR n.seq IS NOT NULL
    LIMIT $3";

/// Of which requests the end of the history is compared with where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Histories {
    /// One slice; turn after turn, every one comes up.
    Turn(u64),
    /// All.
    All,
    /// None: they are compared beside it, slice by slice.
    Beside,
}

impl Histories {
    /// Which slices of `each` rows of a table of `rows` are meant.
    pub(super) fn slices(self, rows: u64, each: u32) -> std::ops::RangeInclusive<u64> {
        let slices = rows.div_ceil(u64::from(each)).max(1);
        match self {
            Self::Turn(turn) => turn % slices..=turn % slices,
            Self::All => 0..=slices - 1,
            Self::Beside => std::ops::RangeInclusive::new(1, 0),
        }
    }
}

impl Store {
    /// Everything that is lost, stalled or inconsistent: due before `overdue_before` (milliseconds UTC) and not done, or
    /// not where its history led; at most `limit` of each rule.
    pub async fn audit(
        &self,
        overdue_before: i64,
        histories: Histories,
        limit: u32,
    ) -> Result<Vec<Finding>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        let mut found: Vec<Finding> = Vec::new();
        for rule in INDEXED {
            let rows = sql::query(rule).bind(overdue_before).bind(limit).fetch_all(&mut tx).await?;
            found.extend(decode::legible::<Finding>(&rows, FINDING));
        }
        found.extend(self.scan.search(&mut tx, histories, limit).await?);
        for slice in histories.slices(requests(&mut tx).await?, HISTORIES) {
            found.extend(histories_from(&mut tx, offset(slice), limit).await?);
        }
        Ok(found)
    }

    /// How many slices the histories are at the moment.
    pub async fn history_slices(&self) -> Result<u64, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        Ok(Histories::All.slices(requests(&mut tx).await?, HISTORIES).end() + 1)
    }

    /// One slice of the histories, compared with its requests; at most `limit` findings.
    pub async fn audit_histories(&self, slice: u64, limit: u32) -> Result<Vec<Finding>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        histories_from(&mut tx, offset(slice), limit).await
    }

    /// What people should have been told: accounts that nobody can read, alerts that nobody was told, requests of which
    /// nobody found out whether they must be told; at most `limit` of each.
    pub async fn audit_telling(&self, telling: &Telling, limit: u32) -> Result<Vec<Finding>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        let unread = sql::query(UNREAD).bind(telling.unread_before.ms()).bind(limit).bind(UNREAD_MAX);
        let mut found: Vec<Finding> = decode::legible(&unread.fetch_all(&mut tx).await?, FINDING);
        let rules = telling.rules.as_ref().map(|rules| bulk::json(rules));
        let untold = sql::query(ALERT_UNTOLD).bind(telling.due_before.ms()).bind(limit).bind(rules);
        found.extend(decode::legible::<Finding>(&untold.fetch_all(&mut tx).await?, FINDING));
        let words: Vec<&str> = Stage::ALL.iter().map(|stage| stage.as_str()).chain(["unread"]).collect();
        let words = bulk::json(&words);
        for Aged { state, since_after, since_before } in &telling.aged {
            let query = sql::query(AGED_UNCHECKED).bind(state).bind(since_after.ms()).bind(since_before.ms());
            let query = query.bind(AGED_MAX).bind(&words).bind(limit);
            found.extend(decode::legible::<Finding>(&query.fetch_all(&mut tx).await?, FINDING));
        }
        Ok(found)
    }
}

async fn requests(connection: &mut Tx<'_>) -> Result<u64, StoreError> {
    let requests: i64 = sql::query_scalar(COUNT).fetch_one(connection).await?;
    Ok(u64::try_from(requests).unwrap_or(0))
}

/// Where a slice of histories begins.
fn offset(slice: u64) -> i64 {
    i64::try_from(slice * u64::from(HISTORIES)).unwrap_or(i64::MAX)
}

/// The findings of one slice of histories.
async fn histories_from(connection: &mut Tx<'_>, offset: i64, limit: u32) -> Result<Vec<Finding>, StoreError> {
    let rows = sql::query(HISTORY).bind(HISTORIES).bind(offset).bind(limit).fetch_all(connection).await?;
    Ok(decode::legible(&rows, FINDING))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn what_people_should_have_been_told_is_found_by_when_it_was_due() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for (sql, wanted) in [
            (UNREAD, "SEARCH account USING INDEX account_unread (unread_since>? AND unread_since<?)"),
            (AGED_UNCHECKED, "SEARCH i USING INDEX request_waiting (state=? AND since>? AND since<?)"),
            (ALERT_UNTOLD, "SEARCH e USING COVERING INDEX alert_to_tell (reason=? AND notify_at>? AND notify_at<?)"),
        ] {
            let plan = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: Vec<(i64, i64, i64, String)> = sql::query_as(plan).fetch_all(store.readers()).await.unwrap();
            assert!(plan.iter().any(|(.., step)| step == wanted), "{plan:#?}");
            assert!(!plan.iter().any(|(.., step)| step.contains("TEMP B-TREE")), "it sorts nothing: {plan:#?}");
        }
        store.close().await;
    }
}
