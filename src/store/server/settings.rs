//! How a daemon takes part among several on one database.

use std::path::PathBuf;

use crate::domain::tenure::terms::Terms;

/// How a daemon takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// What it is called; no other living one is.
    pub name: String,
    /// How long its leases last.
    pub terms: Terms,
    /// Where the lock of its name is held.
    pub lock: Lock,
}

/// Where the lock of a name is held: who holds it knows that the daemon before has ended. Without, that one is waited for
/// until it counts as silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// Nowhere.
    None,
    /// In this folder, if it can be written.
    IfPossible(PathBuf),
    /// In this folder.
    In(PathBuf),
}

impl Default for NodeSettings {
    /// Called as the host is.
    fn default() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { name, terms: Terms::default(), lock: Lock::None }
    }
}
