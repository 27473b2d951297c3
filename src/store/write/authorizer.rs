//! Rows of `authorizer`: accounts that have authorized the platform, their sealed tokens, and what they allow.

use super::{
    authorization::{gone, judge, resume},
    component::NewToken,
    component_row::life,
    programs,
};
use crate::{
    domain::{
        authorizer::{AuthorizationEvent, AuthorizerState, Life},
        errcode::Refusal,
        id::ProgramId,
        time::Time,
    },
    store::{
        BadRow, Store, StoreError,
        decode::{self, Cells},
        executor::Db,
        sql::{CellError, RowRef},
        tables::AUTHORIZER,
    },
};

/// An authorizer as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerRow {
    /// Its appid, of an official account or a mini program.
    pub appid: String,
    /// Where its authorization stands.
    pub state: AuthorizerState,
    /// Since when.
    pub since: Time,
    /// Its refresh token, sealed.
    pub refresh: Option<Vec<u8>>,
    /// Its access token, sealed, and how long it lives.
    pub token: Option<(Vec<u8>, Life)>,
    /// Counts the tokens.
    pub generation: i64,
    /// The last push that counted, and when `WeChat` made it.
    pub event: Option<(AuthorizationEvent, Time)>,
    /// When it authorized the platform, as the list of authorizers says.
    pub auth_time: Option<Time>,
    /// Permission sets; `None` while they are not known.
    pub permissions: Option<Vec<i64>>,
    /// Its `gh_` id.
    pub username: Option<String>,
    /// Its name for people.
    pub nickname: Option<String>,
    /// What its last refresh was refused with.
    pub refusal: Option<Refusal>,
    /// Refreshes in a row that failed.
    pub failures: u32,
    /// Before when none is tried again.
    pub retry_at: Option<Time>,
    /// When somebody last forced one by a refused token.
    pub forced_at: Option<Time>,
}

/// What a refresh, or a code that was traded, brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTokens {
    /// The access token.
    pub token: NewToken,
    /// The refresh token, sealed; `None`: the old one stays.
    pub refresh: Option<Vec<u8>>,
    /// Permission sets, where they were said.
    pub permissions: Option<Vec<i64>>,
}

/// What a refresh that was refused means for the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshRefused {
    /// The authorization is gone: tokens are wiped, and the account is suspended.
    Gone(Refusal),
    /// The refresh token does not work any more; the list of authorizers may have another.
    RefreshTokenLost(Refusal),
    /// It is tried again later.
    Later {
        /// The code, when it was one that failed it.
        errcode: Option<i64>,
        /// Why.
        why: String,
        /// When.
        retry_at: Time,
        /// When the token that is on disk ends, should `WeChat` have given another one that nobody heard.
        ends_at: Option<Time>,
    },
}

/// What `api_get_authorizer_info` says of an authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizerInfo {
    /// Its `gh_` id.
    pub username: Option<String>,
    /// Its name for people.
    pub nickname: Option<String>,
    /// Permission sets, where they were said.
    pub permissions: Option<Vec<i64>>,
}

macro_rules! select_authorizers {
    ($rest:literal) => {
        concat!(
            "SELECT appid, state, since, refresh, token, renew_at, token_until, generation, event, event_made, auth_time,
                    permissions, username, nickname, errcode, errmsg, failures, retry_at, forced_at
             FROM authorizer ",
            $rest
        )
    };
}

const ONE: &str = select_authorizers!("WHERE appid = ?1");

const ADD: &str = "
    INSERT INTO authorizer (appid, state, since) VALUES (?1, 'unknown', ?2) ON CONFLICT DO NOTHING";

const IS_CLAIMED: &str = "SELECT 1 FROM authorizer WHERE appid = ?1 AND generation = ?2 AND claimed_by = ?3";

const REFRESHED: &str = "
    UPDATE authorizer
    SET token = ?4, renew_at = ?5, token_until = ?6, refresh = coalesce(?7, refresh),
        generation = generation + 1, claimed_by = NULL, claimed_until = NULL,
        since = CASE WHEN state = 'authorized' THEN since ELSE ?8 END, state = 'authorized',
        errcode = NULL, errmsg = NULL, failures = 0, retry_at = NULL
    WHERE appid = ?1 AND generation = ?2 AND claimed_by = ?3";

const DROP: &str = "
    UPDATE authorizer
    SET token = NULL, renew_at = NULL, token_until = NULL, forced_at = ?3,
        killed_at = CASE WHEN renew_at > ?3 THEN ?3 ELSE killed_at END
    WHERE appid = ?1 AND generation = ?2 AND token IS NOT NULL
      AND (forced_at IS NULL OR forced_at <= ?3 - 60000 OR forced_at > ?3)";

