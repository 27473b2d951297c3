//! The database's files: opened, locked, migrated, checked, backed up, restored.

pub mod backup;
pub mod check;
pub mod corrupt;
pub mod error;
pub mod frozen;
pub(super) mod identity;
pub mod location;
pub(super) mod lock;
pub(super) mod migrate;
pub(super) mod move_to_log;
pub mod open;
pub mod read_only;
pub mod restore;
pub(super) mod schema;
pub mod sidecar;
pub mod wal;
pub mod whose;
