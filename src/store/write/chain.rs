//! Appends to the hash chain of every history, and keeps its head. Written links never change.

use serde::Serialize;

use crate::{
    domain::{
        history::{Hash, Identity, Step, hex},
        observation::Cause,
        request::StateKind,
        time::Time,
    },
    store::{
        BadRow, StoreError, bulk, codes, decode,
        executor::Db,
        sql::{Tx, args},
        tables::REQUEST,
    },
};

/// Where a history ends: what the next link is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Head {
    pub(in crate::store) seq: i64,
    pub(in crate::store) hash: Hash,
}

/// A transition on its place, and the head that it makes.
#[derive(Debug)]
pub(super) struct Link<'t> {
    transition: &'t Transition,
    pub(super) head: Head,
}

/// A step as a row of the log; bytes travel in JSON as hexadecimal digits.
#[derive(Debug, Serialize)]
struct Row<'t> {
    request_id: &'t str,
    step: i64,
    from_state: Option<i64>,
    to_state: i64,
    at: i64,
    cause: i64,
    status: Option<i64>,
    errcode: Option<i64>,
    detail: Option<&'t str>,
    hash: String,
    attempt: i64,
    refusal: Option<i64>,
}

// Whether a request is still as it was read, its row, and what its next transition is put on.
const HEAD: &str = "SELECT id, row, last_seq, chain FROM request WHERE id = ?1 AND version = ?2";

const PUT: &str = "
    INSERT INTO log (at, request, step, from_state, to_state, cause, status, errcode, detail, hash, attempt, refusal)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const ADD: &str = "
    INSERT INTO log (at, request, step, from_state, to_state, cause, status, errcode, detail, hash, attempt, refusal)
    SELECT j.value ->> 'at', r.row, j.value ->> 'step', j.value ->> 'from_state', j.value ->> 'to_state',
           j.value ->> 'cause', j.value ->> 'status', j.value ->> 'errcode', j.value ->> 'detail',
           unhex(j.value ->> 'hash'), j.value ->> 'attempt', j.value ->> 'refusal'
    FROM jsonb_each($1) AS j CROSS JOIN request AS r ON r.id = j.value ->> 'request_id'
    ORDER BY j.key";

impl Head {
    /// Before the first transition.
    pub(super) fn of(identity: &Identity<'_>) -> Self {
        Self { seq: 0, hash: identity.hash() }
    }
}

impl Transition {
    /// This transition as the next one.
    pub(super) fn on(&self, head: &Head) -> Link<'_> {
        let seq = head.seq + 1;
        let step = Step {
            request_id: &self.request_id,
            seq,
            from: self.from_state.map(StateKind::as_str),
            to: self.to_state.as_str(),
            at: Time::from_ms(self.at),
            cause: self.cause.as_str(),
            status: self.status,
            errcode: self.errcode,
            detail: self.detail.as_deref(),
        };
        Link { transition: self, head: Head { seq, hash: step.hash(&head.hash) } }
    }
}

/// The row and the head of a request that still has this version; nothing when somebody else has changed it.
pub(super) fn head(db: Db<'_>, request: &str, version: i64) -> Result<Option<(i64, Head)>, StoreError> {
    let found = db.first(HEAD, (request, version), |row| {
        Ok(decode::cells(row, REQUEST, |cells| {
            cells.skip(1);
            Ok((cells.next::<i64>()?, cells.next::<i64>()?, cells.next::<Vec<u8>>()?))
        }))
    })?;
    let Some((row, seq, chain)) = found.transpose()? else { return Ok(None) };
    match Hash::try_from(chain.as_slice()) {
        Ok(hash) => Ok(Some((row, Head { seq, hash }))),
        Err(_) => Err(BadRow::new("request", request, "chain", &hex(&chain)).into()),
    }
}

/// Writes one transition of the request in this row.
pub(super) fn put(db: Db<'_>, request: i64, link: &Link<'_>) -> Result<(), StoreError> {
    let Transition { at, status, errcode, detail, attempt, refusal, .. } = link.transition;
    let (from, to) = (link.transition.from_state.map(codes::state), codes::state(link.transition.to_state));
    let (step, hash, cause) = (link.head.seq, link.head.hash, codes::cause(link.transition.cause));
    db.execute(PUT, args![*at, request, step, from, to, cause, *status, *errcode, *detail, hash, *attempt, *refusal])
        .map(drop)
}

/// Writes transitions.
pub(super) async fn add(tx: &mut Tx<'_>, links: &[Link<'_>]) -> Result<(), StoreError> {
    let rows: Vec<Row<'_>> = links.iter().map(Row::from).collect();
    bulk::execute(tx, ADD, &rows).await.map(drop)
}

impl<'t> From<&Link<'t>> for Row<'t> {
    fn from(link: &Link<'t>) -> Self {
        let Transition { request_id, from_state, to_state, at, cause, status, errcode, detail, attempt, refusal } =
            link.transition;
        Self {
            request_id,
            step: link.head.seq,
            from_state: from_state.map(codes::state),
            to_state: codes::state(*to_state),
            at: *at,
            cause: codes::cause(*cause),
            status: *status,
            errcode: *errcode,
            detail: detail.as_deref(),
            hash: hex(&link.head.hash),
            attempt: *attempt,
            refusal: *refusal,
        }
    }
}

/// A step of a request's history, and with it an event; the store numbers and hashes it.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The request.
    pub request_id: String,
    /// The state before.
    pub from_state: Option<StateKind>,
    /// The state after.
    pub to_state: StateKind,
    /// Milliseconds UTC.
    pub at: i64,
    /// Where it came from.
    pub cause: Cause,
    /// The listed status behind it.
    pub status: Option<i64>,
    /// The code behind it.
    pub errcode: Option<i64>,
    /// More, for people.
    pub detail: Option<String>,
    /// Calls made by then, for its event.
    pub attempt: i64,
    /// The code that the request holds from then on, for its event.
    pub refusal: Option<i64>,
}
