//! The daemon itself: what its last audit found, its plan, what holds calls back, who authorized the platform, and what it is.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    accounts,
    body::Optional,
    identity::Caller,
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::{self, Query},
    state::Api,
    word::Word,
};
use crate::{
    domain::{
        action::ActionKind,
        authorizer::AuthorizerState,
        capacity::{CapacityPlan, Supply},
        gate::GateKind,
        policy::Policy,
        text::format::rfc3339,
    },
    engine::{
        capacity_report::{self, CapacityReport, factor},
        component_status::ComponentStatus,
        whole_audit::WholeAudit,
    },
    store::{
        SCHEMA, StoreError,
        read::{audit::Finding, authorizers::AuthorizerView},
        write::{action::Action, gates::GateView},
    },
};

/// What the last audit found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LastAudit {
    /// When the audit ran last; null before the first.
    ran_at: Option<String>,
    /// When it runs next.
    due_at: Option<String>,
    /// What it found in this process; null before the first of it.
    findings: Option<Vec<Finding>>,
    /// The last audit of everything that was asked for here; null before the first of this process.
    all: Option<AuditOfAll>,
}

/// An audit of everything.
#[derive(Debug, Serialize, ToSchema)]
struct AuditOfAll {
    /// The id of the action that it was.
    action: String,
    /// When it was done.
    ran_at: String,
    /// What it found.
    findings: Vec<Finding>,
}

impl From<WholeAudit> for AuditOfAll {
    fn from(WholeAudit { action, ran_at, findings }: WholeAudit) -> Self {
        Self { action, ran_at: rfc3339(ran_at), findings }
    }
}

/// The findings of the last audit.
#[utoipa::path(get, path = "/api/v1/audit", tag = "daemon", responses((status = 200, body = LastAudit)))]
pub(super) async fn audit(State(api): State<Api>, query: Query) -> Result<Json<LastAudit>, Problem> {
    query.done()?;
    let job = api.reading(api.store().jobs()).await?.into_iter().find(|job| job.name == "audit");
    let (ran_at, due_at) = job.map_or((None, None), |job| (job.ran_at, job.due_at));
    let (findings, all) = (api.engine().findings(), api.engine().whole_audit().map(AuditOfAll::from));
    Ok(Json(LastAudit { ran_at: ran_at.map(rfc3339), due_at: due_at.map(rfc3339), findings, all }))
}

/// What an audit found just now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audited {
    /// When it ran.
    ran_at: String,
    /// What it found; at most 100 of each rule.
    findings: Vec<Finding>,
}

/// How much of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auditing {
    /// Everything, with every row and history, in the background
    all: bool,
}

/// An audit of everything that is begun, or was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditBegun {
    /// The id of the action: `/actions/{id}` tells how far it is, `/audit` what it found.
    id: String,
}

/// Audits now, as the daemon does by itself: everything that has an index, and the next slice of rows and histories; with
/// `all` everything, in the background.
#[utoipa::path(post, path = "/api/v1/audit", tag = "daemon", request_body = Option<Auditing>, responses(
    (status = 200, body = Audited, description = "What it found; nothing when all is well"),
    (status = 202, body = AuditBegun, description = "An audit of everything is under way; Location says where its progress is", headers(
        ("Location" = String, description = "Where its progress is"),
    )),
))]
pub(super) async fn audit_now(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
    Optional(Auditing { all }): Optional<Auditing>,
) -> Result<Response, Problem> {
    query.done()?;
    let now = api.now();
    if all {
        let id = api.store().begin_whole_audit(caller.by(), now).await?;
        let location = format!("{}/api/v1/actions/{id}", api.http.base_path);
        let headers = [(header::LOCATION, location), (header::RETRY_AFTER, "1".to_owned())];
        return Ok((StatusCode::ACCEPTED, headers, Json(AuditBegun { id })).into_response());
    }
    api.store().add_action(Action::of_many(ActionKind::Audit, 1, &caller.by(), now)).await?;
    let findings = api.reporting(api.recorder().audit()).await?;
    api.engine().note_audit(findings.clone());
    Ok(Json(Audited { ran_at: rfc3339(now), findings }).into_response())
}

/// Which plan.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct PlanParams {
    /// Plan with this many calls per second instead of the configured rate
    #[param(minimum = 1, maximum = 1_000_000)]
    per_second: Option<u32>,
}

/// Polling demand, capacity and expected delay by class.
#[utoipa::path(get, path = "/api/v1/plan", tag = "daemon", params(PlanParams), responses((status = 200, body = CapacityReport)))]
pub(super) async fn plan(State(api): State<Api>, mut query: Query) -> Result<Json<CapacityReport>, Problem> {
    let per_second = per_second(&mut query);
    query.done()?;
    planned(&api, per_second).await.map(Json)
}

/// The rate to plan with, where it is not the configured one.
pub(in crate::http) fn per_second(query: &mut Query) -> Option<u32> {
    query.number("per_second", 1..=1_000_000)
}

/// The plan for the accounts as they are.
pub(in crate::http) async fn planned(api: &Api, per_second: Option<u32>) -> Result<CapacityReport, Problem> {
    let config = api.config();
    let per_second = per_second.unwrap_or(config.wechat.per_second);
    let supply = Supply { per_second, daily_budget: config.polling.daily_budget };
    let policy = api.recorder().policy();
    let read = async {
        let census = api.store().census(&policy, api.now()).await?;
        Ok::<_, StoreError>((census, api.store().pace().await?))
    };
    let (census, pace) = api.reporting(read).await?;
    let in_force = pace.map(|pace| factor(pace.stretch().thousandths()));
    Ok(capacity_report::report(&CapacityPlan::of(&census, &policy, supply), supply, in_force))
}

