//! Accounts for people: `v_account`, one or a page at a time by name, filtered. A page from the middle of a million
//! costs as much as the first.

use std::{fmt, str::FromStr};

use super::{
    views::AccountView,
    window::{self, LOOKED_MAX, Looked, Order, Source},
};
use crate::store::{
    Store, StoreError, bulk,
    sql::{self, QueryBuilder},
};

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
        self.accounts_upto((filter, &[]), (after, None), limit).await
    }

    async fn accounts_upto(
        &self,
        (filter, labels): (&AccountFilter, &[(String, String)]),
        (after, upto): (&str, Option<&str>),
        limit: u32,
    ) -> Result<Vec<AccountView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(ROWS);
        push(&mut query, (filter, labels), (after, upto), limit);
        Ok(query.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Accounts that match after this name and have an open request with all these labels, by name, at most `limit`, as far
    /// as one page looks.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn look_at_accounts(
        &self,
        filter: &AccountFilter,
        labels: &[(String, String)],
        after: &str,
        limit: u32,
    ) -> Result<Looked<AccountView>, StoreError> {
        if !labels.is_empty() && self.is_rare(labels).await? {
            return Ok(Looked { rows: self.labelled(filter, labels, after, limit).await?, upto: None });
        }
        let lookup = Lookup::of(filter);
        let looked = if labels.is_empty() { LOOKED_MAX } else { LABELLED_LOOKED_MAX };
        let upto = if lookup.is_exact && labels.is_empty() {
            None
        } else {
            window::edge(self.readers(), &lookup.sources, Order::Rising, Some(after), looked).await?
        };
        let rows = self.accounts_upto((filter, labels), (after, upto.as_deref()), limit).await?;
        Ok(Looked { rows, upto })
    }

    /// Whether so few requests have one of these labels that all of them can be looked at. The first that is, is enough: it
    /// is by the first that they are found.
    async fn is_rare(&self, labels: &[(String, String)]) -> Result<bool, StoreError> {
        let Some((name, value)) = labels.first() else { return Ok(true) };
        let count: i64 =
            sql::query_scalar(HAVE_LABEL).bind(name).bind(value).bind(RARE + 1).fetch_one(self.readers()).await?;
        Ok(count <= i64::from(RARE))
    }

    /// The first rows that match, of accounts that their labels name.
    async fn labelled(
        &self,
        filter: &AccountFilter,
        labels: &[(String, String)],
        after: &str,
        limit: u32,
    ) -> Result<Vec<AccountView>, StoreError> {
        let names = self.accounts_with_labels(labels).await?;
        let begin = names.partition_point(|name| name.as_str() <= after);
        let mut rows = Vec::new();
        for some in names[begin..].chunks(limit.max(1) as usize) {
            rows.extend(self.accounts_named(some, filter).await?);
            if rows.len() >= limit as usize {
                break;
            }
        }
        Ok(rows)
    }

    /// Those of these accounts that are known and match, by name.
    pub async fn accounts_named(
        &self,
        names: &[String],
        filter: &AccountFilter,
    ) -> Result<Vec<AccountView>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(ROWS);
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
        let mut query: QueryBuilder = QueryBuilder::new(LABELLED);
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

/// Requests with a label that are few enough to be read for one page.
const RARE: u32 = 2_000;

/// Accounts that one page looks at where the open requests of each are looked at for their labels.
const LABELLED_LOOKED_MAX: u32 = 500;

const HAVE_LABEL: &str =
    "SELECT count(*) FROM (SELECT 1 FROM request_label AS l WHERE l.name = $1 AND l.value = $2 LIMIT $3) AS found";

/// What of a filter still has to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    All,
    StateAndTrouble,
    State,
}

/// A filter as it is looked up: where its accounts lie in the order of their names.
struct Lookup {
    sources: Vec<Source>,
    /// What no index of the sources knows.
    given: Given,
    /// They know all of it.
    is_exact: bool,
}

const ALL: &str = "account AS a WHERE 1 = 1";

