//! Requests: lists, counts, one with all that belongs to it, and why it stands where it does.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::Query,
    state::Api,
    tag,
    word::Word,
};
use crate::{
    domain::{alert_state::AlertState, id::RequestId, time::Time},
    engine::{
        explanation::{self, CONFLICTS_MAX, Explanation},
        wish::AskError,
    },
    store::read::{
        alert_views::{AlertFilter, AlertView},
        nudge_effects::NudgeView,
        proof::Proof,
        request_page::{RequestFilter, STATES, Standing},
        views::{ConflictFilter, ConflictView, RequestView, TransitionView},
        window::Counted,
    },
};

/// Counted at most, and rows that are looked at for it: who has more has many.
const COUNTED_MAX: u32 = 10_000;

/// Alerts and reminders that are shown with a request.
const BESIDE_MAX: u32 = 100;

const KINDS: [&str; 2] = ["link", "unlink"];

/// Which requests; everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Filters {
    /// Only requests of this official account
    #[param(pattern = "^wx[0-9A-Za-z]{16}$")]
    account: Option<String>,
    /// Only requests of this mini program
    #[param(pattern = "^wx[0-9A-Za-z]{16}$")]
    program: Option<String>,
    /// Only requests in one of these states; repeated, or with commas
    #[param(schema_with = params::states, required = false)]
    state: Vec<String>,
    /// Only links, or only unlinks
    #[param(schema_with = params::kinds, required = false)]
    kind: String,
    /// Only open requests
    open: Option<bool>,
    /// Only finished requests; excludes `open`
    finished: Option<bool>,
    /// Only requests with this label, as NAME=VALUE; repeatable
    #[param(schema_with = params::labels, required = false)]
    label: Vec<String>,
    /// Only requests that came to their state so long ago at most, such as `24h`, or at this time or later
    #[param(schema_with = params::when, required = false)]
    since: String,
    /// Only requests that came to their state longer ago than this, such as `3d`, or before this time
    #[param(schema_with = params::when, required = false)]
    until: String,
    /// Only requests whose account cannot be read or is suspended, so that they may stand elsewhere by now
    unread: Option<bool>,
    /// Only requests whose account is read; excludes `unread`
    read: Option<bool>,
}

/// The filters of the list, for whoever asks now.
pub(in crate::http) fn filters(query: &mut Query, now: Time) -> RequestFilter {
    RequestFilter {
        account: query.account("account").map(String::from),
        program: query.program("program").map(String::from),
        states: query.words("state", &STATES).into_iter().map(str::to_owned).collect(),
        kind: query.word("kind", &KINDS).map(str::to_owned),
        open: query.either("open", "finished"),
        labels: query.labels(),
        standing: Standing {
            since: query.when("since").map(|when| when.seen_from(now)),
            until: query.when("until").map(|when| when.seen_from(now)),
            is_read: query.either("unread", "read").map(|is_unread| !is_unread),
        },
        after: None,
    }
}

/// Requests, newest first.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(Filters, PageParams), responses((status = 200, body = Page<RequestView>)))]
pub(super) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<RequestView>, Problem> {
    let (filter, span) = (filters(&mut query, api.now()), query.page());
    query.done()?;
    let filter = RequestFilter { after: span.after.clone(), ..filter };
    let looked = api.reading(api.store().look_at_requests(&filter, span.rows())).await?;
    Ok(span.page_of(looked, |row| row.id.clone()))
}

/// How many there are, up to a bound.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestCount {
    /// How many match, at most 10,000.
    count: u64,
    /// Whether there may be more: 10,000 were counted, or looked at.
    capped: bool,
}

/// How many requests match, counted up to 10,000; where each has to be looked at, of the newest 10,000.
#[utoipa::path(get, path = "/api/v1/requests/count", tag = "requests", params(Filters), responses((status = 200, body = RequestCount)))]
pub(super) async fn count(State(api): State<Api>, mut query: Query) -> Result<Json<RequestCount>, Problem> {
    let filter = filters(&mut query, api.now());
    query.done()?;
    let Counted { count, is_cut } = api.reading(api.store().count_requests(&filter, COUNTED_MAX)).await?;
    Ok(Json(RequestCount { count, capped: is_cut }))
}

/// A request, and what was asked for with it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownRequest {
    #[serde(flatten)]
    row: RequestView,
    #[serde(flatten)]
    beside: Beside,
}

/// What is shown with a request when `include` names it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Beside {
    /// Every step, first to last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<TransitionView>, required = false)]
    history: Option<Vec<TransitionView>>,
    /// Its conflicts, newest first, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ConflictView>, required = false)]
    conflicts: Option<Vec<ConflictView>>,
    /// Its alerts, newest first, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<AlertView>, required = false)]
    alerts: Option<Vec<AlertView>>,
    /// Reminders about it, newest first, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<NudgeView>, required = false)]
    nudges: Option<Vec<NudgeView>>,
}

