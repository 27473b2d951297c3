//! Puts a backup in the database's place: written completely next to it, checked, marked, then renamed in one step.
//! What it replaces is kept under another name.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use super::{
    backup::{Contents, Salvaged},
    lock::{Purpose, lock_soon},
    schema::schema_of,
    sidecar::{self, NEIGHBOURS, Planted},
};
use crate::{
    domain::time::Time,
    store::{Location, OpenError, Role, Store, StoreError},
};

/// Why a copy was not put back. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// A daemon runs.
    #[error("a daemon is running on {}: stop it first, or it would keep writing to the replaced file", .0.display())]
    Driven(PathBuf),
    /// Something else stands where a file of ours should.
    #[error(transparent)]
    Planted(#[from] Planted),
    /// It is not worth putting back.
    #[error("{} was not restored: {reason}", file.display())]
    Unfit {
        /// The copy.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process uses the database.
    #[error("another process has {} open: close it and try again", .0.display())]
    InUse(PathBuf),
    /// The system would not.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A copy that is ready to take the database's place, beside it. Dropped, it is gone, and nothing has changed.
#[derive(Debug)]
pub struct Ready {
    database: PathBuf,
    copy: PathBuf,
    /// No daemon starts before this is dropped.
    lock: Option<File>,
    /// What the copy holds.
    pub contents: Contents,
    /// What the database that it replaces knew beyond it; `None` when there is none, or it cannot be read.
    pub salvaged: Option<Salvaged>,
    /// Why nothing could be taken from the database that it replaces.
    pub unreadable: Option<String>,
}

impl Ready {
    /// Makes it of `file`, which stays as it is; a database that is not there yet is made with `mode`.
    ///
    /// # Errors
    /// [`ReplaceError`]: nothing has changed.
    pub async fn make((path, mode): (&Path, u32), file: &Path, now: Time) -> Result<Self, ReplaceError> {
        let failed = |source| ReplaceError::File { path: path.to_owned(), source };
        let database = whole_name(path).map_err(failed)?;
        sidecar::check_neighbours(&database)?;
        let lock = match lock_soon(&database, Purpose::Replace).await {
            Ok(lock) => lock,
            Err(OpenError::File { path, source }) => return Err(ReplaceError::File { path, source }),
            Err(OpenError::Planted(planted)) => return Err(planted.into()),
            Err(_) => return Err(ReplaceError::Driven(database)),
        };
        let unfit = |reason: String| ReplaceError::Unfit { file: file.to_owned(), reason };
        if fs::canonicalize(file).map_err(|missing| unfit(missing.to_string()))? == database {
            return Err(unfit("it is the database itself".to_owned()));
        }
        let copy = sidecar::name(&database, ".restoring");
        let contents = Contents { requests: 0, open: 0, to_reconcile: 0, made_at: None };
        let mut ready = Self { database, copy, lock: Some(lock), contents, salvaged: None, unreadable: None };
        ready.clear();
        let unwritable = |source| ReplaceError::File { path: ready.copy.clone(), source };
        let begun = ready.create(mode).map_err(unwritable)?;
        ready
            .fill(file, now)
            .await
            .map_err(|reason| unfit(reason.replace(&*ready.copy.to_string_lossy(), &file.to_string_lossy())))?;
        if !sidecar::is_still(&begun, &ready.copy) {
            let source = io::Error::other("somebody put another file in its place while it was written");
            return Err(ReplaceError::File { path: ready.copy.clone(), source });
        }
        ready.salvage().await;
        Ok(ready)
    }

    /// An empty file with the mode and the owner of the database.
    fn create(&self, mode: u32) -> io::Result<File> {
        let old = fs::metadata(&self.database).ok();
        let mode = old.as_ref().map_or(mode, |old| old.permissions().mode() & 0o777);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.copy)?;
        file.set_permissions(PermissionsExt::from_mode(mode))?;
        match old {
            // Others than root may not give files away; then it is theirs already, or the daemon will say so.
            Some(old) => drop(fchown(&file, Some(old.uid()), Some(old.gid()))),
            None => sidecar::belongs_to_its_folder(&file, &self.copy),
        }
        Ok(file)
    }

    /// Copies, brings up to date, checks and marks; or says what is wrong.
    async fn fill(&mut self, file: &Path, now: Time) -> Result<(), String> {
        let text = |error: StoreError| error.to_string();
        Store::copy_file(file, &self.copy).await.map_err(text)?;
        // Opened, an empty file would become a new database, and everything would seem to be lost in good order.
        if schema_of(&self.copy).await.map_err(text)? == 0 {
            return Err("it is not a database of amplinkd".to_owned());
        }
        let location = Location::file(self.copy.clone(), 0o600);
        let store = Store::open(&location, Role::Tool).await.map_err(|error| error.to_string())?;
        store.close().await;
        if let Some(damage) = Store::verify(&self.copy, 1).await.map_err(text)?.first() {
            return Err(format!("it does not hold together ({}: {})", damage.id, damage.finding));
        }
        self.contents = Store::mark_restored(&self.copy, now).await.map_err(text)?;
        Ok(())
    }

    async fn salvage(&mut self) {
        if !self.database.exists() {
            return;
        }
        match Store::salvage(&self.copy, &self.database).await {
            Ok(salvaged) => self.salvaged = Some(salvaged),
            Err(error) => self.unreadable = Some(error.to_string()),
        }
    }

    /// Names it as the database. Answers under which name the replaced one is kept.
    ///
    /// # Errors
    /// [`ReplaceError`]: the database is as it was.
    pub async fn place(mut self, now: Time) -> Result<Option<PathBuf>, ReplaceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ReplaceError::File { path, source }
        };
        // With an empty log, a crash at any moment from here on leaves the old database or the new one, and no mixture.
        fold(&self.copy).await.map_err(|_| ReplaceError::InUse(self.copy.clone()))?;
        File::open(&self.copy).and_then(|file| file.sync_all()).map_err(failed(&self.copy))?;
        let mut kept = None;
        let aside = free_name(&self.database, now);
        if self.database.exists() {
            match fold(&self.database).await {
                // A file that cannot be read is a reason to restore, not one to refuse it.
                Ok(()) | Err(StoreError::Corrupt(_) | StoreError::Broken(_) | StoreError::Refused(_)) => {}
                Err(_) => return Err(ReplaceError::InUse(self.database.clone())),
            }
            keep(&self.database, &aside).map_err(failed(&aside))?;
            kept = Some(aside);
        } else {
            // A log without its database would be taken for the copy's.
            keep_neighbours(&self.database, &aside).map_err(failed(&aside))?;
        }
        fs::rename(&self.copy, &self.database).map_err(failed(&self.database))?;
        let folder = self.database.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
        self.lock = None;
        Ok(kept)
    }

    /// What an earlier try left behind; under the lock it is nobody's.
    fn clear(&self) {
        for suffix in NEIGHBOURS.into_iter().chain(["", ".lock"]) {
            // Usually there is none.
            let _ = fs::remove_file(sidecar::name(&self.copy, suffix));
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.clear();
    }
}

