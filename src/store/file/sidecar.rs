//! Opens files next to a database: its lock, its log, backups in progress. The folder may belong to somebody whom the
//! caller must not trust, as when root runs `amplinkd audit` on the service's folder: so no link is followed, only
//! plain files are opened, and only files made by this process are handed over.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, fchown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    process::geteuid,
};

/// What stands beside a database and belongs to it.
pub(super) const NEIGHBOURS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A name that should be a file of ours, and is something else.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is {what}, and amplinkd made none: somebody who may write to its folder put it there. Find out who; when no \
     amplinkd runs, take it away (`rm {}`) and try again",
    path.display(), path.display()
)]
pub struct Planted {
    /// The name.
    pub path: PathBuf,
    /// What it is.
    pub what: &'static str,
}

/// Why a file beside the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SidecarError {
    /// It is not what it should be.
    #[error(transparent)]
    Planted(#[from] Planted),
    /// The system would not.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The name beside `path` that ends in `suffix`.
pub(super) fn name(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a plain file for reading and writing, or makes it for its owner alone. One that is made is given to whoever owns
/// the database: root, too, makes it for the daemon. (Others may not give files away; then it is theirs.)
pub(super) fn open_or_make(path: &Path, database: Option<&Metadata>) -> Result<File, SidecarError> {
    // Somebody may take it away between the two, or put it there.
    for _ in 0..2 {
        match rustix::fs::open(path, FLAGS | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR) {
            Ok(made) => {
                let made = File::from(made);
                match database {
                    Some(database) => drop(fchown(&made, Some(database.uid()), Some(database.gid()))),
                    None => belongs_to_its_folder(&made, path),
                }
                return Ok(made);
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(refused) => return Err(io::Error::from(refused).into()),
        }
        match open(path) {
            Err(SidecarError::System(gone)) if gone.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
    Err(io::Error::from(io::ErrorKind::NotFound).into())
}

/// Opens a plain file that is there, for reading and writing.
pub(super) fn open(path: &Path) -> Result<File, SidecarError> {
    // What it is by name first: to open a device or a queue may already do something.
    check(path)?;
    let file = match rustix::fs::open(path, FLAGS, Mode::empty()) {
        Ok(file) => File::from(file),
        // It was a plain file a moment ago.
        Err(rustix::io::Errno::LOOP) => return Err(planted(path, "a symbolic link").into()),
        Err(refused) => return Err(io::Error::from(refused).into()),
    };
    match what(&file.metadata()?) {
        None => Ok(file),
        Some(what) => Err(planted(path, what).into()),
    }
}

/// No link is followed, and nothing is waited for, as an end of a queue would be.
const FLAGS: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// That what `SQLite` will open beside the database is plain, where it is there at all.
pub(super) fn check_neighbours(database: &Path) -> Result<(), Planted> {
    NEIGHBOURS.iter().try_for_each(|suffix| check(&name(database, suffix)))
}

/// Whether the name still means this very file, and is its only one. What another program opens by its name after we made
/// it may be another file by then.
#[must_use]
pub fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino(), 1) == (named.dev(), named.ino(), named.nlink()),
        (_, Err(_)) | (Err(_), _) => false,
    }
}

/// Gives a file that root has just made to whoever owns its folder: otherwise the service there could not use it. Where the
/// folder is root's, so is the file.
pub fn belongs_to_its_folder(file: &File, path: &Path) {
    if !geteuid().is_root() {
        return;
    }
    if let Ok(folder) = fs::metadata(folder_of(path)) {
        // On a file system that knows no owners it is as good as theirs.
        let _ = fchown(file, Some(folder.uid()), Some(folder.gid()));
    }
}

/// Where a file is.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// That a name is free, or means a plain file. Whoever may not look is told so when it is opened.
fn check(path: &Path) -> Result<(), Planted> {
    match fs::symlink_metadata(path).ok().as_ref().and_then(what) {
        None => Ok(()),
        Some(what) => Err(planted(path, what)),
    }
}

fn planted(path: &Path, what: &'static str) -> Planted {
    Planted { path: path.to_owned(), what }
}

/// What a file is, by whichever name, that is no plain file.
pub(super) fn kind(found: &Metadata) -> Option<&'static str> {
    if found.is_file() { None } else { what(found) }
}

/// What a file is that is not plain.
fn what(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    match found.nlink() {
        _ if kind.is_symlink() => Some("a symbolic link"),
        _ if kind.is_dir() => Some("a folder"),
        _ if kind.is_fifo() => Some("a named pipe"),
        _ if !kind.is_file() => Some("a device or a socket"),
        0 | 1 => None,
        _ => Some("a second name of another file (a hard link)"),
    }
}
