//! One page of a list of requests, found by key before sorting or joining, so that a page from the middle costs no more
//! than the first.

use super::window::{self, Order, Source};
use crate::{
    domain::time::Time,
    store::{
        StoreError,
        sql::{Pool, QueryBuilder},
    },
};

/// Every state, in the words of `v_request.state`.
pub const STATES: [&str; 12] = [
    "requested",
    "initiating",
    "initiated",
    "awaiting_account_admin",
    "awaiting_program_admin",
    "deferred",
    "linked",
    "rejected",
    "failed",
    "lapsed",
    "cancelled",
    "unlinked",
];

/// How many of [`STATES`], from the first, are open.
pub const OPEN_STATES: usize = 6;

/// A label as doors take it.
///
/// # Errors
/// A sentence when there is no "=" or no name before it.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected a label NAME=VALUE, such as shop=12".to_owned()),
    }
}

/// A filter as it is looked up: where its requests lie in the order of their ids, and what has to be read row by row.
struct Lookup<'f> {
    sources: Vec<Source>,
    rest: Rest<'f>,
}

/// What no index of the sources knows.
#[derive(Default)]
struct Rest<'f> {
    program: Option<&'f str>,
    states: Option<Vec<&'static str>>,
    kind: Option<&'f str>,
    labels: &'f [(String, String)],
    standing: Standing,
}

/// How long requests stand where they do, and whether that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Only those that have come to their state then or later.
    pub since: Option<Time>,
    /// Only those that came to their state before then.
    pub until: Option<Time>,
    /// Only those whose account is read, or else those whose account cannot be read or is suspended.
    pub is_read: Option<bool>,
}

impl Standing {
    /// Pushes the conditions; `since` is the column of when a row of `r` came to its state.
    pub(super) fn push(self, query: &mut QueryBuilder, since: &'static str) {
        for (sign, moment) in [(" >= ", self.since), (" < ", self.until)] {
            if let Some(moment) = moment {
                query.push(" AND ").push(since).push(sign).push_bind(moment.ms());
            }
        }
        if let Some(is_read) = self.is_read {
            query.push(if is_read { " AND NOT EXISTS (" } else { " AND EXISTS (" }).push(UNREAD);
        }
    }
}

const UNREAD: &str = "SELECT NULL FROM account AS a
    WHERE a.account = r.account AND (a.unread_since IS NOT NULL OR a.suspended_by IS NOT NULL))";

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        self.program.is_none()
            && self.states.is_none()
            && self.kind.is_none()
            && self.labels.is_empty()
            && self.standing == Standing::default()
    }

    fn push(&self, query: &mut QueryBuilder) {
        for (condition, value) in [(" AND r.program = ", self.program), (" AND r.kind = ", self.kind)] {
            if let Some(value) = value {
                query.push(condition).push_bind(value.to_owned());
            }
        }
        if let Some(states) = &self.states {
            // Not by its index, which would sort all that stand in these states.
            query.push(" AND +r.state IN (SELECT j.value FROM json_each(");
            query.push_bind(crate::store::bulk::json(states)).push(") AS j)");
        }
        for (name, value) in self.labels {
            query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
            query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
        }
        self.standing.push(query, "r.since");
    }
}

fn source(from: &'static str, value: &str) -> Source {
    Source { from, values: vec![("", value.to_owned())], key: "r.id" }
}

const BY_ACCOUNT: &str = "request AS r INDEXED BY request_by_account WHERE r.account = ";

const BY_PROGRAM: &str = "request AS r INDEXED BY request_by_program WHERE r.program = ";

const BY_STATE: &str = "request AS r INDEXED BY request_by_state WHERE r.state = ";

// The word itself and not a parameter: the index holds the unlinks alone.
const UNLINKS: &str = "request AS r INDEXED BY request_unlink_by_state WHERE r.kind = 'unlink' AND r.state = ";

const BY_LABEL: &str = "request_label AS l WHERE l.name = ";

/// The same beside the requests that have the label.
const LABELLED: &str = "request_label AS l CROSS JOIN request AS r ON r.id = l.request_id WHERE l.name = ";

impl<'f> Lookup<'f> {
    /// An account has few requests, a program more; a label or a state may have all there are.
    fn of(filter: &'f RequestFilter) -> Self {
        let (states, kind, labels) = (states(filter), filter.kind.as_deref(), filter.labels.as_slice());
        let standing = filter.standing;
        if states.as_ref().is_some_and(Vec::is_empty) {
            // Nothing is asked for that could be.
            return Self { sources: Vec::new(), rest: Rest::default() };
        }
        if let Some(account) = &filter.account {
            let rest = Rest { program: filter.program.as_deref(), states, kind, labels, standing };
            return Self { sources: vec![source(BY_ACCOUNT, account)], rest };
        }
        if let Some(program) = &filter.program {
            return Self {
                sources: vec![source(BY_PROGRAM, program)],
                rest: Rest { program: None, states, kind, labels, standing },
            };
        }
        if let Some(((name, value), labels)) = labels.split_first() {
            let values = vec![("", name.clone()), (" AND l.value = ", value.clone())];
            let sources = vec![Source { from: BY_LABEL, values, key: "l.request_id" }];
            return Self { sources, rest: Rest { program: None, states, kind, labels, standing } };
        }
        let of_states = |from, states: &[&str]| states.iter().map(|state| source(from, state)).collect();
        match (kind, states) {
            (Some("unlink"), states) => {
                let sources = of_states(UNLINKS, states.as_deref().unwrap_or(&STATES));
                Self { sources, rest: Rest { standing, ..Rest::default() } }
            }
            // Each state has its requests in order: a page of each holds the page of all.
            (kind, Some(states)) => {
                Self { sources: of_states(BY_STATE, &states), rest: Rest { kind, standing, ..Rest::default() } }
            }
            (kind, None) => {
                let all = Source { from: "request AS r WHERE 1 = 1", values: Vec::new(), key: "r.id" };
                Self { sources: vec![all], rest: Rest { kind, standing, ..Rest::default() } }
            }
        }
    }

