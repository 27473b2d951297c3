//! System-wide alert conditions: accounts, our IP address, tokens, channels and the daemon.

use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::{AlertCondition, Rule};
use crate::domain::{account::Trouble, errcode::Refusal, id::AccountId, text::system_alerts, time::Time};

/// Something that holds back more than one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemCondition {
    /// `WeChat` does not let us speak for an account.
    AccountSuspended {
        /// The account.
        account: AccountId,
        /// What it said.
        refusal: Refusal,
        /// Since when.
        since: Time,
    },
    /// Our address is not on the platform's whitelist.
    IpNotAllowed {
        /// What it said last; the address stands in it.
        refusal: Refusal,
        /// All refused addresses.
        addresses: Vec<IpAddr>,
        /// Since when.
        since: Time,
    },
    /// The calls of this day are used up of an account, or of many.
    BudgetExhausted {
        /// The account, or one of many.
        account: AccountId,
        /// How many; `None`: this one.
        count: Option<Count>,
        /// What `WeChat` said; `None`: our own budget.
        refusal: Option<Refusal>,
        /// Since when.
        since: Time,
        /// When calls go on.
        until: Time,
    },
    /// The platform has no usable ticket, or none has come for long.
    TicketMissing {
        /// The component's appid.
        component: String,
        /// When the last one came; `None`: none ever did.
        last: Option<Time>,
        /// Since when.
        since: Time,
    },
    /// `WeChat` refuses the platform itself.
    ComponentRefused {
        /// The component's appid.
        component: String,
        /// What it said.
        refusal: Refusal,
        /// Since when.
        since: Time,
    },
    /// An account's administrator must authorize the platform.
    NeedsAuthorization {
        /// The account.
        account: AccountId,
        /// What it is refused with.
        refusal: Refusal,
        /// Since when.
        since: Time,
    },
    /// Somebody else refreshes the platform's tokens, too.
    ForeignRefresher {
        /// The component's appid.
        component: String,
        /// Accounts whose tokens died early in the last hour.
        count: Count,
        /// One of them.
        example: String,
        /// Since when that is known.
        since: Time,
    },
    /// Many requests to the token service show a key that nobody has.
    TokenKeyRefused {
        /// Where it listens.
        listener: String,
        /// Since when that is known.
        since: Time,
    },
    /// No token that `WeChat` takes for an account.
    TokenFailing {
        /// The account; `None`: more accounts than are worth naming.
        account: Option<AccountId>,
        /// The last error.
        error: String,
        /// When its list was last read.
        since: Time,
    },
    /// The list of an account cannot be read.
    AccountUnreadable {
        /// The account.
        account: AccountId,
        /// Why.
        trouble: Trouble,
        /// The last error.
        error: String,
        /// Since when.
        since: Time,
        /// When it was read for the last time; `None`: never.
        last_read: Option<Time>,
    },
    /// The lists of many accounts cannot be read, for one reason.
    WechatUnreachable {
        /// Which.
        trouble: Trouble,
        /// How many.
        count: Count,
        /// One of them.
        example: AccountId,
        /// Its last error.
        error: String,
        /// Since when that is known.
        since: Time,
    },
    /// `WeChat` does not let us speak for many accounts.
    AccountsRefused {
        /// What it said of one of them.
        refusal: Refusal,
        /// How many.
        count: Count,
        /// One of them.
        example: AccountId,
        /// Since when that is known.
        since: Time,
    },
    /// Calls are refused although lists can be read.
    CallsRefused {
        /// The account, or one of many.
        account: AccountId,
        /// Of how many; `None`: of this one alone.
        count: Option<Count>,
        /// The last refusal.
        error: String,
        /// Since when.
        since: Time,
    },
    /// A status that no page documents.
    UnknownStatus {
        /// The number.
        status: i64,
        /// How many items are listed with it.
        count: Count,
        /// An account that lists one.
        account: AccountId,
        /// That item: its program, or its name in the list.
        item: String,
        /// Since when that is known.
        since: Time,
    },
    /// Accounts list nothing of all that they listed before.
    ListsEmptied {
        /// How many.
        count: Count,
        /// One of them.
        example: AccountId,
        /// Since when, of the first.
        since: Time,
    },
    /// More is due than may be called.
    Capacity {
        /// By how much all waits are stretched, thousandths.
        stretch: i64,
        /// Since when it is more than twice.
        since: Time,
    },
    /// The log beside the database does not shrink.
    LogLarge {
        /// Its length.
        bytes: u64,
        /// What it should stay below.
        bound: u64,
        /// Since when that is known.
        since: Time,
    },
    /// Shards of accounts, or a duty, that no daemon has.
    LeaseFree {
        /// How many.
        count: Count,
        /// One of them.
        example: String,
        /// Since when, of the first.
        since: Time,
    },
    /// One of several daemons has not beaten.
    NodeSilent {
        /// Its name.
        node: String,
        /// Since when.
        since: Time,
    },
    /// A daemon's calendar is not the database's.
    ClockDiffers {
        /// Its name.
        node: String,
        /// By how many milliseconds it is ahead.
        ahead_ms: i64,
        /// Since when that is known.
        since: Time,
    },
    /// Daemons of one database go by different configurations.
    ConfigDiffers {
        /// Their names.
        nodes: Vec<String>,
        /// Since when that is known.
        since: Time,
    },
    /// A channel does not take messages.
    ChannelFailing {
        /// Its name.
        channel: String,
        /// The last error.
        error: String,
        /// Messages that were given up.
        dead: u64,
        /// Since when.
        since: Time,
    },
    /// The daemon itself is not well.
    Daemon {
        /// What of it: a rule of the audit, or `unwritable`.
        finding: String,
        /// The first of it, as the audit says it.
        example: String,
        /// How many.
        count: usize,
        /// Since when that is known.
        since: Time,
    },
}

