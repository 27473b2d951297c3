//! The kinds of gates: what holds calls back for more than one request.

use std::fmt;

use serde::Serialize;

use super::quota::Period;

/// What a gate holds back, and so what its subject names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// A program's links of a month, on every account. Subject: the program.
    ProgramMonth,
    /// An account's month, by the code that says so: each counts something else. Subject: `account/code`.
    AccountMonth,
    /// An account's calls of one API in a day. Subject: `account/API`.
    ApiDay,
    /// Every call: our address is not allowed. Subject: [`Self::EVERYONE`].
    Ip,
}

impl GateKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ProgramMonth, Self::AccountMonth, Self::ApiDay, Self::Ip];

    /// The subject of the one gate that holds every account.
    pub const EVERYONE: &str = "all";

    /// The word of `v_gate.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProgramMonth => "program_month",
            Self::AccountMonth => "account_month",
            Self::ApiDay => "api_day",
            Self::Ip => "ip",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What the quota behind it is counted by; our address has none.
    #[must_use]
    pub const fn period(self) -> Option<Period> {
        match self {
            Self::ProgramMonth | Self::AccountMonth => Some(Period::Month),
            Self::ApiDay => Some(Period::Day),
            Self::Ip => None,
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No kind of gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of gate")]
pub struct BadGateKind(String);

impl TryFrom<String> for GateKind {
    type Error = BadGateKind;

    fn try_from(word: String) -> Result<Self, BadGateKind> {
        Self::from_word(&word).ok_or(BadGateKind(word))
    }
}
