//! Claims: who refreshes a token, so that nobody else does at the same time. A claim ends by itself: whoever died with one
//! costs half a minute.

use std::time::Duration;

use crate::domain::time::Time;

/// How long a claim holds: longer than a call may take.
const HOLDS: Duration = Duration::from_secs(30);

/// Who claims, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The process.
    pub by: String,
    /// The token that is to be replaced.
    pub generation: i64,
    /// Now.
    pub now: Time,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<Row> {
    /// It is ours; the row as it is.
    Ours(Row),
    /// Somebody else's: wait for their token.
    Taken,
    /// There is a newer token already.
    Newer(Row),
    /// There is no such row.
    Gone,
}

impl Claimant {
    /// When the claim ends.
    pub(super) fn until(&self) -> Time {
        self.now + HOLDS
    }

    /// Whether a claim that is written down is in the way. One that ends further ahead than any does was written by a
    /// calendar that has been stepped back since.
    pub(super) fn is_held_by_another(&self, held: Option<(String, i64)>) -> bool {
        held.is_some_and(|(by, until)| {
            let until = Time::from_ms(until);
            by != self.by && until > self.now && self.now.until(until) <= HOLDS
        })
    }
}