const FORCE: &str = "
    UPDATE authorizer SET renew_at = min(coalesce(renew_at, ?3), ?3), forced_at = ?3
    WHERE appid = ?1 AND generation = ?2 AND token IS NOT NULL
      AND (forced_at IS NULL OR forced_at <= ?3 - 60000 OR forced_at > ?3)";

// `retry_at` says since when: a list of which a part was read before says nothing about it.
const LOST: &str = "
    UPDATE authorizer
    SET refresh = NULL, token = NULL, renew_at = NULL, token_until = NULL, claimed_by = NULL, claimed_until = NULL,
        errcode = ?2, errmsg = ?3, failures = failures + 1, retry_at = ?4
    WHERE appid = ?1";

const LATER: &str = "
    UPDATE authorizer
    SET claimed_by = NULL, claimed_until = NULL, errcode = ?2, errmsg = ?3, failures = failures + 1, retry_at = ?4,
        renew_at = CASE WHEN ?5 < renew_at THEN ?5 ELSE renew_at END,
        token_until = CASE WHEN ?5 < token_until THEN ?5 ELSE token_until END
    WHERE appid = ?1";

const INFO: &str = "
    UPDATE authorizer
    SET username = coalesce(?2, username), nickname = coalesce(?3, nickname)
    WHERE appid = ?1 AND state = 'authorized'";

const PERMISSIONS: &str = "UPDATE authorizer SET permissions = ?2 WHERE appid = ?1";

impl Store {
    /// An authorizer, when it is known.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read; [`BadRow`] inside when it is not valid.
    pub async fn authorizer(&self, appid: &str) -> Result<Option<Result<AuthorizerRow, BadRow>>, StoreError> {
        let appid = appid.to_owned();
        self.executor.read(move |db| find(db, &appid)).await
    }

    /// Makes an authorizer known of which nothing was heard yet.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn add_authorizer(&self, appid: &str, now: Time) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| db.execute(ADD, (&appid, now.ms())).map(drop)).await
    }

    /// Keeps the tokens of whoever claimed them; whether it still did, and nobody was faster. An account that was suspended
    /// because it lacked this is resumed if it may link now.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, so the token must not be used.
    pub async fn put_tokens(
        &self,
        appid: &str,
        generation: i64,
        by: &str,
        tokens: NewTokens,
        now: Time,
    ) -> Result<bool, StoreError> {
        let (appid, by) = (appid.to_owned(), by.to_owned());
        self.executor.write(move |db| put(db, &appid, generation, &by, &tokens, now)).await
    }

    /// Forgets the token if it is still this one and none was forced in the last minute; whether it is forgotten.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn drop_token(&self, appid: &str, generation: i64, now: Time) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| Ok(db.execute(DROP, (&appid, generation, now.ms()))? > 0)).await
    }

    /// Has the token renewed now, if it is still this one and none was forced in the last minute; whether that is so. It
    /// serves until then, and its end is nobody else's doing.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn force_renewal(&self, appid: &str, generation: i64, now: Time) -> Result<bool, StoreError> {
        let appid = appid.to_owned();
        self.executor.write(move |db| Ok(db.execute(FORCE, (&appid, generation, now.ms()))? > 0)).await
    }

    /// Writes what a refresh that was refused means, and gives the claim back; whether it still counted: a push that came
    /// meanwhile is a newer truth.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn refresh_refused(
        &self,
        appid: &str,
        generation: i64,
        by: &str,
        meaning: RefreshRefused,
        now: Time,
    ) -> Result<bool, StoreError> {
        let (appid, by) = (appid.to_owned(), by.to_owned());
        self.executor
            .write(move |db| {
                if db.first(IS_CLAIMED, (&appid, generation, &by), |_| Ok(()))?.is_none() {
                    return Ok(false);
                }
                match &meaning {
                    RefreshRefused::Gone(refusal) => gone(db, &appid, refusal, now)?,
                    RefreshRefused::RefreshTokenLost(Refusal { errcode, errmsg }) => {
                        db.execute(LOST, (&appid, errcode, errmsg, now.ms()))?;
                    }
                    RefreshRefused::Later { errcode, why, retry_at, ends_at } => {
                        let ends_at = ends_at.map(Time::ms);
                        db.execute(LATER, (&appid, errcode, why, retry_at.ms(), ends_at))?;
                    }
                }
                Ok(true)
            })
            .await
    }

    /// Keeps what is said of an authorizer; it is suspended or resumed by its permissions. Of one that has withdrawn its
    /// authorization meanwhile nothing counts any more.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn put_info(&self, appid: &str, info: AuthorizerInfo, now: Time) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        self.executor
            .write(move |db| {
                if db.execute(INFO, (&appid, &info.username, &info.nickname))? == 0 {
                    return Ok(());
                }
                // Of a mini program this is what finds its request in a list that names it by its `gh_` id alone.
                if let (Some(Ok(username)), Ok(program)) =
                    (info.username.as_deref().map(str::parse), appid.parse::<ProgramId>())
                {
                    programs::learn(db, &(username, program, now.ms()))?;
                }
                match &info.permissions {
                    Some(permissions) => permitted(db, &appid, permissions, now),
                    None => Ok(()),
                }
            })
            .await
    }
}

