//! One page about all of it, and ids by their ends: what people at a command line need beside rows.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{problem::Problem, query::Query, state::Api, text::Text};
use crate::{
    engine::status::{self, Report, figures::Asked},
    store::read::id_suffix::Noun,
};

/// The shortest end, in characters: one in sixteen million names another thing of a chance pair.
const ENDING_MIN: usize = 6;

/// Characters of a whole id.
const WHOLE: usize = 36;

/// Ids that are answered: who gets more than one needs a longer end.
const IDS_MAX: u32 = 11;

/// What needs a person, and the figures of the daemon, as `amplinkd status` prints them.
#[utoipa::path(get, path = "/api/v1/status", tag = "daemon", responses((status = 200, body = Report)))]
pub(super) async fn status(State(api): State<Api>, query: Query) -> Result<Json<Report>, Problem> {
    query.done()?;
    let config = api.config();
    let channels: Vec<&str> = config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
    let asked = Asked {
        recorder: api.recorder(),
        unread_after: config.alerts.unread_after,
        channels: &channels,
        now: api.now(),
    };
    api.reporting(status::report(&asked)).await.map(Json)
}

/// Whole ids.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ids {
    /// The ids, oldest first; eleven at most.
    items: Vec<String>,
}

/// What is looked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct IdParams {
    /// What the id is of
    #[param(pattern = "^(request|alert|conflict|given_up)$", required = true)]
    of: String,
    /// The end of the id, its last 6 characters or more
    #[param(pattern = "^[0-9a-f-]{6,35}$", required = true)]
    ending: String,
    /// Only what is of this channel: of `given_up` its messages, and nothing else
    channel: Option<String>,
}

const NOUNS: [&str; 4] = ["request", "alert", "conflict", "given_up"];

/// The whole ids of requests, alerts, conflicts or messages that were given up, by their end as people read it off a screen.
#[utoipa::path(get, path = "/api/v1/ids", tag = "daemon", params(IdParams), responses((status = 200, body = Ids)))]
pub(super) async fn ids(State(api): State<Api>, mut query: Query) -> Result<Json<Ids>, Problem> {
    let noun = query.word("of", &NOUNS);
    let ending = query.one_by("ending", ending);
    let channel = query.one_by("channel", |channel| Ok(channel.to_owned()));
    let needed = || Text::fixed("needed", "必须提供");
    if noun.is_none() {
        query.wrong("of", needed());
    }
    if ending.is_none() {
        query.wrong("ending", needed());
    }
    query.done()?;
    let noun = match (noun, channel.as_deref()) {
        (Some("given_up"), channel) => Noun::GivenUp(channel.unwrap_or_default()),
        (_, Some(_)) => return Ok(Json(Ids { items: Vec::new() })),
        (Some("alert"), None) => Noun::Alert,
        (Some("conflict"), None) => Noun::Conflict,
        (Some(_) | None, None) => Noun::Request,
    };
    let found = api.store().ids_ending(noun, ending.as_deref().unwrap_or_default(), IDS_MAX);
    Ok(Json(Ids { items: api.reading(found).await? }))
}

fn ending(text: &str) -> Result<String, Text> {
    let is_one = (ENDING_MIN..WHOLE).contains(&text.len())
        && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_one {
        Ok(text.to_owned())
    } else {
        Err(Text::fixed("expected the last 6 to 35 characters of an id", "应为 id 的最后 6 到 35 个字符"))
    }
}
