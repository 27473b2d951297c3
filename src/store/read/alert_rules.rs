//! What alerting reads: requests and what belongs to them, alerts that are open or due, and what holds back
//! more than one request.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::{
    domain::{
        account::SuspendedBy,
        alert_rules::{OpenConflict, Reading, Subject},
        decide::ConflictKind,
        request::Request,
        time::Time,
    },
    store::{
        Store, StoreError, bulk, decode,
        executor::Db,
        request_row::RequestRow,
        sql,
        tables::{ACCOUNT, REQUEST},
        write::alerts::{ALERT, AlertRow},
    },
};

/// The table of conflicts.
const CONFLICT: decode::Table = decode::Table { name: "conflict", key: &["id"] };

const VIGILS: &str = "SELECT request_id FROM vigil WHERE due_at <= $1 ORDER BY due_at LIMIT $2";

// Whatever is no number comes after all numbers, and is never due.
const NEXT_VIGIL: &str = "SELECT min(due_at) FROM vigil WHERE due_at <= 9223372036854775807";

// Of requests that are over: whether a later one of the pair has taken their place. Of a link that is gone, one that was
// asked for after it went and waits or succeeded, an unlink of ours that waits or is what took it away, or another that
// went with it and tells of it: what was asked for while it still stood, and came to nothing, is no answer. Of another end,
// one of the same kind that waits, succeeded, or has an end of its own to be told.
const SUCCEEDED: &str = "
    SELECT r.id
    FROM jsonb_each($1) AS j
    CROSS JOIN request AS r ON r.id = j.value
    WHERE r.finished_at IS NOT NULL
      AND EXISTS (SELECT 1 FROM request AS n INDEXED BY request_by_account
                  WHERE n.account = r.account AND n.id > r.id AND n.program = r.program
                    AND CASE
                        WHEN r.state <> 'unlinked' THEN n.kind = r.kind AND n.state <> 'cancelled'
                        WHEN n.requested_at >= r.since THEN n.finished_at IS NULL OR n.state IN ('linked', 'unlinked')
                        WHEN n.kind = 'unlink' THEN n.finished_at IS NULL OR n.state = 'unlinked'
                        ELSE n.state = 'unlinked' AND n.since >= r.since
                        END)";

const REQUESTS: &str = "
    SELECT r.id, r.kind, r.account, r.program, r.username, r.notify_users, r.show_profile, r.state, r.outcome_unknown,
           r.deferred_until, r.failure, r.since, r.requested_at, r.finished_at, r.attempt, r.called_at, r.seen_status,
           r.baseline_rejected, r.doubt, r.doubt_at, r.errcode, r.errmsg, r.retry_of, r.key, r.labels, r.version
    FROM jsonb_each($1) AS j CROSS JOIN request AS r ON r.id = j.value";

const CONFLICTS: &str = "
    SELECT c.request_id, c.id, c.kind, c.errcode, c.at
    FROM jsonb_each($1) AS j CROSS JOIN conflict AS c ON c.request_id = j.value
    WHERE c.resolved_at IS NULL
    ORDER BY c.id";

// A request of whose pair something happened may be one of those itself: it has gone back to where it was asked.
const RELATED: &str = "
    SELECT DISTINCT l.request_id
    FROM jsonb_each(?1) AS j
    CROSS JOIN request AS r ON r.id = j.value
    CROSS JOIN alert AS l INDEXED BY alert_of_pair ON l.account = r.account AND l.program = r.program
    WHERE l.resolved_at IS NULL AND l.request_id IS NOT NULL";

const READINGS: &str = "
    SELECT r.id, a.suspended_by, a.since, a.unread_since, a.checked_at,
           (SELECT g.since FROM alert AS g INDEXED BY alert_one_open
            WHERE g.key = 'ip_not_allowed/all' AND g.resolved_at IS NULL) AS shut_out_since
    FROM jsonb_each($1) AS j
    CROSS JOIN request AS r ON r.id = j.value
    CROSS JOIN account AS a ON a.account = r.account";

