//! One request's history as a document that anybody can check without us. It must never leave out a step.

use serde::Serialize;

use super::{
    Store, StoreError,
    verify::{StepRow, Told},
};
use crate::domain::{
    history::{Replay, hex},
    id::RequestId,
    time::Time,
};

const REQUEST: &str = "
    SELECT id, kind, account, program, notify_users, show_profile, requested_at, retry_of, state, since, finished_at,
           attempt, called_at, last_seq, chain
    FROM request WHERE id = $1";

const STEPS: &str = "
    SELECT request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash
    FROM transition WHERE request_id = $1 ORDER BY seq";

/// How the hashes are made, in the document itself.
const RULE: &str = "hash(row) = SHA-256 of the row as a compact JSON array in UTF-8, in hexadecimal. It begins with hash([id, \
                    kind, account, program, notify_users, show_profile, requested_at, retry_of]) of the request; each \
                    transition's hash is hash([the hash before it, request_id, seq, from_state, to_state, at, cause, \
                    status, errcode, detail]).";

/// A history with its hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How the hashes are made.
    rule: &'static str,
    request: About,
    transitions: Vec<Link>,
    head: HeadOf,
    /// What does not hold; empty when the history follows from itself and leads to the request's state.
    pub findings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct About {
    id: String,
    kind: String,
    account: String,
    program: String,
    notify_users: i64,
    show_profile: i64,
    requested_at: String,
    retry_of: Option<String>,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Link {
    request_id: String,
    seq: i64,
    from_state: Option<String>,
    to_state: String,
    at: String,
    cause: String,
    status: Option<i64>,
    errcode: Option<i64>,
    detail: Option<String>,
    hash: String,
}

/// What the request says its last transition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct HeadOf {
    seq: i64,
    hash: String,
}

impl Store {
    /// The history of a request with its hashes, all as of one moment.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn proof(&self, id: &RequestId) -> Result<Option<Proof>, StoreError> {
        let mut moment = self.readers().begin().await?;
        let told: Option<Told> = sqlx::query_as(REQUEST).bind(id.as_str()).fetch_optional(&mut *moment).await?;
        let Some(told) = told else { return Ok(None) };
        let steps: Vec<StepRow> = sqlx::query_as(STEPS).bind(id.as_str()).fetch_all(&mut *moment).await?;
        moment.commit().await?;
        let identity = told.identity();
        let mut replay = Replay::of(&identity);
        let mut findings: Vec<String> = steps.iter().filter_map(|row| replay.take(&row.step(), &row.hash)).collect();
        findings.extend(told.differs(&replay));
        let head = HeadOf { seq: told.last_seq, hash: hex(&told.chain) };
        let transitions = steps.into_iter().map(Link::from).collect();
        Ok(Some(Proof { rule: RULE, request: About::from(told), transitions, head, findings }))
    }
}

impl From<Told> for About {
    fn from(told: Told) -> Self {
        let Told { id, kind, account, program, notify_users, show_profile, requested_at, retry_of, state, .. } = told;
        let requested_at = Time::from_ms(requested_at).to_string();
        Self { id, kind, account, program, notify_users, show_profile, requested_at, retry_of, state }
    }
}

impl From<StepRow> for Link {
    fn from(row: StepRow) -> Self {
        let StepRow { request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash } = row;
        let (at, hash) = (Time::from_ms(at).to_string(), hex(&hash));
        Self { request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash }
    }
}
