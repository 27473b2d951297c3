//! Requests: inserted when they are accepted, found again, updated by whoever read them last.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use super::{
    accounts,
    chain::{self, Head, Transition},
    followed, import_lines,
    urgency::Urgency,
    wakeups,
};
use crate::{
    domain::{id::RequestId, observation::Cause, request::Request, time::Time},
    store::{
        Store, StoreError, bulk, decode,
        request_row::RequestRow,
        sql::{self, QueryAs, Tx},
        tables::REQUEST,
    },
};

/// An accepted request, or the one that was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// Whether it was there before.
    pub existing: bool,
}

const CALLING: &str =
    "SELECT id FROM request WHERE state = 'initiating' AND outcome_unknown = 0 AND id > $1 ORDER BY id LIMIT $2";

const INSERT: &str = "
    INSERT INTO request (id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown,
                         deferred_until, failure, since, requested_at, finished_at, attempt, called_at, seen_status,
                         baseline_rejected, doubt, doubt_at, errcode, errmsg, retry_of, key, labels, version,
                         last_seq, chain)
    SELECT j.value ->> 'id', j.value ->> 'kind', j.value ->> 'account', j.value ->> 'program',
           j.value ->> 'username', j.value ->> 'notify_users', j.value ->> 'show_profile', j.value ->> 'state',
           j.value ->> 'outcome_unknown', j.value ->> 'deferred_until', j.value ->> 'failure', j.value ->> 'since',
           j.value ->> 'requested_at', j.value ->> 'finished_at', j.value ->> 'attempt', j.value ->> 'called_at',
           j.value ->> 'seen_status', j.value ->> 'baseline_rejected', j.value ->> 'doubt', j.value ->> 'doubt_at',
           j.value ->> 'errcode', j.value ->> 'errmsg', j.value ->> 'retry_of', j.value ->> 'key',
           j.value ->> 'labels', j.value ->> 'version', j.value ->> 'last_seq', unhex(j.value ->> 'chain')
    FROM jsonb_each($1) AS j";

const LABELS: &str = "
    INSERT INTO request_label (name, value, request_id)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2 FROM jsonb_each($1) AS j";

const OPEN_TWINS: &str = "
    SELECT j.key AS line, r.id, r.kind, r.account, r.program, r.key
    FROM jsonb_each($1) AS j
    JOIN request AS r ON r.account = j.value ->> 1 AND r.program = j.value ->> 2 AND r.kind = j.value ->> 0
    WHERE r.finished_at IS NULL";

const KEY_TWINS: &str = "
    SELECT j.key AS line, r.id, r.kind, r.account, r.program, r.key
    FROM jsonb_each($1) AS j JOIN request AS r ON r.key = j.value ->> 3
    WHERE j.value ->> 3 IS NOT NULL";

// A pair that is linked needs no second link: not while a list has shown it, none since has not, and nobody undoes it.
// Of several the last one answers.
const LINKED_TWINS: &str = "
    SELECT j.key AS line, r.id, r.kind, r.account, r.program, r.key
    FROM jsonb_each($1) AS j
    CROSS JOIN request AS r INDEXED BY request_linked
        ON r.account = j.value ->> 1 AND r.program = j.value ->> 2 AND r.state = 'linked'
    WHERE j.value ->> 0 = 'link' AND CAST(j.value ->> 4 AS BIGINT) = 0 AND r.seen_status = 1 AND r.doubt IS NULL
      AND NOT EXISTS (SELECT 1 FROM request AS u INDEXED BY request_one_open
                      WHERE u.account = r.account AND u.program = r.program AND u.kind = 'unlink'
                        AND u.finished_at IS NULL)
    ORDER BY j.key, r.id";

// The same key must mean the same request from now on, also once this one has ended.
const NAME: &str = "
    UPDATE request SET key = j.value ->> 1 FROM jsonb_each($1) AS j
    WHERE request.id = j.value ->> 0 AND request.key IS NULL
    RETURNING request.id, request.kind, request.account, request.program, request.key";

/// What a wish is known by, as the statements read it: kind, account, program, key, and whether it must be a new request.
#[derive(Debug, Serialize)]
pub(in crate::store) struct Ask<'r>(&'static str, &'r str, &'r str, Option<&'r str>, i64);

impl<'r> From<&'r Request> for Ask<'r> {
    fn from(request: &'r Request) -> Self {
        let Request { kind, account, program, key, retry_of, .. } = request;
        Self(kind.as_str(), account.as_str(), program.as_str(), key.as_deref(), i64::from(retry_of.is_some()))
    }
}