// How the newest alert of a key ended that began then or later.
const ENDED: &str = "
    SELECT e.key
    FROM (SELECT j.value ->> 0 AS key,
                 (SELECT l.resolution FROM alert AS l INDEXED BY alert_once
                  WHERE l.key = j.value ->> 0 AND l.since >= CAST(j.value ->> 1 AS BIGINT) ORDER BY l.since DESC LIMIT 1) AS resolution
          FROM jsonb_each($1) AS j) AS e
    WHERE e.resolution = 'over'";

const OF_REQUESTS: &str = "
    SELECT l.id, l.key, l.rule, l.reason, l.request_id, l.account, l.program, l.state, l.since, l.fired_at,
           l.acknowledged_at, l.snoozed_until, l.resolved_at, l.resolution, l.notified_at, l.notify_at, l.reach,
           l.message_en, l.message_zh, l.version
    FROM jsonb_each($1) AS j CROSS JOIN alert AS l INDEXED BY alert_of_request ON l.request_id = j.value
    WHERE l.resolved_at IS NULL";

const STANDING: &str = "
    SELECT l.id, l.key, l.rule, l.reason, l.request_id, l.account, l.program, l.state, l.since, l.fired_at,
           l.acknowledged_at, l.snoozed_until, l.resolved_at, l.resolution, l.notified_at, l.notify_at, l.reach,
           l.message_en, l.message_zh, l.version
    FROM alert AS l INDEXED BY alert_of_request
    WHERE l.request_id IS NULL AND l.resolved_at IS NULL AND l.id > $1
    ORDER BY l.id
    LIMIT $2";

const BY_KEY: &str = "
    SELECT l.id, l.key, l.rule, l.reason, l.request_id, l.account, l.program, l.state, l.since, l.fired_at,
           l.acknowledged_at, l.snoozed_until, l.resolved_at, l.resolution, l.notified_at, l.notify_at, l.reach,
           l.message_en, l.message_zh, l.version
    FROM jsonb_each($1) AS j CROSS JOIN alert AS l INDEXED BY alert_one_open ON l.key = j.value
    WHERE l.resolved_at IS NULL";

// What tells of many accounts at once.
const CROWDS: &str = "
    SELECT l.key FROM alert AS l INDEXED BY alert_by_rule
    WHERE l.resolved_at IS NULL AND l.rule IN ('wechat_unreachable', 'accounts_refused')
    UNION ALL
    SELECT l.key FROM alert AS l INDEXED BY alert_one_open
    WHERE l.resolved_at IS NULL AND l.key IN ('token_failing/all', 'calls_refused/all', 'budget_exhausted/daily_budget',
                                              'budget_exhausted/wechat')";

// From reason to reason along the index, however many alerts each has.
const DUE_REASONS: &str = "
    WITH RECURSIVE known (reason) AS (
        SELECT min(f.reason) FROM alert AS f WHERE f.notify_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(l.reason) FROM alert AS l WHERE l.notify_at IS NOT NULL AND l.reason > known.reason)
        FROM known WHERE known.reason IS NOT NULL
    )
    SELECT known.reason,
           (SELECT min(l.notify_at) FROM alert AS l WHERE l.notify_at IS NOT NULL AND l.reason = known.reason)
    FROM known WHERE known.reason IS NOT NULL";

const TO_TELL: &str = "
    SELECT l.id, l.key, l.rule, l.reason, l.request_id, l.account, l.program, l.state, l.since, l.fired_at,
           l.acknowledged_at, l.snoozed_until, l.resolved_at, l.resolution, l.notified_at, l.notify_at, l.reach,
           l.message_en, l.message_zh, l.version
    FROM alert AS l INDEXED BY alert_to_tell
    WHERE l.reason = $1 AND l.notify_at <= $2 AND (l.state <> 'snoozed' OR l.notify_at <= $3)
    ORDER BY l.notify_at, l.since, l.id
    LIMIT $4";

