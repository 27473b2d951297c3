//! Requests deferred by a monthly quota, by quota: the ones that opening its gate concerns.

use crate::{
    domain::{
        id::{AccountId, ProgramId},
        request::Request,
    },
    store::{BadRow, Store, StoreError, request_row::RequestRow, sql},
};

/// Whose month it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonthOf<'a> {
    /// A program's, on every account; it is one of links.
    Program(&'a ProgramId),
    /// An account's.
    Account(&'a AccountId),
}

/// A row of these: its id, also where the row is not legal.
pub type Deferred = (String, Result<Request, BadRow>);

const OF_PROGRAM: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_by_program
    WHERE program = $1 AND errcode = $2 AND id > $3 AND state = 'deferred' AND kind = 'link'
    ORDER BY id LIMIT $4";

const OF_ACCOUNT: &str = "
    SELECT id, kind, account, program, username, notify_users, show_profile, state, outcome_unknown, deferred_until,
           failure, since, requested_at, finished_at, attempt, called_at, seen_status, baseline_rejected, doubt,
           doubt_at, errcode, errmsg, retry_of, key, labels, version
    FROM request INDEXED BY request_by_account
    WHERE account = $1 AND errcode = $2 AND id > $3 AND state = 'deferred'
    ORDER BY id LIMIT $4";

impl Store {
    /// Requests that a code of this month holds back, a page after `after`.
    pub async fn deferred_by(
        &self,
        of: MonthOf<'_>,
        code: i64,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Deferred>, StoreError> {
        let (sql, subject) = match of {
            MonthOf::Program(program) => (OF_PROGRAM, program.as_str()),
            MonthOf::Account(account) => (OF_ACCOUNT, account.as_str()),
        };
        let query = sql::query_as(sql).bind(subject).bind(code).bind(after).bind(limit);
        let rows: Vec<RequestRow> = query.fetch_all(self.readers()).await?;
        Ok(rows.into_iter().map(|row| (row.id().to_owned(), Request::try_from(row))).collect())
    }
}
