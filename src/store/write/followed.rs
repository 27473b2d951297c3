//! Requests as polls read and write them, on the database thread: those that an account's list may still move, and
//! their state.

use super::chain::Head;
use crate::{
    domain::{
        id::{AccountId, RequestId, Username},
        request::Request,
        time::Time,
    },
    store::{
        BadRow, StoreError, decode,
        executor::Db,
        request_row::{RequestRow, StateColumns},
        sql::args,
        tables::REQUEST,
    },
};

// Those that are open by one index, those that are linked by another: all that are finished stay unread, and neither is
// touched by the steps between.
const OF_ACCOUNT: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_one_open WHERE account = ?1 AND finished_at IS NULL
    UNION ALL
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_linked WHERE account = ?1 AND state = 'linked'
    ORDER BY id";

pub(super) const BY_ID: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request WHERE id = ?1";

// An index that names a column is written whenever that column is, also where it stays as it was: most steps neither end a
// request nor find one ended.
macro_rules! update {
    ($more:literal) => {
        concat!(
            "UPDATE request
             SET username = ?2, state = ?3, outcome_unknown = ?4, deferred_until = ?5, failure = ?6, since = ?7,
                 attempt = ?8, called_at = ?9, seen_status = ?10, baseline_rejected = ?11, doubt = ?12, doubt_at = ?13,
                 errcode = ?14, errmsg = ?15, version = version + 1, last_seq = ?16, chain = ?17",
            $more,
            " WHERE row = ?1"
        )
    };
}

const STEP: &str = update!("");

const END: &str = update!(", finished_at = ?18");

/// Writes the request in this row, at the end of its history.
pub(super) fn update(db: Db<'_>, row: i64, request: &Request, head: &Head) -> Result<(), StoreError> {
    let columns = StateColumns::from(request);
    let finished_at = request.finished_at().map(Time::ms);
    let step = args![
        row,
        request.username.as_ref().map(Username::as_str),
        request.state.as_str(),
        columns.outcome_unknown,
        columns.deferred_until,
        columns.failure,
        request.since.ms(),
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
        finished_at,
    ];
    let written = match finished_at {
        Some(_) => db.execute(END, &step[..]),
        None => db.execute(STEP, &step[..17]),
    };
    written.map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, Store, sql};

    #[tokio::test]
    async fn the_rules_of_a_row_are_compared_without_a_table_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::file(folder.path().join("a.db"), 0o600), Role::Tool).await.unwrap();
        for sql in [STEP, END] {
            let work = format!("EXPLAIN {sql}");
            let work: Vec<(i64, String)> = sql::query_as(work).fetch_all(store.readers()).await.unwrap();
            assert!(work.iter().all(|(_, opcode)| opcode != "OpenEphemeral"), "{sql}");
        }
        store.close().await;
    }
}
