//! Channels: what each is owed, what it would not take, and a test.

use askama::Template;
use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};

use super::{filtered::Filtered, view::View};
use crate::{
    http::api::{channels, problem::Problem, query::Query, state::Api},
    store::read::alert_views::{ChannelView, DeliveryView},
};

#[derive(Template)]
#[template(path = "channels.html")]
struct ChannelsPage<'p> {
    view: &'p View,
    rows: Vec<ChannelView>,
}

/// The list.
pub(super) async fn list(State(api): State<Api>, view: View, query: Query) -> Result<Response, Problem> {
    let rows = channels::list(State(api), query).await?.items;
    Ok(view.page(&ChannelsPage { view: &view, rows }))
}

#[derive(Template)]
#[template(path = "channel.html")]
struct ChannelPage<'p> {
    view: &'p View,
    row: ChannelView,
    deliveries: Vec<DeliveryView>,
    list: Filtered,
}

/// One channel with its messages.
pub(super) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    let Json(row) = channels::show(State(api.clone()), Path(name.clone()), Query::default()).await?;
    let deliveries = channels::deliveries(State(api), Path(name), query).await?;
    let presets = [
        (view.t("Given up", "已放弃"), ""),
        (view.t("Pending", "待发送"), "state=pending"),
        (view.t("Delivered", "已送达"), "state=delivered"),
    ];
    Ok(view.page(&ChannelPage {
        row,
        list: Filtered::of(&view, &presets, deliveries.next),
        deliveries: deliveries.items,
        view: &view,
    }))
}
