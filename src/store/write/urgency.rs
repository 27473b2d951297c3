//! How soon the daemon polls an account that a request or a person made due.

/// How soon the account of a new request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Before all others: somebody waits for the answer.
    Asked,
    /// In its turn.
    InTurn,
}

impl Urgency {
    /// The flag in `account` and `wakeup`.
    pub(super) const fn flag(self) -> i64 {
        match self {
            Self::Asked => 1,
            Self::InTurn => 0,
        }
    }
}
