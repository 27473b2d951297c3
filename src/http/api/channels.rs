//! Channels and what they are owed. No address and no secret of theirs is shown.

use axum::{
    Json,
    extract::{Path, State},
};

use super::{
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::Query,
    state::Api,
    text::Text,
    word::Word,
};
use crate::{
    config::ChannelConfig,
    domain::text::parse::moment,
    store::read::alert_views::{ChannelView, DeliveryState, DeliveryView},
};

/// Channels with their events, pending messages, dead letters and last error; also those that are configured no longer and
/// still owed something.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", responses((status = 200, body = Page<ChannelView>)))]
pub(in crate::http) async fn list(State(api): State<Api>, query: Query) -> Result<Page<ChannelView>, Problem> {
    query.done()?;
    all(&api).await.map(Page::whole)
}

async fn all(api: &Api) -> Result<Vec<ChannelView>, Problem> {
    let config = api.config();
    let channels = &config.alerts.channels;
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    let figures = api.reading(api.store().channel_figures(&names)).await?;
    let configured = |name: &str| {
        let channel: Option<&ChannelConfig> = channels.iter().find(|channel| channel.name == name);
        channel.map(|channel| (channel.kind_word(), channel.event_words()))
    };
    Ok(figures
        .into_iter()
        .map(|figures| {
            let configured = configured(&figures.channel);
            figures.view(configured)
        })
        .collect())
}

async fn one(api: &Api, name: &str) -> Result<ChannelView, Problem> {
    let found = all(api).await?.into_iter().find(|channel| channel.name == name);
    found.ok_or_else(|| unknown(name))
}

/// That there is no such channel.
pub(super) fn unknown(name: &str) -> Problem {
    let (en, zh) = (format!("There is no channel {name:?}."), format!("没有通道 {name:?}。"));
    Problem::new(Word::NotFound, Text::new(en, zh))
}

/// One channel.
#[utoipa::path(get, path = "/api/v1/channels/{name}", tag = "channels", params(
    ("name" = String, Path, description = "The channel's name"),
), responses((status = 200, body = ChannelView)))]
pub(in crate::http) async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<ChannelView>, Problem> {
    query.done()?;
    one(&api, &name).await.map(Json)
}

/// Messages of a channel in one state: given up ones, oldest first, unless `state` says otherwise; those that wait by when
/// they are tried next, delivered ones newest first.
#[utoipa::path(get, path = "/api/v1/channels/{name}/deliveries", tag = "channels", params(
    ("name" = String, Path, description = "The channel's name"),
    DeliveryParams, PageParams,
), responses((status = 200, body = Page<DeliveryView>)))]
pub(in crate::http) async fn deliveries(
    State(api): State<Api>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<Page<DeliveryView>, Problem> {
    let state = query.word("state", &DeliveryState::WORDS).and_then(DeliveryState::from_word);
    let (state, span) = (state.unwrap_or(DeliveryState::Dead), query.page());
    query.done()?;
    let name = one(&api, &name).await?.name;
    let after = span.after.as_deref().map(|after| {
        let (at, id) = after.split_once(' ').unwrap_or(("", after));
        (at.parse().unwrap_or_default(), id.to_owned())
    });
    let rows = api.reading(api.store().channel_deliveries(&name, state, after, span.rows())).await?;
    Ok(span.page(rows, |row| format!("{} {}", place(row, state), row.id)))
}

/// Which messages.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct DeliveryParams {
    /// Only messages in this state; without it, given up ones
    #[param(schema_with = params::delivery_states, required = false)]
    state: String,
}

/// Where a message stands in the order of its state, in milliseconds.
fn place(row: &DeliveryView, state: DeliveryState) -> i64 {
    let at = match state {
        DeliveryState::Pending => row.next_at.as_deref(),
        DeliveryState::Delivered => row.delivered_at.as_deref(),
        DeliveryState::Dead => None,
    };
    at.and_then(moment).unwrap_or_default().ms()
}
