//! Access tokens for the platform's other systems, so that one place alone refreshes them. Whoever asks shows a key, of
//! which the configuration has the digest, before anything else is looked at; the component's own token, refresh tokens and
//! tickets leave by no door.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use tokio::sync::watch;

use super::server::Limits;
use crate::{
    clock::SharedClock,
    config::Caller,
    domain::{history::hex, id::AccountId},
    engine::{
        refused_keys::{MANY, RefusedKeys},
        tokens::{
            TokenKeeper,
            desk::{ServeError, Served},
        },
    },
};

/// Requests under way at once, and how long one may take to come, and its answer: longer than a refresh.
pub const LIMITS: Limits =
    Limits { connections: 256, request: Duration::from_secs(5), answer: Duration::from_secs(30) };

/// Bytes of a request's body: an appid and a digest.
const BODY_BYTES_MAX: usize = 4 << 10;

/// A window in which a caller's requests are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// When to ask again while there is no token, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Characters of a SHA-256 in hexadecimal.
const SHA256_CHARS: usize = 64;

#[derive(Clone)]
struct Service {
    keeper: TokenKeeper,
    clock: SharedClock,
    callers: watch::Receiver<Arc<Callers>>,
    /// Requests in this minute, by the caller's name.
    counts: Arc<Mutex<HashMap<String, Count>>>,
    /// Where it listens, and where refused keys are counted.
    refused_keys: (Arc<str>, RefusedKeys),
}

/// Who may ask.
#[derive(Debug)]
pub struct Callers(Vec<Arc<Caller>>);

impl Callers {
    /// These.
    #[must_use]
    pub fn new(callers: &[Caller]) -> Self {
        Self(callers.iter().cloned().map(Arc::new).collect())
    }
}

/// What was counted since a moment of the stopwatch.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    since: Duration,
    count: u32,
}

/// Whose key a request has shown.
#[derive(Debug, Clone)]
struct Known(Arc<Caller>);

/// The service for those who may ask; refused keys are counted by the listener's name, where they are told of.
pub fn router(
    keeper: TokenKeeper,
    clock: SharedClock,
    callers: watch::Receiver<Arc<Callers>>,
    refused_keys: (Arc<str>, RefusedKeys),
) -> Router {
    let service = Service { keeper, clock, callers, counts: Arc::default(), refused_keys };
    Router::new()
        .route("/token", get(token))
        .route("/token/refused", post(refused))
        .fallback(async || refusal(StatusCode::NOT_FOUND, -1, "ask GET /token?appid=wx… or POST /token/refused"))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // The outermost: without a key nobody learns even which paths there are.
        .layer(from_fn_with_state(service.clone(), known))
        .with_state(service)
}

#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    expires_in: u128,
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

/// Lets in whoever shows a known key, as often as they may come in a minute.
async fn known(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let Some(caller) = service.caller(request.headers()) else { return service.unknown_key() };
    let count = service.count(&caller.name);
    if count > caller.per_minute {
        // Once a minute and caller.
        if count == caller.per_minute.saturating_add(1) {
            tracing::warn!(
                event = "token_service.too_many",
                caller = caller.name,
                per_minute = caller.per_minute,
                "a caller asks more often than per_minute"
            );
        }
        let mut too_many = refusal(StatusCode::TOO_MANY_REQUESTS, -1, "too many requests in this minute");
        too_many.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return too_many;
    }
    request.extensions_mut().insert(Known(caller));
    next.run(request).await
}

async fn token(
    State(service): State<Service>,
    Extension(Known(caller)): Extension<Known>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Response {
    let account = asked_account(&asked);
    let outcome = match &account {
        Ok(account) => service.grant(&caller, account).await,
        Err(wrong) => refusal(StatusCode::BAD_REQUEST, -1, wrong),
    };
    tracing::info!(
        event = "token_service.asked",
        caller = caller.name,
        appid = account.as_ref().map_or("", AccountId::as_str),
        status = outcome.status().as_u16(),
        "a token was asked for"
    );
    outcome
}

/// The one account that a query names; what else stands in it is left to whoever sent it.
fn asked_account(asked: &[(String, String)]) -> Result<AccountId, &'static str> {
    let mut appids = asked.iter().filter(|(name, _)| name == "appid").map(|(_, value)| value);
    match (appids.next(), appids.next()) {
        (Some(appid), None) => appid.parse().map_err(|_| "appid is no appid: wx and 16 letters or digits"),
        (None, _) => Err("give the account's appid: /token?appid=wx…"),
        (Some(_), Some(_)) => Err("appid is given more than once"),
    }
}

