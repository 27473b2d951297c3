//! Rows of `request`: into exactly the legal requests, and back. It must never repair a row that is not legal.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use super::{
    BadRow, Store, StoreError, accounts, bulk,
    record::{self, Event, Transition},
    wakeups,
};
use crate::domain::{
    errcode::Refusal,
    id::{AccountId, RequestId, Username},
    listing::Status,
    request::{Baseline, Choice, Doubt, Failure, Kind, LinkOptions, Memory, Outcome, Request, Sighting, State},
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

/// A row as the database holds it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub(super) struct RequestRow {
    id: String,
    kind: String,
    account: String,
    program: String,
    username: Option<String>,
    notify_users: i64,
    show_profile: i64,
    state: String,
    outcome_unknown: i64,
    deferred_until: Option<i64>,
    failure: Option<String>,
    since: i64,
    requested_at: i64,
    finished_at: Option<i64>,
    attempt: i64,
    called_at: Option<i64>,
    seen_status: Option<i64>,
    baseline_rejected: i64,
    doubt: Option<String>,
    doubt_at: Option<i64>,
    errcode: Option<i64>,
    errmsg: Option<String>,
    retry_of: Option<String>,
    key: Option<String>,
    labels: String,
    version: i64,
}

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
        errmsg = j.value ->> 'errmsg', version = request.version + 1
    FROM jsonb_each($1) AS j
    WHERE request.id = j.value ->> 'id'";

const INSERT: &str = "
    INSERT INTO request (id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown,
                         deferred_until, failure, since, requested_at, finished_at, attempt, called_at, seen_status,
                         baseline_rejected, doubt, doubt_at, errcode, errmsg, retry_of, key, labels, version)
    SELECT j.value ->> 'id', j.value ->> 'kind', j.value ->> 'account', j.value ->> 'program',
           j.value ->> 'username', j.value ->> 'notify_users', j.value ->> 'show_profile', j.value ->> 'state',
           j.value ->> 'outcome_unknown', j.value ->> 'deferred_until', j.value ->> 'failure', j.value ->> 'since',
           j.value ->> 'requested_at', j.value ->> 'finished_at', j.value ->> 'attempt', j.value ->> 'called_at',
           j.value ->> 'seen_status', j.value ->> 'baseline_rejected', j.value ->> 'doubt', j.value ->> 'doubt_at',
           j.value ->> 'errcode', j.value ->> 'errmsg', j.value ->> 'retry_of', j.value ->> 'key',
           j.value ->> 'labels', j.value ->> 'version'
    FROM jsonb_each($1) AS j";

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
        let rows: Vec<RequestRow> = sqlx::query_as(OF_ACCOUNT).bind(account.as_str()).fetch_all(self.readers()).await?;
        Ok(rows.into_iter().map(Request::try_from).collect())
    }

    /// One request.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or is not legal.
    pub async fn request(&self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        let row: Option<RequestRow> = sqlx::query_as(BY_ID).bind(id.as_str()).fetch_optional(self.readers()).await?;
        Ok(row.map(Request::try_from).transpose()?)
    }

    /// Requests whose call was out when the last process ended, a page after `after`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn calling(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(CALLING).bind(after).bind(limit).fetch_all(self.readers()).await?)
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
        let rows: Vec<RequestRow> = some.iter().map(|request| RequestRow::from(*request)).collect();
        bulk::execute(tx, INSERT, &rows).await?;
        let transitions: Vec<Transition> = some.iter().map(|request| first_transition(request)).collect();
        record::add_transitions(tx, &transitions).await?;
        let events: Vec<Event> = some.iter().map(|request| Event::of_request(request, None, None, now)).collect();
        record::add_events(tx, &events).await?;
    }
    for some in accounts.chunks(bulk::CHUNK) {
        wakeups::add(tx, some).await?;
    }
    Ok(())
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

impl From<&Request> for RequestRow {
    fn from(request: &Request) -> Self {
        let options = match request.kind {
            Kind::Link(options) => options,
            Kind::Unlink => LinkOptions::default(),
        };
        let (deferred_until, failure, unknown) = match request.state {
            State::Deferred(until) => (Some(until.ms()), None, false),
            State::Failed(failure) => (None, Some(failure.as_str().to_owned()), false),
            State::Initiating(outcome) => (None, None, outcome == Outcome::Unknown),
            _ => (None, None, false),
        };
        let memory = request.memory;
        Self {
            id: request.id.to_string(),
            kind: request.kind.as_str().to_owned(),
            account: request.account.to_string(),
            program: request.program.to_string(),
            username: request.username.as_ref().map(ToString::to_string),
            notify_users: i64::from(options.notify_users.wanted()),
            show_profile: i64::from(options.show_profile.wanted()),
            state: request.state.as_str().to_owned(),
            outcome_unknown: i64::from(unknown),
            deferred_until,
            failure,
            since: request.since.ms(),
            requested_at: request.requested_at.ms(),
            finished_at: request.finished_at().map(Time::ms),
            attempt: i64::from(request.attempt),
            called_at: request.called_at.map(Time::ms),
            seen_status: memory.seen.map(Status::number),
            baseline_rejected: i64::from(memory.baseline == Baseline::Rejected),
            doubt: memory.doubt.map(|doubt| match doubt.sighting {
                Sighting::Absent => "absent".to_owned(),
                Sighting::Listed(status) => status.number().to_string(),
            }),
            doubt_at: memory.doubt.map(|doubt| doubt.at.ms()),
            errcode: request.refusal.as_ref().map(|refusal| refusal.errcode),
            errmsg: request.refusal.as_ref().map(|refusal| refusal.errmsg.clone()),
            retry_of: request.retry_of.as_ref().map(ToString::to_string),
            key: request.key.clone(),
            labels: serde_json::to_string(&request.labels).unwrap_or_else(|_| "{}".to_owned()),
            version: request.version,
        }
    }
}