/// A request by everything that lines of an import may share with it: id, kind, account, program, key.
#[derive(Debug, Serialize, FromRow)]
pub(super) struct Named(String, String, String, String, Option<String>);

impl From<&Request> for Named {
    fn from(request: &Request) -> Self {
        let Request { id, kind, account, program, key, .. } = request;
        Self(id.to_string(), kind.as_str().to_owned(), account.to_string(), program.to_string(), key.clone())
    }
}

/// A request that is there already, beside the place of the new one.
#[derive(Debug, FromRow)]
struct Duplicate {
    line: i64,
    id: String,
    kind: String,
    account: String,
    program: String,
    key: Option<String>,
}

/// Wishes, each with its answer.
#[derive(Debug)]
pub(super) struct Sorted<'r> {
    /// In the order of the wishes.
    pub(super) accepted: Vec<Accepted>,
    /// Those that become requests.
    pub(super) fresh: Vec<&'r Request>,
    /// Requests that were there without a key, and the wish whose key they take.
    pub(super) keyed: Vec<(String, &'r Request)>,
    /// Accounts of pairs that are linked, as far as is known.
    pub(super) linked: Vec<&'r str>,
}

impl Store {
    /// One request.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or is not legal.
    pub async fn request(&self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        let (mut row, mut looks) = (None, 0);
        // One that waits in an import can be moved between two looks: it is in the one place or in the other.
        while row.is_none() && looks < 2 {
            let found = sql::query(followed::BY_ID).bind(id.as_str()).fetch_optional(self.readers()).await?;
            row = found.map(|row| decode::one::<RequestRow>(&row, REQUEST)).transpose()?;
            if row.is_none() {
                row = self.request_in_line(id.as_str()).await?;
            }
            looks += 1;
        }
        Ok(row.map(Request::try_from).transpose()?)
    }

    /// Whether the keys of these are free, or belong to requests for the same.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] of the first that is not; another when nothing can be read.
    pub async fn check_keys(&self, new: &[Request]) -> Result<(), StoreError> {
        let asks: Vec<Ask<'_>> = new.iter().map(Ask::from).collect();
        let asks = bulk::json(&asks);
        let mut connection = self.readers().acquire().await?;
        let taken = twins(&mut connection.tx(), sql::query_as(KEY_TWINS).bind(&asks)).await?;
        let first = taken.iter().filter_map(|(line, twin)| Some((line, twin.is_of_another(&new[*line])?)));
        first.min_by_key(|(line, _)| **line).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Requests whose call was out when the last process ended, a page after `after`.
    pub async fn calling(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let rows = sql::query(CALLING).bind(after).bind(limit).fetch_all(self.readers()).await?;
        Ok(decode::legible(&rows, REQUEST).into_iter().map(|(id,)| id).collect())
    }
}

/// Which wishes become requests and which are held by a request already: by one with the same key, by an open one for the
/// same, by a link that stands, by a line of the same import `staged_in`, or by a wish before it.
pub(super) async fn sort_out<'r>(
    tx: &mut Tx<'_>,
    new: &'r [Request],
    asks: &[Ask<'_>],
    staged_in: Option<i64>,
) -> Result<Sorted<'r>, StoreError> {
    let asks = bulk::json(asks);
    let mut taken = twins(tx, sql::query_as(KEY_TWINS).bind(&asks)).await?;
    if let Some(error) = taken.iter().find_map(|(line, twin)| twin.is_of_another(&new[*line])) {
        return Err(error);
    }
    let mut keyed: HashMap<String, &Request> = HashMap::new();
    let mut linked = Vec::new();
    for (sql, stands) in [(OPEN_TWINS, false), (LINKED_TWINS, true)] {
        for (line, twin) in twins(tx, sql::query_as(sql).bind(&asks)).await? {
            if taken.contains_key(&line) {
                continue;
            }
            if stands {
                linked.push(new[line].account.as_str());
            }
            if new[line].key.is_some() && twin.key.is_none() {
                keyed.entry(twin.id.clone()).or_insert(&new[line]);
            }
            taken.insert(line, twin);
        }
    }
    if let Some(import) = staged_in {
        for (line, twin) in twins(tx, sql::query_as(import_lines::STAGED_TWINS).bind(&asks).bind(import)).await? {
            taken.entry(line).or_insert(twin);
        }
    }
    let mut first: HashMap<_, &str> = HashMap::new();
    let mut fresh: Vec<&Request> = Vec::new();
    let mut accepted = Vec::with_capacity(new.len());
    for (line, request) in new.iter().enumerate() {
        let name = (request.kind.as_str(), &request.account, &request.program);
        let existing = taken.get(&line).map(|twin| twin.id.as_str()).or_else(|| first.get(&name).copied());
        accepted
            .push(Accepted { id: existing.unwrap_or(request.id.as_str()).to_owned(), existing: existing.is_some() });
        if existing.is_none() {
            first.insert(name, request.id.as_str());
            fresh.push(request);
        }
    }
    Ok(Sorted { accepted, fresh, keyed: keyed.into_iter().collect(), linked })
}