/// What is shown with a request.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Includes {
    /// Some of history, conflicts, alerts, nudges; repeated, or with commas
    #[param(schema_with = params::includes, required = false)]
    include: Vec<String>,
}

const INCLUDES: [&str; 4] = ["history", "conflicts", "alerts", "nudges"];

/// An id in a path: nothing is at one that is no id.
pub(in crate::http) fn id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| Problem::of(Word::NotFound))
}

/// The row of a request.
///
/// # Errors
/// [`Problem`] when there is none.
pub(in crate::http) async fn row(api: &Api, id: &RequestId) -> Result<RequestView, Problem> {
    let row = api.reading(api.store().request_view(id.as_str())).await?;
    row.ok_or_else(|| AskError::NoRequest(id.clone()).into())
}

/// One request, with its history, conflicts, alerts or nudges when `include` names them.
#[utoipa::path(get, path = "/api/v1/requests/{id}", tag = "requests", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
    Includes,
), responses((status = 200, body = ShownRequest)))]
pub(super) async fn show(
    State(api): State<Api>,
    Path(text): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let include = query.words("include", &INCLUDES);
    query.done()?;
    let id = id(&text)?;
    let row = row(&api, &id).await?;
    let beside = beside(&api, &id, &include).await?;
    let tag = tag::tag(&row, &beside);
    Ok(([(header::ETAG, tag)], Json(ShownRequest { row, beside })).into_response())
}

async fn beside(api: &Api, id: &RequestId, include: &[&str]) -> Result<Beside, Problem> {
    let (store, is_in) = (api.store(), |what: &str| include.contains(&what));
    let mut beside = Beside::default();
    if is_in("history") {
        beside.history = Some(api.reading(store.history(id.as_str())).await?);
    }
    if is_in("conflicts") {
        let of_it = ConflictFilter { request: Some(id.to_string()), ..ConflictFilter::default() };
        beside.conflicts = Some(api.reading(store.conflict_page(&of_it, None, CONFLICTS_MAX)).await?);
    }
    if is_in("alerts") {
        let states = AlertState::ALL.to_vec();
        let of_it = AlertFilter { request: Some(id.to_string()), states, ..AlertFilter::default() };
        beside.alerts = Some(api.reading(store.alert_page(&of_it, None, BESIDE_MAX)).await?);
    }
    if is_in("nudges") {
        beside.nudges = Some(api.reading(store.nudges_of(id.as_str(), BESIDE_MAX)).await?);
    }
    Ok(beside)
}

/// Every step of a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum History {
    /// As steps.
    Steps(Page<TransitionView>),
    /// With its hashes.
    Proof(Box<Proof>),
}

impl IntoResponse for History {
    fn into_response(self) -> Response {
        match self {
            Self::Steps(steps) => steps.into_response(),
            Self::Proof(proof) => Json(proof).into_response(),
        }
    }
}

/// Every step of a request, first to last; with `proof=true` one document with the hashes, for somebody who does not trust
/// us.
#[utoipa::path(get, path = "/api/v1/requests/{id}/history", tag = "requests", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
    ("proof" = Option<bool>, Query, description = "With the hashes of every step and the head"),
), responses((status = 200, body = History)))]
pub(super) async fn history(
    State(api): State<Api>,
    Path(text): Path<String>,
    mut query: Query,
) -> Result<History, Problem> {
    let is_proof = query.is("proof");
    query.done()?;
    let id = id(&text)?;
    if is_proof {
        let proof = api.reading(api.store().proof(&id)).await?;
        return Ok(History::Proof(Box::new(proof.ok_or(AskError::NoRequest(id))?)));
    }
    let steps = api.reading(api.store().history(id.as_str())).await?;
    if steps.is_empty() {
        return Err(AskError::NoRequest(id).into());
    }
    Ok(History::Steps(Page::whole(steps)))
}

/// Why a request stands where it does, who must act, and what comes next.
#[utoipa::path(get, path = "/api/v1/requests/{id}/explanation", tag = "requests", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = Explanation)))]
pub(super) async fn explanation(
    State(api): State<Api>,
    Path(text): Path<String>,
    query: Query,
) -> Result<Json<Explanation>, Problem> {
    query.done()?;
    let id = id(&text)?;
    let budget = api.config().polling.daily_budget;
    api.reading(explanation::explanation(api.recorder(), api.store(), &id, budget)).await.map(Json)
}
