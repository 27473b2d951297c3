//! The drift check: accounts that have linked requests and nothing open are due now and then all the same, because links can be
//! removed by anybody at any time, and the list alone tells.

use std::time::Duration;

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, bulk,
        sql::{self, Tx},
    },
};

const LINKED: &str = "
    SELECT count(*) FROM account AS a
    WHERE a.next_check_at IS NULL AND a.suspended_by IS NULL
      AND EXISTS (SELECT 1 FROM request AS r INDEXED BY request_linked
                  WHERE r.account = a.account AND r.state = 'linked')";

const PAGE: &str = "
    SELECT a.id FROM account AS a
    WHERE a.id > $1 AND a.next_check_at IS NULL AND a.suspended_by IS NULL
      AND EXISTS (SELECT 1 FROM request AS r INDEXED BY request_linked
                  WHERE r.account = a.account AND r.state = 'linked')
    ORDER BY a.id LIMIT $2";

const DRIFT: &str = "
    UPDATE account SET next_check_at = CAST(j.value ->> 1 AS BIGINT) FROM jsonb_each($1) AS j
    WHERE account.id = CAST(j.value ->> 0 AS BIGINT) AND account.next_check_at IS NULL";

impl Store {
    /// How many accounts have nothing but linked requests: what a drift check looks at. Reads every account.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn linked_accounts(&self) -> Result<u64, StoreError> {
        let count: i64 = sql::query_scalar(LINKED).fetch_one(self.readers()).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Makes accounts due that have linked requests and nothing open: the next `limit` after row `after`, spread
    /// from `now` on over `spread`. Answers the last row taken; `None`: there was none.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn begin_drift(
        &self,
        after: i64,
        limit: u32,
        now: Time,
        spread: Duration,
    ) -> Result<Option<i64>, StoreError> {
        self.writer.write(BeginDrift { after, limit, now, spread }).await
    }
}

#[derive(Debug)]
struct BeginDrift {
    after: i64,
    limit: u32,
    now: Time,
    spread: Duration,
}

impl WriteCommand for BeginDrift {
    type Answer = Option<i64>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, StoreError> {
        let page: Vec<i64> = sql::query_scalar(PAGE).bind(self.after).bind(self.limit).fetch_all(&mut *tx).await?;
        let spread_ms = i64::try_from(self.spread.as_millis()).unwrap_or(i64::MAX).max(1);
        // Row numbers are dense: their remainder spreads them evenly and the same way every day.
        let due = |row: i64| self.now.ms() + row.wrapping_mul(7_919).rem_euclid(spread_ms);
        let rows: Vec<(i64, i64)> = page.iter().map(|row| (*row, due(*row))).collect();
        bulk::execute(tx, DRIFT, &rows).await?;
        Ok(page.last().copied())
    }
}
