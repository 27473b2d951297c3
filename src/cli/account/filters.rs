//! The account filters, shared by every command that takes many accounts.

use crate::{
    cli::{context::Session, many::record_of, request::label},
    domain::account::Trouble,
    store::read::{
        account_page::{AccountFilter, SuspendedBy},
        views::AccountView,
    },
};

/// Rows read at once.
const PAGE: u32 = 500;

/// Which accounts; everything that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which accounts (all conditions must match)")]
pub struct Filters {
    /// Only accounts in this state
    #[arg(long, value_parser = ["active", "suspended"])]
    pub state: Option<String>,
    /// Only accounts suspended by `operator`, by `wechat`, or by WeChat with one of these codes
    #[arg(long, value_name = "WHO|CODE,…", value_delimiter = ',', value_parser = str::parse::<SuspendedBy>)]
    pub suspended_by: Vec<SuspendedBy>,
    /// Only accounts whose list cannot be read, for one of these reasons
    #[arg(long = "trouble", value_name = "TROUBLE,…", value_delimiter = ',', value_parser = Trouble::ALL.map(Trouble::as_str))]
    pub troubles: Vec<String>,
    /// Only accounts with an open request that has this label; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
}

impl Filters {
    /// The same for the record.
    pub(in crate::cli) fn record(&self) -> String {
        let Self { state, suspended_by, troubles, labels } = self;
        record_of([
            ("state", state.iter().cloned().collect()),
            ("suspended_by", suspended_by.iter().map(ToString::to_string).collect()),
            ("trouble", troubles.clone()),
            ("label", labels.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        ])
    }

    /// Whether nothing was given, so that every account is meant.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        let Self { state, suspended_by, troubles, labels } = self;
        state.is_none() && suspended_by.is_empty() && troubles.is_empty() && labels.is_empty()
    }
}

/// The accounts that filters name, a page at a time, by name.
#[derive(Debug)]
pub(super) struct Pages {
    filter: AccountFilter,
    /// With labels: those that are still to be asked for, the last first.
    names: Option<Vec<String>>,
    after: String,
    is_over: bool,
}

impl Pages {
    /// Before the first page.
    pub(super) async fn begin(session: &Session, filters: &Filters) -> anyhow::Result<Self> {
        let Filters { state, suspended_by, troubles, labels } = filters.clone();
        let names = if labels.is_empty() {
            None
        } else {
            let mut names = session.store().accounts_with_labels(&labels).await?;
            names.reverse();
            Some(names)
        };
        let filter = AccountFilter { state, suspended_by, troubles };
        Ok(Self { filter, names, after: String::new(), is_over: false })
    }

    /// These accounts, in their order.
    pub(super) fn of(mut accounts: Vec<String>) -> Self {
        accounts.reverse();
        Self { filter: AccountFilter::default(), names: Some(accounts), after: String::new(), is_over: false }
    }

    /// The next page; `None` after the last. One may be empty.
    pub(super) async fn next(&mut self, session: &Session) -> anyhow::Result<Option<Vec<AccountView>>> {
        if self.is_over {
            return Ok(None);
        }
        if let Some(names) = &mut self.names {
            let mut some = names.split_off(names.len().saturating_sub(PAGE as usize));
            some.reverse();
            self.is_over = some.is_empty();
            return Ok(if some.is_empty() {
                None
            } else {
                Some(session.store().accounts_named(&some, &self.filter).await?)
            });
        }
        let page = session.store().account_page(&self.filter, &self.after, PAGE).await?;
        self.is_over = page.len() < PAGE as usize;
        if let Some(last) = page.last() {
            self.after.clone_from(&last.account);
        }
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_suspended_is_a_word_or_a_code() {
        assert_eq!("operator".parse(), Ok(SuspendedBy::Operator));
        assert_eq!("wechat".parse(), Ok(SuspendedBy::Wechat));
        assert_eq!("61007".parse(), Ok(SuspendedBy::Code(61_007)));
        assert!("me".parse::<SuspendedBy>().is_err() && "".parse::<SuspendedBy>().is_err());
    }
}
