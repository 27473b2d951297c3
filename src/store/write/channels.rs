//! What is done to everything that waits for a channel: given up when an operator took the channel away, due at once when the
//! calendar was stepped back.

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError, bulk,
        sql::{self, Tx},
    },
};

/// Rows changed in one transaction, so that nobody waits long behind it.
const PAGE: u32 = 10_000;

/// Why a delivery ended whose channel an operator took away.
const NOT_CONFIGURED: &str = "channel is no longer configured";

const OF_OTHERS: &str = "
    SELECT d.id FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.state = 'pending' AND d.channel NOT IN (SELECT j.value FROM json_each($1) AS j) AND typeof(d.id) = 'text'
    LIMIT $2";

const CLOSE: &str = "
    UPDATE delivery SET state = 'dead', next_at = NULL, last_error = j.value ->> 1
    FROM jsonb_each($1) AS j WHERE delivery.id = j.value ->> 0";

const PUT_OFF: &str = "
    SELECT d.id FROM delivery AS d INDEXED BY delivery_pending
    WHERE d.channel = $1 AND d.state = 'pending' AND d.next_at > $2 AND typeof(d.id) = 'text' LIMIT $3";

const HASTEN: &str = "
    UPDATE delivery SET next_at = CAST(j.value ->> 1 AS BIGINT)
    FROM jsonb_each($1) AS j WHERE delivery.id = j.value ->> 0";

impl Store {
    /// Gives up what waits for channels other than these; the number given up.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are given up, the rest waits.
    pub async fn close_channels_except(&self, configured: &[String]) -> Result<u64, StoreError> {
        self.in_pages(|| CloseOthers { configured: configured.to_vec() }).await
    }

    /// Makes everything that waits for a channel due at `now`; the number of rows moved.
    ///
    /// # Errors
    /// [`StoreError`]: the pages so far are due, the rest waits as before.
    pub async fn pull_forward(&self, channel: &str, now: Time) -> Result<u64, StoreError> {
        self.in_pages(|| Hasten { channel: channel.to_owned(), now }).await
    }

    async fn in_pages<C: WriteCommand<Answer = u64>>(&self, page: impl Fn() -> C) -> Result<u64, StoreError> {
        let mut changed = 0;
        loop {
            match self.writer.write(page()).await? {
                0 => return Ok(changed),
                some => changed += some,
            }
        }
    }
}

/// A page of what waits for channels other than these.
#[derive(Debug)]
struct CloseOthers {
    configured: Vec<String>,
}

impl WriteCommand for CloseOthers {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let query = sql::query_scalar(OF_OTHERS).bind(bulk::json(&self.configured)).bind(PAGE);
        let ids: Vec<String> = query.fetch_all(&mut *tx).await?;
        let rows: Vec<(String, &str)> = ids.into_iter().map(|id| (id, NOT_CONFIGURED)).collect();
        Ok(bulk::execute_apart(tx, CLOSE, &rows).await?.0)
    }
}

/// A page of what waits for a channel and is not due.
#[derive(Debug)]
struct Hasten {
    channel: String,
    now: Time,
}

impl WriteCommand for Hasten {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let now = self.now.ms();
        let query = sql::query_scalar(PUT_OFF).bind(&self.channel).bind(now).bind(PAGE);
        let ids: Vec<String> = query.fetch_all(&mut *tx).await?;
        let rows: Vec<(String, i64)> = ids.into_iter().map(|id| (id, now)).collect();
        Ok(bulk::execute_apart(tx, HASTEN, &rows).await?.0)
    }
}
