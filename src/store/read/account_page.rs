//! Accounts for people: `v_account`, one or a page at a time by name, filtered. A page from the middle of a million
//! costs as much as the first.

use std::{fmt, str::FromStr};

use sqlx::{QueryBuilder, Sqlite};

use super::views::AccountView;
use crate::store::{Store, StoreError, bulk};

/// Who suspended an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendedBy {
    /// A person.
    Operator,
    /// `WeChat`, with whatever code.
    Wechat,
    /// `WeChat`, with this code.
    Code(i64),
}

impl fmt::Display for SuspendedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Wechat => f.write_str("wechat"),
            Self::Code(code) => write!(f, "{code}"),
        }
    }
}

impl FromStr for SuspendedBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "operator" => Ok(Self::Operator),
            "wechat" => Ok(Self::Wechat),
            code => code
                .parse()
                .map(Self::Code)
                .map_err(|_| "expected operator, wechat, or a WeChat code such as 61007".to_owned()),
        }
    }
}

/// Which accounts to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only in this state.
    pub state: Option<String>,
    /// Only those that one of these suspended; empty is any, suspended or not.
    pub suspended_by: Vec<SuspendedBy>,
    /// Only with one of these troubles; empty is any, or none.
    pub troubles: Vec<String>,
}

const ROWS: &str = "
    SELECT account, state, since, suspended_by, errcode, errmsg, open_requests, next_check_at, checked_at, failures,
           last_error, budget_day, budget_used, last_read_at, trouble, unread_since, call_failures,
           calls_refused_since, next_call_at, call_error, emptied_since, overfull_since
    FROM v_account WHERE account IN (";

impl Store {
    /// Accounts that match after this name, by name, at most `limit`.
    pub async fn account_page(
        &self,
        filter: &AccountFilter,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AccountView>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(ROWS);
        push(&mut query, filter, after, limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Those of these accounts that are known and match, by name.
    pub async fn accounts_named(
        &self,
        names: &[String],
        filter: &AccountFilter,
    ) -> Result<Vec<AccountView>, StoreError> {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(ROWS);
        query.push("SELECT a.account FROM json_each(").push_bind(bulk::json(names));
        query.push(") AS j CROSS JOIN account AS a ON a.account = j.value WHERE 1 = 1");
        push_narrowing(&mut query, filter, Given::All);
        query.push(") ORDER BY account");
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// One account, or, without a name, the first ones by name; at most `limit`.
    pub async fn account_views(
        &self,
        account: Option<&str>,
        state: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AccountView>, StoreError> {
        let filter = AccountFilter { state: state.map(str::to_owned), ..AccountFilter::default() };
        match account {
            Some(account) => self.accounts_named(&[account.to_owned()], &filter).await,
            None => self.account_page(&filter, "", limit).await,
        }
    }

    /// The names of all accounts with an open request that carries all these labels, in order. They are read at once, for
    /// a label has its requests in the order of their ids.
    pub async fn accounts_with_labels(&self, labels: &[(String, String)]) -> Result<Vec<String>, StoreError> {
        let Some(((name, value), rest)) = labels.split_first() else { return Ok(Vec::new()) };
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(LABELLED);
        query.push_bind(name).push(" AND l.value = ").push_bind(value);
        for (name, value) in rest {
            query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
            query.push_bind(name).push(" AND m.value = ").push_bind(value).push(")");
        }
        query.push(" ORDER BY r.account");
        Ok(query.build_query_scalar().fetch_all(self.readers()).await?)
    }
}

const LABELLED: &str = "
    SELECT DISTINCT r.account FROM request_label AS l CROSS JOIN request AS r ON r.id = l.request_id
    WHERE r.finished_at IS NULL AND l.name = ";

/// What of a filter still has to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    All,
    StateAndTrouble,
    State,
}

/// Narrows to one page, by the index that has the names in order: each cause has its accounts in order already, and a
/// page of each holds the page of all.
fn push(query: &mut QueryBuilder<Sqlite>, filter: &AccountFilter, after: &str, limit: u32) {
    query.push("SELECT account FROM (");
    let end = |query: &mut QueryBuilder<Sqlite>, given: Given| {
        query.push(" AND a.account > ").push_bind(after.to_owned());
        push_narrowing(query, filter, given);
        query.push(" ORDER BY a.account LIMIT ").push_bind(limit);
    };
    if filter.suspended_by.is_empty() && filter.troubles.is_empty() {
        // The word itself and not a parameter: the index holds the suspended ones alone.
        query.push(match filter.state.as_deref() {
            Some("suspended") => {
                "SELECT a.account FROM account AS a INDEXED BY account_suspended WHERE a.state = 'suspended'"
            }
            _ => "SELECT a.account FROM account AS a WHERE 1 = 1",
        });
        end(query, Given::State);
    }
    for (place, by) in filter.suspended_by.iter().enumerate() {
        query.push(if place == 0 { "" } else { " UNION ALL " });
        query.push("SELECT account FROM (SELECT a.account FROM account AS a ");
        match by {
            SuspendedBy::Operator => {
                query.push("INDEXED BY account_suspended_by WHERE a.suspended_by = 'operator' AND a.errcode IS NULL")
            }
            SuspendedBy::Wechat => {
                query.push("INDEXED BY account_suspended WHERE a.state = 'suspended' AND a.suspended_by = 'wechat'")
            }
            SuspendedBy::Code(code) => query
                .push("INDEXED BY account_suspended_by WHERE a.suspended_by = 'wechat' AND a.errcode = ")
                .push_bind(*code),
        };
        end(query, Given::StateAndTrouble);
        query.push(")");
    }
    let troubles = if filter.suspended_by.is_empty() { filter.troubles.as_slice() } else { &[] };
    for (place, trouble) in troubles.iter().enumerate() {
        query.push(if place == 0 { "" } else { " UNION ALL " });
        query.push(
            "SELECT account FROM (SELECT a.account FROM account AS a INDEXED BY account_trouble WHERE a.trouble = ",
        );
        query.push_bind(trouble.clone());
        end(query, Given::State);
        query.push(")");
    }
    query.push(") ORDER BY account LIMIT ").push_bind(limit).push(") ORDER BY account");
}

/// Narrows a query of `account AS a` by all of a filter.
pub(super) fn push_all_narrowing(query: &mut QueryBuilder<Sqlite>, filter: &AccountFilter) {
    push_narrowing(query, filter, Given::All);
}

fn push_narrowing(query: &mut QueryBuilder<Sqlite>, filter: &AccountFilter, given: Given) {
    if let Some(state) = &filter.state {
        query.push(" AND a.state = ").push_bind(state.clone());
    }
    if given == Given::State {
        return;
    }
    if !filter.troubles.is_empty() {
        query.push(" AND a.trouble IN (SELECT t.value FROM json_each(").push_bind(bulk::json(&filter.troubles));
        query.push(") AS t)");
    }
    if given == Given::StateAndTrouble || filter.suspended_by.is_empty() {
        return;
    }
    query.push(" AND (");
    for (place, by) in filter.suspended_by.iter().enumerate() {
        query.push(if place == 0 { "" } else { " OR " });
        match by {
            SuspendedBy::Operator => query.push("a.suspended_by = 'operator'"),
            SuspendedBy::Wechat => query.push("a.suspended_by = 'wechat'"),
            SuspendedBy::Code(code) => query.push("a.errcode = ").push_bind(*code),
        };
    }
    query.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role};

    #[tokio::test]
    async fn no_page_reads_or_sorts_all_accounts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location { path: folder.path().join("a.db"), mode: 0o600 }, Role::Tool).await.unwrap();
        let by = |suspended_by: &[SuspendedBy]| AccountFilter {
            suspended_by: suspended_by.to_vec(),
            ..AccountFilter::default()
        };
        let in_trouble =
            AccountFilter { troubles: vec!["token".to_owned(), "refused".to_owned()], ..AccountFilter::default() };
        let suspended = AccountFilter { state: Some("suspended".to_owned()), ..AccountFilter::default() };
        let all = [SuspendedBy::Operator, SuspendedBy::Wechat, SuspendedBy::Code(61_007)];
        let filters = [AccountFilter::default(), suspended, in_trouble.clone(), by(&all[..1]), by(&all[2..]), by(&all)];
        for filter in filters {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            query.push(ROWS);
            push(&mut query, &filter, "wx", 500);
            let plan: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
            // What is read comes in order and ends with its page; pages alone are sorted: each of a cause, and all together.
            let reads_all =
                |step: &str| step == "SCAN a" || step.starts_with("SCAN a USING INDEX account_suspended_by");
            assert!(!plan.iter().any(|(.., step)| reads_all(step)), "{filter:?}: {plan:#?}");
            let sorts = plan.iter().filter(|(.., step)| step.contains("TEMP B-TREE")).count();
            let causes = filter.suspended_by.len().max(filter.troubles.len());
            assert!(sorts <= causes.max(1), "{filter:?}: {plan:#?}");
            assert!(store.account_page(&filter, "wx", 500).await.unwrap().is_empty());
            assert!(store.accounts_named(&["wx".to_owned()], &filter).await.unwrap().is_empty());
        }
        let labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
        assert!(store.accounts_with_labels(&labels).await.unwrap().is_empty());
        store.close().await;
    }
}
