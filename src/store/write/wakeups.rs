//! Rows of `wakeup`: how a command tells the daemon that an account changed. A hint only: due times are stored with the
//! account, so a lost wakeup loses nothing.

use sqlx::FromRow;

use super::{accounts, urgency::Urgency, writer::WriteCommand};
use crate::{
    domain::{id::AccountId, time::Time},
    store::{
        Store, StoreError, bulk,
        decode::{self, Table},
        executor::Db,
        sql::{self, Flag, Tx},
    },
};

/// The table.
const WAKEUP: Table = Table { name: "wakeup", key: &["seq"] };

const ADD: &str = "INSERT INTO wakeup (account, at, asked) SELECT j.value, ?2, ?3 FROM json_each(?1) AS j";
// A command wakes an account whose request it has just changed: that change says when.
const WAKE: &str = "
    INSERT INTO wakeup (account, at, asked)
    SELECT $1, coalesce((SELECT max(r.since) FROM request AS r INDEXED BY request_by_account WHERE r.account = $1), 0), 1";
// In the order of writing, so that a million of an import are read once and not again for every page. A row that names no
// account would stand before the others for ever.
const WAITING: &str = "
    SELECT w.seq, w.account, w.asked FROM wakeup AS w
    WHERE w.seq > $1 AND typeof(w.account) = 'text'
      AND ($3 = -1 OR coalesce((SELECT ($3 >> CAST(a.id % 64 AS INTEGER)) & 1 FROM account AS a WHERE a.account = w.account), $4) = 1)
    ORDER BY w.seq LIMIT $2";
// By their numbers: with several writers a lower one may be there later than a higher one.
const TAKE: &str = "DELETE FROM wakeup WHERE seq IN (SELECT CAST(j.value AS BIGINT) FROM json_each(?1) AS j)";

/// Whose wake-ups are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Those of accounts in these shards.
    pub shard_bits: i64,
    /// Those of accounts that have no row.
    pub strangers: bool,
}

impl Heard {
    /// All.
    pub const ALL: Self = Self { shard_bits: -1, strangers: true };
}

/// An account that somebody wants looked at.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Wakeup {
    /// Its place in the order of writing.
    pub seq: i64,
    /// The account.
    pub account: String,
    /// Whether somebody waits for the answer.
    #[sqlx(try_from = "Flag")]
    pub asked: bool,
}

impl Store {
    /// Wake-ups after the one with number `after`, in the order of writing, at most `limit`.
    pub async fn wakeups(&self, after: i64, limit: u32, heard: Heard) -> Result<Vec<Wakeup>, StoreError> {
        let Heard { shard_bits, strangers } = heard;
        let waiting = sql::query(WAITING).bind(after).bind(limit).bind(shard_bits).bind(i64::from(strangers));
        Ok(decode::legible(&waiting.fetch_all(self.readers()).await?, WAKEUP))
    }

    /// Asks the daemon to look at this account at once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn wake(&self, account: &AccountId) -> Result<(), StoreError> {
        self.writer.write(Wake { account: account.clone() }).await
    }

    /// Takes the wake-up rows with these numbers away, and makes these accounts due; beside each, whether somebody
    /// waits for the answer.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written; the rows are still there.
    pub async fn take_wakeups(&self, seqs: Vec<i64>, woken: Vec<(String, bool)>, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| take(db, &seqs, &woken, now)).await
    }
}

pub(super) async fn add(tx: &mut Tx<'_>, accounts: &[&str], urgency: Urgency, now: Time) -> Result<(), StoreError> {
    if !accounts.is_empty() {
        sql::query(ADD).bind(bulk::json(accounts)).bind(now.ms()).bind(urgency.flag()).execute(tx).await?;
    }
    Ok(())
}

/// [`add`] on the database thread.
pub(super) fn add_all(db: Db<'_>, accounts: &[String], urgency: Urgency, now: Time) -> Result<(), StoreError> {
    db.execute(ADD, (bulk::json(accounts), now.ms(), urgency.flag())).map(drop)
}

#[derive(Debug)]
struct Wake {
    account: AccountId,
}

impl WriteCommand for Wake {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        sql::query(WAKE).bind(self.account.as_str()).execute(tx).await?;
        Ok(())
    }
}

fn take(db: Db<'_>, seqs: &[i64], woken: &[(String, bool)], now: Time) -> Result<(), StoreError> {
    accounts::wake(db, woken, now)?;
    db.execute(TAKE, (bulk::json(seqs),)).map(drop)
}
