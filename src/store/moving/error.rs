//! Why a move did not come to its end.

use crate::store::{OpenError, StoreError};

/// Why a move did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A side cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A daemon works on it, or another move.
    #[error("an amplinkd works on {place}: stop it, and do not start it before the move is done")]
    Driven {
        /// Where.
        place: String,
    },
    /// It is not begun, or cannot go on.
    #[error("{0}")]
    Refused(String),
    /// A side failed.
    #[error("the move stopped at {place}: {source}; the same command goes on from there")]
    Store {
        /// Which.
        place: String,
        /// What it said.
        source: StoreError,
    },
    /// What arrived is not what was there.
    #[error("what arrived at {place} is not what was there: {what}; nothing was switched over")]
    Differs {
        /// The target.
        place: String,
        /// What differs.
        what: String,
    },
}
