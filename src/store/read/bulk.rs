//! What an action on many touches: everything that its filters choose and that it can still change, by one statement,
//! whether it is counted, shown or changed.

use serde_json::{Map, Value};
use sqlx::FromRow;
use xxhash_rust::xxh3::Xxh3Default;

use super::{
    account_page::AccountFilter,
    alert_views::AlertFilter,
    request_page::{RequestFilter, Standing},
};
use crate::{
    domain::{
        action::{ActionKind, SubjectKind},
        alert_state::AlertState,
        request::Request,
        text::parse,
    },
    store::{
        BadRow, Store, StoreError, bulk, decode,
        request_row::RequestRow,
        sql::{self, QueryBuilder},
        tables::REQUEST,
    },
};

/// Keys that are read at once for a preview.
const PAGE: u32 = 5_000;

/// The values of filters by their names, as they are kept with an action.
pub type Filters = Map<String, Value>;

/// Which things an action on many changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    kind: ActionKind,
    chosen: Chosen,
    /// The filters as they are kept.
    record: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Chosen {
    Requests(RequestFilter),
    Alerts(AlertFilter),
    Accounts(AccountFilter, Vec<(String, String)>),
}

/// One of them: where it stands in the order, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Found {
    /// Its place, as `action.position` has it.
    pub key: String,
    /// Its id, or its appid.
    pub name: String,
}

/// What an action would touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// How many.
    pub count: u64,
    /// Nothing that is newer is touched.
    pub cutoff: String,
    /// The names of the first, as many as were asked for.
    pub sample: Vec<String>,
    /// A fingerprint of all of them.
    pub digest: String,
}

/// The action on many with this word.
#[must_use]
pub fn bulk_kind(word: &str) -> Option<ActionKind> {
    BULK.into_iter().find(|kind| kind.as_str() == word)
}

/// What can be done to many.
pub const BULK: [ActionKind; 7] = [
    ActionKind::Cancel,
    ActionKind::Retry,
    ActionKind::Acknowledge,
    ActionKind::Snooze,
    ActionKind::Resolve,
    ActionKind::Suspend,
    ActionKind::Resume,
];

/// The values of one filter.
fn values<'f>(filters: &'f Filters, name: &str) -> Vec<&'f str> {
    match filters.get(name) {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(value)) => vec![value],
        _ => Vec::new(),
    }
}

/// The same of one that may be written with commas.
fn list(filters: &Filters, name: &str) -> Vec<String> {
    values(filters, name).into_iter().flat_map(|value| value.split(',')).map(str::to_owned).collect()
}

fn one(filters: &Filters, name: &str) -> Option<String> {
    values(filters, name).first().map(|value| (*value).to_owned())
}

fn is(filters: &Filters, name: &str) -> bool {
    values(filters, name) == ["true"]
}

