//! The types that describe an account, and the possible outcomes of a poll or call.

use std::time::Duration;

use super::{Code, Pace, Time, retry};
use crate::domain::plan::AccountPlan;

/// Why the list of an account cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No token that `WeChat` takes.
    Token,
    /// `WeChat` answers with a code.
    Refused,
    /// An answer comes that is no list.
    Unreadable,
    /// No answer comes.
    Unreachable,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Refused, Self::Unreadable, Self::Unreachable];

    /// The word of `v_account.trouble`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
        }
    }

    /// The trouble with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == word)
    }
}

/// Who suspended an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SuspendedBy {
    /// A person: nothing is called until a person says so.
    Operator,
    /// A code of `WeChat`'s that a person must mend: a slow probe finds out when that is done.
    Wechat,
}

impl SuspendedBy {
    /// The word of `v_account.suspended_by`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Wechat => "wechat",
        }
    }

    /// Whoever this word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Operator, Self::Wechat].into_iter().find(|by| by.as_str() == word)
    }
}

/// Whether an account can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It can, as far as known.
    Active,
    /// It is tried, and cannot.
    Unread {
        /// Since when.
        since: Time,
        /// Why, the last time.
        trouble: Trouble,
    },
    /// It is not tried, or only probed.
    Suspended(SuspendedBy),
}

/// Calls of an account that were refused in a row although its list could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// How many.
    pub refused: u32,
    /// Since when.
    pub since: Option<Time>,
    /// Before this, none is made again.
    pub after: Option<Time>,
}

impl Calls {
    /// Before when none is made, if that is still to come.
    #[must_use]
    pub fn held_until(&self, now: Time) -> Option<Time> {
        self.after.filter(|after| *after > now)
    }

    pub(super) fn refuse(&mut self, pace: Pace<'_>, least: Duration, now: Time) {
        let pause = retry(pace).after(self.refused).max(least);
        self.refused = self.refused.saturating_add(1);
        self.since = self.since.or(Some(now));
        self.after = Some(now + pause);
    }
}

/// Looks of an account on one Beijing day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// The day, counted from 1970-01-01.
    pub day: i64,
    /// `wxamplinkget` calls of that day.
    pub used: i64,
}

impl Budget {
    /// The budget as it is on `today`. A calendar that was stepped back by hours does not give a spent budget back; a day
    /// that lies further ahead was never true.
    #[must_use]
    pub const fn on(self, today: i64) -> Self {
        if today > self.day || self.day > today + 1 { Self { day: today, used: 0 } } else { self }
    }

    /// With one look more.
    #[must_use]
    pub const fn taken(self) -> Self {
        Self { used: self.used + 1, ..self }
    }

    /// With one look less: it was not made.
    #[must_use]
    pub const fn given_back(self) -> Self {
        Self { used: if self.used > 0 { self.used - 1 } else { 0 }, ..self }
    }
}

/// Whether anything depends on what the list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Something was called or listed before: an answer without a list does not tell how that stands.
    Needed,
    /// Nothing was: an answer without a list may be how an account without links looks.
    NotNeeded,
}

/// What a look at an account, a call for it or a person came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The list is the last one again, and nothing waits for a second look or a time.
    Unchanged,
    /// A list was read and its requests decided.
    Listed {
        /// What they need now.
        plan: AccountPlan,
        /// The list's fingerprint; `None` when the same bytes may mean more another time.
        hash: Option<i64>,
    },
    /// An answer 0 without a list.
    Weak {
        /// What the requests need now.
        plan: AccountPlan,
        /// Whether that is trouble.
        evidence: Evidence,
    },
    /// Requests moved by other means than a look: a call, a person, time.
    Moved {
        /// What they need now.
        plan: AccountPlan,
    },
    /// The list was refused with a code of this class.
    Refused(Code),
    /// The list could not be had.
    Failed(Trouble),
    /// The look itself ended in a defect of ours.
    Panicked,
    /// A gate holds the look back until then: it was not made, or met the gate.
    HeldBack(Time),
    /// `WeChat` took a call.
    CallAccepted,
    /// A call was refused with a code of this class.
    CallRefused(Code),
    /// A call could not be sent: no token, no connection.
    CallNotSent,
    /// A call's answer was lost.
    CallLost,
    /// A person said stop.
    Suspended,
    /// A person said go on.
    Resumed,
    /// The database is a copy that was put back: everything is read anew.
    Restored,
}
