//! The row of `pace`: the daemon's polling plan, for outside observers that judge whether something is late.

use std::time::Duration;

use sqlx::FromRow;

use super::writer::WriteCommand;
use crate::{
    domain::{
        capacity::{CapacityPlan, Census},
        pace::Stretch,
        policy::Policy,
        time::Time,
    },
    store::{
        Store, StoreError,
        sql::{self, QueryBuilder, Tx},
    },
};

/// The plan in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct PaceRow {
    /// By how much all intervals are stretched, in thousandths.
    #[sqlx(try_from = "i64")]
    pub stretch: u32,
    /// How late a look may be by it, milliseconds.
    pub late_ms: i64,
    /// Since when the stretch is above 2, milliseconds UTC; `None` while it is not.
    pub strained_since: Option<i64>,
    /// When it was made, milliseconds UTC.
    pub at: i64,
}

impl PaceRow {
    /// A plan of this moment.
    #[must_use]
    pub fn of(plan: &CapacityPlan, is_strained: bool, now: Time) -> Self {
        Self {
            stretch: plan.stretch.thousandths(),
            late_ms: i64::try_from(plan.late.as_millis()).unwrap_or(i64::MAX),
            strained_since: is_strained.then_some(now.ms()),
            at: now.ms(),
        }
    }

    /// How late a look may be by it.
    #[must_use]
    pub fn late(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.late_ms).unwrap_or(0))
    }

    /// By how much all intervals are stretched.
    #[must_use]
    pub const fn stretch(&self) -> Stretch {
        Stretch::from_thousandths(self.stretch)
    }
}

const SET: &str = "
    INSERT INTO pace (one, stretch, late_ms, strained_since, at) VALUES (1, $1, $2, $3, $4)
    ON CONFLICT (one) DO UPDATE
    SET stretch = excluded.stretch, late_ms = excluded.late_ms, at = excluded.at,
        strained_since = CASE WHEN excluded.strained_since IS NULL THEN NULL
                         ELSE coalesce(pace.strained_since, excluded.strained_since) END";

const PACE: &str = "SELECT stretch, late_ms, strained_since, at FROM pace";

impl Store {
    /// Writes the plan down, unless it says what is there.
    ///
    /// # Errors
    /// [`StoreError`]: it was not written.
    pub async fn set_pace(&self, row: PaceRow) -> Result<(), StoreError> {
        if self.pace().await?.is_none_or(|known| known.differs(row)) {
            self.writer.write(SetPace { row }).await?;
        }
        Ok(())
    }

    /// Accounts by what they wait for at `now`. Reads every account with something due: some tenths of a second at a
    /// million.
    pub async fn census(&self, policy: &Policy, now: Time) -> Result<Census, StoreError> {
        const ACTIVE: &str = "a.suspended_by IS NULL AND a.checked_at IS NOT NULL AND";
        let mut query: QueryBuilder = QueryBuilder::new(
            "SELECT count(*) FILTER (WHERE a.suspended_by = 'wechat'),
                    count(*) FILTER (WHERE a.suspended_by IS NULL AND a.pace_from IS NULL AND a.asked = 0),
                    count(*) FILTER (WHERE a.suspended_by IS NULL AND a.asked = 1
                                           AND (a.pace_from IS NULL OR a.checked_at IS NULL)),
                    count(*) FILTER (WHERE a.suspended_by IS NULL AND a.asked = 0
                                           AND a.pace_from IS NOT NULL AND a.checked_at IS NULL)",
        );
        for step in policy.steps.iter() {
            query.push(", count(*) FILTER (WHERE ").push(ACTIVE).push(" a.pace_from <= ");
            query.push_bind((now - step.from).ms());
            if let Some(until) = step.until {
                query.push(" AND a.pace_from > ").push_bind((now - until).ms());
            }
            query.push(")");
        }
        query.push(" FROM account AS a WHERE a.next_check_at IS NOT NULL");
        let row = query.build().fetch_one(self.readers()).await?;
        let count = |at: usize| row.get::<i64>(at).map(|count| u64::try_from(count).unwrap_or(0));
        let by_step: Result<_, sqlx::Error> = (4..row.len()).map(count).collect();
        let (suspended, waiting, asked, unseen) = (count(0)?, count(1)?, count(2)?, count(3)?);
        Ok(Census { asked, unseen, by_step: by_step?, waiting, suspended, linked: self.linked_accounts().await? })
    }

    /// The plan that a daemon last worked by.
    pub async fn pace(&self) -> Result<Option<PaceRow>, StoreError> {
        Ok(sql::query_as(PACE).fetch_optional(self.readers()).await?)
    }
}

impl PaceRow {
    /// Whether another plan is worth a write: one that differs by more than a hundredth, or in being strained.
    const fn differs(self, other: Self) -> bool {
        self.stretch.abs_diff(other.stretch) > self.stretch / 100
            || self.strained_since.is_some() != other.strained_since.is_some()
    }
}

#[derive(Debug)]
struct SetPace {
    row: PaceRow,
}

impl WriteCommand for SetPace {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let PaceRow { stretch, late_ms, strained_since, at } = self.row;
        sql::query(SET).bind(stretch).bind(late_ms).bind(strained_since).bind(at).execute(tx).await?;
        Ok(())
    }
}
