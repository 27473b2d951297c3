//! What a person, or a program of theirs, may ask of the engine: on their word, which is recorded with it.

use super::record::Recorder;
use crate::domain::action::By;

/// A [`Recorder`] on somebody's word.
#[derive(Debug, Clone)]
pub struct Operator<'r> {
    pub(super) recorder: &'r Recorder,
    pub(super) by: By,
}

impl Recorder {
    /// What this one may ask for.
    #[must_use]
    pub fn by(&self, by: By) -> Operator<'_> {
        Operator { recorder: self, by }
    }
}
