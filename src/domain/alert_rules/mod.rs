//! The alert rules and their sentences: what people must know about one request or the system. When to send them is
//! decided in `alerting/evaluator`.
//!
//! An [`AlertCondition`] is one condition to report, with its reason for machines and its sentence for people.
//! [`of_request`] finds those of a request, `system` those of accounts, channels and the daemon; `text` says who must
//! act.

mod crowd;
mod hysteresis;
mod learned;
mod policy;
mod request;
mod system;

use super::{
    id::{AccountId, ProgramId, RequestId},
    text::Localized,
    time::Time,
};

pub use self::{
    crowd::{CROWD_MIN, Share, Spoken, is_crowd, is_many},
    hysteresis::{CALM_FOR, Hysteresis, Need},
    learned::{LEARNED_FROM, RIPE_AFTER, learned},
    policy::{AlertPolicy, LearnedThreshold, Override, QuietHours, StuckAfter, Threshold, Thresholds, Whose},
    request::{AGING, OpenConflict, Reading, Subject, of_request},
    system::{Count, SystemCondition, of_system_condition},
};

/// A rule: what kind of thing is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// It waits for somebody, too long.
    Stuck,
    /// The program's administrator refused.
    Rejected,
    /// It cannot go on.
    Failed,
    /// It was pending and is no more.
    Lapsed,
    /// A monthly quota is used up.
    Deferred,
    /// Linked, and then gone without our asking.
    Vanished,
    /// The world contradicts our record or was there first.
    Conflict,
    /// `WeChat` does not let us speak for an account any more.
    AccountSuspended,
    /// Our address is not on the platform's whitelist.
    IpNotAllowed,
    /// An account's calls of this day are used up.
    BudgetExhausted,
    /// The platform has no usable ticket, or none has come for long.
    TicketMissing,
    /// `WeChat` refuses the platform itself.
    ComponentRefused,
    /// An account's administrator must authorize the platform.
    NeedsAuthorization,
    /// Somebody else refreshes the platform's tokens, too.
    ForeignRefresher,
    /// Many requests to the token service show a key that nobody has.
    TokenKeyRefused,
    /// No token for an account.
    TokenFailing,
    /// The list of an account cannot be read.
    AccountUnreadable,
    /// The lists of many accounts cannot be read, for one reason.
    WechatUnreachable,
    /// `WeChat` does not let us speak for many accounts, with one code.
    AccountsRefused,
    /// Calls of an account are refused although its list can be read.
    CallsRefused,
    /// A status is listed that no page documents.
    UnknownStatus,
    /// Accounts list nothing of all that they listed before.
    ListsEmptied,
    /// More is due than may be called.
    Capacity,
    /// The log beside the database does not shrink.
    LogLarge,
    /// A part of the accounts, or a duty, has no daemon.
    LeaseFree,
    /// One of several daemons is silent.
    NodeSilent,
    /// A daemon's clock is not the database's.
    ClockDiffers,
    /// Daemons of one database have different configurations.
    ConfigDiffers,
    /// Messages do not get through.
    ChannelFailing,
    /// The daemon itself: overdue work, a disk that was full, jobs that did not run.
    Daemon,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Stuck,
        Self::Rejected,
        Self::Failed,
        Self::Lapsed,
        Self::Deferred,
        Self::Vanished,
        Self::Conflict,
        Self::AccountSuspended,
        Self::IpNotAllowed,
        Self::BudgetExhausted,
        Self::TicketMissing,
        Self::ComponentRefused,
        Self::NeedsAuthorization,
        Self::ForeignRefresher,
        Self::TokenKeyRefused,
        Self::TokenFailing,
        Self::AccountUnreadable,
        Self::WechatUnreachable,
        Self::AccountsRefused,
        Self::CallsRefused,
        Self::UnknownStatus,
        Self::ListsEmptied,
        Self::Capacity,
        Self::LogLarge,
        Self::LeaseFree,
        Self::NodeSilent,
        Self::ClockDiffers,
        Self::ConfigDiffers,
        Self::ChannelFailing,
        Self::Daemon,
    ];

    /// The word in SQL, JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::Deferred => "deferred",
            Self::Vanished => "vanished",
            Self::Conflict => "conflict",
            Self::AccountSuspended => "account_suspended",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::BudgetExhausted => "budget_exhausted",
            Self::TicketMissing => "ticket_missing",
            Self::ComponentRefused => "component_refused",
            Self::NeedsAuthorization => "needs_authorization",
            Self::ForeignRefresher => "foreign_refresher",
            Self::TokenKeyRefused => "token_key_refused",
            Self::TokenFailing => "token_failing",
            Self::AccountUnreadable => "account_unreadable",
            Self::WechatUnreachable => "wechat_unreachable",
            Self::AccountsRefused => "accounts_refused",
            Self::CallsRefused => "calls_refused",
            Self::UnknownStatus => "unknown_status",
            Self::ListsEmptied => "lists_emptied",
            Self::Capacity => "capacity",
            Self::LogLarge => "log_large",
            Self::LeaseFree => "lease_free",
            Self::NodeSilent => "node_silent",
            Self::ClockDiffers => "clock_differs",
            Self::ConfigDiffers => "config_differs",
            Self::ChannelFailing => "channel_failing",
            Self::Daemon => "daemon",
        }
    }

    /// Whether what it tells of can be over and come back without a beginning of its own: it is told again then.
    #[must_use]
    pub const fn comes_back(self) -> bool {
        match self {
            Self::Stuck | Self::TokenFailing | Self::AccountUnreadable | Self::CallsRefused | Self::Capacity => true,
            Self::Rejected
            | Self::Failed
            | Self::Lapsed
            | Self::Deferred
            | Self::Vanished
            | Self::Conflict
            | Self::AccountSuspended
            | Self::IpNotAllowed
            | Self::BudgetExhausted
            | Self::TicketMissing
            | Self::ComponentRefused
            | Self::NeedsAuthorization
            | Self::ForeignRefresher
            | Self::TokenKeyRefused
            | Self::WechatUnreachable
            | Self::AccountsRefused
            | Self::UnknownStatus
            | Self::ListsEmptied
            | Self::LogLarge
            | Self::LeaseFree
            | Self::NodeSilent
            | Self::ClockDiffers
            | Self::ConfigDiffers
            | Self::ChannelFailing
            | Self::Daemon => false,
        }
    }

    /// Whether it is over only once it has not held for a while ([`CALM_FOR`]): what fails three times in four would
    /// otherwise be told, and told to be over, every few minutes.
    #[must_use]
    pub const fn lingers(self) -> bool {
        match self {
            Self::ForeignRefresher
            | Self::TokenKeyRefused
            | Self::TokenFailing
            | Self::AccountUnreadable
            | Self::WechatUnreachable
            | Self::AccountsRefused
            | Self::CallsRefused
            | Self::UnknownStatus
            | Self::Capacity
            | Self::LogLarge
            | Self::ClockDiffers => true,
            Self::Stuck
            | Self::Rejected
            | Self::Failed
            | Self::Lapsed
            | Self::Deferred
            | Self::Vanished
            | Self::Conflict
            | Self::AccountSuspended
            | Self::IpNotAllowed
            | Self::BudgetExhausted
            | Self::TicketMissing
            | Self::ComponentRefused
            | Self::NeedsAuthorization
            | Self::ListsEmptied
            | Self::LeaseFree
            | Self::NodeSilent
            | Self::ConfigDiffers
            | Self::ChannelFailing
            | Self::Daemon => false,
        }
    }

    /// The rule with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }
}