async fn fold(path: &Path) -> Result<(), StoreError> {
    Store::fold(path).await
}

/// The database keeps its name until the copy takes it; its neighbours go along with the kept one.
fn keep(database: &Path, aside: &Path) -> io::Result<()> {
    keep_neighbours(database, aside)?;
    // Not every file system has second names.
    fs::hard_link(database, aside).or_else(|_| fs::rename(database, aside))
}

fn keep_neighbours(database: &Path, aside: &Path) -> io::Result<()> {
    for suffix in NEIGHBOURS {
        match fs::rename(sidecar::name(database, suffix), sidecar::name(aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn free_name(database: &Path, now: Time) -> PathBuf {
    let moment: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let names = (1..).map(|number| match number {
        1 => format!(".replaced-{moment}"),
        _ => format!(".replaced-{moment}-{number}"),
    });
    let mut free = names.map(|suffix| sidecar::name(database, &suffix)).filter(|name| !name.exists());
    free.next().unwrap_or_else(|| sidecar::name(database, ".replaced"))
}

/// Of all names that lead to the file, one; the file need not be there yet.
fn whole_name(path: &Path) -> io::Result<PathBuf> {
    if let Ok(whole) = path.canonicalize() {
        return Ok(whole);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(folder.canonicalize()?.join(name))
}
