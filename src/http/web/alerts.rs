//! Alerts: first what they have in common, then one by one.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{filtered::Filtered, view::View};
use crate::{
    http::api::{alerts, problem::Problem, query::Query, requests, state::Api, tag},
    store::read::{
        alert_groups::AlertGroup,
        alert_views::{AlertView, DeliveryView},
    },
};

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage<'p> {
    view: &'p View,
    groups: Vec<AlertGroup>,
    rows: Vec<AlertView>,
    list: Filtered,
}

/// The list.
pub(super) async fn list(State(api): State<Api>, view: View, query: Query) -> Result<Response, Problem> {
    let rows = alerts::list(State(api.clone()), query).await?;
    let groups = alerts::groups(State(api), Query::default()).await?;
    let presets = [
        (view.t("Open", "未结"), ""),
        (view.t("Firing", "告警中"), "state=firing"),
        (view.t("Acknowledged", "已确认"), "state=acknowledged"),
        (view.t("Snoozed", "已静默"), "state=snoozed"),
        (view.t("Resolved", "已解决"), "state=resolved"),
    ];
    Ok(view.page(&AlertsPage {
        groups: groups.items,
        rows: rows.items,
        list: Filtered::of(&view, &presets, rows.next),
        view: &view,
    }))
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage<'p> {
    view: &'p View,
    row: &'p AlertView,
    deliveries: Vec<DeliveryView>,
    tag: String,
}

impl AlertPage<'_> {
    fn title(&self) -> String {
        self.view.group(&self.row.rule, &self.row.reason, &1)
    }

    const fn is_open(&self) -> bool {
        self.row.resolved_at.is_none()
    }
}

/// One alert, with what became of its messages.
pub(super) async fn show(
    State(api): State<Api>,
    Path(text): Path<String>,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let row = alerts::row(&api, &String::from(requests::id(&text)?)).await?;
    let deliveries = api.reading(api.store().deliveries_of_alert(&row.id)).await?;
    let tag = tag::tag(&row, &()).to_str().unwrap_or_default().to_owned();
    Ok(view.page(&AlertPage { view: &view, row: &row, deliveries, tag }))
}