impl TryFrom<RequestRow> for Request {
    type Error = BadRow;

    fn try_from(row: RequestRow) -> Result<Self, BadRow> {
        let bad =
            |column, value: &str| BadRow { table: "request", id: row.id.clone(), column, value: value.to_owned() };
        let labels: BTreeMap<String, String> =
            serde_json::from_str(&row.labels).map_err(|_| bad("labels", &row.labels))?;
        Ok(Self {
            id: row.id.parse().map_err(|_| bad("id", &row.id))?,
            kind: row.kind().ok_or_else(|| bad("kind", &row.kind))?,
            account: row.account.parse().map_err(|_| bad("account", &row.account))?,
            program: row.program.parse().map_err(|_| bad("program", &row.program))?,
            username: optional::<Username>(row.username.as_deref()).map_err(|value| bad("username", value))?,
            state: row.state().ok_or_else(|| bad("state", &row.state))?,
            since: Time::from_ms(row.since),
            requested_at: Time::from_ms(row.requested_at),
            attempt: u32::try_from(row.attempt).map_err(|_| bad("attempt", &row.attempt.to_string()))?,
            called_at: row.called_at.map(Time::from_ms),
            memory: row.memory().ok_or_else(|| bad("doubt", row.doubt.as_deref().unwrap_or_default()))?,
            refusal: row.errcode.map(|errcode| Refusal { errcode, errmsg: row.errmsg.clone().unwrap_or_default() }),
            retry_of: optional::<RequestId>(row.retry_of.as_deref()).map_err(|value| bad("retry_of", value))?,
            key: row.key,
            labels,
            version: row.version,
            looked_at: None,
        })
    }
}

fn optional<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, &str> {
    text.map(|text| text.parse().map_err(|_| text)).transpose()
}

impl RequestRow {
    fn kind(&self) -> Option<Kind> {
        let choice = |flag| Choice::from(flag == 1);
        match self.kind.as_str() {
            "link" => Some(Kind::Link(LinkOptions {
                notify_users: choice(self.notify_users),
                show_profile: choice(self.show_profile),
            })),
            "unlink" => Some(Kind::Unlink),
            _ => None,
        }
    }

    fn state(&self) -> Option<State> {
        let unknown = if self.outcome_unknown == 1 { Outcome::Unknown } else { Outcome::Pending };
        match self.state.as_str() {
            "requested" => Some(State::Requested),
            "initiating" => Some(State::Initiating(unknown)),
            "initiated" => Some(State::Initiated),
            "awaiting_account_admin" => Some(State::AwaitingAccountAdmin),
            "awaiting_program_admin" => Some(State::AwaitingProgramAdmin),
            "deferred" => self.deferred_until.map(|until| State::Deferred(Time::from_ms(until))),
            "linked" => Some(State::Linked),
            "rejected" => Some(State::Rejected),
            "failed" => self.failure.as_deref().and_then(Failure::from_word).map(State::Failed),
            "lapsed" => Some(State::Lapsed),
            "cancelled" => Some(State::Cancelled),
            "unlinked" => Some(State::Unlinked),
            _ => None,
        }
    }

    fn memory(&self) -> Option<Memory> {
        let sighting = match self.doubt.as_deref() {
            None => None,
            Some("absent") => Some(Sighting::Absent),
            Some(number) => Some(Sighting::Listed(Status::from_number(number.parse().ok()?))),
        };
        let doubt = match (sighting, self.doubt_at) {
            (None, None) => None,
            (Some(sighting), Some(at)) => Some(Doubt { sighting, at: Time::from_ms(at) }),
            (None, Some(_)) | (Some(_), None) => return None,
        };
        Some(Memory {
            seen: self.seen_status.map(Status::from_number),
            baseline: if self.baseline_rejected == 1 { Baseline::Rejected } else { Baseline::Clear },
            doubt,
        })
    }
}
