//! What people read, in English and Chinese: sentences of alerts, messages, reminders and digests, moments and durations.
//! A text never claims what WeChat leaves unknown and never names a secret.

mod account_alerts;
mod alert_groups;
pub mod channel_test;
mod cluster_alerts;
mod component_alerts;
pub mod digest;
pub mod format;
pub mod invisible;
pub mod parse;
pub mod reminder;
pub mod reminders;
pub mod render;
pub(super) mod request_alerts;
pub(super) mod system_alerts;

use serde::{Deserialize, Serialize};

pub use self::{alert_groups::group_title, request_alerts::refusal_zh};

/// The language of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    #[default]
    Zh,
}

impl Language {
    /// The word in SQL, JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The one of two texts that is in this language.
    #[must_use]
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

/// One thing in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Localized<T = String> {
    /// In English.
    pub en: T,
    /// In Chinese.
    pub zh: T,
}

impl Localized {
    /// A text in English and in Chinese.
    #[must_use]
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }
}

impl<T> Localized<T> {
    /// What is in this language.
    #[must_use]
    pub fn of(self, language: Language) -> T {
        language.pick(self.en, self.zh)
    }
}

/// Half a sentence in English and in Chinese, to be woven into whole ones.
type Halves = (String, String);

/// A text with a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// One line, without an end mark.
    pub title: String,
    /// A sentence or two.
    pub lead: String,
    /// The heads of the table's columns.
    pub columns: Vec<String>,
    /// The table; each row as long as `columns`.
    pub rows: Vec<Vec<String>>,
    /// How many things it concerns.
    #[serde(default)]
    pub total: usize,
    /// The command that shows more.
    #[serde(default)]
    pub hint: String,
}