/// Which gates.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct GateParams {
    /// Only gates of these kinds; repeated, or with commas
    #[param(schema_with = params::gate_kinds, required = false)]
    kind: Vec<String>,
}

/// What holds calls back, by kind and subject.
#[utoipa::path(get, path = "/api/v1/gates", tag = "daemon", params(GateParams, PageParams), responses((status = 200, body = Page<GateView>)))]
pub(super) async fn gates(State(api): State<Api>, mut query: Query) -> Result<Page<GateView>, Problem> {
    let kinds = query.words("kind", &GateKind::ALL.map(GateKind::as_str));
    let kinds: Vec<GateKind> = kinds.into_iter().filter_map(GateKind::from_word).collect();
    let span = query.page();
    query.done()?;
    let rows = api.reading(api.store().gate_page(&kinds, span.after_pair(), api.now(), span.rows())).await?;
    Ok(span.page(rows, |row| format!("{} {}", row.kind, row.subject)))
}

/// Which authorizers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct AuthorizerParams {
    /// Only authorizers in this state
    #[param(schema_with = params::authorizer_states, required = false)]
    state: String,
}

/// Accounts that authorized the platform, or did, by appid.
#[utoipa::path(get, path = "/api/v1/authorizers", tag = "daemon", params(AuthorizerParams, PageParams), responses((status = 200, body = Page<AuthorizerView>)))]
pub(super) async fn authorizers(State(api): State<Api>, mut query: Query) -> Result<Page<AuthorizerView>, Problem> {
    let state = query.word("state", &AuthorizerState::ALL.map(AuthorizerState::as_str));
    let (state, span) = (state.and_then(AuthorizerState::from_word), query.page());
    query.done()?;
    let rows = api.reading(api.store().authorizer_page(state, span.after(), span.rows())).await?;
    Ok(span.page(rows, |row| row.appid.clone()))
}

/// One authorizer.
#[utoipa::path(get, path = "/api/v1/authorizers/{appid}", tag = "daemon", params(
    ("appid" = String, Path, description = "Its appid"),
), responses((status = 200, body = AuthorizerView)))]
pub(super) async fn authorizer(
    State(api): State<Api>,
    Path(text): Path<String>,
    query: Query,
) -> Result<Json<AuthorizerView>, Problem> {
    query.done()?;
    let account = accounts::appid(&text)?;
    let row = api.reading(api.store().authorizer_view(account.as_str())).await?;
    row.map(Json).ok_or_else(|| Problem::of(Word::NotFound))
}

/// The platform's own component: its ticket, its token and the last refusal. Neither ticket nor token is shown.
#[utoipa::path(get, path = "/api/v1/component", tag = "daemon", responses((status = 200, body = ComponentStatus)))]
pub(super) async fn component(State(api): State<Api>, query: Query) -> Result<Json<ComponentStatus>, Problem> {
    query.done()?;
    let (config, store) = (api.config(), api.store());
    let row = match &config.component {
        Some(component) => api.reading(store.component(component.appid.as_str())).await?,
        None => api.reading(store.only_component()).await?,
    };
    row.map(|row| Json(ComponentStatus::of(row, api.now()))).ok_or_else(|| Problem::of(Word::NotFound))
}

/// What the daemon is and goes by. Nothing of it is a secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Meta {
    /// The daemon's version.
    #[schema(value_type = String)]
    version: &'static str,
    /// The version of the database's schema.
    schema: i64,
    /// The daemon's time.
    at: String,
    /// The zone of times in messages, as an IANA name; null for one that has none.
    time_zone: Option<String>,
    /// The language of messages, unless a channel has its own: `en` or `zh`.
    #[schema(value_type = String)]
    language: &'static str,
    /// The languages of texts.
    #[schema(value_type = Vec<String>)]
    languages: [&'static str; 2],
    /// What a request and its answer are bounded by.
    limits: LimitsOfApi,
    /// How patient the daemon is with one request.
    policy: PolicyInForce,
}

/// Bounds of the API.
#[derive(Debug, Serialize, ToSchema)]
struct LimitsOfApi {
    /// Rows of a page at most.
    page: u32,
    /// Bytes of a body at most.
    body_bytes: u32,
    /// Event streams at once.
    streams: u32,
}

/// `[policy]` and what goes with it.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyInForce {
    /// How long an invitation may take to appear in the list.
    appear_within_seconds: u64,
    /// Calls of one request at most.
    attempts: u32,
    /// When an unanswered request ends by itself; null for never.
    deadline_seconds: Option<u64>,
    /// Polls of an account and Beijing day.
    daily_budget: u32,
    /// Calls per second.
    per_second: u32,
}

/// What the daemon is and goes by.
#[utoipa::path(get, path = "/api/v1/meta", tag = "daemon", responses((status = 200, body = Meta)))]
pub(super) async fn meta(State(api): State<Api>, query: Query) -> Result<Json<Meta>, Problem> {
    query.done()?;
    let config = api.config();
    let Policy { appear_within, attempts, deadline, .. } = &*api.recorder().policy();
    Ok(Json(Meta {
        version: env!("CARGO_PKG_VERSION"),
        schema: SCHEMA,
        at: rfc3339(api.now()),
        time_zone: config.alerts.zone.iana_name().map(str::to_owned),
        language: config.alerts.language.as_str(),
        languages: ["en", "zh"],
        limits: LimitsOfApi { page: *query::LIMITS.end(), body_bytes: api.http.body_bytes, streams: api.http.streams },
        policy: PolicyInForce {
            appear_within_seconds: appear_within.as_secs(),
            attempts: *attempts,
            deadline_seconds: deadline.map(|deadline| deadline.as_secs()),
            daily_budget: config.polling.daily_budget,
            per_second: config.wechat.per_second,
        },
    }))
}