/// A stage in which a request waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Listed 12: the account's administrator has not answered.
    AccountAdmin,
    /// Listed 2: the program's administrator has not answered.
    ProgramAdmin,
    /// An unlink that the account's administrator has not confirmed.
    Unlink,
    /// Called, and not listed yet.
    Initiated,
    /// Not called yet: it waits for us.
    Requested,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::AccountAdmin, Self::ProgramAdmin, Self::Unlink, Self::Initiated, Self::Requested];

    /// The word in keys, configuration and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountAdmin => "account_admin",
            Self::ProgramAdmin => "program_admin",
            Self::Unlink => "unlink",
            Self::Initiated => "initiated",
            Self::Requested => "requested",
        }
    }
}

/// One thing that a person must know, from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCondition {
    /// What kind of thing.
    pub rule: Rule,
    /// What it is known by over restarts; together with `since` it is told once.
    pub key: String,
    /// For machines: the rule, a dot, and which case of it.
    pub reason: String,
    /// The request, when it is about one.
    pub request: Option<RequestId>,
    /// The account, when it is about one.
    pub account: Option<AccountId>,
    /// The program, when it is about one.
    pub program: Option<ProgramId>,
    /// Since when it is so.
    pub since: Time,
    /// From when on it must be known.
    pub from: Time,
    /// When it is old news, although nobody acted.
    pub until: Option<Time>,
    /// Who must act.
    pub text: Localized,
}

impl AlertCondition {
    /// Whether it must be known at this moment.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// When that changes by time alone.
    #[must_use]
    pub fn changes_at(&self, now: Time) -> Option<Time> {
        if self.from > now { Some(self.from) } else { self.until.filter(|until| *until > now) }
    }
}
