//! The list of authorizers, as it is read page by page: what it knows of refresh tokens, and who must authorize anew.

use super::authorization::{gone, resume};
use crate::{
    domain::{errcode::Refusal, time::Time},
    store::{
        Store, StoreError,
        decode::{self, Cells},
        tables::AUTHORIZER,
    },
};

/// An entry of the list of authorizers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAuthorizer {
    /// Its appid.
    pub appid: String,
    /// Its refresh token, sealed; the list may hold none.
    pub refresh: Option<Vec<u8>>,
    /// When it authorized the platform.
    pub auth_time: Time,
}

// A push that withdrew the authorization is newer than a list from before it; whoever lost it otherwise has it back when the
// list says so.
const LISTED: &str = "
    INSERT INTO authorizer (appid, state, since, refresh, auth_time)
    VALUES (?1, 'authorized', ?4, ?2, ?3)
    ON CONFLICT (appid) DO UPDATE
    SET refresh = CASE
            WHEN ?2 IS NOT NULL AND (authorizer.refresh IS NULL OR ?3 > coalesce(authorizer.auth_time, -1)) THEN ?2
            ELSE authorizer.refresh
        END,
        since = CASE WHEN authorizer.state = 'authorized' THEN authorizer.since ELSE ?4 END, state = 'authorized',
        errcode = CASE WHEN ?2 IS NULL THEN authorizer.errcode END,
        errmsg = CASE WHEN ?2 IS NULL THEN authorizer.errmsg END,
        retry_at = NULL, auth_time = ?3
    WHERE ?3 >= coalesce(authorizer.auth_time, -1)
      AND (authorizer.state <> 'unauthorized' OR authorizer.event IS DISTINCT FROM 'unauthorized' OR ?3 >= authorizer.event_made)";

const LACKS: &str = "
    UPDATE authorizer
    SET errcode = 61023, errmsg = 'the authorization code is lost, and so is the refresh token', retry_at = ?2
    WHERE appid = ?1 AND state <> 'unauthorized' AND refresh IS NULL AND token IS NULL";

const LACKING: &str = "
    SELECT 1 FROM authorizer INDEXED BY authorizer_lacking
    WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023 LIMIT 1";

const LACKING_ALL: &str = "
    SELECT appid FROM authorizer INDEXED BY authorizer_lacking
    WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023 AND (retry_at IS NULL OR retry_at < ?1)";

impl Store {
    /// Keeps a page of the list of authorizers; an entry that is older than what is known changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn put_listed(&self, page: Vec<ListedAuthorizer>, now: Time) -> Result<(), StoreError> {
        self.executor
            .write(move |db| {
                for ListedAuthorizer { appid, refresh, auth_time } in &page {
                    let changed = db.execute(LISTED, (appid, refresh, auth_time.ms(), now.ms()));
                    let any = matches!(changed, Ok(1..));
                    if decode::apart(AUTHORIZER.name, appid, changed)? && any && refresh.is_some() {
                        resume(db, appid, now)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Notes that an authorizer has no token and no way to one, if that is so: the list of authorizers may have one.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn lacks_token(&self, appid: &str, now: Time) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(LACKS, (&appid, now.ms())).map(drop)).await
    }

    /// Whether any authorizer waits for a refresh token that the list may have.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn lacks_refresh_tokens(&self) -> Result<bool, StoreError> {
        self.executor.read(move |db| Ok(db.first(LACKING, (), |_| Ok(()))?.is_some())).await
    }

    /// Authorizers of which the whole list, read since it began, had no refresh token: they must authorize anew. How many they
    /// are. One that was lost meanwhile waits for the next list.
    ///
    /// # Errors
    /// [`StoreError`]: some are not marked yet; ask again.
    pub async fn give_up_lacking(&self, began: Time, now: Time) -> Result<usize, StoreError> {
        self.executor
            .write(move |db| {
                let appid = |cells: &mut Cells<'_>| cells.next::<String>();
                let lacking = db.all(LACKING_ALL, [began.ms()], |row| decode::cells(row, AUTHORIZER, appid))?;
                let lacking = decode::legible_cells(lacking);
                let errmsg = "the refresh token is lost, and the list of authorizers has no other";
                for appid in &lacking {
                    let refusal = Refusal { errcode: 61_023, errmsg: errmsg.to_owned() };
                    decode::apart(AUTHORIZER.name, appid, gone(db, appid, &refusal, now))?;
                }
                Ok(lacking.len())
            })
            .await
    }
}
