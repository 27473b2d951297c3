//! Which file is open.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Which file it is, whatever its name comes to mean later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    /// Its name.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the name still means this file.
    pub(in crate::store) fn holds(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}
