//! Persistence: one `SQLite` file, one writer at a time, separate readers.
//!
//! What polls and alerting read and write goes through [`Store`]'s methods to the database thread (`executor`), all
//! other writes go to the `writer`; both commit everything that queued during the last commit. Each file next to them
//! holds one noun with its SQL; [`read::views`] is what people read.

pub mod account_row;
mod bulk;
mod codes;
mod decode;
pub mod error;
mod executor;
pub mod file;
mod health;
pub mod meters;
mod moved;
pub mod moving;
pub mod ownership;
mod place;
pub mod read;
mod request_row;
pub mod row_id;
pub mod server;
mod skipped_accounts;
mod sql;
mod tables;
pub mod write;

use std::sync::Arc;

use tokio::sync::watch;

use crate::{clock::SharedClock, domain::tenure::member::Calls};

pub use self::{
    error::{BadRow, StoreError},
    file::{
        error::OpenError,
        frozen::may_write,
        location::{Location, Role, check_encoding},
        move_to_log::Moved,
        schema::SCHEMA,
        whose::user_name,
    },
    health::Health,
    write::record::{Record, Recorded},
};
use self::{
    executor::Executor,
    file::{frozen::FileVersion, wal},
    meters::{CommitMeters, Queue},
    ownership::Ownership,
    place::{Hold, Place},
    read::illegal_rows,
    sql::Pool,
    write::writer::Writer,
};

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    readers: Pool,
    /// Those of the door: nobody who asks there waits for the daemon's own questions, or the daemon for theirs.
    door: Pool,
    /// What polls ask and write.
    executor: Executor,
    writer: Writer,
    meters: Arc<CommitMeters>,
    /// Held for as long as a daemon works on the database.
    hold: Option<Hold>,
    place: Place,
    /// The file was too large to be checked when it was opened.
    is_unchecked: bool,
    /// What the file was, when it was opened as one that nobody writes.
    frozen: Option<FileVersion>,
    /// How large the write-ahead log is.
    log: wal::Log,
    /// Accounts whose rows are not legal.
    left_out: skipped_accounts::SkippedAccounts,
    /// How far the audit has looked for such rows.
    scan: illegal_rows::Scan,
}

impl Store {
    /// Whether the database's name still means the file that is open, and nobody works at a server in place of this daemon:
    /// else whatever is written from now on is lost, or refused.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match (&self.place, &self.hold) {
            (Place::File(file), _) => file.holds(),
            (Place::Server(_), _) => !self.ownership().is_fenced(),
        }
    }

    /// What this process may work on.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        match &self.hold {
            Some(Hold::Node(node)) => Ownership::leased(node.leased()),
            Some(Hold::Lock { .. }) | None => Ownership::default(),
        }
    }

    /// Takes part among the daemons of the database: says this with its beats, and has what the first one takes.
    pub async fn join(&self, limits: Calls) {
        if let Some(Hold::Node(node)) = &self.hold {
            let beaten = node.beats();
            self.ownership().allow(limits);
            node.join(beaten).await;
        }
    }

    /// Has the other daemons read again which accounts are due: they were made due behind their backs.
    ///
    /// # Errors
    /// [`StoreError`]: they find it when they next begin.
    pub async fn have_reread(&self) -> Result<(), StoreError> {
        match &self.hold {
            Some(Hold::Node(node)) => node.have_reread().await,
            Some(Hold::Lock { .. }) | None => Ok(()),
        }
    }

    /// Where the database is, as people are told of it.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// The database's file, when it is one.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        self.place.file()
    }

    /// How writing goes, now and whenever it changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.writer.health()
    }

    /// Times commits by this clock from now on.
    pub fn time_commits(&self, clock: &SharedClock) {
        self.meters.time_by(clock);
    }

    /// What is counted of commits.
    #[must_use]
    pub fn commits(&self) -> &CommitMeters {
        &self.meters
    }

    /// What waits to be written, but for what polls write.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.writer.queue()
    }

    /// The connections for reading.
    const fn readers(&self) -> &Pool {
        &self.readers
    }

    /// The same for whoever answers others: it reads through connections of its own.
    #[must_use]
    pub fn for_door(&self) -> Self {
        Self { readers: self.door.clone(), ..self.clone() }
    }

    /// Closes readers, then the writer, so that the write-ahead log is folded into the file; gives the lock back.
    pub async fn close(self) {
        self.readers.close().await;
        self.door.close().await;
        self.executor.close().await;
        self.writer.close().await;
        if let Some(Hold::Node(node)) = &self.hold {
            node.end().await;
        }
        drop(self.hold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_at_the_door_waits_for_the_daemon_or_the_daemon_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        for (busy, other) in [(store.clone(), store.for_door()), (store.for_door(), store.clone())] {
            let mut taken = Vec::new();
            let Pool::Sqlite(pool) = busy.readers() else { unreachable!("it is a file") };
            for _ in 0..pool.options().get_max_connections() {
                taken.push(pool.acquire().await.unwrap());
            }
            assert!(pool.try_acquire().is_none());
            assert_eq!(other.newest_event().await.unwrap(), 0);
        }
        // With both of them goes the log beside the file.
        store.close().await;
        assert!(!folder.path().join("a.db-wal").exists());
    }
}