// The word itself and not a parameter: the index holds the suspended ones alone.
const SUSPENDED: &str = "account AS a INDEXED BY account_suspended WHERE a.state = 'suspended'";

const BY_WECHAT: &str =
    "account AS a INDEXED BY account_suspended WHERE a.state = 'suspended' AND a.suspended_by = 'wechat'";

const BY_OPERATOR: &str =
    "account AS a INDEXED BY account_suspended_by WHERE a.suspended_by = 'operator' AND a.errcode IS NULL";

const BY_CODE: &str = "account AS a INDEXED BY account_suspended_by WHERE a.suspended_by = 'wechat' AND a.errcode = ";

const BY_TROUBLE: &str = "account AS a INDEXED BY account_trouble WHERE a.trouble = ";

fn source(from: &'static str) -> Source {
    Source { from, values: Vec::new(), key: "a.account" }
}

fn with_value(from: &'static str, value: &str) -> Source {
    Source { values: vec![("", value.to_owned())], ..source(from) }
}

impl Lookup {
    /// Each cause has its accounts in order already, and a page of each holds the page of all.
    fn of(filter: &AccountFilter) -> Self {
        let has_state = filter.state.is_some();
        if !filter.suspended_by.is_empty() {
            let by = |by: &SuspendedBy| match by {
                SuspendedBy::Operator => source(BY_OPERATOR),
                SuspendedBy::Wechat => source(BY_WECHAT),
                // The column is a number, and makes one of the text.
                SuspendedBy::Code(code) => with_value(BY_CODE, &code.to_string()),
            };
            let is_exact =
                !has_state && filter.troubles.is_empty() && !filter.suspended_by.contains(&SuspendedBy::Wechat);
            let sources = filter.suspended_by.iter().map(by).collect();
            return Self { sources, given: Given::StateAndTrouble, is_exact };
        }
        if !filter.troubles.is_empty() {
            let sources = filter.troubles.iter().map(|trouble| with_value(BY_TROUBLE, trouble)).collect();
            return Self { sources, given: Given::State, is_exact: !has_state };
        }
        match filter.state.as_deref() {
            Some("suspended") => Self { sources: vec![source(SUSPENDED)], given: Given::State, is_exact: true },
            _ => Self { sources: vec![source(ALL)], given: Given::State, is_exact: !has_state },
        }
    }
}

/// Narrows to one page behind `after` and up to `upto`, by the indexes that have the names in order.
fn push(
    query: &mut QueryBuilder,
    (filter, labels): (&AccountFilter, &[(String, String)]),
    (after, upto): (&str, Option<&str>),
    limit: u32,
) {
    let lookup = Lookup::of(filter);
    query.push("SELECT account FROM (");
    for (place, source) in lookup.sources.iter().enumerate() {
        query.push(if place == 0 { "" } else { " UNION ALL " });
        query.push("SELECT account FROM (SELECT a.account FROM ");
        source.push(query);
        push_narrowing(query, filter, lookup.given);
        push_labels(query, labels);
        source.push_span(query, Order::Rising, (Some(after), upto));
        source.push_order(query, Order::Rising);
        query.push(" LIMIT ").push_bind(limit).push(")");
    }
    query.push(") ORDER BY account LIMIT ").push_bind(limit).push(") ORDER BY account");
}

/// Each account by its own open requests.
fn push_labels(query: &mut QueryBuilder, labels: &[(String, String)]) {
    if labels.is_empty() {
        return;
    }
    query.push(
        " AND EXISTS (SELECT 1 FROM request AS r INDEXED BY request_one_open
                      WHERE r.account = a.account AND r.finished_at IS NULL",
    );
    for (name, value) in labels {
        query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
        query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
    }
    query.push(")");
}

/// Narrows a query of `account AS a` by all of a filter.
pub(super) fn push_all_narrowing(query: &mut QueryBuilder, filter: &AccountFilter) {
    push_narrowing(query, filter, Given::All);
}

fn push_narrowing(query: &mut QueryBuilder, filter: &AccountFilter, given: Given) {
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
