//! Every event in the order of the commits, whichever door it came by: as a stream that goes on, or page by page.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    feed,
    follow::Follower,
    identity::{self, Caller},
    problem::Problem,
    query::Query,
    state::Api,
    table::EVENTS,
    text::Text,
    word::Word,
};
use crate::{engine::housekeeping::KEEP_EVENTS, http::connection::Endless, http::peer::Peer};

/// How long a stream lasts: whoever follows comes back, by way of a proxy to another of its connections.
const LASTS: Duration = Duration::from_hours(1);

/// How often it is looked whether whoever follows still may.
const RECHECK_EVERY: Duration = Duration::from_secs(15);

/// After which time a client is to come back, in milliseconds.
const COME_BACK_MS: u32 = 3_000;

const STREAM: &str = "text/event-stream";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// `CloudEvents` 1.0, byte for byte as webhooks get them; docs/events.md describes them.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Box<RawValue>>,
    /// What to send as `after` for what comes next, also where nothing has come.
    next: String,
    /// Whether events after `after` are kept no longer: read anew what you follow, then go on from `next`.
    reset: bool,
}

/// Which events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct EventParams {
    /// Events after this sequence: the `next` of the page before, or 0 for the oldest that is kept; without it, from now on
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
    /// Events of a page; a stream has no pages
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// Every event in its order, as a stream or page by page.
///
/// With `Accept: text/event-stream` it goes on until the client ends it, for an hour at most: `id` is the sequence, which
/// `Last-Event-ID` takes; `event` the type; `data` the bytes that webhooks get. An event `reset` says that some in between
/// are kept no longer.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(
    EventParams,
    ("Last-Event-ID" = Option<String>, Header, description = "Of a stream: as `after`, which it comes before", pattern = "^[0-9]{1,18}$"),
), responses((status = 200, content((EventPage = "application/json"), (String = "text/event-stream")))))]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    parts: Parts,
    mut query: Query,
) -> Result<Response, Problem> {
    let form = form(&parts.headers)?;
    let after = query.one_by("after", sequence);
    let limit = query.limit();
    let last = parts.headers.get(LAST_EVENT_ID).and_then(|last| match sequence(last.to_str().unwrap_or_default()) {
        Ok(last) => Some(last),
        Err(wrong) => {
            query.wrong("Last-Event-ID", wrong);
            None
        }
    });
    query.done()?;
    match form {
        Form::Pages => page(&api, place(&api, after).await?, limit).await.map(IntoResponse::into_response),
        Form::Stream => stream(&api, caller, parts, last.or(after)).await,
    }
}

/// A sequence as the streams write it.
fn sequence(text: &str) -> Result<i64, Text> {
    let digits = Some(text).filter(|text| text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Text::fixed("expected the sequence of an event, such as 1042, or 0", "应为事件的序号，例如 1042，或 0")
    })
}

/// How events are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Pages,
    Stream,
}

/// A stream where it is asked for by name, else pages where they are taken.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let accepted = headers.get_all(header::ACCEPT).iter().map(|accept| accept.to_str().unwrap_or_default());
    let kinds: Vec<String> = accepted
        .flat_map(|accept| accept.split(','))
        .filter(|kind| !kind.split(';').skip(1).any(is_refusal))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let takes = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(&kind.as_str()));
    if takes(&[STREAM]) {
        Ok(Form::Stream)
    } else if takes(&["application/json", "application/*", "*/*"]) || !headers.contains_key(header::ACCEPT) {
        Ok(Form::Pages)
    } else {
        Err(Problem::of(Word::NotAcceptable))
    }
}

/// Whether a parameter of a kind says that it is not wanted.
fn is_refusal(parameter: &str) -> bool {
    let weight = parameter.trim().strip_prefix("q=");
    weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
}

/// From where on events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    after: i64,
    /// Whether some are missing between what was asked for and that.
    is_reset: bool,
}

