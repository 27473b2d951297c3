//! Requests: written when they are accepted, found again, updated by whoever read them last. It must never write a
//! request that is there already.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use super::{
    BadRow, Store, StoreError,
    accounts::{self, Urgency},
    bulk,
    chain::{self, Head},
    decode::{self, Table},
    record::{self, Event, Transition},
    request_row::RequestRow,
    wakeups,
};
use crate::domain::{
    id::{AccountId, RequestId},
    request::Request,
    time::Time,
};

/// An accepted request, or the one that was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// Whether it was there before.
    pub existing: bool,
}

/// The table.
pub(super) const REQUEST: Table = Table { name: "request", key: &["id"] };

// By name of the index: the planner prefers the one of all requests, and every poll would read the finished ones too.
const OF_ACCOUNT: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_watched
    WHERE account = $1 AND (finished_at IS NULL OR state = 'linked')
    ORDER BY id";

const BY_ID: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request WHERE id = $1";

const CALLING: &str =
    "SELECT id FROM request WHERE state = 'initiating' AND outcome_unknown = 0 AND id > $1 ORDER BY id LIMIT $2";

const UPDATE: &str = "
    UPDATE request
    SET username = j.value ->> 'username', state = j.value ->> 'state',
        outcome_unknown = j.value ->> 'outcome_unknown', deferred_until = j.value ->> 'deferred_until',
        failure = j.value ->> 'failure', since = j.value ->> 'since', finished_at = j.value ->> 'finished_at',
        attempt = j.value ->> 'attempt', called_at = j.value ->> 'called_at',
        seen_status = j.value ->> 'seen_status', baseline_rejected = j.value ->> 'baseline_rejected',
        doubt = j.value ->> 'doubt', doubt_at = j.value ->> 'doubt_at', errcode = j.value ->> 'errcode',
        errmsg = j.value ->> 'errmsg', version = request.version + 1,
        last_seq = j.value ->> 'last_seq', chain = unhex(j.value ->> 'chain')
    FROM jsonb_each($1) AS j
    WHERE request.id = j.value ->> 'id'";

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

// The same key must mean the same request from now on, also once this one has ended.
const NAME: &str = "
    UPDATE request SET key = j.value ->> 1 FROM jsonb_each($1) AS j
    WHERE request.id = j.value ->> 0 AND request.key IS NULL";

/// A request that is there already, beside the place of the new one.
#[derive(Debug, FromRow)]
struct Twin {
    line: i64,
    id: String,
    kind: String,
    account: String,
    program: String,
}

impl Store {
    /// Every request of an account that a listing may still move: the open ones and the linked. A row that is not
    /// legal is an error of its own and holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn watched_requests(&self, account: &AccountId) -> Result<Vec<Result<Request, BadRow>>, StoreError> {
        let rows = sqlx::query(OF_ACCOUNT).bind(account.as_str()).fetch_all(self.readers()).await?;
        let rows = decode::rows::<RequestRow>(&rows, REQUEST).into_iter();
        Ok(rows.map(|row| row.and_then(Request::try_from)).collect())
    }

    /// One request.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or is not legal.
    pub async fn request(&self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.as_str()).fetch_optional(self.readers()).await?;
        let row = row.map(|row| decode::one::<RequestRow>(&row, REQUEST)).transpose()?;
        Ok(row.map(Request::try_from).transpose()?)
    }

    /// Requests whose call was out when the last process ended, a page after `after`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn calling(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(CALLING).bind(after).bind(limit).fetch_all(self.readers()).await?;
        Ok(decode::legible(&rows, REQUEST).into_iter().map(|(id,)| id).collect())
    }
}

/// Writes rows that are there.
pub(super) async fn update(tx: &mut SqliteConnection, rows: &[RequestRow]) -> Result<(), StoreError> {
    bulk::execute(tx, UPDATE, rows).await.map(drop)
}

/// Writes new requests, or finds the ones that are there.
pub(super) async fn accept(tx: &mut SqliteConnection, new: &[Request], now: Time) -> Result<Vec<Accepted>, StoreError> {
    let names: Vec<_> =
        new.iter().map(|request| (request.kind.as_str(), &request.account, &request.program, &request.key)).collect();
    let mut taken = twins(tx, KEY_TWINS, &names).await?;
    for (line, twin) in &taken {
        let request = &new[*line];
        let same = twin.kind == request.kind.as_str()
            && twin.account == request.account.as_str()
            && twin.program == request.program.as_str();
        if !same {
            let key = request.key.clone().unwrap_or_default();
            let (id, account, program) = (twin.id.clone(), twin.account.clone(), twin.program.clone());
            return Err(StoreError::KeyTaken { key, id, account, program });
        }
    }
    let mut keyed: Vec<(String, &String)> = Vec::new();
    for (line, twin) in twins(tx, OPEN_TWINS, &names).await? {
        if let (Some(key), false) = (&new[line].key, taken.contains_key(&line)) {
            keyed.push((twin.id.clone(), key));
        }
        taken.entry(line).or_insert(twin);
    }
    bulk::execute(tx, NAME, &keyed).await?;
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
    insert(tx, &fresh, now).await?;
    Ok(accepted)
}

async fn twins<T: Serialize>(
    tx: &mut SqliteConnection,
    sql: &'static str,
    names: &[T],
) -> Result<HashMap<usize, Twin>, StoreError> {
    let rows: Vec<Twin> = sqlx::query_as(sql).bind(bulk::json(names)).fetch_all(tx).await?;
    Ok(rows.into_iter().filter_map(|twin| Some((usize::try_from(twin.line).ok()?, twin))).collect())
}

async fn insert(tx: &mut SqliteConnection, fresh: &[&Request], now: Time) -> Result<(), StoreError> {
    let mut accounts: Vec<&str> = fresh.iter().map(|request| request.account.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    // Piece by piece, so that an import of a million is never held in memory as rows.
    for some in accounts.chunks(bulk::CHUNK) {
        accounts::make_due(tx, some, now).await?;
    }
    for some in fresh.chunks(bulk::CHUNK) {
        insert_some(tx, some, now).await?;
    }
    for some in accounts.chunks(bulk::CHUNK) {
        wakeups::add(tx, some, now, Urgency::Usual).await?;
    }
    Ok(())
}

async fn insert_some(tx: &mut SqliteConnection, fresh: &[&Request], now: Time) -> Result<(), StoreError> {
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
    chain::add(tx, &links).await?;
    let events: Vec<Event> = fresh.iter().map(|request| Event::of_request(request, None, None, now)).collect();
    record::add_events(tx, &events).await
}

fn first_transition(request: &Request) -> Transition {
    Transition {
        request_id: request.id.to_string(),
        from_state: None,
        to_state: request.state.as_str(),
        at: request.requested_at.ms(),
        cause: "accepted",
        status: None,
        errcode: None,
        detail: request.retry_of.as_ref().map(|earlier| format!("retry of {earlier}")),
    }
}
