//! `/_sim`: the control API, for administrators and experiments.

use std::fmt::Display;

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    admin::{By, NoSuchMove},
    advance::advance,
    api_name::{Api, ComponentApi},
    call_log::CallLogEntry,
    faults::{FaultKind, Faults},
    scenario::PlanRule,
    shared::Shared,
    span::Span,
    world::{Phase, World},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_sim/world", get(world))
        .route("/_sim/ledger", get(ledger))
        .route("/_sim/stats", get(stats))
        .route("/_sim/approve", post(approve))
        .route("/_sim/refuse", post(refuse))
        .route("/_sim/console_link", post(console_link))
        .route("/_sim/place", post(place))
        .route("/_sim/remove", post(remove))
        .route("/_sim/status", post(status))
        .route("/_sim/plan", post(plan))
        .route("/_sim/account", post(account))
        .route("/_sim/program", post(program))
        .route("/_sim/switches", get(switches).post(set_switches))
        .route("/_sim/quota", get(quota).post(set_quota))
        .route("/_sim/faults", get(faults).post(set_faults))
        .route("/_sim/faults/next", post(next_fault))
        .route("/_sim/token/expire", post(expire_token))
        .route("/_sim/advance", post(jump))
}

/// Why nothing was changed.
pub(super) struct ApiError(StatusCode, String);

impl ApiError {
    pub(super) fn in_request(error: impl Display) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }

    pub(super) fn in_conflict(error: impl Display) -> Self {
        Self(StatusCode::CONFLICT, error.to_string())
    }
}

impl From<NoSuchMove> for ApiError {
    fn from(error: NoSuchMove) -> Self {
        Self::in_conflict(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        written(self.0, &json!({ "error": self.1 }))
    }
}

pub(super) fn written<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let body = serde_json::to_vec_pretty(value).unwrap_or_default();
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body).into_response()
}

/// Reads the body whatever its content type says, so that `curl -d` works, and lets `act` change the world.
pub(super) fn acting<T, O>(
    shared: &Shared,
    body: &[u8],
    act: impl FnOnce(&mut World, T, i64) -> Result<O, ApiError>,
) -> Result<Response, ApiError>
where
    T: DeserializeOwned,
    O: Serialize,
{
    let body = if body.is_empty() { b"{}" } else { body };
    let asked = serde_json::from_slice(body).map_err(ApiError::in_request)?;
    let mut world = shared.world();
    let now = shared.now(&world);
    let done = act(&mut world, asked, now)?;
    Ok(written(StatusCode::OK, &done))
}

pub(super) fn done() -> Value {
    json!({ "ok": true })
}

#[derive(Deserialize)]
struct OfAccount {
    account: Option<String>,
}

async fn world(State(shared): State<Shared>, Query(of): Query<OfAccount>) -> Response {
    let mut world = shared.world();
    let now = shared.now(&world);
    advance(&mut world, now);
    let wanted = |name: &str| of.account.as_ref().is_none_or(|account| account == name);
    let accounts: std::collections::BTreeMap<_, _> = world.accounts.iter().filter(|(name, _)| wanted(name)).collect();
    let programs: std::collections::BTreeMap<_, _> = world.programs.iter().collect();
    let dump = json!({
        "now": now,
        "seed": world.seed,
        "accounts": accounts,
        "programs": programs,
    });
    written(StatusCode::OK, &dump)
}

async fn ledger(State(shared): State<Shared>, Query(of): Query<OfAccount>) -> Response {
    let world = shared.world();
    let wanted = |entry: &&CallLogEntry| of.account.as_ref().is_none_or(|account| *account == entry.account);
    let entries: Vec<_> = world.ledger().filter(wanted).collect();
    let dump = json!({ "forgotten": world.ledger_forgotten(), "entries": entries });
    written(StatusCode::OK, &dump)
}

async fn stats(State(shared): State<Shared>) -> Response {
    written(StatusCode::OK, shared.world().stats())
}

async fn switches(State(shared): State<Shared>) -> Response {
    written(StatusCode::OK, &shared.world().switches)
}

async fn quota(State(shared): State<Shared>) -> Response {
    written(StatusCode::OK, &shared.world().quotas)
}

async fn faults(State(shared): State<Shared>) -> Response {
    written(StatusCode::OK, &shared.world().faults)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByAdmin {
    account: String,
    program: String,
    by: By,
}

async fn approve(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: ByAdmin, now| {
        world.approve(&asked.account, &asked.program, asked.by, now)?;
        Ok(done())
    })
}

async fn refuse(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: ByAdmin, now| {
        world.refuse(&asked.account, &asked.program, asked.by, now)?;
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    account: String,
    program: String,
}

async fn console_link(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Pair, now| {
        world.console_link(&asked.account, &asked.program, now)?;
        Ok(done())
    })
}

