//! One page of a list of requests, found by key before sorting or joining, so that a page from the middle costs no more
//! than the first.

use sqlx::{QueryBuilder, Sqlite};

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

/// Narrows a query of `v_request` to one page, newest first.
pub(super) fn push(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter, limit: u32) {
    query.push(" AND id IN (");
    let states = states(filter);
    if states.as_ref().is_none_or(|states| states.contains(&"requested")) {
        push_lines(query, filter, limit);
    }
    match states {
        // Nothing is asked for that could be.
        Some(states) if states.is_empty() => {
            query.push("SELECT NULL");
        }
        // A label has its requests in order, too.
        states if !filter.labels.is_empty() && filter.account.is_none() && filter.program.is_none() => {
            let (name, value) = &filter.labels[0];
            query.push(
                "SELECT id FROM (
                     SELECT r.id FROM request_label AS l CROSS JOIN request AS r ON r.id = l.request_id WHERE l.name = ",
            );
            query.push_bind(name.clone()).push(" AND l.value = ").push_bind(value.clone());
            if let Some(after) = &filter.after {
                query.push(" AND l.request_id < ").push_bind(after.clone());
            }
            push_states(query, states);
            push_narrowing(query, filter);
            query.push(" ORDER BY l.request_id DESC LIMIT ").push_bind(limit).push(")");
        }
        // Each state has its requests in order already: a page of each holds the page of all.
        Some(states) if filter.account.is_none() && filter.program.is_none() => {
            for (place, state) in states.iter().enumerate() {
                query.push(if place == 0 { "" } else { " UNION ALL " });
                query
                    .push("SELECT id FROM (SELECT r.id FROM request AS r INDEXED BY request_by_state WHERE r.state = ");
                query.push_bind(*state);
                push_rest(query, filter, limit);
                query.push(")");
            }
        }
        states => {
            query.push("SELECT id FROM (SELECT r.id FROM request AS r WHERE 1 = 1");
            push_states(query, states);
            push_rest(query, filter, limit);
            query.push(")");
        }
    }
    query.push(") ORDER BY id DESC LIMIT ").push_bind(limit);
}

/// Counts what a query of pages would find, and stops at `most`: whatever is counted comes from an index, in no order.
pub(super) fn push_count(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter, most: u32) {
    query.push("SELECT count(*) FROM (");
    let states = states(filter);
    if states.as_ref().is_none_or(|states| states.contains(&"requested")) {
        push_lines(query, filter, most);
    }
    let is_free = filter.account.is_none() && filter.program.is_none();
    match states {
        Some(states) if states.is_empty() => {
            query.push("SELECT NULL AS id WHERE 1 = 0");
        }
        states if !filter.labels.is_empty() && is_free => {
            let (name, value) = &filter.labels[0];
            query.push(
                "SELECT r.id FROM request_label AS l CROSS JOIN request AS r ON r.id = l.request_id WHERE l.name = ",
            );
            query.push_bind(name.clone()).push(" AND l.value = ").push_bind(value.clone());
            push_states(query, states);
            push_narrowing(query, filter);
        }
        Some(states) if is_free => {
            for (place, state) in states.iter().enumerate() {
                query.push(if place == 0 { "" } else { " UNION ALL " });
                query.push("SELECT r.id FROM request AS r INDEXED BY request_by_state WHERE r.state = ");
                query.push_bind(*state);
                push_narrowing(query, filter);
            }
        }
        states => {
            query.push("SELECT r.id FROM request AS r WHERE 1 = 1");
            push_states(query, states);
            push_narrowing(query, filter);
        }
    }
    query.push(" LIMIT ").push_bind(most).push(")");
}

