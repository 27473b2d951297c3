//! What is done to one channel: it is sent a test message, and what it did not take is sent again.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

use super::{
    body::Optional,
    channels,
    identity::Caller,
    problem::{Fault, Problem},
    query::Query,
    state::Api,
    text::Text,
    word::Word,
};
use crate::{
    config::{ChannelConfig, Config},
    domain::{
        action::ActionKind,
        text::channel_test::{self, Event, Receiver},
    },
    notify::{Channel, SendError},
    store::{row_id::new_id, write::action::Action},
};

/// Messages that are named one by one at most.
const IDS_MAX: usize = 10_000;

/// What a channel is told of.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Testing {
    /// What the message tells of: `alert` where it is left out
    #[schema(schema_with = events)]
    event: Option<String>,
}

fn events() -> RefOr<Schema> {
    let words: Vec<Option<&str>> = Event::ALL.iter().map(|event| Some(event.as_str())).chain([None]).collect();
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).enum_values(Some(words)).into()
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tested {
    /// The channel.
    channel: String,
    /// Its kind.
    #[schema(value_type = String)]
    kind: &'static str,
    /// What the message told of.
    #[schema(value_type = String)]
    event: &'static str,
    /// Whether the service has taken the message.
    taken: bool,
    /// Why not, without addresses or secrets.
    error: Option<String>,
    /// How long it took.
    took_ms: u64,
}

/// The configured channel of this name.
fn configured<'c>(config: &'c Config, name: &str) -> Result<&'c ChannelConfig, Problem> {
    let known = config.alerts.channels.iter().find(|channel| channel.name == name);
    known.ok_or_else(|| channels::unknown(name))
}

/// Sends a test message at once, past quiet hours and retries; one in ten seconds for each channel.
#[utoipa::path(post, path = "/api/v1/channels/{name}/test", tag = "channels", request_body = Option<Testing>, params(
    ("name" = String, Path, description = "The channel's name"),
), responses((status = 200, body = Tested, description = "It was tried; `taken` says whether it was accepted")))]
pub(super) async fn test(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
    Optional(Testing { event }): Optional<Testing>,
) -> Result<Json<Tested>, Problem> {
    query.done()?;
    let event = event.as_deref().map_or(Some(Event::Alert), Event::from_word).ok_or_else(|| {
        let words = Event::ALL.map(Event::as_str).join(", ");
        let detail = Text::new(format!("expected one of {words}"), format!("应为以下之一：{words}"));
        Problem::invalid(vec![Fault { pointer: "/event".to_owned(), detail }])
    })?;
    let config = api.config();
    let settings = configured(&config, &name)?;
    api.tests.take(&name).map_err(Problem::too_many)?;
    let channel = Channel::new(&settings.settings()).map_err(|wrong| {
        tracing::error!(event = "http.channel", channel = name, error = %wrong, "a channel cannot be made");
        Problem::of(Word::Defect)
    })?;
    let now = api.now();
    // On record before anything leaves.
    let by = caller.by().because(Some(event.as_str().to_owned()));
    api.store().add_action(Action::of(ActionKind::TestChannel, &name, &by, now)).await?;
    let to = Receiver {
        channel: &name,
        language: settings.language,
        zone: &config.alerts.zone,
        link: config.alerts.link.as_deref(),
    };
    let message = channel_test::message(to, event, new_id(now), now);
    let began = api.clock().monotonic();
    let error = channel.send(&message, now).await.err().map(|error| told(&error));
    let took = api.clock().monotonic().saturating_sub(began);
    Ok(Json(Tested {
        channel: name,
        kind: settings.kind_word(),
        event: event.as_str(),
        taken: error.is_none(),
        error,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// What a service said, and what the daemon would do about it.
fn told(error: &SendError) -> String {
    let meaning = match error {
        SendError::Later { .. } => "the daemon would retry it",
        SendError::Unconfirmed { .. } => "check whether it arrived",
        SendError::Refused { .. } => "the service refuses it: fix the configuration",
        SendError::Gone { .. } => "the daemon would give it up at once",
    };
    format!("{error} ({meaning})")
}

/// Which messages.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retrying {
    /// Only these messages, by id; all that were given up where it is left out
    #[schema(max_items = 10000)]
    ids: Option<Vec<String>>,
}

/// What was made due again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetriedDeliveries {
    /// The channel.
    channel: String,
    /// How many messages are due again.
    count: u64,
}

/// Sends messages again that were given up: these, or all; the daemon sends them within a second.
#[utoipa::path(post, path = "/api/v1/channels/{name}/deliveries/retry", tag = "channels", request_body = Option<Retrying>, params(
    ("name" = String, Path, description = "The channel's name"),
), responses((status = 200, body = RetriedDeliveries, description = "So many are due again; others were not given up")))]
pub(super) async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
    Optional(Retrying { ids }): Optional<Retrying>,
) -> Result<Json<RetriedDeliveries>, Problem> {
    query.done()?;
    if ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > IDS_MAX) {
        let detail = Text::new(format!("expected 1 to {IDS_MAX} ids"), format!("应为 1 到 {IDS_MAX} 个 id"));
        return Err(Problem::invalid(vec![Fault { pointer: "/ids".to_owned(), detail }]));
    }
    let config = api.config();
    let channel = configured(&config, &name)?.name.clone();
    let count = api.store().retry_deliveries(channel.clone(), ids, caller.by(), api.now()).await?;
    Ok(Json(RetriedDeliveries { channel, count }))
}