/// How many, counted to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

impl Count {
    /// As far as anybody counts: what it says, and what it costs to know, stays the same beyond.
    pub const MAX: u64 = 10_000;

    /// Whether there are more than anybody has counted.
    #[must_use]
    pub const fn is_at_least(self) -> bool {
        self.0 > Self::MAX
    }
}

/// What is to be told of it, at once.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table, a row for each condition")]
pub fn of_system_condition(condition: &SystemCondition, zone: &TimeZone) -> AlertCondition {
    let text = system_alerts::sentence(condition, zone);
    let of = |rule: Rule, key: &str, case: &str, account: Option<&AccountId>, since: Time| AlertCondition {
        rule,
        key: format!("{}/{key}", rule.as_str()),
        reason: format!("{}.{case}", rule.as_str()),
        request: None,
        account: account.cloned(),
        program: None,
        since,
        from: since,
        until: None,
        text: text.clone(),
    };
    match condition {
        SystemCondition::AccountSuspended { account, refusal, since } => {
            of(Rule::AccountSuspended, account.as_str(), &refusal.errcode.to_string(), Some(account), *since)
        }
        SystemCondition::IpNotAllowed { since, .. } => of(Rule::IpNotAllowed, "all", "whitelist", None, *since),
        SystemCondition::BudgetExhausted { account, count, refusal, since, .. } => {
            let case = if refusal.is_some() { "wechat" } else { "daily_budget" };
            let one = count.is_none().then_some(account);
            of(Rule::BudgetExhausted, one.map_or(case, AccountId::as_str), case, one, *since)
        }
        SystemCondition::TicketMissing { component, since, .. } => {
            of(Rule::TicketMissing, component, "no_ticket", None, *since)
        }
        SystemCondition::ComponentRefused { component, refusal, since } => {
            of(Rule::ComponentRefused, component, &refusal.errcode.to_string(), None, *since)
        }
        SystemCondition::NeedsAuthorization { account, refusal, since } => {
            let case = if refusal.errcode == 61_007 { "permission" } else { "authorization" };
            of(Rule::NeedsAuthorization, account.as_str(), case, Some(account), *since)
        }
        SystemCondition::ForeignRefresher { component, since, .. } => {
            of(Rule::ForeignRefresher, component, "tokens_die", None, *since)
        }
        SystemCondition::TokenKeyRefused { listener, since } => {
            of(Rule::TokenKeyRefused, listener, "unknown_key", None, *since)
        }
        SystemCondition::TokenFailing { account, since, .. } => {
            let key = account.as_ref().map_or("all", AccountId::as_str);
            of(Rule::TokenFailing, key, "no_token", account.as_ref(), *since)
        }
        SystemCondition::AccountUnreadable { account, trouble, since, .. } => {
            of(Rule::AccountUnreadable, account.as_str(), trouble.as_str(), Some(account), *since)
        }
        SystemCondition::WechatUnreachable { trouble, since, .. } => {
            of(Rule::WechatUnreachable, trouble.as_str(), trouble.as_str(), None, *since)
        }
        SystemCondition::AccountsRefused { refusal, since, .. } => {
            let code = refusal.errcode.to_string();
            of(Rule::AccountsRefused, &code, &code, None, *since)
        }
        SystemCondition::CallsRefused { account, count, since, .. } => match count {
            None => of(Rule::CallsRefused, account.as_str(), "backed_off", Some(account), *since),
            Some(_) => of(Rule::CallsRefused, "all", "backed_off", None, *since),
        },
        SystemCondition::UnknownStatus { status, since, .. } => {
            of(Rule::UnknownStatus, &status.to_string(), "listed", None, *since)
        }
        SystemCondition::ListsEmptied { since, .. } => of(Rule::ListsEmptied, "all", "doubt", None, *since),
        SystemCondition::Capacity { since, .. } => of(Rule::Capacity, "all", "stretched", None, *since),
        SystemCondition::LogLarge { since, .. } => of(Rule::LogLarge, "all", "not_shrinking", None, *since),
        SystemCondition::LeaseFree { since, .. } => of(Rule::LeaseFree, "all", "unowned", None, *since),
        SystemCondition::NodeSilent { node, since } => of(Rule::NodeSilent, node, "no_beat", None, *since),
        SystemCondition::ClockDiffers { node, since, .. } => of(Rule::ClockDiffers, node, "apart", None, *since),
        SystemCondition::ConfigDiffers { since, .. } => of(Rule::ConfigDiffers, "all", "hashes", None, *since),
        SystemCondition::ChannelFailing { channel, dead, since, .. } => {
            let case = if *dead > 0 { "dead_letters" } else { "unreachable" };
            of(Rule::ChannelFailing, channel, case, None, *since)
        }
        SystemCondition::Daemon { finding, since, .. } => of(Rule::Daemon, finding, finding, None, *since),
    }
}
