//! The row of `daemon`: which daemon drives the file, and when it could last write, for whoever asks from outside whether one
//! runs.

use super::writer::WriteCommand;
use crate::{
    domain::time::Time,
    store::{
        Store, StoreError,
        sql::{self, Tx},
    },
};

/// What a daemon leaves in the file about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonMark {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: &'static str,
    /// When it began.
    pub started_at: Time,
    /// When this is written.
    pub written_at: Time,
    /// When it ended in good order.
    pub stopped_at: Option<Time>,
}

const MARK: &str = "
    INSERT INTO daemon (one, pid, version, started_at, written_at, stopped_at) VALUES (1, $1, $2, $3, $4, $5)
    ON CONFLICT (one) DO UPDATE
    SET pid = excluded.pid, version = excluded.version, started_at = excluded.started_at,
        written_at = excluded.written_at, stopped_at = excluded.stopped_at";

impl Store {
    /// Writes down which daemon drives the file, and that it could write just now.
    ///
    /// # Errors
    /// [`StoreError`]: the mark is as old as before.
    pub async fn mark_daemon(&self, mark: DaemonMark) -> Result<(), StoreError> {
        self.writer.write(MarkDaemon { mark }).await
    }
}

#[derive(Debug)]
struct MarkDaemon {
    mark: DaemonMark,
}

impl WriteCommand for MarkDaemon {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let DaemonMark { pid, version, started_at, written_at, stopped_at } = &self.mark;
        sql::query(MARK)
            .bind(pid)
            .bind(*version)
            .bind(started_at.ms())
            .bind(written_at.ms())
            .bind(stopped_at.map(Time::ms))
            .execute(tx)
            .await?;
        Ok(())
    }
}
