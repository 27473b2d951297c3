//! `/_sim`: the control API of a third-party platform.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{ApiError, acting, done, written},
    authorizers::{AuthorizerKind, Recovery},
    component::{Component, ComponentSetup},
    courier,
    platform::{PlatformError, PushAsk},
    shared::Shared,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_sim/component", get(component).post(set_component))
        .route("/_sim/component/calls", get(calls))
        .route("/_sim/component/expire", post(expire))
        .route("/_sim/authorizers", get(authorizers))
        .route("/_sim/authorize", post(authorize))
        .route("/_sim/reauthorize", post(reauthorize))
        .route("/_sim/revoke", post(revoke))
        .route("/_sim/password", post(password))
        .route("/_sim/forget_refresh", post(forget_refresh))
        .route("/_sim/pushes", get(pushes))
        .route("/_sim/push", post(push))
        .route("/_sim/hold_pushes", post(hold_pushes))
        .route("/_sim/deliver_pushes", post(deliver_pushes))
        .route("/_sim/rotate_key", post(rotate_key))
        .route("/_sim/secrets", get(secrets))
}

impl From<PlatformError> for ApiError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::BadSetup(_) => Self::in_request(error),
            _ => Self::in_conflict(error),
        }
    }
}

/// What a platform is configured with, secrets included: the simulator has none of its own.
fn shown(component: &Component) -> Value {
    json!({
        "appid": component.appid(),
        "secret": component.secret(),
        "keys": component.keys(),
        "push_to": component.push_to,
        "by_hand": component.by_hand,
        "held": component.pushes.is_held(),
        "ticket": component.ticket().map(|(text, made)| json!({ "text": text, "made": made })),
    })
}

async fn component(State(shared): State<Shared>) -> Result<Response, ApiError> {
    acting(&shared, b"", |world, _: Value, now| {
        world.advance_component(now);
        Ok(shown(world.component().ok_or(PlatformError::NoComponent)?))
    })
}

async fn set_component(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: ComponentSetup, now| {
        world.set_component(&asked, now).map_err(PlatformError::from)?;
        world.advance_component(now);
        Ok(world.component().map(shown))
    })
}

async fn calls(State(shared): State<Shared>) -> Response {
    let world = shared.world();
    let calls: Vec<_> = world.component().into_iter().flat_map(Component::calls).collect();
    written(StatusCode::OK, &calls)
}

async fn authorizers(State(shared): State<Shared>) -> Response {
    let world = shared.world();
    let authorizers: Vec<_> = world.component().into_iter().flat_map(Component::authorizers).collect();
    written(StatusCode::OK, &authorizers)
}

async fn pushes(State(shared): State<Shared>) -> Response {
    let world = shared.world();
    let pushes: Vec<_> = world.component().into_iter().flat_map(Component::pushes).collect();
    written(StatusCode::OK, &pushes)
}

async fn secrets(State(shared): State<Shared>) -> Response {
    written(StatusCode::OK, &shared.world().secrets())
}

async fn expire(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, _: Value, now| {
        world.expire_component_tokens(now)?;
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Granted {
    account: String,
    #[serde(default)]
    kind: AuthorizerKind,
    func_ids: Option<Vec<u32>>,
}

async fn authorize(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Granted, now| {
        let code = world.authorize(&asked.account, asked.kind, asked.func_ids.as_deref(), now)?;
        Ok(json!({ "authorization_code": code }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantedAgain {
    account: String,
    func_ids: Option<Vec<u32>>,
}

async fn reauthorize(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: GrantedAgain, now| {
        let code = world.reauthorize(&asked.account, asked.func_ids.as_deref(), now)?;
        Ok(json!({ "authorization_code": code }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    account: String,
}

async fn revoke(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Named, now| {
        world.revoke(&asked.account, now)?;
        Ok(done())
    })
}

async fn password(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Named, now| {
        world.change_password(&asked.account, now)?;
        Ok(done())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    account: String,
    #[serde(default)]
    recovery: Recovery,
}

async fn forget_refresh(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Forgotten, now| {
        world.forget_refresh(&asked.account, asked.recovery, now)?;
        Ok(done())
    })
}

async fn push(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: PushAsk, now| Ok(json!({ "id": world.push(&asked, now)? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    hold: bool,
    #[serde(default)]
    drop: bool,
}

async fn hold_pushes(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, asked: Held, now| {
        world.advance_component(now);
        let dropped = if asked.drop { world.drop_pushes()? } else { 0 };
        if asked.hold {
            world.hold_pushes()?;
        } else {
            world.release_pushes()?;
        }
        Ok(json!({ "hold": asked.hold, "dropped": dropped }))
    })
}

/// Delivers what is due now, and responds when the answers are there.
async fn deliver_pushes(State(shared): State<Shared>) -> Result<Response, ApiError> {
    if shared.world().component().is_none() {
        return Err(PlatformError::NoComponent.into());
    }
    let posted = courier::deliver(&shared).await;
    Ok(written(StatusCode::OK, &json!({ "posted": posted })))
}

async fn rotate_key(State(shared): State<Shared>, body: Bytes) -> Result<Response, ApiError> {
    acting(&shared, &body, |world, _: Value, _| Ok(world.rotate_key()?))
}