fn labels(filters: &Filters) -> Vec<(String, String)> {
    let pairs = values(filters, "label").into_iter().filter_map(|label| label.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Moments stand for themselves in what is kept: an action goes on for longer than it takes to ask for it.
fn standing(filters: &Filters) -> Standing {
    let moment = |name| one(filters, name).as_deref().and_then(parse::moment);
    let is_read = (is(filters, "read") || is(filters, "unread")).then(|| is(filters, "read"));
    Standing { since: moment("since"), until: moment("until"), is_read }
}

impl Choice {
    /// What these filters choose for this action, which are legal; `None` where it is nothing that is done to many.
    #[must_use]
    pub fn of(kind: ActionKind, filters: &Filters) -> Option<Self> {
        let chosen = match kind.subject() {
            SubjectKind::Request => Chosen::Requests(RequestFilter {
                account: one(filters, "account"),
                program: one(filters, "program"),
                states: list(filters, "state"),
                kind: one(filters, "kind"),
                open: (is(filters, "open") || is(filters, "finished")).then(|| is(filters, "open")),
                labels: labels(filters),
                standing: standing(filters),
                after: None,
            }),
            SubjectKind::Alert => Chosen::Alerts(AlertFilter {
                states: alert_states(one(filters, "state").as_deref(), kind),
                rule: one(filters, "rule"),
                account: one(filters, "account"),
                request: one(filters, "request").map(|id| id.to_ascii_lowercase()),
                reason: one(filters, "reason"),
            }),
            SubjectKind::Account => {
                let by = list(filters, "suspended_by").iter().filter_map(|by| by.parse().ok()).collect();
                let (state, troubles) = (one(filters, "state"), list(filters, "trouble"));
                Chosen::Accounts(AccountFilter { state, suspended_by: by, troubles }, labels(filters))
            }
            _ => return None,
        };
        let record = Value::Object(filters.clone()).to_string();
        BULK.contains(&kind).then_some(Self { kind, chosen, record })
    }

    /// What is done.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        self.kind
    }

    /// The filters as they are kept.
    #[must_use]
    pub fn record(&self) -> &str {
        &self.record
    }

    /// The filters but for moments, which move on from a look to a deed that ask for the same; what they choose is looked at.
    fn steady(&self) -> String {
        let mut filters: Filters = serde_json::from_str(&self.record).unwrap_or_default();
        filters.retain(|name, _| !["since", "until"].contains(&name.as_str()));
        Value::Object(filters).to_string()
    }

    const fn newest(&self) -> &'static str {
        match self.chosen {
            Chosen::Requests(_) => "SELECT coalesce(max(r.id), '') FROM request AS r",
            Chosen::Alerts(_) => "SELECT coalesce(max(l.id), '') FROM alert AS l",
            Chosen::Accounts(..) => "SELECT CAST(coalesce(max(a.id), 0) AS TEXT) FROM account AS a",
        }
    }

    /// Everything after `after` up to `cutoff` that is chosen and can be changed, in its order.
    fn query(&self, after: &str, cutoff: &str, limit: u32) -> QueryBuilder {
        let mut query: QueryBuilder = QueryBuilder::new("");
        match &self.chosen {
            Chosen::Requests(filter) => push_requests(&mut query, self.kind, filter, (after, cutoff)),
            Chosen::Alerts(filter) => push_alerts(&mut query, filter, (after, cutoff)),
            Chosen::Accounts(filter, labels) => push_accounts(&mut query, self.kind, (filter, labels), (after, cutoff)),
        }
        query.push(" LIMIT ").push_bind(limit);
        query
    }
}

/// The states that an action changes, of those that are asked for.
fn alert_states(word: Option<&str>, kind: ActionKind) -> Vec<AlertState> {
    let asked = match word {
        None | Some("open" | "all") => AlertState::OPEN.to_vec(),
        Some(word) => AlertState::from_word(word).into_iter().collect(),
    };
    let changes = |state: &AlertState| match kind {
        ActionKind::Acknowledge => matches!(state, AlertState::Firing | AlertState::Snoozed),
        _ => *state != AlertState::Resolved,
    };
    asked.into_iter().filter(changes).collect()
}

fn push_texts<const N: usize>(query: &mut QueryBuilder, texts: [(&'static str, &Option<String>); N]) {
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value.clone());
        }
    }
}

fn push_in(query: &mut QueryBuilder, column: &'static str, words: &[&str]) {
    query.push(column).push(" IN (SELECT j.value FROM json_each(").push_bind(bulk::json(words)).push(") AS j)");
}

fn push_requests(query: &mut QueryBuilder, kind: ActionKind, filter: &RequestFilter, (after, cutoff): (&str, &str)) {
    query.push("SELECT r.id AS key, r.id AS name FROM request AS r WHERE r.id > ").push_bind(after.to_owned());
    query.push(" AND r.id <= ").push_bind(cutoff.to_owned());
    let is_retry = kind == ActionKind::Retry;
    query.push(if is_retry { " AND r.finished_at IS NOT NULL" } else { " AND r.finished_at IS NULL" });
    if let Some(open) = filter.open {
        query.push(if open { " AND r.finished_at IS NULL" } else { " AND r.finished_at IS NOT NULL" });
    }
    let texts = [
        (" AND r.account = ", &filter.account),
        (" AND r.program = ", &filter.program),
        (" AND r.kind = ", &filter.kind),
    ];
    push_texts(query, texts);
    if !filter.states.is_empty() {
        let states: Vec<&str> = filter.states.iter().map(String::as_str).collect();
        push_in(query, " AND +r.state", &states);
    }
    for (name, value) in &filter.labels {
        query.push(" AND EXISTS (SELECT 1 FROM request_label AS m WHERE m.request_id = r.id AND m.name = ");
        query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
    }
    filter.standing.push(query, "r.since");
    if is_retry {
        // What was reached needs no second try, unless somebody says so; an old failure was perhaps tried again.
        if filter.states.is_empty() {
            query.push(" AND +r.state NOT IN ('linked', 'unlinked')");
        }
        query.push(
            " AND NOT EXISTS (SELECT 1 FROM request AS n INDEXED BY request_by_account
                              WHERE n.account = r.account AND n.id > r.id AND n.program = r.program AND n.kind = r.kind)",
        );
    }
    query.push(" ORDER BY r.id");
}

