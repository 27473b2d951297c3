//! Explains an account that cannot be read, or whose calls are refused.

use super::Facts;
use crate::{
    domain::{
        account::{SuspendedBy, Trouble},
        errcode::{self, Class},
        text::parse,
        time::Time,
    },
    store::read::views::AccountView,
};

/// A view's moment.
fn moment(text: Option<&str>) -> Option<Time> {
    parse::moment(text?)
}

impl Facts<'_> {
    /// Whether nothing is called for its account.
    pub(super) fn is_suspended(&self) -> bool {
        self.account.is_some_and(|account| account.state == "suspended")
    }

    /// Whether its account is suspended until somebody authorizes: whatever else failed since then follows from that.
    pub(super) fn is_unauthorized(&self) -> bool {
        let is_gone = |code| errcode::classify(code) == Class::AuthorizationGone;
        self.account.is_some_and(|account| {
            account.suspended_by.as_deref() == Some(SuspendedBy::Wechat.as_str())
                && account.errcode.is_some_and(is_gone)
        })
    }

    /// Since when it is in its state.
    pub(super) fn since(&self, account: &AccountView) -> String {
        moment(Some(&account.since)).map_or_else(|| account.since.clone(), |since| self.ago(since))
    }

    /// Since when and why its list cannot be read, and what that means for whoever is waited for.
    pub(super) fn unread(&self, account: &AccountView) -> Vec<String> {
        if account.failures == 0 {
            return Vec::new();
        }
        let why = account.last_error.as_deref().unwrap_or("no reason was kept");
        let failed = match account.failures {
            1 => "reading of the account's list failed with".to_owned(),
            many => format!("{many} polls of the account failed, the last one with"),
        };
        let mut told = vec![format!("The last {failed}: {why}.")];
        let Some(since) = moment(account.unread_since.as_deref()) else { return told };
        let cause = match account.trouble.as_deref().and_then(Trouble::from_word) {
            Some(Trouble::Token) => "there is no token that WeChat accepts: check the token service",
            Some(Trouble::Refused) => "WeChat answers with a code in place of the list",
            Some(Trouble::Unreadable) => "the response is not WeChat's list: check what is in between, such as a proxy",
            Some(Trouble::Unreachable) => "no response: check the network and `[wechat] base_url`",
            None => "nobody knows why",
        };
        told.push(format!(
            "The list has not been readable since {}: {cause}. What the administrators have done since then is not known yet, and nothing is called; `amplinkd account check {}` polls now.",
            self.ago(since),
            account.account
        ));
        told
    }

    /// Until when its calls are held back because they were refused.
    pub(super) fn held_calls(&self, account: &AccountView) -> Option<String> {
        let since = moment(account.calls_refused_since.as_deref())?;
        let times = match account.call_failures {
            1 => "The account's last call was refused".to_owned(),
            many => format!("The account's last {many} calls were refused, the first"),
        };
        let with =
            account.call_error.as_deref().map(|error| format!(", the last one with: {error}")).unwrap_or_default();
        let after = moment(account.next_call_at.as_deref()).filter(|after| *after > self.now);
        let then = match after {
            Some(after) => format!("No call is made for it before {}", self.ahead(after)),
            None => "The next poll retries them".to_owned(),
        };
        Some(format!(
            "{times} at {}{with}. Its list can be read. {then}; Once the cause is fixed, `amplinkd account resume {}` retries at once.",
            self.ago(since),
            account.account
        ))
    }
}