async fn refused(
    State(service): State<Service>,
    Extension(Known(caller)): Extension<Known>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(unread) if unread.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, -1, "expected at most 4 KiB");
        }
        Err(_) => return refusal(StatusCode::BAD_REQUEST, -1, "the body is cut off or wrongly framed"),
    };
    let Ok(RefusedToken { appid, sha256 }) = serde_json::from_slice(&body) else {
        return refusal(StatusCode::BAD_REQUEST, -1, "expected {\"appid\": \"wx…\", \"sha256\": \"…\"}");
    };
    let Ok(account) = appid.parse::<AccountId>() else {
        return refusal(StatusCode::BAD_REQUEST, -1, "appid is no appid: wx and 16 letters or digits");
    };
    if sha256.len() != SHA256_CHARS || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let wrong = "sha256 is no digest: the SHA-256 of the token's text, 64 hexadecimal digits";
        return refusal(StatusCode::BAD_REQUEST, -1, wrong);
    }
    if !may_have(&caller, &account) {
        return not_of_this_caller();
    }
    tracing::info!(event = "token_service.refused", caller = caller.name, appid = %account, "a caller met a token that WeChat refuses");
    service.keeper.refused_digest(&account, &sha256).await;
    (StatusCode::ACCEPTED, no_store()).into_response()
}

/// The method of a path that is there, and is asked in another way.
async fn wrong_method(method: Method) -> Response {
    refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        -1,
        &format!("{method} is not for this path: GET /token, POST /token/refused"),
    )
}

impl Service {
    /// Who asks, by the key; all digests are compared, whatever matches.
    fn caller(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let key = bearer(headers).unwrap_or_default();
        let digest = hex(&Sha256::digest(key.as_bytes()));
        let callers = Arc::clone(&self.callers.borrow());
        let mut found = None;
        for caller in &callers.0 {
            let is_known = caller
                .key_sha256
                .iter()
                .fold(Choice::from(0), |known, one| known | one.as_bytes().ct_eq(digest.as_bytes()));
            if bool::from(is_known) {
                found = Some(Arc::clone(caller));
            }
        }
        found.filter(|_| !key.is_empty())
    }

    /// The answer to whoever shows no key, or one that nobody has: always the same.
    fn unknown_key(&self) -> Response {
        let (listener, refused_keys) = &self.refused_keys;
        if refused_keys.count(listener, self.clock.monotonic()) {
            tracing::warn!(
                event = "token_service.keys_refused",
                listener = &**listener,
                count = MANY,
                "many requests in a minute with a key that nobody has"
            );
        }
        let mut unknown = refusal(StatusCode::UNAUTHORIZED, -1, "no key, or one that is not known");
        unknown.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        unknown
    }

    /// Counts one more in this minute.
    fn count(&self, caller: &str) -> u32 {
        let now = self.clock.monotonic();
        // Nothing in here panics halfway through a change.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(caller.to_owned()).or_default();
        if now.saturating_sub(count.since) >= MINUTE {
            *count = Count { since: now, count: 0 };
        }
        count.count = count.count.saturating_add(1);
        count.count
    }

    async fn grant(&self, caller: &Caller, account: &AccountId) -> Response {
        if !may_have(caller, account) {
            return not_of_this_caller();
        }
        match self.keeper.serve_one(account).await {
            Ok(Served { token, expires_in }) => {
                let granted = Granted { access_token: token.expose_secret(), expires_in };
                (no_store(), Json(granted)).into_response()
            }
            Err(ServeError::Unknown) => refusal(StatusCode::NOT_FOUND, -1, "this account is not known"),
            Err(ServeError::Refused(said)) => refusal(StatusCode::CONFLICT, said.errcode, &said.errmsg),
            Err(ServeError::Later(why)) => {
                let mut later = refusal(StatusCode::SERVICE_UNAVAILABLE, -1, &why);
                later.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                later
            }
        }
    }
}

/// The key of `Authorization: Bearer KEY`; neither how the scheme is spelt nor which blanks follow it matters.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim())
}

fn may_have(caller: &Caller, account: &AccountId) -> bool {
    caller.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
}

/// The same whether the account is known or not: who may not ask does not learn it.
fn not_of_this_caller() -> Response {
    refusal(StatusCode::FORBIDDEN, -1, "this caller may not have tokens of this account")
}

const fn no_store() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

fn refusal(status: StatusCode, errcode: i64, errmsg: &str) -> Response {
    (status, no_store(), Json(Refusal { errcode, errmsg: errmsg.to_owned() })).into_response()
}