/// By their lines; of several of one line the last.
async fn twins(tx: &mut Tx<'_>, query: QueryAs<'_, Duplicate>) -> Result<HashMap<usize, Duplicate>, StoreError> {
    let rows = query.fetch_all(tx).await?;
    Ok(rows.into_iter().filter_map(|twin| Some((usize::try_from(twin.line).ok()?, twin))).collect())
}

impl Duplicate {
    /// It has the wish's key, and stands for something else.
    fn is_of_another(&self, wish: &Request) -> Option<StoreError> {
        let same = self.kind == wish.kind.as_str()
            && self.account == wish.account.as_str()
            && self.program == wish.program.as_str();
        let (id, account, program) = (self.id.clone(), self.account.clone(), self.program.clone());
        (!same).then(|| StoreError::KeyTaken { key: wish.key.clone().unwrap_or_default(), id, account, program })
    }
}

/// Gives keys to requests that have none.
pub(super) async fn name<T: Serialize>(tx: &mut Tx<'_>, keys: &[T]) -> Result<(), StoreError> {
    for some in keys.chunks(bulk::CHUNK) {
        let named: Vec<Named> = sql::query_as(NAME).bind(bulk::json(some)).fetch_all(&mut *tx).await?;
        import_lines::claim(tx, &named).await?;
    }
    Ok(())
}

/// Writes new requests with all that belongs to them, and makes their accounts due.
pub(super) async fn insert(tx: &mut Tx<'_>, fresh: &[&Request], urgency: Urgency, now: Time) -> Result<(), StoreError> {
    let mut accounts: Vec<&str> = fresh.iter().map(|request| request.account.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    for some in accounts.chunks(bulk::CHUNK) {
        accounts::make_due(tx, some, urgency, now).await?;
    }
    for some in fresh.chunks(bulk::CHUNK) {
        insert_some(tx, some).await?;
    }
    for some in accounts.chunks(bulk::CHUNK) {
        wakeups::add(tx, some, urgency, now).await?;
    }
    let named: Vec<Named> = fresh.iter().map(|request| Named::from(*request)).collect();
    import_lines::claim(tx, &named).await
}

/// The row of a new request, at the end of its first transition.
pub(super) fn first_row(request: &Request) -> RequestRow {
    let row = RequestRow::from(request);
    let head = first_transition(request).on(&Head::of(&row.identity())).head;
    row.with_head(&head)
}

async fn insert_some(tx: &mut Tx<'_>, fresh: &[&Request]) -> Result<(), StoreError> {
    let transitions: Vec<Transition> = fresh.iter().map(|request| first_transition(request)).collect();
    let mut rows = Vec::with_capacity(fresh.len());
    let mut links = Vec::with_capacity(fresh.len());
    for (request, transition) in fresh.iter().zip(&transitions) {
        let row = RequestRow::from(*request);
        let link = transition.on(&Head::of(&row.identity()));
        rows.push(row.with_head(&link.head));
        links.push(link);
    }
    bulk::execute(tx, INSERT, &rows).await?;
    let labels: Vec<(&str, &str, &str)> = fresh
        .iter()
        .flat_map(|request| request.labels.iter().map(|(name, value)| (&**name, &**value, request.id.as_str())))
        .collect();
    bulk::execute(tx, LABELS, &labels).await?;
    chain::add(tx, &links).await
}

fn first_transition(request: &Request) -> Transition {
    Transition {
        request_id: request.id.to_string(),
        from_state: None,
        to_state: request.state.kind(),
        at: request.requested_at.ms(),
        cause: Cause::Accepted,
        status: None,
        errcode: None,
        detail: request.retry_of.as_ref().map(|earlier| format!("retry of {earlier}")),
        attempt: i64::from(request.attempt),
        refusal: None,
    }
}
