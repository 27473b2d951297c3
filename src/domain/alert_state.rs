//! Where an alert stands and how it ends.

use serde::Serialize;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It holds, and nobody has taken it.
    Firing,
    /// A person has taken it: it is silent until it is over.
    Acknowledged,
    /// A person has put it off: it is silent until a time.
    Snoozed,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Firing, Self::Acknowledged, Self::Snoozed, Self::Resolved];

    /// Those of an alert that is not over.
    pub const OPEN: [Self; 3] = [Self::Firing, Self::Acknowledged, Self::Snoozed];

    /// The word of `v_alert.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Snoozed => "snoozed",
            Self::Resolved => "resolved",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// No state of an alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of an alert")]
pub struct BadAlertState(String);

impl TryFrom<String> for AlertState {
    type Error = BadAlertState;

    fn try_from(word: String) -> Result<Self, BadAlertState> {
        Self::from_word(&word).ok_or(BadAlertState(word))
    }
}

/// How an alert ended, as far as the daemon ends it; a person's word is `operator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// What it told of no longer holds.
    Over,
    /// It still holds, but is too old to be told.
    AgedOut,
}

impl Resolution {
    /// The word of `v_alert.resolution` and of events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::AgedOut => "aged_out",
        }
    }
}
