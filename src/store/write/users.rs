//! Users who may sign in. Whatever ends a user's trust ends their sessions and tokens in the same transaction.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use super::action::{self, Action};
use crate::{
    domain::{identity::Role, time::Time},
    store::{
        Store, StoreError,
        executor::Db,
        sql::{self, Flag},
    },
};

/// A user as people see one.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct UserView {
    pub name: String,
    pub role: String,
    pub created_at: String,
    pub password_at: String,
    pub disabled_at: Option<String>,
    /// Sessions that have not ended.
    pub sessions: i64,
}

/// What is compared when somebody signs in.
#[derive(Debug, Clone, FromRow)]
pub struct UserPassword {
    /// argon2id, as a PHC string.
    pub password: String,
    /// Whether they may not sign in.
    #[sqlx(try_from = "Flag")]
    pub disabled: bool,
}

/// What changes of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// The role. Sessions go on with it.
    Role(Role),
    /// The password, as a PHC string: sessions and tokens end.
    Password(String),
    /// Whether they may sign in: sessions and tokens of one who may not end.
    Disabled(bool),
    /// They are removed, with sessions and tokens.
    Removed,
}

/// What became of a change that must leave somebody who may manage users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done,
    /// There is no such user.
    Unknown,
    /// It would leave no admin who may sign in: nothing was changed.
    LastAdmin,
}

const ADD: &str = "
    INSERT INTO \"user\" (name, role, password, created_at, password_at) VALUES (?1, ?2, ?3, ?4, ?4)
    ON CONFLICT (name) DO NOTHING";

const USERS: &str = "
    SELECT u.name, u.role, strftime('%Y-%m-%dT%H:%M:%fZ', u.created_at / 1000.0, 'unixepoch') AS created_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', u.password_at / 1000.0, 'unixepoch') AS password_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', u.disabled_at / 1000.0, 'unixepoch') AS disabled_at,
           (SELECT count(*) FROM session AS s WHERE s.\"user\" = u.name AND s.expires_at > $1) AS sessions
    FROM \"user\" AS u ORDER BY u.name";

const PASSWORD: &str = "SELECT u.password, u.disabled_at IS NOT NULL AS disabled FROM \"user\" AS u WHERE u.name = $1";

const SET_ROLE: &str = "UPDATE \"user\" SET role = ?2 WHERE name = ?1";

const SET_PASSWORD: &str = "UPDATE \"user\" SET password = ?2, password_at = ?3 WHERE name = ?1";

const SET_DISABLED: &str = "
    UPDATE \"user\" SET disabled_at = CASE WHEN ?2 = 1 THEN coalesce(disabled_at, ?3) END WHERE name = ?1";

const REMOVE: &str = "DELETE FROM \"user\" WHERE name = ?1";

const END_SESSIONS: &str = "DELETE FROM session WHERE \"user\" = ?1";

const REVOKE_TOKENS: &str = "UPDATE api_token SET revoked_at = ?2 WHERE \"user\" = ?1 AND revoked_at IS NULL";

// Whether this one is an admin who may sign in, and no other is.
const IS_LAST_ADMIN: &str = "
    SELECT 1 FROM \"user\" AS u
    WHERE u.name = ?1 AND u.role = 'admin' AND u.disabled_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM \"user\" AS o WHERE o.name <> ?1 AND o.role = 'admin' AND o.disabled_at IS NULL)";

impl UserChange {
    /// Whether an admin is none afterwards.
    const fn takes_admins_away(&self) -> bool {
        match self {
            Self::Role(role) => !matches!(role, Role::Admin),
            Self::Disabled(is_disabled) => *is_disabled,
            Self::Removed => true,
            Self::Password(_) => false,
        }
    }

    fn write(&self, db: Db<'_>, name: &str, now: Time) -> Result<bool, StoreError> {
        let is_known = match self {
            Self::Role(role) => db.execute(SET_ROLE, (name, role.as_str()))?,
            Self::Password(hash) => db.execute(SET_PASSWORD, (name, hash, now.ms()))?,
            Self::Disabled(disabled) => db.execute(SET_DISABLED, (name, disabled, now.ms()))?,
            Self::Removed => {
                end(db, name, now)?;
                db.execute(REMOVE, [name])?
            }
        } > 0;
        if matches!(self, Self::Password(_) | Self::Disabled(true)) {
            end(db, name, now)?;
        }
        Ok(is_known)
    }
}

impl Store {
    /// Adds a user; whether the name was free.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn add_user(
        &self,
        name: String,
        role: Role,
        password: String,
        action: Action,
        now: Time,
    ) -> Result<bool, StoreError> {
        let write = move |db: Db<'_>| {
            let is_added = db.execute(ADD, (&name, role.as_str(), &password, now.ms()))? > 0;
            if is_added {
                action::add_one(db, &action)?;
            }
            Ok(is_added)
        };
        self.executor.write(write).await
    }

    /// Changes a user; whether there is one.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn change_user(
        &self,
        name: String,
        change: UserChange,
        action: Action,
        now: Time,
    ) -> Result<bool, StoreError> {
        let write = move |db: Db<'_>| {
            let is_known = change.write(db, &name, now)?;
            if is_known {
                action::add_one(db, &action)?;
            }
            Ok(is_known)
        };
        self.executor.write(write).await
    }

    /// Makes changes of a user in their order, all or none; not those that leave no admin who may sign in.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn change_user_but_last_admin(
        &self,
        name: String,
        changes: Vec<(UserChange, Action)>,
        now: Time,
    ) -> Result<Changed, StoreError> {
        let write = move |db: Db<'_>| {
            let takes_away = changes.iter().any(|(change, _)| change.takes_admins_away());
            if takes_away && db.first(IS_LAST_ADMIN, [&name], |_| Ok(()))?.is_some() {
                return Ok(Changed::LastAdmin);
            }
            for (change, action) in &changes {
                if !change.write(db, &name, now)? {
                    return Ok(Changed::Unknown);
                }
                action::add_one(db, action)?;
            }
            Ok(Changed::Done)
        };
        self.executor.write(write).await
    }

    /// All users, by name.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn users(&self, now: Time) -> Result<Vec<UserView>, StoreError> {
        Ok(sql::query_as(USERS).bind(now.ms()).fetch_all(self.readers()).await?)
    }

    /// What is compared when this user signs in.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn user_password(&self, name: &str) -> Result<Option<UserPassword>, StoreError> {
        Ok(sql::query_as(PASSWORD).bind(name).fetch_optional(self.readers()).await?)
    }
}

