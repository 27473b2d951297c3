//! Housekeeping: prunes delivered messages, dead letters, resolved alerts and open gates, and stores when cron jobs
//! ran. Finished requests have their own retention ([`super::prune`]).

use super::{programs, writer::WriteCommand};
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError,
        decode::{self, Table},
        sql::{self, Tx},
    },
};

/// Rows taken away in one transaction, so that nobody waits long behind it.
const PRUNE_MAX: u32 = 10_000;

// Channel by channel, so that the index finds the oldest of each.
const PRUNE_DELIVERED: &str = "
    WITH RECURSIVE c (name) AS (
        SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_done WHERE d.state = 'delivered')
        UNION ALL
        SELECT (SELECT min(d.channel) FROM delivery AS d INDEXED BY delivery_done
                WHERE d.state = 'delivered' AND d.channel > c.name)
        FROM c WHERE c.name IS NOT NULL)
    DELETE FROM delivery WHERE id IN (
        SELECT d.id FROM c CROSS JOIN delivery AS d INDEXED BY delivery_done
        WHERE d.channel = c.name AND d.state = 'delivered' AND d.delivered_at < $1
        LIMIT $2)";

const PRUNE_DEAD: &str = "
    DELETE FROM delivery WHERE id IN (
        SELECT d.id FROM delivery AS d INDEXED BY delivery_dead
        WHERE d.state = 'dead' AND d.created_at < $1
        LIMIT $2)";

// Messages that nobody is owed any more; steps stay as long as their request. What the watch has not read yet, it may still find somebody for.
const PRUNE_MESSAGES: &str = "
    DELETE FROM log WHERE seq IN (
        SELECT l.seq FROM log AS l INDEXED BY log_messages
        WHERE l.data IS NOT NULL AND l.at < $1 AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.event_id = l.id)
          AND l.seq <= coalesce((SELECT w.seq FROM watch AS w), l.seq)
        ORDER BY l.at LIMIT $2)";

// The oldest come first in the order of their ids.
const PRUNE_ALERTS: &str = "
    DELETE FROM alert WHERE id IN (
        SELECT l.id FROM alert AS l INDEXED BY alert_by_state
        WHERE l.state = 'resolved' AND l.resolved_at < $1 AND l.notify_at IS NULL
        ORDER BY l.id LIMIT $2)";

// A month's is kept for those who come through it late: the first of them asks for all.
const PRUNE_GATES: &str = "
    DELETE FROM gate
    WHERE until <= CASE WHEN kind IN ('program_month', 'account_month') THEN $2 ELSE $1 END";

/// How long a gate whose month has rolled is kept, in milliseconds: longer than a daemon is down.
const MONTH_GATES_KEPT_MS: i64 = 7 * 86_400_000;

/// The table.
const JOB: Table = Table { name: "job", key: &["name"] };

const MARK_JOB: &str = "
    INSERT INTO job (name, ran_at, due_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET ran_at = coalesce(excluded.ran_at, job.ran_at), due_at = excluded.due_at";

const JOBS: &str = "SELECT name, ran_at, due_at FROM job ORDER BY name";

/// When a cron job ran and is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The job.
    pub name: String,
    /// When it last ran to its end; `None`: it never did.
    pub ran_at: Option<Time>,
    /// When it is due; long past when nobody ran it.
    pub due_at: Option<Time>,
}

/// Since when spent rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events, and messages that were delivered.
    pub events: Time,
    /// Messages that were given up, as a person may still ask for them; and alerts that are over.
    pub dead: Time,
}

impl Store {
    /// Takes away spent rows, as many as `keep` lets go of; the number taken, bounded.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken.
    pub async fn prune(&self, keep: Retention, now: Time) -> Result<u64, StoreError> {
        self.writer.write(Prune { keep, now }).await
    }

    /// What is known of the cron jobs.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows = decode::legible(&sql::query(JOBS).fetch_all(self.readers()).await?, JOB);
        let job = |(name, ran, due): (String, Option<i64>, Option<i64>)| JobRow {
            name,
            ran_at: ran.map(Time::from_ms),
            due_at: due.map(Time::from_ms),
        };
        Ok(rows.into_iter().map(job).collect())
    }

    /// Remembers that a cron job ran to its end, and when it is due again.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn job_ran(&self, name: &'static str, now: Time, due: Option<Time>) -> Result<(), StoreError> {
        self.writer.write(MarkJob { name, ran: Some(now), due }).await
    }

    /// Remembers when a cron job is due; when it last ran stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn job_due(&self, name: &'static str, due: Option<Time>) -> Result<(), StoreError> {
        self.writer.write(MarkJob { name, ran: None, due }).await
    }
}

#[derive(Debug)]
struct Prune {
    keep: Retention,
    now: Time,
}

impl WriteCommand for Prune {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let Self { keep, now } = *self;
        let mut taken = 0;
        // An event goes after the last of its messages.
        let spent = [
            (PRUNE_DELIVERED, keep.events),
            (PRUNE_DEAD, keep.dead),
            (PRUNE_MESSAGES, keep.events),
            (PRUNE_ALERTS, keep.dead),
        ];
        for (statement, before) in spent {
            taken += sql::query(statement).bind(before.ms()).bind(PRUNE_MAX).execute(&mut *tx).await?;
        }
        taken += programs::prune(tx, now, PRUNE_MAX).await?;
        let gates = sql::query(PRUNE_GATES).bind(now.ms()).bind(now.ms() - MONTH_GATES_KEPT_MS);
        Ok(taken + gates.execute(tx).await?)
    }
}

#[derive(Debug)]
struct MarkJob {
    name: &'static str,
    ran: Option<Time>,
    due: Option<Time>,
}

impl WriteCommand for MarkJob {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Self { name, ran, due } = self;
        sql::query(MARK_JOB).bind(*name).bind(ran.map(Time::ms)).bind(due.map(Time::ms)).execute(tx).await?;
        Ok(())
    }
}
