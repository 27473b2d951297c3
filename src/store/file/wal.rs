//! The write-ahead log: checkpointed before it grows large, and reported when somebody's long read prevents that.
//! Nobody waits for it: slow work happens while others write.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::sidecar;
use crate::{
    domain::time::Time,
    store::{Store, StoreError, place::Place, sql},
};

/// A log above this is folded and cut: twice of what a busy writer leaves before it folds by itself (`wal_autocheckpoint`),
/// so that in good days nothing is to be done. Also what is left of it on disk after that.
pub(super) const FOLD_ABOVE: u64 = 64 << 20;

/// A log above this is large: four times what it is cut at. Only a read that does not end makes one that stays so, and it
/// grows until the disk is full.
pub const LARGE_ABOVE: u64 = 256 << 20;

/// Pages that may be left to fold while writers wait for it: a few milliseconds, also on a slow disk.
const LAST_PAGES: i64 = 1_000;

/// How long a writer, and everybody behind it, may be made to wait for a cut.
const CUT_WAIT: Duration = Duration::from_millis(100);

// The first makes nobody wait and folds what it can; the second cuts the file, for which nobody may read or write.
const FOLD: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const CUT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// How large the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogHealth {
    /// Bytes on disk.
    pub bytes: u64,
    /// Since when it has been above [`LARGE_ABOVE`] and could not be cut; `None` when it is not.
    pub large_since: Option<Time>,
}

/// What was last known of it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Log(Arc<Mutex<LogHealth>>);

impl Log {
    fn health(&self) -> MutexGuard<'_, LogHealth> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how large it is at `now`.
    fn note(&self, bytes: u64, large_above: u64, now: Time) -> LogHealth {
        let mut health = self.health();
        let large_since = (bytes > large_above).then(|| health.large_since.unwrap_or(now));
        *health = LogHealth { bytes, large_since };
        *health
    }
}

impl Store {
    /// How large the log was when [`Store::keep_log_small`] last looked.
    #[must_use]
    pub fn log_health(&self) -> LogHealth {
        *self.log.health()
    }

    /// Bytes of the file at this moment; none where it is gone.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.place.file().map_or(0, bytes_of)
    }

    /// Bytes of the database at this moment.
    ///
    /// # Errors
    /// [`StoreError`] when the server does not say.
    pub async fn size(&self) -> Result<u64, StoreError> {
        match &self.place {
            Place::File(_) => Ok(self.bytes()),
            Place::Server(_) => {
                const SIZE: &str = "SELECT pg_database_size(current_database())";
                let bytes: i64 = sql::query_scalar(SIZE).fetch_one(self.readers()).await?;
                Ok(bytes.unsigned_abs())
            }
        }
    }

    /// Bytes of the log at this moment.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.place.file().map_or(0, |path| bytes_of(&log_of(path)))
    }

    /// Folds the log into the database and cuts it where it has grown beyond what its writer leaves. Call it every now and
    /// then: while it is small, that costs one look at the file.
    ///
    /// # Errors
    /// [`StoreError`]: it is as large as it was.
    pub async fn keep_log_small(&self, now: Time) -> Result<LogHealth, StoreError> {
        self.fold_above(FOLD_ABOVE, LARGE_ABOVE, now).await
    }

    async fn fold_above(&self, fold_above: u64, large_above: u64, now: Time) -> Result<LogHealth, StoreError> {
        let folded = match self.place.file() {
            Some(path) if self.log_bytes() > fold_above => fold(path).await,
            Some(_) | None => Ok(()),
        };
        let health = self.log.note(self.log_bytes(), large_above, now);
        folded.map(|()| health)
    }
}

async fn fold(path: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(CUT_WAIT);
    let mut connection = options.disable_statement_logging().connect().await?;
    let (_, pages, folded): (i64, i64, i64) = sqlx::query_as(FOLD).fetch_one(&mut connection).await?;
    // While somebody reads what is old, the rest cannot be folded, and to cut the file would only make writers wait.
    if pages - folded <= LAST_PAGES {
        let (_, _, _): (i64, i64, i64) = sqlx::query_as(CUT).fetch_one(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

fn log_of(database: &Path) -> PathBuf {
    sidecar::name(database, "-wal")
}

fn bytes_of(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

#[cfg(test)]
mod tests {
    use sqlx::SqliteConnection;

    use super::*;
    use crate::store::{Location, Role};

    const KIB: u64 = 1 << 10;

    fn at(seconds: i64) -> Time {
        Time::from_ms(seconds * 1_000)
    }

    /// Half a megabyte of log.
    async fn write(store: &Store) {
        for number in 0..60 {
            store.wake(&format!("wx{number:016}").parse().unwrap()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_log_that_grew_is_cut_and_one_that_a_reader_holds_is_told_until_the_reader_goes() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Role::Daemon).await.unwrap();
        write(&store).await;
        assert!(store.log_bytes() > 200 * KIB, "{}", store.log_bytes());
        let health = store.fold_above(100 * KIB, 150 * KIB, at(1)).await.unwrap();
        assert_eq!(health, LogHealth { bytes: 0, large_since: None }, "cut");

        let mut reader =
            SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(location.path().unwrap()))
                .await
                .unwrap();
        let mut held = reader.begin().await.unwrap();
        let _: i64 = sqlx::query_scalar("SELECT count(*) FROM wakeup").fetch_one(&mut *held).await.unwrap();
        write(&store).await;
        for seconds in [2, 3] {
            let health = store.fold_above(100 * KIB, 150 * KIB, at(seconds)).await.unwrap();
            assert_eq!(health.large_since, Some(at(2)), "since it was first found: {health:?}");
            assert_eq!(store.log_health(), health);
        }
        // Others write as if nothing were.
        store.wake(&"wxaaaaaaaaaaaaaaaa".parse().unwrap()).await.unwrap();

        held.rollback().await.unwrap();
        let health = store.fold_above(100 * KIB, 150 * KIB, at(4)).await.unwrap();
        assert_eq!(health, LogHealth { bytes: 0, large_since: None });
        store.close().await;
    }
}
