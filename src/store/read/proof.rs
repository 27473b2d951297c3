//! One request's history as a document that anybody can verify without us.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::verify::{StepRow, Told};
use crate::{
    domain::{
        history::{Replay, hex},
        id::RequestId,
        time::Time,
    },
    store::{Store, StoreError, bulk, sql},
};

const REQUESTS: &str = "
    SELECT r.id, r.kind, r.account, r.program, r.notify_users, r.show_profile, r.requested_at, r.retry_of, r.state,
           r.since, r.finished_at, r.attempt, r.called_at, r.last_seq, r.chain
    FROM jsonb_each($1) AS j CROSS JOIN request AS r ON r.id = j.value
    UNION ALL
    SELECT l.id, l.kind, l.account, l.program, l.notify_users, l.show_profile, l.requested_at, NULL, 'requested',
           l.requested_at, NULL, 0, NULL, 1, l.chain
    FROM import AS i CROSS JOIN jsonb_each($1) AS j
    CROSS JOIN import_line AS l ON l.import = i.id AND l.id = j.value AND l.twin IS NULL
    WHERE i.state = 'accepted'
    ORDER BY 1";

const STEPS: &str = "
    SELECT t.request_id, t.seq, t.from_state, t.to_state, t.at, t.cause, t.status, t.errcode, t.detail, t.hash
    FROM jsonb_each($1) AS j CROSS JOIN transition AS t ON t.request_id = j.value
    UNION ALL
    SELECT l.id, 1, NULL, 'requested', l.requested_at, 'accepted', NULL, NULL, NULL, l.chain
    FROM import AS i CROSS JOIN jsonb_each($1) AS j
    CROSS JOIN import_line AS l ON l.import = i.id AND l.id = j.value AND l.twin IS NULL
    WHERE i.state = 'accepted'
    ORDER BY 1, 2";

/// How the hashes are made, in the document itself.
const RULE: &str = "hash(row) = SHA-256 of the row as a compact JSON array in UTF-8, in hexadecimal. It begins with hash([id, \
                    kind, account, program, notify_users, show_profile, requested_at, retry_of]) of the request; each \
                    transition's hash is hash([the hash before it, request_id, seq, from_state, to_state, at, cause, \
                    status, errcode, detail]).";

/// A history with its hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// How the hashes are made.
    #[schema(value_type = String)]
    rule: Cow<'static, str>,
    request: About,
    transitions: Vec<Link>,
    head: HeadOf,
    /// What does not hold; empty when the history follows from itself and leads to the request's state.
    pub findings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct HeadOf {
    seq: i64,
    hash: String,
}

impl Store {
    /// The history of a request with its hashes, all as of one moment.
    pub async fn proof(&self, id: &RequestId) -> Result<Option<Proof>, StoreError> {
        Ok(self.proofs(&[id.to_string()]).await?.pop())
    }

    /// The histories of these requests, by id, all as of one moment; one that is not there is left out.
    pub async fn proofs(&self, ids: &[String]) -> Result<Vec<Proof>, StoreError> {
        let ids = bulk::json(ids);
        let mut moment = self.readers().snapshot().await?;
        let mut tx = moment.tx();
        let requests: Vec<Told> = sql::query_as(REQUESTS).bind(&ids).fetch_all(&mut tx).await?;
        let steps: Vec<StepRow> = sql::query_as(STEPS).bind(&ids).fetch_all(&mut tx).await?;
        moment.end().await?;
        let mut steps = steps.into_iter().peekable();
        let proof = |told: Told| {
            let mut own = Vec::new();
            while let Some(step) = steps.next_if(|step| step.request_id <= told.id) {
                own.push(step);
            }
            own.retain(|step| step.request_id == told.id);
            Proof::of(told, own)
        };
        Ok(requests.into_iter().map(proof).collect())
    }
}

impl Proof {
    fn of(told: Told, steps: Vec<StepRow>) -> Self {
        let identity = told.identity();
        let mut replay = Replay::of(&identity);
        let mut findings: Vec<String> = steps.iter().filter_map(|row| replay.take(&row.step(), &row.hash)).collect();
        findings.extend(told.differs(&replay));
        let head = HeadOf { seq: told.last_seq, hash: hex(&told.chain) };
        let transitions = steps.into_iter().map(Link::from).collect();
        Self { rule: Cow::Borrowed(RULE), request: About::from(told), transitions, head, findings }
    }

    /// The request.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.request.id
    }

    /// How many steps it has.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.transitions.len()
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