pub(super) fn find(db: Db<'_>, appid: &str) -> Result<Option<Result<AuthorizerRow, BadRow>>, StoreError> {
    db.first(ONE, [appid], |row| Ok(read(row)))
}

pub(super) fn put(
    db: Db<'_>,
    appid: &str,
    generation: i64,
    by: &str,
    tokens: &NewTokens,
    now: Time,
) -> Result<bool, StoreError> {
    let NewTokens { token: NewToken { sealed, life }, refresh, permissions } = tokens;
    let params = (appid, generation, by, sealed, life.renew_at.ms(), life.until.ms(), refresh, now.ms());
    if db.execute(REFRESHED, params)? == 0 {
        return Ok(false);
    }
    match permissions {
        Some(permissions) => permitted(db, appid, permissions, now)?,
        None => resume(db, appid, now)?,
    }
    Ok(true)
}

/// What an authorizer permits is known: it is written down, and its account stands by it.
fn permitted(db: Db<'_>, appid: &str, permissions: &[i64], now: Time) -> Result<(), StoreError> {
    db.execute(PERMISSIONS, (appid, serde_json::to_string(permissions).unwrap_or_else(|_| "[]".to_owned())))?;
    judge(db, appid, permissions, now)
}

/// A row as it stands, its words and its list not read yet.
struct Raw {
    appid: String,
    state: String,
    since: i64,
    refresh: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
    renew_at: Option<i64>,
    token_until: Option<i64>,
    generation: i64,
    event: Option<String>,
    event_made: Option<i64>,
    auth_time: Option<i64>,
    permissions: Option<String>,
    username: Option<String>,
    nickname: Option<String>,
    errcode: Option<i64>,
    errmsg: Option<String>,
    failures: i64,
    retry_at: Option<i64>,
    forced_at: Option<i64>,
}

fn read(row: RowRef<'_>) -> Result<AuthorizerRow, BadRow> {
    decode::cells(row, AUTHORIZER, raw).and_then(AuthorizerRow::try_from)
}

fn raw(cells: &mut Cells<'_>) -> Result<Raw, CellError> {
    Ok(Raw {
        appid: cells.next()?,
        state: cells.next()?,
        since: cells.next()?,
        refresh: cells.next()?,
        token: cells.next()?,
        renew_at: cells.next()?,
        token_until: cells.next()?,
        generation: cells.next()?,
        event: cells.next()?,
        event_made: cells.next()?,
        auth_time: cells.next()?,
        permissions: cells.next()?,
        username: cells.next()?,
        nickname: cells.next()?,
        errcode: cells.next()?,
        errmsg: cells.next()?,
        failures: cells.next()?,
        retry_at: cells.next()?,
        forced_at: cells.next()?,
    })
}

impl TryFrom<Raw> for AuthorizerRow {
    type Error = BadRow;

    fn try_from(raw: Raw) -> Result<Self, BadRow> {
        let bad = |column, value: &str| BadRow::new(AUTHORIZER.name, &raw.appid, column, value);
        let time = |at: Option<i64>| at.map(Time::from_ms);
        let event = raw.event.as_deref().map(|word| AuthorizationEvent::from_word(word).ok_or(bad("event", word)));
        let sets = |sets: &str| serde_json::from_str(sets).map_err(|_| bad("permissions", sets));
        Ok(Self {
            state: AuthorizerState::from_word(&raw.state).ok_or_else(|| bad("state", &raw.state))?,
            since: Time::from_ms(raw.since),
            token: raw.token.zip(life(time(raw.renew_at), time(raw.token_until))),
            event: event.transpose()?.zip(time(raw.event_made)),
            auth_time: time(raw.auth_time),
            permissions: raw.permissions.as_deref().map(sets).transpose()?,
            refusal: raw.errcode.map(|errcode| Refusal { errcode, errmsg: raw.errmsg.unwrap_or_default() }),
            failures: u32::try_from(raw.failures).unwrap_or(u32::MAX),
            retry_at: time(raw.retry_at),
            forced_at: time(raw.forced_at),
            refresh: raw.refresh,
            generation: raw.generation,
            username: raw.username,
            nickname: raw.nickname,
            appid: raw.appid,
        })
    }
}
