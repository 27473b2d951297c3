//! `WeChat`'s pushes: verified, written down, and only then answered with `success`. Whoever is not `WeChat` gets one answer,
//! whatever it did wrong.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{RawQuery, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::server::Limits;
use crate::{
    engine::tokens::TokenKeeper,
    wechat::callback::{BODY_BYTES_MAX, PushRules, Refused},
};

/// Connections at once, and how long a push may take in all: `WeChat` waits five seconds for an answer.
pub const LIMITS: Limits = Limits { connections: 64, request: Duration::from_secs(20) };

/// The answer that `WeChat` wants to a push that was taken.
const SUCCESS: &str = "success";

/// The event URL, and what is taken there.
#[derive(Debug)]
pub struct EventUrl {
    /// Its path.
    pub path: String,
    /// Which pushes are taken.
    pub rules: PushRules,
}

#[derive(Debug, Clone)]
struct Callback {
    keeper: TokenKeeper,
    url: watch::Receiver<Arc<EventUrl>>,
}

/// The event URL that is in force.
pub fn router(keeper: TokenKeeper, url: watch::Receiver<Arc<EventUrl>>) -> Router {
    Router::new().fallback(push).with_state(Callback { keeper, url })
}

async fn push(
    State(callback): State<Callback>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let url = Arc::clone(&callback.url.borrow());
    // As it is written, whatever it means to a router, and whatever clients escape of it.
    if !percent_decode_str(uri.path()).eq(percent_decode_str(&url.path)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::POST {
        let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "pushes are POSTed\n").into_response();
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "more than 64 KiB\n").into_response();
    };
    let push = match url.rules.read(query.as_deref().unwrap_or_default(), &body) {
        Ok(push) => push,
        Err(refused) => {
            tracing::warn!(event = "callback.refused", error = %refused, "a request to the event URL was refused");
            return match refused {
                Refused::Forbidden => (StatusCode::FORBIDDEN, "forbidden\n").into_response(),
                Refused::Unreadable(_) => (StatusCode::BAD_REQUEST, "unreadable\n").into_response(),
                Refused::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "more than 64 KiB\n").into_response(),
            };
        }
    };
    match callback.keeper.receive(push).await {
        Ok(_) => (StatusCode::OK, SUCCESS).into_response(),
        Err(error) => {
            tracing::error!(event = "callback.not_stored", error = %error, "a push could not be written down, so it was not answered with success");
            (StatusCode::INTERNAL_SERVER_ERROR, "not stored\n").into_response()
        }
    }
}
