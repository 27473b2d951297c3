//! Reports: how long approvals take, and the day in figures.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use utoipa::IntoParams;

use super::{params, problem::Problem, query::Query, state::Api, tag, text::Text};
use crate::{
    domain::{digest::Digest, time::Time},
    engine::approvals::{ApprovalsReport, approvals_report},
    store::{
        StoreError,
        read::{
            nudge_effects::Effects,
            stage_times::{By, REPORT_REQUESTS, Sample, StageTimes},
        },
    },
};

/// What is news in a digest.
const DAY: Duration = Duration::from_hours(24);

/// Which requests are measured, and what apart.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Filters {
    /// Group by `account`, or by `label` and a label's name, as in `label:shop`
    #[param(pattern = "^(account|label:.+)$")]
    by: Option<String>,
    /// Only requests of this official account
    #[param(pattern = "^wx[0-9A-Za-z]{16}$")]
    account: Option<String>,
    /// Only requests with this label, as NAME=VALUE; repeatable
    #[param(schema_with = params::labels, required = false)]
    label: Vec<String>,
    /// Only requests and nudges made within this span, such as 30d
    #[param(schema_with = params::span)]
    since: Option<String>,
}

fn by(word: &str) -> Result<By, Text> {
    match word.split_once(':') {
        None if word == "account" => Ok(By::Account),
        Some(("label", name)) if !name.is_empty() => Ok(By::Label(name.to_owned())),
        None | Some(_) => Err(Text::fixed(
            "expected `account`, or `label:` and a label's name",
            "应为 `account`，或 `label:` 加标签名",
        )),
    }
}

/// How long approvals took and whether nudges helped, over the newest 20,000 settled requests.
#[utoipa::path(get, path = "/api/v1/reports/approvals", tag = "reports", params(Filters), responses((status = 200, body = ApprovalsReport)))]
pub(super) async fn approvals(State(api): State<Api>, mut query: Query) -> Result<Response, Problem> {
    let sample = filters(&mut query, api.now());
    query.done()?;
    let (times, effects) = measured(&api, &sample).await?;
    let report = approvals_report(&times, &effects, &sample.by, api.config().nudge.effect_within);
    let tag = tag::quoted(&[tag::of(&report)]);
    Ok(([(header::ETAG, tag)], Json(report)).into_response())
}

/// What is measured.
pub(in crate::http) fn filters(query: &mut Query, now: Time) -> Sample {
    Sample {
        by: query.one_by("by", by).unwrap_or_default(),
        account: query.account("account").map(String::from),
        labels: query.labels(),
        since: query.span("since").map(|span| now - span),
        until: None,
        limit: REPORT_REQUESTS,
    }
}

/// How long people took, and what came of nudges.
pub(in crate::http) async fn measured(api: &Api, sample: &Sample) -> Result<(StageTimes, Effects), Problem> {
    let read = async {
        let times = api.store().stage_times(sample).await?;
        Ok::<_, StoreError>((times, api.store().nudge_effects(sample, api.now()).await?))
    };
    api.reporting(read).await
}

/// The daily digest as it would be sent now.
#[utoipa::path(get, path = "/api/v1/reports/digest", tag = "reports", responses((status = 200, body = Digest)))]
pub(super) async fn digest(State(api): State<Api>, query: Query) -> Result<Json<Digest>, Problem> {
    query.done()?;
    let now = api.now();
    api.reporting(api.store().digest(now - DAY, now)).await.map(Json)
}
