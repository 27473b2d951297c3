//! Audits of everything that somebody asked for: begun as an action, done in the background, part by part.

use super::bulk_action::{BulkPage, advance_on};
use crate::{
    domain::{
        action::{ActionKind, By},
        time::Time,
    },
    store::{
        Store, StoreError,
        executor::Db,
        row_id::new_id,
        sql::{self, args},
    },
};

const UNDER_WAY: &str = "
    SELECT a.id FROM action AS a INDEXED BY action_under_way
    WHERE a.outcome IS NULL AND a.action = 'audit' ORDER BY a.id LIMIT 1";

const BEGIN: &str = "
    INSERT INTO action (id, at, actor, via, token, address, action, subject_kind, subject, reason)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'all', ?9)";

// What was found is in memory: an audit that a process left is begun anew.
const RESTART: &str = "UPDATE action SET count = ?2, done = 0, failed = 0 WHERE id = ?1 AND outcome IS NULL";

impl Store {
    /// Begins an audit of everything, unless one is under way; answers the id of the one that is.
    ///
    /// # Errors
    /// [`StoreError`]: it was not begun.
    pub async fn begin_whole_audit(&self, by: By, now: Time) -> Result<String, StoreError> {
        let (id, kind) = (new_id(now), ActionKind::Audit);
        let By { actor, reason, .. } = by;
        let write = move |db: Db<'_>| {
            if let Some(id) = db.first(UNDER_WAY, (), |row| row.get(0))? {
                return Ok(id);
            }
            let (via, what, of) = (actor.via.as_str(), kind.as_str(), kind.subject().as_str());
            let row = args![id, now.ms(), actor.name, via, actor.token, actor.address, what, of, reason];
            db.execute(BEGIN, row)?;
            Ok(id.clone())
        };
        self.executor.write(write).await
    }

    /// The audit of everything that is under way.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn whole_audit_under_way(&self) -> Result<Option<String>, StoreError> {
        Ok(sql::query_scalar(UNDER_WAY).fetch_optional(self.readers()).await?)
    }

    /// Sets it back to its beginning, with so many parts to do.
    ///
    /// # Errors
    /// [`StoreError`]: it stands where it stood.
    pub async fn restart_whole_audit(&self, id: String, parts: u64) -> Result<(), StoreError> {
        let parts = i64::try_from(parts).unwrap_or(i64::MAX);
        self.executor.write(move |db| db.execute(RESTART, (&id, parts)).map(drop)).await
    }

    /// Writes that a part of it is done, and whether nothing was found there.
    ///
    /// # Errors
    /// [`StoreError`]: it was not written.
    pub async fn pass_audited(&self, page: BulkPage, is_sound: bool) -> Result<(), StoreError> {
        self.executor.write(move |db| advance_on(db, &page, u64::from(is_sound))).await
    }
}
