//! Requests as polls read and write them, on the database thread: those that an account's list may still move, and where each
//! of them stands.

use rusqlite::params;

use super::{
    BadRow, StoreError,
    chain::Head,
    decode,
    executor::Db,
    request_row::{RequestRow, StateColumns},
    requests::REQUEST,
};
use crate::domain::{
    id::{AccountId, RequestId, Username},
    request::Request,
    time::Time,
};

// By name of the index: the planner prefers the one of all requests, and every poll would read the finished ones too.
const OF_ACCOUNT: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_watched
    WHERE account = ?1 AND (finished_at IS NULL OR state = 'linked')
    ORDER BY id";

pub(super) const BY_ID: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request WHERE id = ?1";

const UPDATE: &str = "
    UPDATE request
    SET username = ?2, state = ?3, outcome_unknown = ?4, deferred_until = ?5, failure = ?6, since = ?7,
        finished_at = ?8, attempt = ?9, called_at = ?10, seen_status = ?11, baseline_rejected = ?12, doubt = ?13,
        doubt_at = ?14, errcode = ?15, errmsg = ?16, version = version + 1, last_seq = ?17, chain = ?18
    WHERE id = ?1";

/// Writes a request that is there, at the end of its history.
pub(super) fn update(db: Db<'_>, request: &Request, head: &Head) -> Result<(), StoreError> {
    let columns = StateColumns::from(request);
    db.execute(
        UPDATE,
        params![
            request.id.as_str(),
            request.username.as_ref().map(Username::as_str),
            request.state.as_str(),
            columns.outcome_unknown,
            columns.deferred_until,
            columns.failure,
            request.since.ms(),
            request.finished_at().map(Time::ms),
            request.attempt,
            request.called_at.map(Time::ms),
            columns.seen_status,
            columns.baseline_rejected,
            columns.doubt,
            columns.doubt_at,
            request.refusal.as_ref().map(|refusal| refusal.errcode),
            request.refusal.as_ref().map(|refusal| refusal.errmsg.as_str()),
            head.seq,
            head.hash,
        ],
    )
    .map(drop)
}

/// Every request of an account that a listing may still move: the open ones and the linked. A row that is not legal is an
/// error of its own and holds up no other.
pub(super) fn watched(db: Db<'_>, account: &AccountId) -> Result<Vec<Result<Request, BadRow>>, StoreError> {
    let rows = db.all(OF_ACCOUNT, [account.as_str()], |row| decode::cells(row, REQUEST, RequestRow::read))?;
    Ok(rows.into_iter().map(|row| row.and_then(Request::try_from)).collect())
}

/// One request, unless it waits in an import.
pub(super) fn moved(db: Db<'_>, id: &RequestId) -> Result<Option<Request>, StoreError> {
    let row = db.first(BY_ID, [id.as_str()], |row| Ok(decode::cells(row, REQUEST, RequestRow::read)))?;
    Ok(row.transpose()?.map(Request::try_from).transpose()?)
}
