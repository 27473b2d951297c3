//! What is done to one alert: somebody takes it, puts it off, or says that it is over.

use std::time::Duration;

use axum::{extract::State, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    acting::Acting,
    alerts,
    body::{Body, Optional},
    problem::{Fault, Problem},
    requests,
    state::Api,
    text::Text,
    word::Word,
};
use crate::{
    config::parse_duration,
    domain::{action::By, text::parse::moment_in, time::Time},
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
    let until = snoozing.until(&api).map_err(|fault| Problem::invalid(vec![fault]))?;
    change(&api, &acting, AlertChange::Snooze(until), by).await
}

impl Snoozing {
    fn until(&self, api: &Api) -> Result<Time, Fault> {
        let fault = |member: &str, detail| Fault { pointer: format!("/{member}"), detail };
        let now = api.now();
        match (self.wait.as_deref(), self.until.as_deref()) {
            (Some(wait), None) => {
                let wait: Duration = parse_duration(wait)
                    .map_err(|wrong| fault("for", Text::new(wrong, "应为时长，例如 4h 或 2d，最长十年")))?;
                Ok(now + wait)
            }
            (None, Some(until)) => {
                let until = moment_in(until, &api.config().alerts.zone)
                    .map_err(|wrong| fault("until", Text::new(wrong, "应为时间，例如 2026-03-05T09:00:00+08:00")))?;
                let is_past = until <= now;
                let past = Text::fixed("this time has passed: nothing to snooze", "该时间已过，无需推迟");
                if is_past { Err(fault("until", past)) } else { Ok(until) }
            }
            (Some(_), Some(_)) => {
                Err(fault("until", Text::fixed("excludes `for`: give one of them", "与 `for` 互斥，请只给一个")))
            }
            (None, None) => Err(fault("for", Text::fixed("expected `for` or `until`", "应给出 `for` 或 `until`"))),
        }
    }
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
