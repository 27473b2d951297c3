//! What is done to one alert: somebody takes it, puts it off, or says that it is over.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    acting::Acting,
    alerts,
    body::{Body, Optional},
    problem::Problem,
    requests, snoozed,
    state::Api,
    word::Word,
};
use crate::{
    domain::action::By,
    store::{
        read::alert_views::{AlertView, ToldAlert},
        write::alert_actions::AlertChange,
    },
};

/// How often an alert is looked at again that changes while it is decided on.
const LOOKS_MAX: u32 = 3;

/// A note for whoever looks at it next.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Note {
    /// A note for whoever looks at it next; one line
    #[schema(max_length = 1000)]
    note: Option<String>,
}

/// Until when nobody is told of it: one of `for` and `until`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Snoozing {
    /// For this long, such as 4h or 2d
    #[serde(rename = "for")]
    wait: Option<String>,
    /// Until this time, such as 2026-03-05T09:00:00+08:00; one without an offset is in the time zone of `[alerts]`
    until: Option<String>,
    /// A note for whoever looks at it next; one line
    #[schema(max_length = 1000)]
    note: Option<String>,
}

/// Takes an alert: it stays open, without repeats or escalation.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts", request_body = Option<Note>, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ToldAlert, description = "It is acknowledged, now or before")))]
pub(super) async fn acknowledge(
    State(api): State<Api>,
    acting: Acting,
    Optional(Note { note }): Optional<Note>,
) -> Result<Response, Problem> {
    change(&api, &acting, AlertChange::Acknowledge, acting.by("note", note.as_deref())?).await
}

/// Puts an alert off: nobody is told of it until then.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/snooze", tag = "alerts", request_body = Snoozing, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ToldAlert, description = "It is snoozed")))]
pub(super) async fn snooze(
    State(api): State<Api>,
    acting: Acting,
    Body(snoozing): Body<Snoozing>,
) -> Result<Response, Problem> {
    let by = acting.by("note", snoozing.note.as_deref())?;
    let until = snoozed::until(snoozing.wait.as_deref(), snoozing.until.as_deref(), &api);
    let until =
        until.and_then(|until| until.ok_or_else(snoozed::missing)).map_err(|wrong| Problem::invalid(vec![wrong]))?;
    change(&api, &acting, AlertChange::Snooze(until), by).await
}

/// Ends an alert; one whose cause persists fires again only when the cause starts again.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", tag = "alerts", request_body = Option<Note>, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ToldAlert, description = "It is resolved")))]
pub(super) async fn resolve(
    State(api): State<Api>,
    acting: Acting,
    Optional(Note { note }): Optional<Note>,
) -> Result<Response, Problem> {
    change(&api, &acting, AlertChange::Resolve, acting.by("note", note.as_deref())?).await
}

/// Changes an alert as it was compared, and answers what it is then.
async fn change(api: &Api, acting: &Acting, how: AlertChange, by: By) -> Result<Response, Problem> {
    let id = String::from(requests::id(&acting.named)?);
    for _ in 0..LOOKS_MAX {
        // Before the row: what changes between the two is found out below.
        let version = api.reading(api.store().alert_version(&id)).await?;
        let row = alerts::row(api, &id).await?;
        acting.check(&row)?;
        if row.state == "resolved" {
            return Err(Problem::of(Word::Over).with_current(&row));
        }
        let is_so = how == AlertChange::Acknowledge && row.state == "acknowledged";
        if is_so {
            return alerts::shown(api, row).await;
        }
        let changed = api.store().change_alerts(how, vec![id.clone()], version, by.clone(), api.now()).await?;
        if !changed.is_empty() {
            let row: AlertView = alerts::row(api, &id).await?;
            return alerts::shown(api, row).await;
        }
    }
    Err(acting.changed(&alerts::row(api, &id).await?))
}
