//! `WeChat`'s pushes: verified, written down, and only then answered with `success`. Whoever is not `WeChat` gets one answer,
//! whatever it did wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State, rejection::BytesRejection},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::{log_limit::LogLimit, server::Limits};
use crate::{
    engine::tokens::TokenKeeper,
    store::write::push::Received,
    wechat::callback::{BODY_BYTES_MAX, Event, Push, PushRules, Refused},
};

/// Connections at once, and how long a push may take: `WeChat` waits five seconds for an answer.
pub const LIMITS: Limits = Limits { connections: 64, request: Duration::from_secs(5), answer: Duration::from_secs(20) };

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
    refusals: LogLimit,
    /// Whether a ticket has come since the start.
    has_ticket: Arc<AtomicBool>,
}

/// The event URL that is in force; refusals are logged within this limit.
pub(super) fn router(keeper: TokenKeeper, url: watch::Receiver<Arc<EventUrl>>, refusals: LogLimit) -> Router {
    let callback = Callback { keeper, url, refusals, has_ticket: Arc::default() };
    Router::new().fallback(push).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(callback)
}

async fn push(
    State(callback): State<Callback>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let url = Arc::clone(&callback.url.borrow());
    // As it is written, whatever it means to a router, and whatever clients escape of it.
    if !percent_decode_str(uri.path()).eq(percent_decode_str(&url.path)) {
        callback.refuse("the path is not [callback] path");
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::POST {
        callback.refuse("not a POST");
        let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "pushes are POSTed\n").into_response();
    }
    let read = match &body {
        Ok(body) => url.rules.read(query.as_deref().unwrap_or_default(), body),
        Err(unread) if unread.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refused::TooLong),
        Err(_) => Err(Refused::Unreadable("its body is cut off or wrongly framed")),
    };
    match read {
        Ok(push) => callback.take(push).await,
        Err(refused) => {
            callback.refuse(&refused.to_string());
            match refused {
                Refused::Forbidden => (StatusCode::FORBIDDEN, "forbidden\n").into_response(),
                Refused::Unreadable(_) => (StatusCode::BAD_REQUEST, "unreadable\n").into_response(),
                Refused::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "more than 64 KiB\n").into_response(),
            }
        }
    }
}

impl Callback {
    async fn take(&self, push: Push) -> Response {
        let is_ticket = matches!(push.event, Event::Ticket(_));
        match self.keeper.receive(push).await {
            Ok(received) => {
                if is_ticket {
                    self.ticket_came(received);
                }
                (StatusCode::OK, SUCCESS).into_response()
            }
            Err(error) => {
                tracing::error!(event = "callback.not_stored", error = %error, "a push could not be written down, so it was not answered with success");
                (StatusCode::INTERNAL_SERVER_ERROR, "not stored\n").into_response()
            }
        }
    }

    /// The first one says that pushes arrive; the others come every ten minutes.
    fn ticket_came(&self, received: Received) {
        if self.has_ticket.swap(true, Ordering::Relaxed) {
            tracing::debug!(event = "callback.ticket", ?received, "a ticket came");
        } else {
            tracing::info!(event = "callback.ticket", ?received, "the first ticket since the start came");
        }
    }

    fn refuse(&self, error: &str) {
        if self.refusals.admits() {
            tracing::warn!(event = "callback.refused", error, "a request to the event URL was refused");
        }
    }
}

/// Says how many refusals of a minute have no line of their own.
pub(super) fn tell_more(count: u64) {
    tracing::warn!(event = "callback.refused_more", count, "more requests to the event URL were refused in a minute");
}
