//! How we remember: one `SQLite` file, one writer at a time, readers apart. It must never decide anything about a request.
//!
//! What polls and the watch ask and write goes through [`Store`]'s methods to the database thread (`executor`), everything
//! else that is written to the `writer`; both commit whatever queued while the last commit was syncing. Each file beside them
//! holds one noun with its SQL; [`read::views`] is what people read.

mod account_row;
mod bulk;
mod codes;
mod decode;
pub mod error;
mod executor;
pub mod file;
pub mod read;
mod request_row;
mod skipped_accounts;
pub mod write;

use std::sync::Arc;

use sqlx::SqlitePool;
use tokio::sync::watch;

pub use self::{
    error::{BadRow, StoreError},
    file::{
        move_to_log::Moved,
        open::{Location, OpenError, Role},
    },
    write::{record::Record, writer::Health},
};
use self::{
    executor::Executor,
    file::{open, wal},
    read::illegal_rows,
    write::{
        accounts::{self, Reservation, Standing},
        housekeeping::Retention,
        record,
        requests::{Accepted, Urgency},
        wakeups,
        writer::{Reply, Work, Writer},
    },
};
use crate::domain::{id::AccountId, request::Request, time::Time};

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    /// What polls ask and write.
    executor: Executor,
    writer: Writer,
    /// Held for as long as a daemon drives the file.
    lock: Option<Arc<std::fs::File>>,
    place: open::FileIdentity,
    /// The file was too large to be checked when it was opened.
    is_unchecked: bool,
    /// How large the write-ahead log is.
    log: wal::Log,
    /// Accounts whose rows are not legal.
    left_out: skipped_accounts::SkippedAccounts,
    /// How far the audit has looked for such rows.
    scan: illegal_rows::Scan,
}

/// What became of a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is on disk.
    Written,
    /// One of its requests was changed by someone else since it was read: nothing was written; read and decide again.
    Stale,
}

impl Store {
    /// Writes decisions and what belongs to them, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn record(&self, record: Record) -> Result<Recorded, StoreError> {
        self.executor.write(move |db| record::write(db, &record)).await
    }

    /// Writes, ahead of the polls they announce, when each account is due next and what its budget is then. Answers the rows
    /// that were refused because they are not legal: their polls may not be made.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, so none of these polls may be made.
    pub async fn reserve(&self, mut reservations: Vec<Reservation>) -> Result<Vec<i64>, StoreError> {
        // In the order of the table: neighbours are on one page, which is then found and written once.
        reservations.sort_unstable_by_key(|reservation| reservation.row);
        self.executor.write(move |db| accounts::reserve(db, &reservations)).await
    }

    /// Writes new requests, all or none. One that exists already, by its key or as an open request for the same pair,
    /// is answered with the existing one.
    ///
    /// # Errors
    /// [`StoreError`]: none was written. [`StoreError::KeyTaken`] when a key names a request for something else.
    pub async fn accept(
        &self,
        requests: Vec<Request>,
        urgency: Urgency,
        now: Time,
    ) -> Result<Vec<Accepted>, StoreError> {
        match self.writer.ask(Work::Accept(requests, urgency, now)).await? {
            Reply::Accepted(accepted) => Ok(accepted),
            Reply::Done(_) | Reply::Nudged(_) | Reply::Changed(_) => Err(StoreError::closed()),
        }
    }

    /// Suspends or resumes an account on an operator's word; the number of accounts changed, 0 when it is not known.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn set_standing(&self, account: &AccountId, standing: Standing, now: Time) -> Result<u64, StoreError> {
        self.done(Work::Standing(account.clone(), standing, now)).await
    }

    /// Takes wake-up rows up to `seq` away for these accounts, and makes the accounts due; beside each, whether somebody
    /// waits for the answer.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written; the rows are still there.
    pub async fn take_wakeups(&self, seq: i64, woken: Vec<(String, bool)>, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| wakeups::take(db, seq, &woken, now)).await
    }

    /// Asks the daemon to look at this account at once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn wake(&self, account: &AccountId) -> Result<(), StoreError> {
        self.done(Work::Wake(account.clone())).await.map(drop)
    }

    /// Makes accounts due that have linked requests and nothing open: the next `limit` after row `after`, spread
    /// from `now` on over `spread_ms`. Answers the last row taken, 0 at the end.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn begin_drift(&self, after: i64, limit: u32, now: Time, spread_ms: i64) -> Result<u64, StoreError> {
        self.done(Work::Drift { after, limit, now, spread_ms }).await
    }

    /// Takes away spent rows, as many as `keep` lets go of; the number taken, bounded.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken.
    pub async fn prune(&self, keep: Retention, now: Time) -> Result<u64, StoreError> {
        self.done(Work::Prune { keep, now }).await
    }

    /// Remembers that a cron job ran to its end, and when it is due again.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn job_ran(&self, name: &'static str, now: Time, due: Option<Time>) -> Result<(), StoreError> {
        self.done(Work::Job { name, ran: Some(now), due }).await.map(drop)
    }

    /// Whether the database's name still means the file that is open. When it was deleted or replaced, whatever is
    /// written from now on is lost.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.place.holds()
    }

    /// How writing goes, now and whenever it changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.writer.health()
    }

    /// The connections for reading.
    pub(crate) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Closes readers, then the writer, so that the write-ahead log is folded into the file; gives the lock back.
    pub async fn close(self) {
        self.readers.close().await;
        self.executor.close().await;
        self.writer.close().await;
        drop(self.lock);
    }

    async fn done(&self, work: Work) -> Result<u64, StoreError> {
        match self.writer.ask(work).await? {
            Reply::Done(count) => Ok(count),
            Reply::Accepted(_) | Reply::Nudged(_) | Reply::Changed(_) => Err(StoreError::closed()),
        }
    }
}
