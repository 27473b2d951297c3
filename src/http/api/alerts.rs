//! Alerts: what people must know, and what became of the messages about it.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::IntoParams;

use super::{
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::Query,
    requests,
    state::Api,
    tag,
    word::Word,
};
use crate::{
    domain::{alert_rules::Rule, alert_state::AlertState},
    store::read::{
        alert_groups::AlertGroup,
        alert_views::{AlertFilter, AlertView, ToldAlert},
    },
};

/// Groups that are shown: more than anybody reads.
const GROUPS_MAX: u32 = 500;

/// Which alerts; everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Filters {
    /// Only alerts in this state; open means firing, acknowledged or snoozed, and is what is meant without it
    #[param(schema_with = params::alert_states, required = false)]
    state: String,
    /// Only alerts of this rule
    #[param(schema_with = params::rules, required = false)]
    rule: String,
    /// Only alerts of this reason, as `/alerts/groups` has them
    reason: Option<String>,
    /// Only alerts of this official account
    #[param(pattern = "^wx[0-9A-Za-z]{16}$")]
    account: Option<String>,
    /// Only alerts of this request
    #[param(format = Uuid)]
    request: Option<String>,
}

pub(in crate::http) fn filters(query: &mut Query) -> AlertFilter {
    AlertFilter {
        states: states(query.word("state", &params::ALERT_STATES)),
        rule: query.word("rule", &Rule::ALL.map(Rule::as_str)).map(str::to_owned),
        reason: query.one_by("reason", |reason| Ok(reason.to_owned())),
        account: query.account("account").map(String::from),
        request: query.id("request").map(String::from),
    }
}

/// Alerts, newest first; only open ones unless `state` says otherwise.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(Filters, PageParams), responses((status = 200, body = Page<AlertView>)))]
pub(in crate::http) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<AlertView>, Problem> {
    let (filter, span) = (filters(&mut query), query.page());
    query.done()?;
    let looked = api.reading(api.store().look_at_alerts(&filter, span.after.as_deref(), span.rows())).await?;
    Ok(span.page_of(looked, |row| row.id.clone()))
}

fn states(word: Option<&str>) -> Vec<AlertState> {
    match word {
        None | Some("open") => AlertState::OPEN.to_vec(),
        Some("all") => AlertState::ALL.to_vec(),
        Some(word) => AlertState::from_word(word).into_iter().collect(),
    }
}

/// Open alerts by what they have in common, the largest groups first, at most 500.
#[utoipa::path(get, path = "/api/v1/alerts/groups", tag = "alerts", responses((status = 200, body = Page<AlertGroup>)))]
pub(in crate::http) async fn groups(State(api): State<Api>, query: Query) -> Result<Page<AlertGroup>, Problem> {
    query.done()?;
    api.reading(api.store().alert_groups(GROUPS_MAX)).await.map(Page::whole)
}

/// One alert, with its messages.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ToldAlert)))]
pub(super) async fn show(State(api): State<Api>, Path(text): Path<String>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let id = String::from(requests::id(&text)?);
    let row = row(&api, &id).await?;
    shown(&api, row).await
}

/// The row of an alert.
///
/// # Errors
/// [`Problem`] when there is none.
pub(in crate::http) async fn row(api: &Api, id: &String) -> Result<AlertView, Problem> {
    let found = api.reading(api.store().alert_views(std::slice::from_ref(id))).await?;
    found.into_iter().next().ok_or_else(|| Problem::of(Word::NotFound))
}

/// An alert with its messages.
///
/// # Errors
/// [`Problem`] when they cannot be read.
pub(super) async fn shown(api: &Api, row: AlertView) -> Result<Response, Problem> {
    let deliveries = api.reading(api.store().deliveries_of_alert(&row.id)).await?;
    let tag = tag::tag(&row, &deliveries);
    Ok(([(header::ETAG, tag)], Json(ToldAlert { row, deliveries })).into_response())
}
