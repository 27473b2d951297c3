//! The figures of the database at one moment: what metrics and overviews show. All of it is read in one read transaction,
//! and no statement reads a row of every request, account or alert: at a million requests it takes a tenth of a second.

use std::collections::BTreeMap;

use crate::{
    domain::{
        gate::GateKind,
        request::{KIND_WORDS, StateKind},
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        sql::{self, Shape, Tx},
        write::housekeeping::JobRow,
    },
};

/// States in which a request waits, but for `initiated`, in which links and unlinks wait for different people.
const WAITING: [StateKind; 5] = [
    StateKind::Requested,
    StateKind::Initiating,
    StateKind::AwaitingAccountAdmin,
    StateKind::AwaitingProgramAdmin,
    StateKind::Deferred,
];

/// Whom a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Us: it is not called yet, or its call is out.
    Us,
    /// `WeChat`, which took the call and does not list it yet.
    Initiated,
    /// The account's administrator.
    AccountAdmin,
    /// The program's administrator.
    ProgramAdmin,
    /// The account's administrator, who has to confirm an unlink.
    Unlink,
    /// The next month.
    Quota,
}

impl WaitsFor {
    /// All of them, in the order of a request's life.
    pub const ALL: [Self; 6] =
        [Self::Us, Self::Initiated, Self::AccountAdmin, Self::ProgramAdmin, Self::Unlink, Self::Quota];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Initiated => "initiated",
            Self::AccountAdmin => "account_admin",
            Self::ProgramAdmin => "program_admin",
            Self::Unlink => "unlink",
            Self::Quota => "quota",
        }
    }
}

/// The database at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When it was read.
    pub taken_at: Time,
    /// Requests by kind, in the order of [`KIND_WORDS`], and state, in the order of [`StateKind::ALL`].
    pub requests: [[u64; StateKind::ALL.len()]; KIND_WORDS.len()],
    /// Since when whoever is waited for longest is waited for, in the order of [`WaitsFor::ALL`].
    pub oldest: [Option<Time>; WaitsFor::ALL.len()],
    /// Requests whose call may have been taken, which nobody knows.
    pub outcome_unknown: u64,
    /// Accounts that should have been polled long ago.
    pub overdue: u64,
    /// When the account was due that is due first.
    pub oldest_due: Option<Time>,
    /// Accounts that cannot be read for want of a token.
    pub without_token: u64,
    /// Accounts whose polls of the day are used up.
    pub budget_exhausted: u64,
    /// Closed gates, by kind.
    pub gates: BTreeMap<String, u64>,
    /// Open alerts, by rule and state.
    pub alerts: BTreeMap<(String, String), u64>,
    /// Open conflicts, by kind.
    pub conflicts: BTreeMap<String, u64>,
    /// What channels are owed; those that are owed nothing are missing.
    pub owed: BTreeMap<String, Owed>,
    /// The cron jobs.
    pub jobs: Vec<JobRow>,
    /// The number of the newest event.
    pub newest_event: i64,
    /// The number of the last event that alerting has read.
    pub read_event: i64,
}

/// What a channel is owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owed {
    /// Messages that are neither taken nor given up.
    pub pending: u64,
    /// Messages that were given up and are kept.
    pub dead: u64,
    /// When the first of those that wait was written.
    pub oldest: Option<Time>,
}

/// By when something must have happened not to be told of, and which day it is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Now.
    pub now: Time,
    /// Accounts that were due before then are overdue.
    pub overdue_before: Time,
}

const BY_STATE: &str = "
    SELECT r.state, count(*) FROM request AS r INDEXED BY request_by_state GROUP BY r.state";

const UNLINKS: &str = "
    SELECT r.state, count(*), min(r.since) FROM request AS r INDEXED BY request_unlinks
    WHERE r.kind = 'unlink' GROUP BY r.state";

const OLDEST: &str = "
    SELECT j.value, (SELECT min(r.since) FROM request AS r INDEXED BY request_waiting
                     WHERE r.state = j.value AND r.finished_at IS NULL)
    FROM json_each($1) AS j";

// What it steps over are unlinks that wait longer.
const OLDEST_INITIATED: &str = "
    SELECT r.since FROM request AS r INDEXED BY request_waiting
    WHERE r.state = 'initiated' AND r.finished_at IS NULL AND r.kind = 'link' ORDER BY r.since LIMIT 1";

const CALLING: &str = "
    SELECT count(*) FROM request AS r INDEXED BY request_calling
    WHERE r.state = 'initiating' AND r.outcome_unknown = 0";

