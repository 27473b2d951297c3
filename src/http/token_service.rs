//! Access tokens for the platform's other systems, so that one place alone refreshes them. Whoever asks shows a key, of
//! which the configuration has the digest; the component's own token, refresh tokens and tickets leave by no door.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::server::Limits;
use crate::{
    clock::SharedClock,
    config::Caller,
    domain::{history::hex, id::AccountId},
    engine::tokens::{
        TokenKeeper,
        desk::{ServeError, Served},
    },
};

/// Requests under way at once, and how long one may take: longer than a refresh.
pub const LIMITS: Limits = Limits { connections: 256, request: Duration::from_secs(30) };

/// Bytes of a request's body: an appid and a digest.
const BODY_BYTES_MAX: usize = 4 << 10;

/// A window in which a caller's requests, or refused keys, are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// Refused keys in a minute that are told of.
const REFUSED_KEYS_TOLD: u32 = 20;

/// When to ask again while there is no token.
const RETRY_AFTER: &str = "10";

/// The least lifetime that is told: callers keep nothing shorter.
const EXPIRES_IN_MIN: u64 = 60;

#[derive(Clone)]
struct Service {
    keeper: TokenKeeper,
    clock: SharedClock,
    callers: Arc<[Caller]>,
    /// Requests of callers, by their place, and refused keys under the place after the last.
    counts: Arc<Mutex<HashMap<usize, Count>>>,
}

/// What was counted since a moment of the stopwatch.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    since: Duration,
    count: u32,
}

/// The service for these callers.
pub fn router(keeper: TokenKeeper, clock: SharedClock, callers: &[Caller]) -> Router {
    let service = Service { keeper, clock, callers: callers.into(), counts: Arc::default() };
    Router::new()
        .route("/token", get(token))
        .route("/token/refused", post(refused))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service)
}

#[derive(Deserialize)]
struct Asked {
    appid: Option<String>,
}

#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Deserialize)]
struct RefusedToken {
    appid: String,
    sha256: String,
}

/// Why there is no token, in a body that clients of `WeChat` read.
#[derive(Serialize)]
struct Refusal {
    errcode: i64,
    errmsg: String,
}

async fn token(State(service): State<Service>, headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let caller = match service.caller(&headers) {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    let outcome = match asked.appid.as_deref().map(str::parse::<AccountId>) {
        Some(Ok(account)) => service.grant(caller, &account).await,
        Some(Err(_)) | None => refusal(StatusCode::BAD_REQUEST, -1, "give the account's appid: /token?appid=wx…"),
    };
    let appid = asked.appid.as_deref().unwrap_or_default();
    tracing::info!(
        event = "token_service.asked",
        caller = caller.name,
        appid = %appid.chars().take(32).collect::<String>(),
        status = outcome.status().as_u16(),
        "a token was asked for"
    );
    outcome
}

async fn refused(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let caller = match service.caller(&headers) {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    let Ok(RefusedToken { appid, sha256 }) = serde_json::from_slice(&body) else {
        return refusal(StatusCode::BAD_REQUEST, -1, "expected {\"appid\": \"wx…\", \"sha256\": \"…\"}");
    };
    let Ok(account) = appid.parse::<AccountId>() else {
        return refusal(StatusCode::BAD_REQUEST, -1, "appid is no appid");
    };
    if !may_have(caller, &account) {
        return refusal(StatusCode::FORBIDDEN, -1, "this caller may not have tokens of this account");
    }
    tracing::info!(event = "token_service.refused", caller = caller.name, appid = %account, "a caller met a token that WeChat refuses");
    service.keeper.refused_digest(&account, &sha256).await;
    (StatusCode::ACCEPTED, no_store()).into_response()
}

impl Service {
    /// Who asks, by the key; all digests are compared, whatever matches.
    fn caller(&self, headers: &HeaderMap) -> Result<&Caller, Box<Response>> {
        let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = key.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let digest = hex(&Sha256::digest(key.as_bytes()));
        let mut found = None;
        for (place, caller) in self.callers.iter().enumerate() {
            let is_known = caller
                .key_sha256
                .iter()
                .fold(Choice::from(0), |known, one| known | one.as_bytes().ct_eq(digest.as_bytes()));
            if bool::from(is_known) {
                found = Some((place, caller));
            }
        }
        let Some((place, caller)) = found.filter(|_| !key.is_empty()) else {
            if self.count(self.callers.len()) == REFUSED_KEYS_TOLD {
                tracing::warn!(
                    event = "token_service.keys_refused",
                    count = REFUSED_KEYS_TOLD,
                    "many requests with a key that nobody has"
                );
            }
            return Err(Box::new(refusal(StatusCode::UNAUTHORIZED, -1, "no key, or one that is not known")));
        };
        if self.count(place) > caller.per_minute {
            let mut too_many = refusal(StatusCode::TOO_MANY_REQUESTS, -1, "too many requests in this minute");
            too_many.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            return Err(Box::new(too_many));
        }
        Ok(caller)
    }

    /// Counts one more in this minute.
    fn count(&self, place: usize) -> u32 {
        let now = self.clock.monotonic();
        // Nothing in here panics halfway through a change.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(place).or_default();
        if now.saturating_sub(count.since) >= MINUTE {
            *count = Count { since: now, count: 0 };
        }
        count.count = count.count.saturating_add(1);
        count.count
    }

    async fn grant(&self, caller: &Caller, account: &AccountId) -> Response {
        // Known or not: who may not ask does not learn it.
        if !may_have(caller, account) {
            return refusal(StatusCode::FORBIDDEN, -1, "this caller may not have tokens of this account");
        }
        match self.keeper.serve_one(account).await {
            Ok(Served { token, expires_in }) => {
                let granted = Granted {
                    access_token: token.expose_secret(),
                    expires_in: expires_in.as_secs().max(EXPIRES_IN_MIN),
                };
                (no_store(), Json(granted)).into_response()
            }
            Err(ServeError::Unknown) => refusal(StatusCode::NOT_FOUND, -1, "this account is not known"),
            Err(ServeError::Refused(said)) => refusal(StatusCode::CONFLICT, said.errcode, &said.errmsg),
            Err(ServeError::Later(why)) => {
                let mut later = refusal(StatusCode::SERVICE_UNAVAILABLE, -1, &why);
                later.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
                later
            }
        }
    }
}

fn may_have(caller: &Caller, account: &AccountId) -> bool {
    caller.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
}

const fn no_store() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

fn refusal(status: StatusCode, errcode: i64, errmsg: &str) -> Response {
    (status, no_store(), Json(Refusal { errcode, errmsg: errmsg.to_owned() })).into_response()
}
