//! Tokens of the API: named, limited to a role and scopes, kept as digests.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::action::{self, Action};
use crate::{
    domain::{
        identity::{Role, Scope},
        time::Time,
    },
    store::{
        Store, StoreError, bulk,
        executor::Db,
        sql::{self, JsonText},
    },
};

/// How exactly it is known when a token was used.
const USED_EVERY: Duration = Duration::from_hours(1);

/// A token to keep.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// The part of it that names it.
    pub id: String,
    /// How people name it.
    pub name: String,
    /// What it may do at most.
    pub role: Role,
    /// What of that it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the whole token.
    pub digest: Vec<u8>,
    /// Whose it is; `None` for one that is made on the machine.
    pub user: Option<String>,
    /// Who makes it.
    pub by: String,
    /// When it ends; `None` for never.
    pub expires_at: Option<Time>,
}

/// What is compared when a token is shown.
#[derive(Debug, Clone, FromRow)]
pub struct KnownApiToken {
    /// How people name it.
    pub name: String,
    /// The word of its role.
    pub role: String,
    /// The role of the user whose it is; `None` for one that was made on the machine.
    pub user_role: Option<String>,
    /// The words of its scopes.
    #[sqlx(try_from = "JsonText")]
    pub scopes: Vec<String>,
    /// SHA-256 of the whole token.
    pub digest: Vec<u8>,
    /// When it ends, milliseconds UTC.
    pub expires_at: Option<i64>,
    /// When it was last known to be used, milliseconds UTC.
    pub used_at: Option<i64>,
}

impl KnownApiToken {
    /// Whether its use is to be written.
    #[must_use]
    pub fn is_to_be_used(&self, now: Time) -> bool {
        self.used_at.is_none_or(|at| now.since(Time::from_ms(at)) >= USED_EVERY)
    }
}

/// A token as people see it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct ApiTokenView {
    pub id: String,
    pub name: String,
    pub role: String,
    #[sqlx(try_from = "JsonText")]
    pub scopes: Vec<String>,
    pub user: Option<String>,
    pub created_at: String,
    pub created_by: String,
    pub expires_at: Option<String>,
    pub used_at: Option<String>,
    pub revoked_at: Option<String>,
}

const ADD: &str = "
    INSERT INTO api_token (id, name, role, scopes, digest, \"user\", created_at, created_by, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING";

// The name of one that has ended is free.
const END_EXPIRED: &str = "
    UPDATE api_token SET revoked_at = expires_at WHERE name = ?1 AND revoked_at IS NULL AND expires_at <= ?2";

const KNOWN: &str = "
    SELECT t.name, t.role, u.role AS user_role, t.scopes, t.digest, t.expires_at, t.used_at
    FROM api_token AS t LEFT JOIN \"user\" AS u ON u.name = t.\"user\"
    WHERE t.id = $1 AND t.revoked_at IS NULL AND u.disabled_at IS NULL";

const USED: &str = "UPDATE api_token SET used_at = ?2 WHERE id = ?1";

const LIST: &str = "
    SELECT t.id, t.name, t.role, t.scopes, t.\"user\",
           strftime('%Y-%m-%dT%H:%M:%fZ', t.created_at / 1000.0, 'unixepoch') AS created_at, t.created_by,
           strftime('%Y-%m-%dT%H:%M:%fZ', t.expires_at / 1000.0, 'unixepoch') AS expires_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', t.used_at / 1000.0, 'unixepoch') AS used_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', t.revoked_at / 1000.0, 'unixepoch') AS revoked_at
    FROM api_token AS t
    WHERE (t.\"user\" = $1 OR $1 IS NULL)
    ORDER BY t.revoked_at IS NOT NULL, t.name, t.created_at";

const REVOKE: &str = "
    UPDATE api_token SET revoked_at = ?2
    WHERE (name = ?1 OR id = ?1) AND revoked_at IS NULL AND (\"user\" = ?3 OR ?3 IS NULL)";

impl Store {
    /// Keeps a token; whether its name was free.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn add_api_token(&self, new: NewApiToken, action: Action, now: Time) -> Result<bool, StoreError> {
        let write = move |db: Db<'_>| {
            let NewApiToken { id, name, role, scopes, digest, user, by, expires_at } = &new;
            db.execute(END_EXPIRED, (name, now.ms()))?;
            let (scopes, until) = (bulk::json(scopes), expires_at.map(Time::ms));
            let is_added = db.execute(ADD, (id, name, role.as_str(), scopes, digest, user, now.ms(), by, until))? > 0;
            if is_added {
                action::add_one(db, &action)?;
            }
            Ok(is_added)
        };
        self.executor.write(write).await
    }

    /// What is known of a token by its id; `None` for one that is revoked, or whose user is gone or disabled.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn known_api_token(&self, id: &str) -> Result<Option<KnownApiToken>, StoreError> {
        Ok(sql::query_as(KNOWN).bind(id).fetch_optional(self.readers()).await?)
    }

    /// Writes that a token is used.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn api_token_used(&self, id: String, now: Time) -> Result<(), StoreError> {
        self.executor.write(move |db| db.execute(USED, (&id, now.ms())).map(drop)).await
    }

    /// Tokens of a user, or all, those that are revoked last.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn api_tokens(&self, user: Option<&str>) -> Result<Vec<ApiTokenView>, StoreError> {
        Ok(sql::query_as(LIST).bind(user).fetch_all(self.readers()).await?)
    }

    /// Revokes a token by its name or id, of this user or of anybody; whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]: it is still good.
    pub async fn revoke_api_token(
        &self,
        name: String,
        user: Option<String>,
        action: Action,
        now: Time,
    ) -> Result<bool, StoreError> {
        let write = move |db: Db<'_>| {
            let is_revoked = db.execute(REVOKE, (&name, now.ms(), &user))? > 0;
            if is_revoked {
                action::add_one(db, &action)?;
            }
            Ok(is_revoked)
        };
        self.executor.write(write).await
    }
}
