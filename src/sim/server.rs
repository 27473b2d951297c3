//! The HTTP server: the three link APIs, those of a third-party platform, and a token endpoint. Responses come from
//! `respond` and `component_respond`.

use std::{future::IntoFuture as _, io};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
    routing::any,
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    api,
    api_name::{Api, ComponentApi},
    component_respond::{self, Asked},
    connection::{Reset, Resettable},
    courier, errcode,
    onlooker::Called,
    platform_api,
    respond::{Call, Served, exchange},
    shared::Shared,
    token::Renew,
};

/// Serves a world on a listener the caller opened, until the caller's future ends.
///
/// # Errors
///
/// The listener failed for good.
pub async fn serve(
    listener: TcpListener,
    shared: Shared,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/cgi-bin/wxopen/{name}", any(call))
        .route("/cgi-bin/component/{name}", any(component_call))
        .route("/token", any(token))
        .merge(api::routes())
        .merge(platform_api::routes())
        .with_state(shared.clone());
    let service = router.into_make_service_with_connect_info::<Reset>();
    let served = axum::serve(Resettable(listener), service).with_graceful_shutdown(shutdown);
    tokio::select! {
        ended = served.into_future() => ended,
        never = courier::run(shared) => match never {},
    }
}

#[derive(Deserialize)]
struct TokenQuery {
    #[serde(default)]
    access_token: String,
}

async fn call(
    State(shared): State<Shared>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    Path(name): Path<String>,
    Query(query): Query<TokenQuery>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let api = match name.as_str() {
        "wxamplinkget" => Api::Listing,
        "wxamplink" => Api::Link,
        "wxampunlink" => Api::Unlink,
        _ => return answer(StatusCode::NOT_FOUND, None, Vec::new()),
    };
    let call = Call {
        api,
        is_post: method == Method::POST,
        is_form: is_form(&headers),
        token: &query.access_token,
        body: &body,
    };
    let under_way = shared.gallery().arrives(|| {
        let world = shared.world();
        let account = world.account_named_by(call.token);
        (shared.now(&world), Called::Link { api, account, token: call.token.to_owned() })
    });
    let under_way = under_way.await;
    let served = {
        let mut world = shared.world();
        let now = shared.now(&world);
        exchange(&mut world, &call, now)
    };
    under_way.answered(&served);
    send(served, &reset).await
}

#[derive(Deserialize)]
struct ComponentTokenQuery {
    #[serde(default)]
    component_access_token: String,
    /// Some clients send the same token under this name.
    #[serde(default)]
    access_token: String,
}

async fn component_call(
    State(shared): State<Shared>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    Path(name): Path<String>,
    Query(query): Query<ComponentTokenQuery>,
    method: Method,
    body: Bytes,
) -> Response {
    let Some(api) = ComponentApi::ALL.into_iter().find(|api| api.name() == name) else {
        return answer(StatusCode::NOT_FOUND, None, Vec::new());
    };
    let token = Some(query.component_access_token).filter(|token| !token.is_empty()).unwrap_or(query.access_token);
    let asked = Asked { api, is_post: method == Method::POST, token: &token, body: &body };
    let under_way = shared.gallery().arrives(|| {
        let now = shared.now(&shared.world());
        (now, Called::of_component(api, &token, &body))
    });
    let under_way = under_way.await;
    let served = {
        let mut world = shared.world();
        let now = shared.now(&world);
        component_respond::exchange(&mut world, &asked, now)
    };
    under_way.answered(&served);
    send(served, &reset).await
}

async fn send(served: Served, reset: &Reset) -> Response {
    if let Some(delay) = served.delay {
        tokio::time::sleep(delay).await;
    }
    if served.reset {
        reset.now();
    }
    let status = StatusCode::from_u16(served.status).unwrap_or(StatusCode::BAD_GATEWAY);
    answer(status, served.content_type, served.body)
}

fn answer(status: StatusCode, content_type: Option<&'static str>, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form"))
}

#[derive(Deserialize)]
struct AppidQuery {
    #[serde(default)]
    appid: String,
    #[serde(default)]
    renew: u8,
}

/// What a platform's own token service answers: the token it has, or a new one shortly before that expires; 409 for an
/// account that does not authorize the third-party platform, if there is one.
async fn token(State(shared): State<Shared>, Query(query): Query<AppidQuery>) -> Response {
    const JSON: Option<&str> = Some("application/json");
    if query.appid.is_empty() {
        let body = json!({ "error": "say which account: /token?appid=wx…" });
        return answer(StatusCode::BAD_REQUEST, JSON, body.to_string().into());
    }
    let renew = if query.renew == 0 { Renew::WhenOld } else { Renew::Now };
    let mut world = shared.world();
    let now = shared.now(&world);
    let world = &mut *world;
    world.stats.token += 1;
    if let Err(code) = world.authorization(&query.appid) {
        let body = json!({ "errcode": code, "errmsg": errcode::text(code) });
        return answer(StatusCode::CONFLICT, JSON, body.to_string().into());
    }
    let token = world.tokens.give(world.seed, &query.appid, renew, &world.switches, now);
    let body = json!({ "access_token": token.text, "expires_in": token.expires_in });
    answer(StatusCode::OK, JSON, body.to_string().into())
}