async fn remove(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Pair, now| {
        world.remove(&asked.account, &asked.program, now)?;
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    account: String,
    program: String,
    phase: Phase,
}

async fn place(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Placed, now| {
        world.place(&asked.account, &asked.program, asked.phase, now)?;
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    account: String,
    program: String,
    status: Option<i64>,
}

async fn status(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Shown, now| {
        world.show_status(&asked.account, &asked.program, asked.status, now)?;
        Ok(done())
    })
}

async fn plan(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: PlanRule, _| {
        asked.apply(world);
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    account: String,
    owner: Option<String>,
    answers_always: Option<i64>,
    calls_answer: Option<i64>,
}

async fn account(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: AccountChange, _| {
        let known = world.account(&asked.account);
        // Absent ends it, so that "authorized again" is the shortest request.
        known.answers_always = asked.answers_always;
        known.calls_answer = asked.calls_answer;
        if let Some(owner) = asked.owner {
            known.owner = owner;
        }
        Ok(known.clone())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramChange {
    program: String,
    username: Option<String>,
    nickname: Option<String>,
    owner: Option<String>,
    banned: Option<bool>,
    overseas: Option<bool>,
    nearby: Option<bool>,
    store: Option<bool>,
}

async fn program(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    fn set<T>(place: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *place = value;
        }
    }
    acting(&shared, &body, |world, asked: ProgramChange, _| {
        let known = world.program(&asked.program);
        set(&mut known.username, asked.username);
        set(&mut known.nickname, asked.nickname);
        set(&mut known.owner, asked.owner);
        set(&mut known.banned, asked.banned);
        set(&mut known.overseas, asked.overseas);
        set(&mut known.nearby, asked.nearby);
        set(&mut known.store, asked.store);
        Ok(known.clone())
    })
}

/// Changes only the keys that are named; `null` brings an optional one back to absent.
fn patched<T: Serialize + DeserializeOwned>(known: &T, patch: Value) -> Result<T, ApiError> {
    let mut whole = serde_json::to_value(known).map_err(ApiError::in_request)?;
    let (Value::Object(whole_keys), Value::Object(patch)) = (&mut whole, patch) else {
        return Err(ApiError::in_request("send a JSON object"));
    };
    whole_keys.extend(patch);
    serde_json::from_value(whole).map_err(ApiError::in_request)
}

async fn set_switches(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, patch: Value, _| {
        world.switches = patched(&world.switches, patch)?;
        Ok(world.switches.clone())
    })
}

async fn set_quota(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, patch: Value, _| {
        world.quotas = patched(&world.quotas, patch)?;
        Ok(world.quotas.clone())
    })
}

/// A preset first, then the rates and lengths that are named beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultChange {
    preset: Option<String>,
    #[serde(default)]
    rates: std::collections::BTreeMap<FaultKind, f64>,
    slow_for: Option<Span>,
    ip_refused_for: Option<Span>,
}

async fn set_faults(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: FaultChange, _| {
        let mut faults = match asked.preset {
            Some(name) => Faults::preset(&name).map_err(ApiError::in_request)?,
            None => world.faults.clone(),
        };
        faults.rates.extend(asked.rates);
        faults.slow_for = asked.slow_for.unwrap_or(faults.slow_for);
        faults.ip_refused_for = asked.ip_refused_for.unwrap_or(faults.ip_refused_for);
        if let Some(kind) = faults.wrong_rate() {
            return Err(ApiError::in_request(super::WrongRate(kind)));
        }
        world.faults = faults;
        Ok(world.faults.clone())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NextFault {
    kind: FaultKind,
    api: Option<AnyApi>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnyApi {
    OfAccount(Api),
    OfComponent(ComponentApi),
}

async fn next_fault(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: NextFault, _| {
        match asked.api {
            None => world.faults.next(None, asked.kind),
            Some(AnyApi::OfAccount(api)) => world.faults.next(Some(api), asked.kind),
            Some(AnyApi::OfComponent(api)) => world.faults.next_component(Some(api), asked.kind),
        }
        Ok(done())
    })
}

async fn expire_token(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: OfAccount, now| {
        world.expire_tokens(asked.account.as_deref(), now);
        Ok(done())
    })
}

/// Ahead, back, or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jump {
    #[serde(default)]
    by: Span,
    #[serde(default)]
    back: Span,
}

async fn jump(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Jump, now| {
        let by = asked.by.as_millis().saturating_sub(asked.back.as_millis());
        world.time_ahead = world.time_ahead.saturating_add(by);
        Ok(json!({ "now": now.saturating_add(by) }))
    })
}
