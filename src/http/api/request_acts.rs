//! What is done to one request: it is cancelled, asked for again, or somebody is reminded of it.

use std::{slice, time::Duration};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

use super::{
    acting::Acting,
    body::Optional,
    new_requests::{self, AnsweredRequest},
    problem::{Fault, Problem},
    requests::{self, Beside},
    state::Api,
    tag,
    text::Text,
    word::Word,
};
use crate::{
    domain::{
        id::RequestId,
        nudge::{Urgency, Way},
        request::Request,
        text::Language,
    },
    engine::{
        accept::Cancelled,
        nudge::{self, DraftedNudge, Rules, Written},
        operator::Operator,
        wish::AskError,
    },
    store::{read::views::RequestView, write::nudges::Occasion},
};

/// How often a request is looked at again that somebody changes while it is decided on.
const LOOKS_MAX: u32 = 3;

/// Why something is done.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reason {
    /// Why, for the record; one line
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// A request that is no longer followed, and what that means.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelledRequest {
    #[serde(flatten)]
    row: RequestView,
    /// `before_the_call`: WeChat knows nothing of it. `no_longer_followed`: it has the invitation, and an administrator may
    /// still agree.
    #[schema(value_type = String)]
    effect: &'static str,
}

/// Stops following a request.
#[utoipa::path(post, path = "/api/v1/requests/{id}/cancel", tag = "requests", request_body = Option<Reason>, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = CancelledRequest, description = "It is cancelled, now or before")))]
pub(super) async fn cancel(
    State(api): State<Api>,
    acting: Acting,
    Optional(Reason { reason }): Optional<Reason>,
) -> Result<Response, Problem> {
    let id = requests::id(&acting.named)?;
    let operator = api.recorder().by(acting.by("reason", reason.as_deref())?);
    for _ in 0..LOOKS_MAX {
        let (request, row) = look(&api, &operator, &id).await?;
        acting.check(&row)?;
        if row.state == "cancelled" {
            let how = if row.attempt == 0 { Cancelled::BeforeTheCall } else { Cancelled::NoLongerFollowed };
            return Ok(cancelled(row, how));
        }
        match operator.clone().cancel_as_read(&request).await {
            Ok(None) => {}
            Ok(Some(how)) => return Ok(cancelled(requests::row(&api, &id).await?, how)),
            Err(error @ AskError::Finished { .. }) => return Err(Problem::from(error).with_current(&row)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(acting.changed(&requests::row(&api, &id).await?))
}

/// A request and its row; the row may be newer.
async fn look(api: &Api, operator: &Operator<'_>, id: &RequestId) -> Result<(Request, RequestView), Problem> {
    let request = operator.find(id).await?;
    Ok((request, requests::row(api, id).await?))
}

fn cancelled(row: RequestView, how: Cancelled) -> Response {
    let effect = match how {
        Cancelled::BeforeTheCall => "before_the_call",
        Cancelled::NoLongerFollowed => "no_longer_followed",
    };
    let tag = tag::tag(&row, &Beside::default());
    ([(header::ETAG, tag)], Json(CancelledRequest { row, effect })).into_response()
}

/// Asks again for what a finished request was for.
#[utoipa::path(post, path = "/api/v1/requests/{id}/retry", tag = "requests", request_body = Option<Reason>, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses(
    (status = 201, body = AnsweredRequest, headers(("Location" = String, description = "Where the new request is")), description = "A new request, with `retry_of`"),
    (status = 200, body = AnsweredRequest, description = "The pair is open again already; `existing` is true"),
))]
pub(super) async fn retry(
    State(api): State<Api>,
    acting: Acting,
    Optional(Reason { reason }): Optional<Reason>,
) -> Result<Response, Problem> {
    let id = requests::id(&acting.named)?;
    let operator = api.recorder().by(acting.by("reason", reason.as_deref())?);
    let (_, row) = look(&api, &operator, &id).await?;
    acting.check(&row)?;
    match operator.retry(&id).await {
        Ok(accepted) => new_requests::answer(&api, accepted).await,
        Err(error @ AskError::StillOpen { .. }) => Err(Problem::from(error).with_current(&row)),
        Err(error) => Err(error.into()),
    }
}

/// How somebody is reminded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nudging {
    /// The language of the words, `zh` or `en`; that of alerts where it is left out
    #[schema(schema_with = languages)]
    language: Option<String>,
    /// Only answer with the words, also where a channel is set
    print_only: bool,
    /// Also soon after another one, and in quiet hours
    force: bool,
    /// Only answer with the words: nothing is recorded or sent
    dry_run: bool,
}

fn languages() -> RefOr<Schema> {
    let kinds = [Type::String, Type::Null];
    let words = [Some("zh"), Some("en"), None::<&str>];
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::from_iter(kinds))
        .enum_values(Some(words))
        .into()
}

impl Nudging {
    fn language(&self, usual: Language) -> Result<Language, Problem> {
        match self.language.as_deref() {
            None => Ok(usual),
            Some("en") => Ok(Language::En),
            Some("zh") => Ok(Language::Zh),
            Some(_) => {
                let detail = Text::fixed("expected `zh` or `en`", "应为 `zh` 或 `en`");
                Err(Problem::invalid(vec![Fault { pointer: "/language".to_owned(), detail }]))
            }
        }
    }
}

/// Words for the administrator who has not answered; they are sent where `[nudge] channels` names a channel for the request.
#[utoipa::path(post, path = "/api/v1/requests/{id}/nudge", tag = "requests", request_body = Option<Nudging>, params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = DraftedNudge)))]
pub(super) async fn nudge(
    State(api): State<Api>,
    acting: Acting,
    Optional(nudging): Optional<Nudging>,
) -> Result<Json<DraftedNudge>, Problem> {
    let (id, config, now) = (requests::id(&acting.named)?, api.config(), api.now());
    let operator = api.recorder().by(acting.caller.by());
    let (request, row) = look(&api, &operator, &id).await?;
    acting.check(&row)?;
    let rules = Rules {
        occasion: Occasion {
            now,
            min_interval: if nudging.force { Duration::ZERO } else { config.nudge.min_interval },
            effect_within: config.nudge.effect_within,
        },
        language: nudging.language(config.alerts.language)?,
        urgency: if nudging.force { Urgency::Forced } else { Urgency::Usual },
        quiet: config.alerts.quiet.as_ref(),
    };
    let channel_of = |request: &Request| {
        let channel = config.nudge.channel_of(&request.labels).filter(|_| !nudging.print_only);
        channel.map(str::to_owned)
    };
    let plan = nudge::plan(api.store(), rules, &channel_of, slice::from_ref(&request));
    let (planned, refused) = api.reading(plan).await?;
    if let Some(refusal) = refused.into_iter().next() {
        return Err(Problem::from(refusal).with_current(&row));
    }
    if let Some(planned) = planned.first().filter(|_| nudging.dry_run) {
        return Ok(Json(planned.said(None)));
    }
    if planned.iter().any(|planned| matches!(planned.way, Way::Quiet(_))) {
        return Err(Problem::of(Word::QuietHours));
    }
    let Written { said, refused, failed } = operator.nudge(&planned, rules.occasion).await;
    match (said.into_iter().next(), refused.into_iter().next(), failed) {
        (Some(said), ..) => Ok(Json(said)),
        (None, Some(refusal), _) => {
            let row = requests::row(&api, &id).await?;
            Err(Problem::from(refusal).with_current(&row))
        }
        (None, None, Some(error)) => Err(error.into()),
        (None, None, None) => Err(Problem::of(Word::Defect)),
    }
}
