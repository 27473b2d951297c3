//! The figures of the daily digest: what ended, what waits and for how long. The store counts them, and
//! [`super::text::digest`] words them.

use serde::{Deserialize, Serialize, de::Error as _};
use utoipa::ToSchema;

use super::{alert_rules::Stage, text::parse::moment as moment_of, time::Time};

/// Where one age ends and the next begins, in days, with what people call them.
pub const AGES: [(Option<u32>, &str, &str); 4] = [
    (Some(1), "under 1 d", "不到1天"),
    (Some(3), "1-3 d", "1至3天"),
    (Some(7), "3-7 d", "3至7天"),
    (None, "over 7 d", "超过7天"),
];

/// The figures of one digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Digest {
    /// Since when what is news is counted.
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    #[schema(value_type = String)]
    pub since: Time,
    /// When the figures were taken.
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    #[schema(value_type = String)]
    pub at: Time,
    /// Requests that came to an end since then, by the word of their end.
    pub ended: Vec<Count>,
    /// Links that vanished from the lists since then although nobody had asked.
    pub vanished: u64,
    /// Requests that wait for somebody, by stage and age.
    pub waiting: Vec<Waiting>,
    /// Requests that did so by a list which is not read any more: for whom they wait now is not known.
    pub unread: u64,
    /// Requests that have waited too long.
    pub stuck: u64,
    /// Requests that wait for a monthly quota.
    pub deferred: u64,
    /// Gates that hold calls back, by their kind.
    pub gates: Vec<Count>,
    /// Conflicts that nothing has resolved, by their kind.
    pub conflicts: Vec<Count>,
    /// Alerts that fire, by their rule.
    pub firing: Vec<Count>,
    /// Messages that were given up.
    pub dead: u64,
}

/// How many of one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// The word.
    pub word: String,
    /// How many.
    pub count: u64,
}

/// How many wait in one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// The stage.
    #[serde(serialize_with = "word", deserialize_with = "read_word")]
    #[schema(value_type = String)]
    pub stage: Stage,
    /// By age, as in [`AGES`].
    #[schema(value_type = Vec<u64>)]
    pub by_age: [u64; AGES.len()],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn moment<S: serde::Serializer>(at: &Time, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn word<S: serde::Serializer>(stage: &Stage, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(stage.as_str())
}

fn read_moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    let text = String::deserialize(from)?;
    moment_of(&text).ok_or_else(|| D::Error::custom("expected a moment"))
}

fn read_word<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Stage, D::Error> {
    let text = String::deserialize(from)?;
    Stage::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or_else(|| D::Error::custom("expected a stage"))
}

impl Digest {
    /// How many requests wait in any stage, known or not.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.unread + self.waiting.iter().map(Waiting::total).sum::<u64>()
    }

    /// How many ended by one of these words.
    #[must_use]
    pub fn ended_as(&self, words: &[&str]) -> u64 {
        self.ended.iter().filter(|count| words.contains(&count.word.as_str())).map(|count| count.count).sum()
    }
}

impl Waiting {
    /// How many, of any age.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_age.iter().sum()
    }
}