// Open alerts that channels with this `after` were notified of, acknowledged ones too.
const TOLD: &str = "
    SELECT l.id, l.key, l.rule, l.reason, l.request_id, l.account, l.program, l.state, l.since, l.fired_at,
           l.acknowledged_at, l.snoozed_until, l.resolved_at, l.resolution, l.notified_at, l.notify_at, l.reach,
           l.message_en, l.message_zh, l.version
    FROM alert AS l INDEXED BY alert_one_open
    WHERE l.resolved_at IS NULL AND l.key > $2 AND l.reach >= $1
    ORDER BY l.key
    LIMIT $3";

/// Open alerts, a page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandingPage {
    /// Those that can be read.
    pub alerts: Vec<AlertRow>,
    /// The last one; `None` on the last page.
    pub last: Option<String>,
}

/// Of an account that nobody can look at.
const NEVER_READ: Reading = Reading::Unread { since: Time::from_ms(0), last_read: None };

#[derive(Debug, FromRow)]
struct ReadingRow {
    id: String,
    #[sqlx(flatten)]
    reading: ReadingColumns,
}

/// What an account's row says of whether its list is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub(in crate::store) struct ReadingColumns {
    suspended_by: Option<String>,
    since: i64,
    unread_since: Option<i64>,
    checked_at: Option<i64>,
    /// Since when it is told that our address is refused.
    shut_out_since: Option<i64>,
}

impl ReadingColumns {
    pub(in crate::store) fn reading(&self) -> Reading {
        let last_read = self.checked_at.map(Time::from_ms);
        let suspended = |by| Reading::Suspended { by, since: Time::from_ms(self.since), last_read };
        match (self.suspended_by.as_deref(), self.unread_since, self.shut_out_since) {
            (Some("operator"), ..) => suspended(SuspendedBy::Operator),
            (Some(_), ..) => suspended(SuspendedBy::Wechat),
            (None, _, Some(since)) => Reading::ShutOut { since: Time::from_ms(since), last_read },
            (None, Some(since), None) => Reading::Unread { since: Time::from_ms(since), last_read },
            (None, None, None) => Reading::Read,
        }
    }
}

impl Store {
    /// Requests that must be looked at again by now.
    pub async fn rechecks(&self, now: i64, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(sql::query_scalar(VIGILS).bind(now).bind(limit).fetch_all(self.readers()).await?)
    }

    /// When the next request must be looked at again.
    pub async fn next_recheck(&self) -> Result<Option<i64>, StoreError> {
        Ok(sql::query_scalar(NEXT_VIGIL).fetch_one(self.readers()).await?)
    }

