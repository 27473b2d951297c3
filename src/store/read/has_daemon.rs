//! Whether a daemon works on the database at this moment.

use std::path::Path;

use crate::store::{OpenError, Store, StoreError, file::lock, place::Place, server::node::IS_DRIVEN, sql};

/// Why nobody knows whether a daemon works on it.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// The lock beside the file cannot be looked at.
    #[error(transparent)]
    Lock(#[from] OpenError),
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Whether a daemon works on the file at `path` at this moment.
    ///
    /// # Errors
    /// [`OpenError`]: most often, that whoever asks may not open the lock.
    pub fn is_driven(path: &Path) -> Result<bool, OpenError> {
        // The lock stands beside the file itself, whatever name leads there.
        lock::is_held(&path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    /// Whether a daemon works on the database at this moment.
    ///
    /// # Errors
    /// [`Unknown`]: most often, that whoever asks may not open the lock.
    pub async fn has_daemon(&self) -> Result<bool, Unknown> {
        match &self.place {
            Place::File(file) => Ok(Self::is_driven(file.path())?),
            Place::Server(_) => {
                let living = sql::query_scalar(IS_DRIVEN).fetch_one(self.readers()).await;
                Ok(living.map_err(StoreError::from)?)
            }
        }
    }
}
