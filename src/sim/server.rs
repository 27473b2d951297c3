//! The HTTP server: the three link APIs and a token endpoint. Responses come from `respond`.

use std::io;

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
    api_name::Api,
    connection::{Reset, Resettable},
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
        .route("/token", any(token))
        .merge(api::routes())
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Reset>();
    axum::serve(Resettable(listener), service).with_graceful_shutdown(shutdown).await
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
    let served = {
        let mut world = shared.world();
        let now = shared.now(&world);
        exchange(&mut world, &call, now)
    };
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

/// What a platform's own token service answers: the token it has, or a new one shortly before that expires.
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
    let token = world.tokens.give(world.seed, &query.appid, renew, &world.switches, now);
    let body = json!({ "access_token": token.text, "expires_in": token.expires_in });
    answer(StatusCode::OK, JSON, body.to_string().into())
}
