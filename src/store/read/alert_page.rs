//! One page of a list of alerts, found by key before anything is read of them.

use super::window::{self, LOOKED_MAX, Order, Source};
use crate::{
    domain::alert_state::AlertState,
    store::{
        StoreError,
        sql::{Pool, QueryBuilder},
    },
};

/// Which alerts to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only in one of these states; each is one.
    pub states: Vec<AlertState>,
    /// Only of this rule.
    pub rule: Option<String>,
    /// Only this account's.
    pub account: Option<String>,
    /// Only this request's.
    pub request: Option<String>,
    /// Only of this reason.
    pub reason: Option<String>,
}

/// A filter as it is looked up: where its alerts lie in the order of their ids.
struct Lookup {
    sources: Vec<Source>,
    /// Each source has one state.
    is_by_state: bool,
    /// Their indexes know all of it.
    is_exact: bool,
}

fn source(from: &'static str, value: &str) -> Source {
    Source { from, values: vec![("", value.to_owned())], key: "l.id" }
}

const BY_REQUEST: &str = "alert AS l INDEXED BY alert_by_request WHERE l.request_id = ";

const BY_ACCOUNT: &str = "alert AS l INDEXED BY alert_of_account WHERE l.account = ";

const BY_RULE: &str = "alert AS l INDEXED BY alert_by_rule WHERE l.resolved_at IS NULL AND l.rule = ";

const BY_STATE: &str = "alert AS l INDEXED BY alert_by_state WHERE l.state = ";

impl Lookup {
    /// A request has a handful in its life, an account more; a rule or a state may have all there are.
    fn of(filter: &AlertFilter) -> Self {
        let AlertFilter { states, rule, account, request, reason } = filter;
        let is_open = states.iter().all(|state| AlertState::OPEN.contains(state));
        let one = |source| Self { sources: vec![source], is_by_state: false, is_exact: false };
        match (request, account, rule) {
            // It has no others that would have to be read past.
            (Some(request), ..) => Self { is_exact: true, ..one(source(BY_REQUEST, request)) },
            (None, Some(account), _) => one(source(BY_ACCOUNT, account)),
            (None, None, Some(rule)) if is_open => one(source(BY_RULE, rule)),
            // Each state has its alerts in order already: a page of each holds the page of all.
            (None, None, rule) => {
                let sources = states.iter().map(|state| source(BY_STATE, state.as_str())).collect();
                Self { sources, is_by_state: true, is_exact: rule.is_none() && reason.is_none() }
            }
        }
    }
}

/// How far a page behind `before` looks; `None` where an index has all that is asked for, or where it looks at all.
pub(super) async fn edge(
    readers: &Pool,
    filter: &AlertFilter,
    before: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let lookup = Lookup::of(filter);
    if lookup.is_exact {
        return Ok(None);
    }
    window::edge(readers, &lookup.sources, Order::Falling, before, LOOKED_MAX).await
}

/// Narrows a query of `v_alert` to one page, newest first: by the index that has it in order.
pub(super) fn push(query: &mut QueryBuilder, filter: &AlertFilter, span: (Option<&str>, Option<&str>), limit: u32) {
    let lookup = Lookup::of(filter);
    query.push("SELECT NULL");
    for source in &lookup.sources {
        query.push(" UNION ALL SELECT id FROM (SELECT l.id FROM ");
        source.push(query);
        if !lookup.is_by_state {
            push_states(query, &filter.states);
        }
        push_rest(query, filter);
        source.push_span(query, Order::Falling, span);
        source.push_order(query, Order::Falling);
        query.push(" LIMIT ").push_bind(limit).push(")");
    }
    query.push(") ORDER BY id DESC LIMIT ").push_bind(limit);
}

fn push_states(query: &mut QueryBuilder, states: &[AlertState]) {
    query
        .push(" AND +l.state IN (SELECT j.value FROM json_each(")
        .push_bind(crate::store::bulk::json(states))
        .push(") AS j)");
}

fn push_rest(query: &mut QueryBuilder, filter: &AlertFilter) {
    // Not by an index of theirs, which would have them in another order.
    let texts = [
        (" AND +l.rule = ", filter.rule.as_deref()),
        (" AND +l.account = ", filter.account.as_deref()),
        (" AND +l.reason = ", filter.reason.as_deref()),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value.to_owned());
        }
    }
}
