//! The lock file of a database: one daemon drives it, and one process at a time migrates it. The holder writes its
//! purpose into it, so that others know whether to wait.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    schema::SCHEMA,
    sidecar::{self, SidecarError},
};
use crate::store::OpenError;

/// How far apart a lock is tried that somebody holds.
const PAUSE: Duration = Duration::from_millis(20);

/// How often it is tried when its holder keeps it, or has not said what for: a second.
const TRIES: u32 = 50;

/// How often a daemon tries it whose holder brings the file up to date and lets it go then: ten minutes, for the largest
/// file.
const TRIES_OF_DAEMON: u32 = 30_000;

/// How often a command does, whose person waits: half a minute.
const TRIES_OF_COMMAND: u32 = 1_500;

/// How often a command does while a daemon makes a new file: five seconds.
const TRIES_OF_NEW: u32 = 250;

/// What the lock is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    /// To drive the database: until that process ends.
    Drive,
    /// To bring it up to date: for a moment.
    Migrate,
    /// To put a copy in its place: for as long as a person thinks about it.
    Replace,
    /// To move everything to another database, or from there.
    Move,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Drive, Self::Migrate, Self::Replace, Self::Move];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Drive => "drive",
            Self::Migrate => "migrate",
            Self::Replace => "replace",
            Self::Move => "move",
        }
    }
}

/// What the holder has written into the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) purpose: Purpose,
    /// The schema that its program knows.
    pub(super) schema: i64,
}

/// Takes the lock; a command that brings the file up to date gives it back soon.
pub(super) async fn lock_soon(path: &Path, purpose: Purpose) -> Result<File, OpenError> {
    let mut tried = 0;
    loop {
        match lock(path, purpose) {
            Err(OpenError::Locked(path)) => {
                let is_migrating = holder(&path).is_some_and(|holder| holder.purpose == Purpose::Migrate);
                if tried >= if is_migrating { TRIES_OF_DAEMON } else { TRIES } {
                    return Err(OpenError::Locked(path));
                }
            }
            other => return other,
        }
        tried += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The lock for bringing the file up to date, unless somebody else does that meanwhile.
///
/// # Errors
/// [`OpenError::Older`] when a daemon of an older version holds it, [`OpenError::Migrating`] when a newer one does not come to
/// its end, [`OpenError::Gone`] when what it holds is not this file any more.
pub(super) async fn lock_to_migrate(
    path: &Path,
    mut version: impl AsyncFnMut() -> Result<i64, OpenError>,
) -> Result<Option<File>, OpenError> {
    let mut tried = 0;
    loop {
        match lock(path, Purpose::Migrate) {
            Err(OpenError::Locked(_)) => {}
            lock => return lock.map(Some),
        }
        // Whoever holds it may have brought the file up to date meanwhile, or be about to.
        let version = version().await?;
        if version >= SCHEMA {
            return Ok(None);
        }
        let holder = holder(path);
        let will_migrate = holder.as_ref().is_some_and(|holder| holder.schema >= SCHEMA);
        // A daemon makes a new file in a moment: what it drives is another one, whose name this was.
        let is_another = version == 0 && holder.is_some_and(|holder| holder.purpose == Purpose::Drive);
        if is_another && tried >= TRIES_OF_NEW {
            return Err(OpenError::Gone(path.to_owned()));
        } else if will_migrate && tried >= TRIES_OF_COMMAND {
            return Err(OpenError::Migrating(path.to_owned()));
        } else if !will_migrate && tried >= TRIES {
            return Err(OpenError::Older { path: path.to_owned(), version });
        }
        tried += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes the lock at once, or not at all.
fn lock(path: &Path, purpose: Purpose) -> Result<File, OpenError> {
    let beside = sidecar::name(path, ".lock");
    let failed = |source| OpenError::File { path: beside.clone(), source };
    let database = path.metadata().ok();
    let mut file = sidecar::open_or_make(&beside, database.as_ref()).map_err(|error| unusable(&beside, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let owner = file.metadata().map_err(failed)?.uid();
    if owner == rustix::process::geteuid().as_raw() || database.is_some_and(|database| database.uid() == owner) {
        // Without it the others only wait a little less wisely.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{} {SCHEMA}", purpose.as_str()));
    }
    Ok(file)
}

/// Whether somebody holds the lock for longer than a moment. It makes none.
pub(in crate::store) fn is_held(path: &Path) -> Result<bool, OpenError> {
    let beside = sidecar::name(path, ".lock");
    let file = match sidecar::open(&beside) {
        Ok(file) => file,
        Err(SidecarError::System(missing)) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(&beside, error)),
    };
    // Shared, so that two who ask do not take each other for a daemon.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path: beside, source }),
    }
}

fn unusable(beside: &Path, error: SidecarError) -> OpenError {
    match error {
        SidecarError::Planted(planted) => planted.into(),
        SidecarError::System(source) => OpenError::File { path: PathBuf::from(beside), source },
    }
}

/// What the holder of the lock says; `None` when it says nothing, as one of an older version does.
fn holder(path: &Path) -> Option<Holder> {
    let mut file = sidecar::open(&sidecar::name(path, ".lock")).ok()?;
    file.rewind().ok()?;
    let mut said = String::new();
    file.take(64).read_to_string(&mut said).ok()?;
    let (purpose, schema) = said.trim_end().split_once(' ')?;
    let purpose = Purpose::ALL.into_iter().find(|known| known.as_str() == purpose)?;
    Some(Holder { purpose, schema: schema.parse().ok()? })
}
