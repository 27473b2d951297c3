//! Actions on many: begun with all that the daemon needs to do them by itself, and how far each has come, written in the
//! transaction of the deeds that a page of it is.

use serde_json::json;

use super::action::Action;
use crate::{
    domain::{
        action::{ActionKind, By},
        time::Time,
    },
    store::{
        Store, StoreError,
        executor::Db,
        read::bulk::{Choice, Preview},
        row_id::new_id,
        sql::{self, Tx, args},
    },
};

const BEGIN: &str = "
    INSERT INTO action (id, at, actor, via, token, address, action, subject_kind, filter, count, reason, arguments,
                        cutoff)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const ADVANCE: &str = "
    UPDATE action SET position = ?2, done = done + ?3, failed = failed + ?4 WHERE id = ?1 AND outcome IS NULL";

// What was chosen and could not be changed any more when its turn came has failed, too.
const FINISH: &str = "
    UPDATE action
    SET finished_at = ?2, failed = max(failed, coalesce(count, 0) - done),
        outcome = CASE WHEN max(failed, coalesce(count, 0) - done) <= 0 THEN 'done'
                       WHEN done > 0 THEN 'partly' ELSE 'failed' END
    WHERE id = ?1 AND outcome IS NULL";

/// A page of an action on many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkPage {
    /// The action.
    pub action: String,
    /// The key of the last one of the page.
    pub position: String,
    /// How many it has.
    pub count: u64,
}

impl Store {
    /// Begins an action on many; answers its id.
    ///
    /// # Errors
    /// [`StoreError`]: it was not begun.
    pub async fn begin_bulk(
        &self,
        choice: &Choice,
        preview: &Preview,
        until: Option<Time>,
        by: By,
        now: Time,
    ) -> Result<String, StoreError> {
        let (id, kind, filter) = (new_id(now), choice.kind(), choice.record().to_owned());
        let arguments = until.map(|until| json!({ "until": until.ms() }).to_string());
        let (count, cutoff, begun) =
            (i64::try_from(preview.count).unwrap_or(i64::MAX), preview.cutoff.clone(), id.clone());
        let By { actor, reason, .. } = by;
        let write = move |db: Db<'_>| {
            db.execute(
                BEGIN,
                args![
                    id,
                    now.ms(),
                    actor.name,
                    actor.via.as_str(),
                    actor.token,
                    actor.address,
                    kind.as_str(),
                    kind.subject().as_str(),
                    filter,
                    count,
                    reason,
                    arguments,
                    cutoff
                ],
            )
            .map(drop)
        };
        self.executor.write(write).await?;
        Ok(begun)
    }

    /// Passes a page of which nothing can be done.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn pass_bulk(&self, page: BulkPage) -> Result<(), StoreError> {
        self.executor.write(move |db| advance_on(db, &page, 0)).await
    }

    /// Ends an action on many: nothing of it is left.
    ///
    /// # Errors
    /// [`StoreError`]: it still goes on.
    pub async fn finish_bulk(&self, id: String, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| db.execute(FINISH, (&id, now.ms())).map(drop)).await
    }
}

const BEGIN_BACKUP: &str = "
    INSERT INTO action (id, at, actor, via, token, address, action, subject_kind, reason)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const END_BACKUP: &str = "
    UPDATE action
    SET finished_at = ?2, outcome = CASE WHEN ?3 = 1 THEN 'done' ELSE 'failed' END, count = 1, done = ?3, failed = 1 - ?3
    WHERE id = ?1 AND outcome IS NULL";

const LOST_BACKUPS: &str = "
    UPDATE action
    SET finished_at = ?1, outcome = 'failed', count = 1, failed = 1
    WHERE outcome IS NULL AND action = 'backup'";

impl Store {
    /// Writes that a backup is begun; answers the id of that action.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn begin_backup(&self, by: By, now: Time) -> Result<String, StoreError> {
        let (id, kind) = (new_id(now), ActionKind::Backup);
        let (begun, By { actor, reason, .. }) = (id.clone(), by);
        let write = move |db: Db<'_>| {
            let (via, what, of) = (actor.via.as_str(), kind.as_str(), kind.subject().as_str());
            let row = args![id, now.ms(), actor.name, via, actor.token, actor.address, what, of, reason];
            db.execute(BEGIN_BACKUP, row).map(drop)
        };
        self.executor.write(write).await?;
        Ok(begun)
    }

    /// Writes that a backup was made, or was not.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn end_backup(&self, id: String, is_made: bool, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| db.execute(END_BACKUP, (&id, now.ms(), is_made)).map(drop)).await
    }

    /// Ends backups that went on when their process died.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn end_lost_backups(&self, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| db.execute(LOST_BACKUPS, [now.ms()]).map(drop)).await
    }
}

/// How many of a page were not changed.
fn left_of(page: &BulkPage, done: u64) -> i64 {
    i64::try_from(page.count.saturating_sub(done)).unwrap_or(i64::MAX)
}

/// Writes within the transaction of a page that so many of it are changed.
pub(super) async fn advance(tx: &mut Tx<'_>, page: &BulkPage, done: u64) -> Result<(), StoreError> {
    let query = sql::query(ADVANCE).bind(&page.action).bind(&page.position);
    query.bind(i64::try_from(done).unwrap_or(i64::MAX)).bind(left_of(page, done)).execute(tx).await?;
    Ok(())
}

/// [`advance`] on the database thread.
pub(super) fn advance_on(db: Db<'_>, page: &BulkPage, done: u64) -> Result<(), StoreError> {
    let counted = i64::try_from(done).unwrap_or(i64::MAX);
    db.execute(ADVANCE, (&page.action, &page.position, counted, left_of(page, done))).map(drop)
}

/// Deeds of a page that are written with the decisions they are.
#[derive(Debug, Clone)]
pub struct BulkDeeds {
    /// One for each that is changed.
    pub actions: Vec<Action>,
    /// The page.
    pub page: BulkPage,
}
