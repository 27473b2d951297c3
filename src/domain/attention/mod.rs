//! What a person must know. It must never tell anybody: `engine/watch` does, and it decides when.

mod policy;

mod learned;

pub use self::{
    learned::{LEARNED_FROM, RIPE_AFTER, learned},
    policy::{Override, QuietHours, StuckAfter, Threshold, Thresholds, Whose},
};

/// A stage in which a request waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Listed 12: the account's administrator has not answered.
    AccountAdmin,
    /// Listed 2: the program's administrator has not answered.
    ProgramAdmin,
    /// An unlink that the account's administrator has not confirmed.
    Unlink,
    /// Called, and not listed yet; or not called yet.
    Initiated,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AccountAdmin, Self::ProgramAdmin, Self::Unlink, Self::Initiated];

    /// The word in keys, configuration and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountAdmin => "account_admin",
            Self::ProgramAdmin => "program_admin",
            Self::Unlink => "unlink",
            Self::Initiated => "initiated",
        }
    }
}