/// Ends whatever a user is trusted by beside the password.
fn end(db: Db<'_>, name: &str, now: Time) -> Result<(), StoreError> {
    db.execute(END_SESSIONS, [name])?;
    db.execute(REVOKE_TOKENS, (name, now.ms())).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{
            action::{ActionKind, Actor, By},
            identity::Scope,
        },
        store::{
            Location, Role as Opening,
            read::actions::ActionFilter,
            write::{
                api_tokens::NewApiToken,
                sessions::{IDLE, LASTS, NewSession},
            },
        },
    };

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("a.db"), 0o600);
        let store = Store::open(&location, Opening::Tool).await.unwrap();
        (folder, store)
    }

    fn deed(kind: ActionKind, subject: &str) -> Action {
        Action::of(kind, subject, &By::new(Actor::on_machine("root")), NOW)
    }

    async fn with_user(store: &Store, name: &str) {
        let added = store.add_user(name.into(), Role::Operator, "hash".into(), deed(ActionKind::AddUser, name), NOW);
        assert!(added.await.unwrap());
    }

    async fn signed_in(store: &Store, user: &str, digest: u8) {
        let session = NewSession {
            digest: vec![digest; 32],
            id: format!("s{digest}"),
            user: user.into(),
            address: None,
            agent: None,
        };
        store.begin_session(session, deed(ActionKind::SignIn, "s"), NOW).await.unwrap();
    }

    async fn with_token(store: &Store, name: &str, user: Option<&str>, expires_at: Option<Time>) -> bool {
        let new = NewApiToken {
            id: format!("id-{name}-{}", expires_at.map_or(0, Time::ms)),
            name: name.into(),
            role: Role::Viewer,
            scopes: vec![Scope::Read],
            digest: vec![1; 32],
            user: user.map(Into::into),
            by: "root".into(),
            expires_at,
        };
        store.add_api_token(new, deed(ActionKind::NewApiToken, name), NOW).await.unwrap()
    }

    async fn is_in(store: &Store, digest: u8, at: Time) -> bool {
        store.session_owner(&[digest; 32], at).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn what_ends_a_users_trust_ends_sessions_and_tokens_with_it() {
        let (_folder, store) = store().await;
        with_user(&store, "lena").await;
        with_user(&store, "mo").await;
        let twice = store.add_user("mo".into(), Role::Admin, "x".into(), deed(ActionKind::AddUser, "mo"), NOW);
        assert!(!twice.await.unwrap());
        for (place, change) in [UserChange::Password("new".into()), UserChange::Disabled(true), UserChange::Removed]
            .into_iter()
            .enumerate()
        {
            let digest = u8::try_from(place).unwrap() + 1;
            signed_in(&store, "lena", digest).await;
            signed_in(&store, "mo", digest + 100).await;
            let name = format!("bot-{place}");
            assert!(with_token(&store, &name, Some("lena"), None).await);
            assert!(is_in(&store, digest, NOW).await);
            let action = deed(ActionKind::ChangeUser, "lena");
            assert!(store.change_user("lena".into(), change.clone(), action, NOW).await.unwrap());
            assert!(!is_in(&store, digest, NOW).await, "{change:?}");
            assert!(is_in(&store, digest + 100, NOW).await, "{change:?}");
            assert!(store.known_api_token(&format!("id-{name}-0")).await.unwrap().is_none(), "{change:?}");
            let enable = UserChange::Disabled(false);
            let _ = store.change_user("lena".into(), enable, deed(ActionKind::ChangeUser, "lena"), NOW).await.unwrap();
        }
        let nobody = UserChange::Removed;
        assert!(!store.change_user("lena".into(), nobody, deed(ActionKind::RemoveUser, "lena"), NOW).await.unwrap());
        let names: Vec<String> = store.users(NOW).await.unwrap().into_iter().map(|user| user.name).collect();
        assert_eq!(names, ["mo"]);
        let filter = ActionFilter { subject: Some("lena".into()), ..ActionFilter::default() };
        let actions = store.action_page(&filter, None, 99).await.unwrap();
        assert_eq!(actions.len(), 1 + 5, "added once; of those changes, one was of nobody: {actions:#?}");
        assert!(actions.iter().all(|row| (row.actor.as_str(), row.via.as_str()) == ("root", "cli")));
        store.close().await;
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_idle_or_old() {
        let (_folder, store) = store().await;
        with_user(&store, "lena").await;
        signed_in(&store, "lena", 1).await;
        let second = Duration::from_secs(1);
        assert!(is_in(&store, 1, NOW + IDLE - second).await);
        assert!(!is_in(&store, 1, NOW + IDLE).await);
        let mut at = NOW;
        while at < NOW + LASTS - IDLE {
            at = at + IDLE / 2;
            assert!(is_in(&store, 1, at).await);
            store.session_seen(vec![1; 32], at).await.unwrap();
        }
        assert!(is_in(&store, 1, NOW + LASTS - second).await);
        assert!(!is_in(&store, 1, NOW + LASTS).await);
        store.close().await;
    }

    #[tokio::test]
    async fn the_name_of_a_token_is_free_again_once_it_has_ended() {
        let (_folder, store) = store().await;
        assert!(with_token(&store, "ci", None, Some(NOW)).await);
        assert!(with_token(&store, "ci", None, None).await);
        assert!(!with_token(&store, "ci", None, Some(NOW + IDLE)).await);
        let action = deed(ActionKind::RevokeApiToken, "ci");
        assert!(store.revoke_api_token("ci".into(), None, action.clone(), NOW).await.unwrap());
        assert!(!store.revoke_api_token("ci".into(), None, action, NOW).await.unwrap());
        assert!(with_token(&store, "ci", None, Some(NOW + IDLE)).await);
        let mine = store.api_tokens(Some("lena")).await.unwrap();
        assert!(mine.is_empty(), "{mine:?}");
        assert_eq!(store.api_tokens(None).await.unwrap().len(), 3);
        store.close().await;
    }
}