    /// Pushes a source with what no index knows, which asks for the request itself.
    fn push_from(&self, query: &mut QueryBuilder, source: &Source) {
        query.push(if source.from == BY_LABEL { LABELLED } else { source.from });
        source.push_values(query);
        self.rest.push(query);
    }
}

/// How far a page behind `filter.after` looks; `None` where an index has all that is asked for, or where it looks at all.
pub(super) async fn edge(readers: &Pool, filter: &RequestFilter, looked: u32) -> Result<Option<String>, StoreError> {
    let lookup = Lookup::of(filter);
    if lookup.rest.is_empty() {
        return Ok(None);
    }
    window::edge(readers, &lookup.sources, Order::Falling, filter.after.as_deref(), looked).await
}

/// Narrows a query of `v_request` to one page, newest first; to ids from `upto` on.
pub(super) fn push(query: &mut QueryBuilder, filter: &RequestFilter, upto: Option<&str>, limit: u32) {
    query.push(" AND id IN (SELECT NULL");
    push_lines(query, filter, upto, limit);
    let lookup = Lookup::of(filter);
    for source in &lookup.sources {
        query.push(" UNION ALL SELECT id FROM (SELECT ").push(source.key).push(" AS id FROM ");
        lookup.push_from(query, source);
        source.push_span(query, Order::Falling, (filter.after.as_deref(), upto));
        source.push_order(query, Order::Falling);
        query.push(" LIMIT ").push_bind(limit).push(")");
    }
    query.push(") ORDER BY id DESC LIMIT ").push_bind(limit);
}

/// Counts what pages would find, of ids from `upto` on, and stops at `most`: whatever is counted comes in no order.
pub(super) fn push_count(query: &mut QueryBuilder, filter: &RequestFilter, upto: Option<&str>, most: u32) {
    query.push("SELECT count(*) FROM (SELECT NULL WHERE 1 = 0");
    push_lines(query, filter, upto, most);
    let lookup = Lookup::of(filter);
    for source in &lookup.sources {
        query.push(" UNION ALL SELECT ").push(source.key).push(" FROM ");
        if lookup.rest.is_empty() {
            source.push(query);
        } else {
            lookup.push_from(query, source);
        }
        source.push_span(query, Order::Falling, (None, upto));
    }
    query.push(" LIMIT ").push_bind(most).push(")");
}

/// Requests of an import that wait to be moved to the others. Nearly always there are none, which costs nothing.
fn push_lines(query: &mut QueryBuilder, filter: &RequestFilter, upto: Option<&str>, limit: u32) {
    if !states(filter).is_none_or(|states| states.contains(&"requested")) {
        return;
    }
    query.push(
        " UNION ALL SELECT id FROM (
             SELECT r.id FROM import AS i CROSS JOIN import_line AS r ON r.import = i.id AND r.twin IS NULL
             WHERE i.state = 'accepted'",
    );
    let texts = [
        (" AND r.account = ", filter.account.as_deref()),
        (" AND r.program = ", filter.program.as_deref()),
        (" AND r.kind = ", filter.kind.as_deref()),
        (" AND r.id < ", filter.after.as_deref()),
        (" AND r.id >= ", upto),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value.to_owned());
        }
    }
    for (name, value) in &filter.labels {
        query.push(" AND EXISTS (SELECT 1 FROM json_each(r.labels) AS j WHERE j.key = ");
        query.push_bind(name.clone()).push(" AND j.value = ").push_bind(value.clone()).push(")");
    }
    filter.standing.push(query, "r.requested_at");
    query.push(" ORDER BY r.id DESC LIMIT ").push_bind(limit).push(")");
}

/// The states that both of the filter's words on them allow; `None` is any. A word that is no state is in none.
fn states(filter: &RequestFilter) -> Option<Vec<&'static str>> {
    let all: Vec<&str> = match filter.open {
        None if filter.states.is_empty() => return None,
        None => STATES.to_vec(),
        Some(true) => STATES[..OPEN_STATES].to_vec(),
        Some(false) => STATES[OPEN_STATES..].to_vec(),
    };
    let is_asked = |state: &&str| filter.states.is_empty() || filter.states.iter().any(|asked| asked == state);
    Some(all.into_iter().filter(is_asked).collect())
}

/// Which requests to list. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only this account's.
    pub account: Option<String>,
    /// Only this program's.
    pub program: Option<String>,
    /// Only in one of these states; empty is any.
    pub states: Vec<String>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only those that have, or have not, come to an end.
    pub open: Option<bool>,
    /// Only those with these labels.
    pub labels: Vec<(String, String)>,
    /// Only those that stand so long, and so.
    pub standing: Standing,
    /// Only ids after this one, oldest first; or before it, newest first.
    pub after: Option<String>,
}