fn push_alerts(query: &mut QueryBuilder, filter: &AlertFilter, (after, cutoff): (&str, &str)) {
    query.push("SELECT l.id AS key, l.id AS name FROM alert AS l WHERE l.id > ").push_bind(after.to_owned());
    query.push(" AND l.id <= ").push_bind(cutoff.to_owned());
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    push_in(query, " AND +l.state", &states);
    let texts = [
        (" AND l.rule = ", &filter.rule),
        (" AND l.account = ", &filter.account),
        (" AND l.request_id = ", &filter.request),
        (" AND l.reason = ", &filter.reason),
    ];
    push_texts(query, texts);
    query.push(" ORDER BY l.id");
}

fn push_accounts(
    query: &mut QueryBuilder,
    kind: ActionKind,
    (filter, labels): (&AccountFilter, &[(String, String)]),
    (after, cutoff): (&str, &str),
) {
    query.push("SELECT CAST(a.id AS TEXT) AS key, a.account AS name FROM account AS a WHERE a.id > CAST(");
    query.push_bind(after.to_owned()).push(" AS INTEGER) AND a.id <= CAST(").push_bind(cutoff.to_owned());
    query.push(" AS INTEGER)");
    query.push(match kind {
        ActionKind::Suspend => " AND a.suspended_by IS DISTINCT FROM 'operator'",
        _ => " AND (a.suspended_by IS NOT NULL OR a.calls_refused_since IS NOT NULL)",
    });
    super::account_page::push_all_narrowing(query, filter);
    for (name, value) in labels {
        query.push(
            " AND EXISTS (SELECT 1 FROM request AS r INDEXED BY request_one_open
                          CROSS JOIN request_label AS m ON m.request_id = r.id
                          WHERE r.account = a.account AND r.finished_at IS NULL AND m.name = ",
        );
        query.push_bind(name.clone()).push(" AND m.value = ").push_bind(value.clone()).push(")");
    }
    query.push(" ORDER BY a.id");
}

const REQUESTS: &str = "
    SELECT r.id, r.kind, r.account, r.program, r.username, r.notify_users, r.show_profile, r.state, r.outcome_unknown,
           r.deferred_until, r.failure, r.since, r.requested_at, r.finished_at, r.attempt, r.called_at, r.seen_status,
           r.baseline_rejected, r.doubt, r.doubt_at, r.errcode, r.errmsg, r.retry_of, r.key, r.labels, r.version
    FROM json_each($1) AS j CROSS JOIN request AS r ON r.id = j.value";

impl Store {
    /// What an action would touch up to `cutoff`, or up to what is newest now; at most `named` of it by name.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn bulk_preview(
        &self,
        choice: &Choice,
        cutoff: Option<String>,
        named: usize,
    ) -> Result<Preview, StoreError> {
        let cutoff = match cutoff {
            Some(cutoff) => cutoff,
            None => sql::query_scalar(choice.newest()).fetch_one(self.readers()).await?,
        };
        let (mut count, mut sample, mut hash) = (0, Vec::new(), Xxh3Default::new());
        for part in [choice.kind.as_str(), &choice.steady(), &cutoff] {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        let mut after = String::new();
        loop {
            let page = self.bulk_page(choice, (&after, &cutoff), PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            count += page.len() as u64;
            for found in &page {
                hash.update(found.key.as_bytes());
                hash.update(b"\n");
            }
            sample.extend(page.into_iter().map(|found| found.name).take(named.saturating_sub(sample.len())));
        }
        Ok(Preview { count, cutoff, sample, digest: format!("{:032x}", hash.digest128()) })
    }

    /// What an action touches next, after one key and up to another.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn bulk_page(
        &self,
        choice: &Choice,
        (after, cutoff): (&str, &str),
        limit: u32,
    ) -> Result<Vec<Found>, StoreError> {
        Ok(choice.query(after, cutoff, limit).build_query_as().fetch_all(self.readers()).await?)
    }

    /// These requests, in no order; a row that is not legal as what is wrong with it.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn requests_of(&self, ids: &[String]) -> Result<Vec<Result<Request, BadRow>>, StoreError> {
        let rows = sql::query(REQUESTS).bind(bulk::json(ids)).fetch_all(self.readers()).await?;
        let rows = decode::rows::<RequestRow>(&rows, REQUEST);
        Ok(rows.into_iter().map(|row| row.and_then(Request::try_from)).collect())
    }
}