    /// Requests for the same pairs that have an open alert: what happens to the one may concern the other.
    pub async fn alerted_for_the_same(&self, requests: &[&str]) -> Result<Vec<String>, StoreError> {
        let requests = bulk::json(requests);
        let read = move |db: Db<'_>| {
            Ok(db.all(RELATED, [&requests], |row| row.get(0))?.into_iter().collect::<Result<_, _>>()?)
        };
        self.executor.read(read).await
    }

    /// Requests with what belongs to them. One whose row is not legal is left out: it must not hold up the others.
    pub async fn subjects(&self, requests: &[String]) -> Result<Vec<Subject>, StoreError> {
        let ids = bulk::json(requests);
        let mut connection = self.readers().acquire().await?;
        let mut tx = connection.tx();
        let found = sql::query(REQUESTS).bind(&ids).fetch_all(&mut tx).await?;
        let open = sql::query(CONFLICTS).bind(&ids).fetch_all(&mut tx).await?;
        let succeeded: Vec<String> = sql::query_scalar(SUCCEEDED).bind(&ids).fetch_all(&mut tx).await?;
        let readings = sql::query(READINGS).bind(&ids).fetch_all(&mut tx).await?;
        let readings: HashMap<String, Reading> = decode::legible::<ReadingRow>(&readings, ACCOUNT)
            .into_iter()
            .map(|row| (row.id, row.reading.reading()))
            .collect();
        let mut conflicts: HashMap<String, Vec<OpenConflict>> = HashMap::new();
        for (request, id, kind, errcode, at) in
            decode::legible::<(String, String, String, Option<i64>, i64)>(&open, CONFLICT)
        {
            // One of no known kind is a row that is not legal: the audit names it.
            let Some(kind) = ConflictKind::from_word(&kind) else { continue };
            let conflict = OpenConflict { id, kind, errcode, at: Time::from_ms(at) };
            conflicts.entry(request).or_default().push(conflict);
        }
        let subject = |request: Request| Subject {
            conflicts: conflicts.remove(request.id.as_str()).unwrap_or_default(),
            is_succeeded: succeeded.iter().any(|id| id == request.id.as_str()),
            // An account whose row is not legal is not read at all.
            reading: readings.get(request.id.as_str()).copied().unwrap_or(NEVER_READ),
            request,
        };
        // What is wrong with the others is said by whoever drives them.
        let found = decode::legible::<RequestRow>(&found, REQUEST).into_iter();
        Ok(found.filter_map(|row| Request::try_from(row).ok()).map(subject).collect())
    }

    /// Which of these, by key and beginning, were told and over, and have had no other end since.
    pub async fn ended_alerts(&self, begun: &[(&str, i64)]) -> Result<Vec<String>, StoreError> {
        Ok(sql::query_scalar(ENDED).bind(bulk::json(begun)).fetch_all(self.readers()).await?)
    }

    /// Alerts of these requests that are not over.
    pub async fn open_alerts_of(&self, requests: &[String]) -> Result<Vec<AlertRow>, StoreError> {
        Ok(decode::legible(&sql::query(OF_REQUESTS).bind(bulk::json(requests)).fetch_all(self.readers()).await?, ALERT))
    }

    /// Alerts of no request that are not over: at most `limit` after the one with this id.
    pub async fn standing_alerts(&self, after: &str, limit: u32) -> Result<StandingPage, StoreError> {
        let found = sql::query(STANDING).bind(after).bind(limit).fetch_all(self.readers()).await?;
        let is_whole = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = found.last().filter(|_| is_whole).and_then(|row| row.get("id").ok());
        Ok(StandingPage { alerts: decode::legible(&found, ALERT), last })
    }

    /// Alerts with these keys that are not over.
    pub async fn alerts_known_by(&self, keys: &[String]) -> Result<Vec<AlertRow>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        Ok(decode::legible(&sql::query(BY_KEY).bind(bulk::json(keys)).fetch_all(self.readers()).await?, ALERT))
    }

    /// Open alerts that channels with this `after`, in milliseconds, were notified of: at most `limit`, after this key.
    pub async fn told_alerts(&self, age: i64, after: &str, limit: u32) -> Result<StandingPage, StoreError> {
        let found = sql::query(TOLD).bind(age).bind(after).bind(limit).fetch_all(self.readers()).await?;
        let is_whole = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = found.last().filter(|_| is_whole).and_then(|row| row.get("key").ok());
        Ok(StandingPage { alerts: decode::legible(&found, ALERT), last })
    }

    /// The keys of what is told of many accounts as one.
    pub async fn open_crowds(&self) -> Result<Vec<String>, StoreError> {
        Ok(sql::query_scalar(CROWDS).fetch_all(self.readers()).await?)
    }

    /// Reasons of which something is to be told, and when the first of each is.
    pub async fn reasons_to_tell(&self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(decode::legible(&sql::query(DUE_REASONS).fetch_all(self.readers()).await?, ALERT))
    }

    /// Alerts of one reason to be told up to `within`; of those that were silenced, up to `now`.
    pub async fn alerts_to_tell(
        &self,
        reason: &str,
        within: i64,
        now: i64,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        let query = sql::query(TO_TELL).bind(reason).bind(within).bind(now).bind(limit);
        Ok(decode::legible(&query.fetch_all(self.readers()).await?, ALERT))
    }
}