/// Requests of an import that wait to be moved to the others. Nearly always there are none, which costs nothing.
fn push_lines(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter, limit: u32) {
    query.push(
        "SELECT id FROM (
             SELECT r.id FROM import AS i CROSS JOIN import_line AS r ON r.import = i.id AND r.twin IS NULL
             WHERE i.state = 'accepted'",
    );
    push_columns(query, filter);
    for (name, value) in &filter.labels {
        query.push(" AND EXISTS (SELECT 1 FROM json_each(r.labels) AS j WHERE j.key = ");
        query.push_bind(name.clone()).push(" AND j.value = ").push_bind(value.clone()).push(")");
    }
    push_end(query, filter, limit);
    query.push(") UNION ALL ");
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

fn push_states(query: &mut QueryBuilder<Sqlite>, states: Option<Vec<&'static str>>) {
    if let Some(states) = states {
        // Not by its index, which would sort all that stand in these states.
        query.push(" AND +r.state IN (SELECT j.value FROM json_each(");
        query.push_bind(crate::store::bulk::json(&states)).push(") AS j)");
    }
}

fn push_rest(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter, limit: u32) {
    push_narrowing(query, filter);
    push_end(query, filter, limit);
}

fn push_end(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter, limit: u32) {
    if let Some(after) = &filter.after {
        query.push(" AND r.id < ").push_bind(after.clone());
    }
    query.push(" ORDER BY r.id DESC LIMIT ").push_bind(limit);
}

fn push_columns(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter) {
    let texts = [("account", &filter.account), ("program", &filter.program), ("kind", &filter.kind)];
    for (column, value) in texts {
        if let Some(value) = value {
            query.push(" AND r.").push(column).push(" = ").push_bind(value.clone());
        }
    }
}

fn push_narrowing(query: &mut QueryBuilder<Sqlite>, filter: &RequestFilter) {
    push_columns(query, filter);
    for (name, value) in &filter.labels {
        query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
        query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
    }
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
    /// Only ids after this one, oldest first; or before it, newest first.
    pub after: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, Store, read::views::REQUEST_COLUMNS};

    #[tokio::test]
    async fn no_page_reads_or_sorts_all_requests() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location { path: folder.path().join("a.db"), mode: 0o600 };
        let store = Store::open(&location, Role::Tool).await.unwrap();
        let any = RequestFilter { after: Some("0197".to_owned()), ..RequestFilter::default() };
        let states = vec!["linked".to_owned(), "requested".to_owned()];
        let filters = [
            any.clone(),
            RequestFilter { open: Some(true), ..any.clone() },
            RequestFilter { open: Some(false), kind: Some("link".to_owned()), ..any.clone() },
            RequestFilter { states: states.clone(), ..any.clone() },
            RequestFilter { states: vec!["linked".to_owned()], open: Some(true), ..any.clone() },
            RequestFilter { account: Some("wxa".to_owned()), states: states.clone(), ..any.clone() },
            RequestFilter { program: Some("wxp".to_owned()), open: Some(true), ..any.clone() },
            RequestFilter { labels: vec![("customer".to_owned(), "42".to_owned())], ..any.clone() },
            RequestFilter {
                labels: vec![("customer".to_owned(), "42".to_owned()), ("batch".to_owned(), "7".to_owned())],
                open: Some(true),
                ..any.clone()
            },
        ];
        for filter in filters {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            query.push(REQUEST_COLUMNS);
            push(&mut query, &filter, 1_000);
            let plan: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
            // The outermost sorts one page of each state; what stands below must not sort.
            let sorts = plan.iter().filter(|(_, parent, _, step)| *parent != 0 && step.contains("TEMP B-TREE")).count();
            let scans = plan.iter().filter(|(.., step)| {
                ["SCAN r", "SCAN a", "SCAN l", "SCAN m"].iter().any(|scan| step.starts_with(scan))
            });
            assert_eq!((sorts, scans.count()), (0, 0), "{filter:?}: {plan:#?}");
            assert!(store.list_requests(&filter, 3_000).await.unwrap().is_empty());
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("EXPLAIN QUERY PLAN ");
            push_count(&mut query, &filter, 10_001);
            let plan: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(store.readers()).await.unwrap();
            let is_slow = |step: &str| step.contains("TEMP B-TREE") || ["SCAN l", "SCAN m"].contains(&step);
            assert!(!plan.iter().any(|(.., step)| is_slow(step)), "{filter:?}: {plan:#?}");
            assert_eq!(store.count_requests(&filter, 10_001).await.unwrap(), 0);
        }
    }
}
