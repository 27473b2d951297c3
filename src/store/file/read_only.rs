//! Opens a database read-only: nothing is created, locked or migrated, so that anybody with read permission can look at
//! it, with or without a daemon.

use std::{io, path::Path, sync::Arc};

use sqlx::{ConnectOptions, sqlite::SqlitePoolOptions};
use tokio::sync::watch;

use super::{
    frozen::{FileVersion, READ_TIMEOUT, is_frozen, name, options, wal_len},
    identity::FileIdentity,
    location::resolved,
    lock,
    open::check_library,
    schema::{SCHEMA, schema},
    wal::Log,
};
use crate::store::{
    Location, OpenError, Store, StoreError,
    executor::{Executor, FileWay, Turn, Way},
    health::Health,
    meters::CommitMeters,
    moved,
    place::Place,
    read::illegal_rows::Scan,
    skipped_accounts::SkippedAccounts,
    sql::{Pool, Tx},
    write::writer::{self, Link, Writer},
};

/// Connections for reading: a page of figures asks one thing after the other.
const READERS: u32 = 2;

impl Store {
    /// Opens a database that is there, for reading alone: every write to it is refused.
    ///
    /// # Errors
    /// [`OpenError`]; also when the file is older than this program, because nothing here brings it up to date.
    pub async fn open_to_read(location: &Location) -> Result<Self, OpenError> {
        let path = match location {
            Location::File { path, .. } => &resolved(path)?,
            Location::Server(address) => return Self::open_server_to_read(address).await,
        };
        let frozen = is_frozen(path).then(|| FileVersion::of(path)).transpose();
        Self::open_as(path, frozen.map_err(|source| unreadable(path, source))?).await
    }

    async fn open_as(path: &Path, frozen: Option<FileVersion>) -> Result<Self, OpenError> {
        if frozen.is_some() && wal_len(path) > 0 {
            return Err(OpenError::LogWithoutIndex(path.to_owned()));
        }
        let options = options(path, frozen.is_some());
        let mut connection = options.connect().await.map_err(|source| refused(path, source))?;
        check_library(&mut connection).await.map_err(|source| refused(path, source))??;
        match schema(&mut connection, path).await.map_err(to_read)? {
            SCHEMA => {}
            0 => {
                return Err(OpenError::Foreign {
                    path: path.to_owned(),
                    reason: "it has no schema of ours".to_owned(),
                });
            }
            version if version > SCHEMA => return Err(OpenError::Newer { path: path.to_owned(), version }),
            version if lock::is_held(path).unwrap_or(false) => {
                return Err(OpenError::Older { path: path.to_owned(), version });
            }
            version => return Err(OpenError::Outdated { path: path.to_owned(), version }),
        }
        moved::check_whole(&mut Tx::Sqlite(&mut connection), &path.display())
            .await
            .map_err(|source| OpenError::Store { path: path.to_owned(), source })??;
        let readers =
            Pool::Sqlite(SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.clone()));
        let place = FileIdentity::of(path).map_err(|source| unreadable(path, source))?;
        let (turn, health) = (Turn::default(), watch::Sender::new(Health::default()));
        let meters = Arc::<CommitMeters>::default();
        Ok(Self {
            door: readers.clone(),
            readers,
            executor: Executor::start(
                Way::File(FileWay::to_read(name(path, frozen.is_some()), READ_TIMEOUT)),
                Arc::clone(&turn),
                health.clone(),
                Arc::clone(&meters),
            )
            .map_err(|source| unreadable(path, source))?,
            writer: Writer::start(
                Link::File(connection),
                writer::Way::File(options.into()),
                turn,
                health,
                Arc::clone(&meters),
            ),
            meters,
            hold: None,
            place: Place::File(place),
            is_unchecked: true,
            frozen,
            left_out: SkippedAccounts::default(),
            log: Log::default(),
            scan: Scan::default(),
        })
    }

    /// Whether it was opened as a file that nobody writes, so that changes are not seen.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// That nobody has written to a file that was opened as one which nobody writes.
    ///
    /// # Errors
    /// [`OpenError::WrittenMeanwhile`]: what was read may be half old and half new.
    pub fn check_frozen(&self) -> Result<(), OpenError> {
        let Some(path) = self.place.file() else { return Ok(()) };
        match &self.frozen {
            Some(then) if wal_len(path) > 0 || FileVersion::of(path).ok().as_ref() != Some(then) => {
                Err(OpenError::WrittenMeanwhile(path.to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> OpenError {
    OpenError::Unreadable { path: path.to_owned(), source: Box::new(source) }
}

fn refused(path: &Path, source: sqlx::Error) -> OpenError {
    to_read(OpenError::Store { path: path.to_owned(), source: source.into() })
}

/// An error of opening, where nobody wants to write.
fn to_read(error: OpenError) -> OpenError {
    match error {
        OpenError::Store { path, source: source @ StoreError::Broken(_) } => {
            OpenError::Unreadable { path, source: Box::new(source) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn a_frozen_file_that_is_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("a ?#%41.db");
        let location = Location::file(path.clone(), 0o640);
        Store::open(&location, Role::Tool).await.unwrap().close().await;

        let frozen = Store::open_as(&path, Some(FileVersion::of(&path).unwrap())).await.unwrap();
        assert_eq!(frozen.last_event().await.unwrap(), 0);
        assert!(frozen.only_component().await.unwrap().is_none(), "the database thread reads it, too");
        assert!(frozen.is_frozen() && frozen.check_frozen().is_ok());
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1 + usize::from(folder.path().join("a ?#%41.db.lock").exists()), "nothing is made beside it");

        let beside = Store::open(&location, Role::Daemon).await.unwrap();
        beside.add_component("wx0123456789abcdef", vec![1], crate::domain::time::Time::from_ms(1)).await.unwrap();
        assert!(matches!(frozen.check_frozen(), Err(OpenError::WrittenMeanwhile(_))));
        beside.close().await;
        assert!(matches!(frozen.check_frozen(), Err(OpenError::WrittenMeanwhile(_))), "also when it is folded");
        frozen.close().await;
    }
}