const OVERDUE: &str = "
    SELECT count(*) FROM account AS a INDEXED BY account_due WHERE a.next_check_at < $1";

const OLDEST_DUE: &str = "
    SELECT min(a.next_check_at) FROM account AS a INDEXED BY account_due WHERE a.next_check_at IS NOT NULL";

const WITHOUT_TOKEN: &str = "
    SELECT count(*) FROM account AS a INDEXED BY account_trouble
    WHERE a.trouble = 'token' AND a.unread_since IS NOT NULL";

const BUDGET_EXHAUSTED: &str = "
    SELECT count(*) FROM account AS a INDEXED BY account_spent WHERE a.spent_day >= $1";

const GATES: &str = "
    SELECT j.value, (SELECT count(*) FROM gate AS g WHERE g.kind = j.value AND (g.until > $2 OR g.kind = 'ip'))
    FROM json_each($1) AS j";

const ALERTS: &str = "
    SELECT l.rule, l.state, count(*) FROM alert AS l INDEXED BY alert_open
    WHERE l.resolved_at IS NULL GROUP BY l.rule, l.state";

const CONFLICTS: &str = "
    SELECT c.kind, count(*) FROM conflict AS c INDEXED BY conflict_open_kind
    WHERE c.resolved_at IS NULL GROUP BY c.kind";

// Ids sort by the time when they were made.
const PENDING: &str = "
    SELECT p.channel, p.count, d.created_at
    FROM (SELECT w.channel, count(*) AS count, min(w.id) AS first FROM delivery AS w INDEXED BY delivery_pending
          WHERE w.state = 'pending' GROUP BY w.channel) AS p
    CROSS JOIN delivery AS d ON d.id = p.first";

const DEAD: &str = "
    SELECT d.channel, count(*) FROM delivery AS d INDEXED BY delivery_dead WHERE d.state = 'dead' GROUP BY d.channel";

const JOBS: &str = "SELECT name, ran_at, due_at FROM job";

const EVENTS: &str = "
    SELECT coalesce((SELECT max(seq) FROM log), 0), coalesce((SELECT seq FROM watch), 0)";

impl Store {
    /// Reads everything.
    ///
    /// # Errors
    /// [`StoreError`]: the database cannot be read.
    pub async fn snapshot(&self, limits: Limits) -> Result<Snapshot, StoreError> {
        let mut moment = self.readers().snapshot().await?;
        let mut tx = moment.tx();
        let mut snapshot = Snapshot { taken_at: limits.now, ..Snapshot::default() };
        snapshot.read_requests(&mut tx).await?;
        snapshot.read_accounts(&mut tx, limits).await?;
        snapshot.read_alerts(&mut tx, limits.now).await?;
        snapshot.read_deliveries(&mut tx).await?;
        (snapshot.newest_event, snapshot.read_event) = sql::query_as(EVENTS).fetch_one(&mut tx).await?;
        let job = |(name, ran, due): (String, Option<i64>, Option<i64>)| JobRow {
            name,
            ran_at: ran.map(Time::from_ms),
            due_at: due.map(Time::from_ms),
        };
        snapshot.jobs = rows(&mut tx, JOBS).await?.into_iter().map(job).collect();
        moment.end().await?;
        Ok(snapshot)
    }
}

async fn rows<T>(tx: &mut Tx<'_>, sql: &'static str) -> Result<Vec<T>, StoreError>
where
    T: Shape + Send + Unpin,
{
    Ok(sql::query_as(sql).fetch_all(tx).await?)
}

impl Snapshot {
    async fn read_requests(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let [links, unlinks] = &mut self.requests;
        let mut unlinking = None;
        for (state, count, since) in rows::<(String, i64, i64)>(tx, UNLINKS).await? {
            let Some(state) = StateKind::from_word(&state) else { continue };
            unlinks[state as usize] = count.unsigned_abs();
            unlinking = if state == StateKind::Initiated { Some(since) } else { unlinking };
        }
        for (state, count) in rows::<(String, i64)>(tx, BY_STATE).await? {
            let Some(state) = StateKind::from_word(&state) else { continue };
            links[state as usize] = count.unsigned_abs().saturating_sub(unlinks[state as usize]);
        }
        let initiating = StateKind::Initiating as usize;
        let calling: i64 = sql::query_scalar(CALLING).fetch_one(&mut *tx).await?;
        self.outcome_unknown = (links[initiating] + unlinks[initiating]).saturating_sub(calling.unsigned_abs());
        let initiated: Option<i64> = sql::query_scalar(OLDEST_INITIATED).fetch_optional(&mut *tx).await?;
        let oldest: Vec<(String, Option<i64>)> =
            sql::query_as(OLDEST).bind(bulk::json(&WAITING.map(StateKind::as_str))).fetch_all(&mut *tx).await?;
        let of =
            |state: StateKind| oldest.iter().find(|(word, _)| word == state.as_str()).and_then(|(_, since)| *since);
        let us = [of(StateKind::Requested), of(StateKind::Initiating)].into_iter().flatten().min();
        let (account, program) = (of(StateKind::AwaitingAccountAdmin), of(StateKind::AwaitingProgramAdmin));
        self.oldest =
            [us, initiated, account, program, unlinking, of(StateKind::Deferred)].map(|ms| ms.map(Time::from_ms));
        Ok(())
    }

