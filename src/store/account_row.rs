//! Decodes and encodes rows of `account`. An invalid row is an error that names it, so that it delays only itself.

use sqlx::FromRow;

use super::{BadRow, decode::Cells, sql::CellError};
use crate::domain::{
    account::{AccountState, Budget, Calls, Status, SuspendedBy, Trouble},
    errcode::Refusal,
    id::AccountId,
    time::Time,
};

/// A row as the database holds it, as far as the engine works with it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct AccountRow {
    pub(super) id: i64,
    pub(super) account: String,
    suspended_by: Option<String>,
    pub(super) next_check_at: Option<i64>,
    asked: i64,
    pace_from: Option<i64>,
    reread_at: Option<i64>,
    checked_at: Option<i64>,
    listing_hash: Option<i64>,
    failures: i64,
    trouble: Option<String>,
    unread_since: Option<i64>,
    call_failures: i64,
    calls_refused_since: Option<i64>,
    call_after: Option<i64>,
    budget_day: i64,
    budget_used: i64,
}

impl AccountRow {
    /// The columns of [`select_accounts`], in their order.
    pub(super) fn read(cells: &mut Cells<'_>) -> Result<Self, CellError> {
        Ok(Self {
            account: cells.next()?,
            id: cells.next()?,
            suspended_by: cells.next()?,
            next_check_at: cells.next()?,
            asked: cells.next()?,
            pace_from: cells.next()?,
            reread_at: cells.next()?,
            checked_at: cells.next()?,
            listing_hash: cells.next()?,
            failures: cells.next()?,
            trouble: cells.next()?,
            unread_since: cells.next()?,
            call_failures: cells.next()?,
            calls_refused_since: cells.next()?,
            call_after: cells.next()?,
            budget_day: cells.next()?,
            budget_used: cells.next()?,
        })
    }
}

/// The statement that reads rows of `account`, which it calls `a`.
macro_rules! select_accounts {
    ($from:literal) => {
        concat!(
            "SELECT a.account, a.id, a.suspended_by, a.next_check_at, a.asked, a.pace_from, a.reread_at, a.checked_at,
                    a.listing_hash, a.failures, a.trouble, a.unread_since, a.call_failures, a.calls_refused_since,
                    a.call_after, a.budget_day, a.budget_used
             FROM ",
            $from
        )
    };
}
pub(super) use select_accounts;

/// An account as the engine works with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its appid.
    pub id: AccountId,
    /// How it stands.
    pub state: AccountState,
}

impl TryFrom<AccountRow> for Account {
    type Error = BadRow;

    fn try_from(row: AccountRow) -> Result<Self, BadRow> {
        let bad =
            |column, value: &dyn std::fmt::Display| BadRow::new("account", &row.account, column, &value.to_string());
        let count = |column, value: i64| match u32::try_from(value) {
            Err(_) if value < 0 => Err(bad(column, &value)),
            // More than any count comes to is as much as one can.
            counted => Ok(counted.unwrap_or(u32::MAX)),
        };
        let trouble = match row.trouble.as_deref() {
            Some(word) => Some(Trouble::from_word(word).ok_or_else(|| bad("trouble", &word))?),
            None => None,
        };
        let suspended_by = match row.suspended_by.as_deref() {
            Some(word) => Some(SuspendedBy::from_word(word).ok_or_else(|| bad("suspended_by", &word))?),
            None => None,
        };
        let status = match (suspended_by, row.unread_since, trouble) {
            (Some(by), _, _) => Status::Suspended(by),
            (None, Some(since), Some(trouble)) => Status::Unread { since: Time::from_ms(since), trouble },
            (None, None, _) => Status::Active,
            (None, Some(since), None) => return Err(bad("unread_since", &since)),
        };
        let state = AccountState {
            row: row.id,
            status,
            failures: count("failures", row.failures)?,
            calls: Calls {
                refused: count("call_failures", row.call_failures)?,
                since: row.calls_refused_since.map(Time::from_ms),
                after: row.call_after.map(Time::from_ms),
            },
            due: row.next_check_at.map(Time::from_ms),
            asked: row.asked == 1,
            pace_from: row.pace_from.map(Time::from_ms),
            reread_at: row.reread_at.map(Time::from_ms),
            read_at: row.checked_at.map(Time::from_ms),
            listing_hash: row.listing_hash,
            budget: Budget { day: row.budget_day, used: row.budget_used },
        };
        Ok(Self { id: row.account.parse().map_err(|_| bad("account", &row.account))?, state })
    }
}

