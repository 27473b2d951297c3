//! Whether a promise is kept.

/// Nothing was broken, or what was.
pub(super) type Verdict = Result<(), Violation>;

/// A promise that was broken.
#[derive(Debug)]
pub(super) struct Violation {
    /// Which, in the words of the promise.
    pub(super) promise: &'static str,
    /// What was seen.
    pub(super) what: String,
}

pub(super) fn broken<T>(promise: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { promise, what: what.into() })
}