/// Where the events after `asked` begin: they are all there, or nobody can tell any more which have been. The latter also
/// where the database has seen fewer than the caller, because an older copy of it was restored.
async fn place(api: &Api, asked: Option<i64>) -> Result<Place, Problem> {
    let store = api.store();
    let last = api.reading(store.newest_event()).await?;
    let Some(asked) = asked else { return Ok(Place { after: last, is_reset: false }) };
    let keep = api.config().retention.finished.map_or(KEEP_EVENTS, |finished| finished.min(KEEP_EVENTS));
    let oldest = api.reading(store.first_event_since(api.now() - keep)).await?;
    if asked == 0 {
        return Ok(Place { after: oldest - 1, is_reset: false });
    }
    let next = api.reading(store.first_event_from(asked.saturating_add(1))).await?;
    let is_whole = asked <= last && asked >= oldest - 1 && next.is_none_or(|next| next == asked + 1);
    Ok(if is_whole { Place { after: asked, is_reset: false } } else { Place { after: last, is_reset: true } })
}

async fn page(api: &Api, place: Place, limit: u32) -> Result<Json<EventPage>, Problem> {
    let found = api.reading(api.store().events_after(place.after, limit)).await?;
    let items = found.events.iter().filter_map(|event| RawValue::from_string(feed::bytes_of(event)).ok());
    let next = found.upto.unwrap_or(place.after).to_string();
    Ok(Json(EventPage { items: items.collect(), next, reset: place.is_reset }))
}

async fn stream(api: &Api, caller: Caller, parts: Parts, asked: Option<i64>) -> Result<Response, Problem> {
    let permit = api.streams.clone().try_acquire_owned().map_err(|_| too_many(api))?;
    let Place { after, is_reset } = place(api, asked).await?;
    // That a client knows where it is before the first event, it comes back to here.
    let mut first = format!("retry: {COME_BACK_MS}\nid: {after}\n\n");
    if is_reset {
        first += &feed::block(after, "reset", "{}");
    }
    let (follower, body) = Follower::new(api, after, permit);
    let api = api.clone();
    drop(tokio::spawn(async move {
        let end = end(&api, &caller, &parts);
        follower.run(first, end).await;
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(STREAM)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let mut response = (headers, Body::new(body)).into_response();
    response.extensions_mut().insert(Endless);
    Ok(response)
}

fn too_many(api: &Api) -> Problem {
    let streams = api.http.streams;
    Problem::new(
        Word::Busy,
        Text::new(
            format!(
                "All {streams} event streams are in use ([http] streams): end one, or read pages of events instead."
            ),
            format!("全部 {streams} 个事件流均已占用（[http] streams）：请关闭一个，或改为分页读取事件。"),
        ),
    )
}

/// Waits until a stream must end: with the daemon, after its hour, or when whoever follows may no longer.
async fn end(api: &Api, caller: &Caller, parts: &Parts) {
    let (peer, headers) = (parts.extensions.get::<Peer>().copied(), &parts.headers);
    let lost = async {
        loop {
            tokio::time::sleep(RECHECK_EVERY).await;
            if !identity::still_may(api, (headers, peer), caller, EVENTS).await {
                return;
            }
        }
    };
    tokio::select! {
        () = api.shutdown().wait() => {}
        () = tokio::time::sleep(LASTS) => {}
        () = lost => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_asked_for_by_name() {
        let form = |accept: Option<&'static str>| {
            let headers = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            form(&headers.into_iter().collect()).map_err(|problem| problem.word())
        };
        for pages in [None, Some("*/*"), Some("application/json"), Some("text/event-stream;q=0, application/*;q=0.1")] {
            assert_eq!(form(pages), Ok(Form::Pages), "{pages:?}");
        }
        for stream in ["text/event-stream", "Text/Event-Stream; q=0.9, */*;q=0.1"] {
            assert_eq!(form(Some(stream)), Ok(Form::Stream), "{stream}");
        }
        for neither in ["text/html", "", "application/json;q=0"] {
            assert_eq!(form(Some(neither)), Err(Word::NotAcceptable), "{neither}");
        }
    }

    #[test]
    fn a_sequence_is_digits() {
        assert_eq!(sequence("0000000000000000042").ok(), Some(42));
        for wrong in ["", "-1", "+1", "1.0", "99999999999999999999", "9223372036854775808"] {
            assert!(sequence(wrong).is_err(), "{wrong}");
        }
    }
}
