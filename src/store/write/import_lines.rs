//! Lines of an import that is not accepted yet, as requests made beside it see them: a request takes the place of a line for
//! the same.

use serde::Serialize;

use crate::store::{
    StoreError, bulk,
    sql::{self, Tx},
};

// Lines of the same import for the same: the first of them holds the wish.
pub(super) const STAGED_TWINS: &str = "
    SELECT j.key AS line, l.id, l.kind, l.account, l.program, l.key
    FROM jsonb_each($1) AS j
    CROSS JOIN import_line AS l INDEXED BY import_line_by_pair
        ON l.account = j.value ->> 1 AND l.program = j.value ->> 2 AND l.kind = j.value ->> 0
    WHERE l.import = $2 AND l.twin IS NULL";

const IS_STAGING: &str = "SELECT EXISTS (SELECT 1 FROM import WHERE state = 'staged')";

const CLAIM_PAIRS: &str = "
    UPDATE import_line INDEXED BY import_line_by_pair SET twin = j.value ->> 0, claimed = 1
    FROM jsonb_each($1) AS j
    WHERE import_line.account = j.value ->> 2 AND import_line.program = j.value ->> 3
      AND import_line.kind = j.value ->> 1 AND import_line.twin IS NULL
      AND +import_line.import IN (SELECT i.id FROM import AS i WHERE i.state = 'staged')";

const CLAIM_KEYS: &str = "
    UPDATE import_line INDEXED BY import_line_by_key SET twin = j.value ->> 0, claimed = 1
    FROM jsonb_each($1) AS j
    WHERE import_line.key = j.value ->> 4 AND import_line.twin IS DISTINCT FROM j.value ->> 0
      AND +import_line.import IN (SELECT i.id FROM import AS i WHERE i.state = 'staged')";

const COUNT_CLAIM: &str = "UPDATE import SET claims = claims + 1 WHERE state = 'staged'";

/// Puts requests in the place of lines for the same, or with the same key, that are not accepted yet.
pub(super) async fn claim<T: Serialize>(tx: &mut Tx<'_>, requests: &[T]) -> Result<(), StoreError> {
    if requests.is_empty() || !sql::query_scalar::<bool>(IS_STAGING).fetch_one(&mut *tx).await? {
        return Ok(());
    }
    let claimed = bulk::execute(tx, CLAIM_PAIRS, requests).await? + bulk::execute(tx, CLAIM_KEYS, requests).await?;
    if claimed > 0 {
        sql::query(COUNT_CLAIM).execute(tx).await?;
    }
    Ok(())
}