    async fn read_accounts(&mut self, tx: &mut Tx<'_>, limits: Limits) -> Result<(), StoreError> {
        let count = |count: i64| count.unsigned_abs();
        let before = limits.overdue_before.ms();
        self.overdue = count(sql::query_scalar(OVERDUE).bind(before).fetch_one(&mut *tx).await?);
        let oldest: Option<i64> = sql::query_scalar(OLDEST_DUE).fetch_one(&mut *tx).await?;
        self.oldest_due = oldest.map(Time::from_ms);
        self.without_token = count(sql::query_scalar(WITHOUT_TOKEN).fetch_one(&mut *tx).await?);
        let today = limits.now.beijing_day();
        self.budget_exhausted = count(sql::query_scalar(BUDGET_EXHAUSTED).bind(today).fetch_one(&mut *tx).await?);
        Ok(())
    }

    async fn read_alerts(&mut self, tx: &mut Tx<'_>, now: Time) -> Result<(), StoreError> {
        let kinds = bulk::json(&GateKind::ALL.map(GateKind::as_str));
        let gates: Vec<(String, i64)> = sql::query_as(GATES).bind(kinds).bind(now.ms()).fetch_all(&mut *tx).await?;
        self.gates = gates.into_iter().map(|(kind, count)| (kind, count.unsigned_abs())).collect();
        let alerts = rows::<(String, String, i64)>(tx, ALERTS).await?;
        self.alerts = alerts.into_iter().map(|(rule, state, count)| ((rule, state), count.unsigned_abs())).collect();
        let conflicts = rows::<(String, i64)>(tx, CONFLICTS).await?;
        self.conflicts = conflicts.into_iter().map(|(kind, count)| (kind, count.unsigned_abs())).collect();
        Ok(())
    }

    async fn read_deliveries(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for (channel, count, oldest) in rows::<(String, i64, i64)>(tx, PENDING).await? {
            let owed = self.owed.entry(channel).or_default();
            (owed.pending, owed.oldest) = (count.unsigned_abs(), Some(Time::from_ms(oldest)));
        }
        for (channel, count) in rows::<(String, i64)>(tx, DEAD).await? {
            self.owed.entry(channel).or_default().dead = count.unsigned_abs();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, sql::QueryBuilder};

    #[tokio::test]
    async fn no_figure_reads_a_row_of_every_request_account_alert_or_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        let statements = [
            BY_STATE,
            UNLINKS,
            OLDEST,
            OLDEST_INITIATED,
            CALLING,
            OVERDUE,
            OLDEST_DUE,
            WITHOUT_TOKEN,
            BUDGET_EXHAUSTED,
            GATES,
            ALERTS,
            CONFLICTS,
            PENDING,
            DEAD,
            EVENTS,
        ];
        for sql in statements {
            let mut query: QueryBuilder = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            let steps: Vec<(i64, i64, i64, String)> =
                query.push(sql).build_query_as().fetch_all(store.readers()).await.unwrap();
            // A covering index of what is counted may be read to its end; the list of words and the row of the
            // evaluator's place are few rows.
            let reads_rows = |step: &str| step.starts_with("SCAN") && !step.contains("COVERING INDEX");
            let wrong = steps.iter().filter(|(.., step)| reads_rows(step) && !step.contains("VIRTUAL TABLE"));
            let wrong: Vec<_> =
                wrong.filter(|(.., step)| !["SCAN p", "SCAN watch", "SCAN CONSTANT ROW"].contains(&&**step)).collect();
            assert!(wrong.is_empty(), "{sql}\n{steps:#?}");
        }
        store.close().await;
    }
}
