//! Sessions of people who signed in.

use std::time::Duration;

use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use super::action::{self, Action};
use crate::{
    domain::time::Time,
    store::{Store, StoreError, executor::Db, sql},
};

/// How long a session lasts at most.
pub const LASTS: Duration = Duration::from_hours(7 * 24);

/// How long one lasts that is not used.
pub const IDLE: Duration = Duration::from_hours(12);

/// How exactly it is known when one was used: what a request would write more often than that is not written.
const SEEN_EVERY: Duration = Duration::from_mins(10);

/// A session to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of what the cookie holds.
    pub digest: Vec<u8>,
    /// How people name it.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// From where.
    pub address: Option<String>,
    /// By which program, in its own words.
    pub agent: Option<String>,
}

/// Whose a session is that goes on.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SessionOwner {
    /// How people name it.
    pub id: String,
    /// The user.
    pub user: String,
    /// Their role, in its word.
    pub role: String,
    /// When it was last known to be used, milliseconds UTC.
    pub seen_at: i64,
    /// When it ends at the latest, milliseconds UTC.
    pub expires_at: i64,
}

impl SessionOwner {
    /// Whether its use is to be written.
    #[must_use]
    pub fn is_to_be_seen(&self, now: Time) -> bool {
        now.since(Time::from_ms(self.seen_at)) >= SEEN_EVERY
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct SessionView {
    pub id: String,
    pub user: String,
    pub created_at: String,
    pub seen_at: String,
    pub expires_at: String,
    pub address: Option<String>,
    pub agent: Option<String>,
}

const BEGIN: &str = "
    INSERT INTO session (digest, id, \"user\", created_at, seen_at, expires_at, address, agent)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)";

const OWNER: &str = "
    SELECT s.id, s.\"user\", u.role, s.seen_at, s.expires_at
    FROM session AS s CROSS JOIN \"user\" AS u ON u.name = s.\"user\"
    WHERE s.digest = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND u.disabled_at IS NULL";

const SEEN: &str = "UPDATE session SET seen_at = ?2 WHERE digest = ?1 AND seen_at < ?2";

const OF_USER: &str = "
    SELECT s.id, s.\"user\", strftime('%Y-%m-%dT%H:%M:%fZ', s.created_at / 1000.0, 'unixepoch') AS created_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', s.seen_at / 1000.0, 'unixepoch') AS seen_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', s.expires_at / 1000.0, 'unixepoch') AS expires_at, s.address, s.agent
    FROM session AS s WHERE s.\"user\" = $1 AND s.expires_at > $2 AND s.seen_at > $3
    ORDER BY s.created_at DESC";

const END: &str = "DELETE FROM session WHERE id = ?1 AND \"user\" = ?2";

const END_OTHERS: &str = "DELETE FROM session WHERE \"user\" = ?1 AND id IS DISTINCT FROM ?2";

const PRUNE: &str = "DELETE FROM session WHERE expires_at <= ?1 OR seen_at <= ?2";

/// Before this, a use is so long ago that the session has ended.
fn idle_since(now: Time) -> i64 {
    (now - IDLE).ms()
}

impl Store {
    /// Begins a session, and takes those away that have ended.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, also where the user is gone.
    pub async fn begin_session(&self, new: NewSession, action: Action, now: Time) -> Result<(), StoreError> {
        let write = move |db: Db<'_>| {
            let NewSession { digest, id, user, address, agent } = &new;
            db.execute(PRUNE, (now.ms(), idle_since(now)))?;
            db.execute(BEGIN, (digest, id, user, now.ms(), (now + LASTS).ms(), address, agent))?;
            action::add_one(db, &action)
        };
        self.executor.write(write).await
    }

    /// Whose session this is; `None` for one that has ended.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn session_owner(&self, digest: &[u8], now: Time) -> Result<Option<SessionOwner>, StoreError> {
        let query = sql::query_as(OWNER).bind(digest).bind(now.ms()).bind(idle_since(now));
        Ok(query.fetch_optional(self.readers()).await?)
    }

    /// Writes that a session is used.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn session_seen(&self, digest: Vec<u8>, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| db.execute(SEEN, (&digest, now.ms())).map(drop)).await
    }

    /// The sessions of a user that have not ended, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn sessions(&self, user: &str, now: Time) -> Result<Vec<SessionView>, StoreError> {
        let query = sql::query_as(OF_USER).bind(user).bind(now.ms()).bind(idle_since(now));
        Ok(query.fetch_all(self.readers()).await?)
    }

    /// Ends a session of this user; whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]: it goes on.
    pub async fn end_session(&self, id: String, user: String, action: Action) -> Result<bool, StoreError> {
        let write = move |db: Db<'_>| {
            let has_ended = db.execute(END, (&id, &user))? > 0;
            if has_ended {
                action::add_one(db, &action)?;
            }
            Ok(has_ended)
        };
        self.executor.write(write).await
    }

    /// Ends all sessions of this user but one, or all; how many.
    ///
    /// # Errors
    /// [`StoreError`]: they go on.
    pub async fn end_other_sessions(
        &self,
        user: String,
        but: Option<String>,
        action: Action,
    ) -> Result<usize, StoreError> {
        let write = move |db: Db<'_>| {
            let ended = db.execute(END_OTHERS, (&user, &but))?;
            if ended > 0 {
                action::add_one(db, &action)?;
            }
            Ok(ended)
        };
        self.executor.write(write).await
    }
}
