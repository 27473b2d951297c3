//! What a person must know that is not about one request: accounts, our address, tokens, channels and the daemon. It must
//! never know how a plight was found out.

use super::{Concern, Rule, words};
use crate::domain::{errcode::Refusal, id::AccountId, time::Time};

/// Something that holds back more than one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plight {
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
        /// What it said; the address stands in it.
        refusal: Refusal,
        /// Since when.
        since: Time,
    },
    /// An account's calls of this day are used up.
    BudgetExhausted {
        /// The account.
        account: AccountId,
        /// What `WeChat` said; `None`: our own budget.
        refusal: Option<Refusal>,
        /// Since when.
        since: Time,
        /// When calls go on.
        until: Time,
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

/// What is to be told of a plight, at once.
#[must_use]
pub fn of_plight(plight: &Plight, zone: chrono_tz::Tz) -> Concern {
    let (en, zh) = words::plight(plight, zone);
    let concern = |rule: Rule, key: &str, case: &str, account: Option<&AccountId>, since: Time| Concern {
        rule,
        key: format!("{}/{key}", rule.as_str()),
        reason: format!("{}.{case}", rule.as_str()),
        request: None,
        account: account.cloned(),
        program: None,
        since,
        from: since,
        until: None,
        en: en.clone(),
        zh: zh.clone(),
    };
    match plight {
        Plight::AccountSuspended { account, refusal, since } => {
            concern(Rule::AccountSuspended, account.as_str(), &refusal.errcode.to_string(), Some(account), *since)
        }
        Plight::IpNotAllowed { since, .. } => concern(Rule::IpNotAllowed, "all", "whitelist", None, *since),
        Plight::BudgetExhausted { account, refusal, since, .. } => {
            let case = if refusal.is_some() { "wechat" } else { "daily_budget" };
            concern(Rule::BudgetExhausted, account.as_str(), case, Some(account), *since)
        }
        Plight::TokenFailing { account, since, .. } => {
            let key = account.as_ref().map_or("all", AccountId::as_str);
            concern(Rule::TokenFailing, key, "no_token", account.as_ref(), *since)
        }
        Plight::ChannelFailing { channel, dead, since, .. } => {
            let case = if *dead > 0 { "dead_letters" } else { "unreachable" };
            concern(Rule::ChannelFailing, channel, case, None, *since)
        }
        Plight::Daemon { finding, since, .. } => concern(Rule::Daemon, finding, finding, None, *since),
    }
}