/// What a poll writes of its account.
pub(super) struct UpdateRow<'a> {
    pub(super) account: &'a str,
    pub(super) at: i64,
    pub(super) next: Option<i64>,
    pub(super) asked: bool,
    pub(super) pace: Option<i64>,
    pub(super) reread: Option<i64>,
    pub(super) checked: Option<i64>,
    pub(super) hash: Option<i64>,
    pub(super) failures: u32,
    pub(super) error: Option<&'a str>,
    pub(super) trouble: Option<&'static str>,
    pub(super) unread: Option<i64>,
    pub(super) by: Option<&'static str>,
    pub(super) code: Option<i64>,
    pub(super) msg: Option<&'a str>,
    pub(super) refused: u32,
    pub(super) refused_since: Option<i64>,
    pub(super) call_after: Option<i64>,
    pub(super) call_error: Option<&'a str>,
}

impl UpdateRow<'_> {
    /// Whether nothing at all is wrong with it.
    pub(super) const fn is_well(&self) -> bool {
        let has_words = self.error.is_some() || self.code.is_some() || self.msg.is_some() || self.call_error.is_some();
        let is_read = self.failures == 0 && self.trouble.is_none() && self.unread.is_none() && self.by.is_none();
        is_read && !has_words && self.refused == 0 && self.refused_since.is_none() && self.call_after.is_none()
    }
}

impl<'a> From<&'a AccountUpdate> for UpdateRow<'a> {
    fn from(update: &'a AccountUpdate) -> Self {
        let state = &update.state;
        let (by, unread, trouble) = match state.status {
            Status::Active => (None, None, None),
            Status::Unread { since, trouble } => (None, Some(since.ms()), Some(trouble.as_str())),
            Status::Suspended(by) => (Some(by.as_str()), None, None),
        };
        Self {
            account: update.account.as_str(),
            at: update.at.ms(),
            next: state.due.map(Time::ms),
            asked: state.asked,
            pace: state.pace_from.map(Time::ms),
            reread: state.reread_at.map(Time::ms),
            checked: state.read_at.map(Time::ms),
            hash: state.listing_hash,
            failures: state.failures,
            error: update.error.as_deref(),
            trouble,
            unread,
            by,
            code: update.refusal.as_ref().map(|refusal| refusal.errcode),
            msg: update.refusal.as_ref().map(|refusal| refusal.errmsg.as_str()),
            refused: state.calls.refused,
            refused_since: state.calls.since.map(Time::ms),
            call_after: state.calls.after.map(Time::ms),
            call_error: update.call_error.as_deref(),
        }
    }
}

/// What a look, or the calls that followed it, made of an account.
#[derive(Debug, Clone)]
pub struct AccountUpdate {
    /// The account.
    pub account: AccountId,
    /// How it stands from now on.
    pub state: AccountState,
    /// When that was learned.
    pub at: Time,
    /// What the last failure of a look was; kept while it fails.
    pub error: Option<String>,
    /// The code by which `WeChat` suspended it; kept while it is suspended.
    pub refusal: Option<Refusal>,
    /// What the last refused call was; kept while calls are refused.
    pub call_error: Option<String>,
}

impl AccountUpdate {
    /// How an account stands, without any words.
    #[must_use]
    pub fn of(account: &AccountId, state: &AccountState, at: Time) -> Self {
        let (error, refusal, call_error) = (None, None, None);
        Self { account: account.clone(), state: state.clone(), at, error, refusal, call_error }
    }
}
