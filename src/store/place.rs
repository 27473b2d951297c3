//! Where an open database is.

use std::{fmt, fs::File, path::Path, sync::Arc};

use super::{
    file::identity::FileIdentity,
    server::{address::ServerAddress, node::Node},
};

/// A file, or a database of a server.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(FileIdentity),
    Server(ServerAddress),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.path().display().fmt(out),
            Self::Server(address) => address.fmt(out),
        }
    }
}

impl Place {
    /// The file's name.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file.path()),
            Self::Server(_) => None,
        }
    }
}

/// What keeps other daemons out, for as long as this one works.
#[derive(Debug, Clone)]
pub(super) enum Hold {
    /// The lock beside the file.
    Lock {
        /// Held open.
        _file: Arc<File>,
    },
    /// A row in the database.
    Node(Arc<Node>),
}
