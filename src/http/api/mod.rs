//! The HTTP API: a door for programs and people. What it answers are the rows that commands print as JSON; it has no rules
//! and no SQL of its own, and no pages have more than it.
//!
//! From outside inwards: `front` (id, name, base path, headers, words of problems), panics, time, `cross_site`,
//! [`identity`] by the [`table`] of routes, handlers. One file per noun; what each may use is in [`state`].

pub(in crate::http) mod accounts;
mod acting;
pub(in crate::http) mod actions;
mod alert_acts;
pub(in crate::http) mod alerts;
mod backups;
pub mod body;
mod bulk;
mod channel_acts;
pub(in crate::http) mod channels;
pub(in crate::http) mod conflicts;
pub(in crate::http) mod cookie;
mod cross_site;
mod events;
mod feed;
mod follow;
mod front;
mod guesses;
mod health;
pub mod identity;
pub(in crate::http) mod machine;
mod measured;
mod new_requests;
mod openapi;
pub mod page;
pub mod pairs;
mod params;
pub mod problem;
pub(in crate::http) mod programs;
mod pulse;
pub mod query;
pub(in crate::http) mod reports;
mod request_acts;
pub(in crate::http) mod requests;
pub(in crate::http) mod sign_in;
mod snoozed;
pub mod state;
mod status;
pub mod table;
pub mod tag;
pub mod text;
pub(in crate::http) mod tokens;
mod users;
pub mod word;

use std::{any::Any, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{cross_site::CrossSite, problem::Problem, state::Api, word::Word};
use super::{
    connection::Patience,
    server::{self, Listener},
};
use crate::{
    config::{Config, Http, Listen},
    engine::Engine,
    metrics::Metrics,
    shutdown::Shutdown,
};

/// How long a handler may take until its answer begins: less than a connection is kept for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long it may take to make a page of an answer.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Pages for people, served beside the API.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Their routes, which stand in [`table::PAGES`].
    pub routes: Router<Api>,
    /// What is put around everything that knows who asks, so that pages tell of problems as pages.
    pub around: fn(Router, &Api) -> Router,
}

/// The API with its listener.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    api: Api,
    pages: Option<Pages>,
}

impl Door {
    /// Listens, and answers nobody yet.
    ///
    /// # Errors
    /// The address cannot be listened at; the sentence says which and why.
    pub async fn open(
        http: &Http,
        engine: &Arc<Engine>,
        config: watch::Receiver<Arc<Config>>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let listener = match &http.listen {
            Listen::Tcp(address) => {
                Listener::tcp(*address).await.with_context(|| format!("cannot listen on {address}"))
            }
            Listen::Unix(path) => {
                Listener::unix(path.clone()).await.with_context(|| format!("cannot listen on {}", path.display()))
            }
        };
        let listener = listener.context("[http] listen")?;
        let api = Api::new(Arc::clone(engine), config, http.clone(), shutdown.clone());
        backups::end_lost(&api).await.context("the database cannot be written")?;
        let address = listener.address().map(|address| address.to_string());
        let listens_at = address.unwrap_or_else(|| format!("{:?}", http.listen));
        tracing::info!(
            event = "api.listening",
            address = listens_at,
            base_path = http.base_path,
            "the API is listening"
        );
        Ok(Self { listener, api, pages: None })
    }

    /// Where it listens, when that is an address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.address()
    }

    /// Shows what is measured of the daemon, and counts what is asked here.
    #[must_use]
    pub fn measuring(self, metrics: Metrics) -> Self {
        self.api.measure(metrics);
        self
    }

    /// Serves these pages, too.
    #[must_use]
    pub fn with_pages(self, pages: Pages) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// What its handlers use.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Serves until the end is asked for; what is under way then is finished.
    pub async fn run(self, shutdown: &Shutdown) {
        let Self { listener, api, pages } = self;
        let connections = usize::try_from(api.http.connections).unwrap_or(usize::MAX);
        let serving = server::serve_kept(listener, router(&api, pages), (connections, Patience::default()), shutdown);
        tokio::join!(serving, health::watch(&api, shutdown), follow::run(&api, shutdown));
    }
}

/// Every route with its description.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(measured::metrics))
        .routes(routes!(document))
        .routes(routes!(machine::meta))
        .routes(routes!(sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(sign_in::list, sign_in::end_others))
        .routes(routes!(sign_in::end_one))
        .routes(routes!(requests::list, new_requests::create))
        .routes(routes!(new_requests::batch))
        .routes(routes!(requests::count))
        .routes(routes!(requests::show))
        .routes(routes!(requests::history))
        .routes(routes!(requests::explanation))
        .routes(routes!(request_acts::cancel))
        .routes(routes!(request_acts::retry))
        .routes(routes!(request_acts::nudge))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::show))
        .routes(routes!(accounts::suspend))
        .routes(routes!(accounts::resume))
        .routes(routes!(programs::list))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::show))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::groups))
        .routes(routes!(alerts::show))
        .routes(routes!(alert_acts::acknowledge))
        .routes(routes!(alert_acts::snooze))
        .routes(routes!(alert_acts::resolve))
        .routes(routes!(channels::list))
        .routes(routes!(channels::show))
        .routes(routes!(channels::deliveries))
        .routes(routes!(channel_acts::test))
        .routes(routes!(channel_acts::retry))
        .routes(routes!(reports::approvals))
        .routes(routes!(reports::digest))
        .routes(routes!(events::events))
        .routes(routes!(bulk::act))
        .routes(routes!(backups::list, backups::make))
        .routes(routes!(machine::audit, machine::audit_now))
        .routes(routes!(machine::plan))
        .routes(routes!(machine::component))
        .routes(routes!(status::status))
        .routes(routes!(status::ids))
        .routes(routes!(machine::gates))
        .routes(routes!(machine::authorizers))
        .routes(routes!(machine::authorizer))
        .routes(routes!(actions::list))
        .routes(routes!(actions::show))
        .routes(routes!(actions::requests_of))
        .routes(routes!(actions::alerts_of))
        .routes(routes!(actions::accounts_of))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::change, users::remove))
}

/// The description of the API, as `docs/openapi.json` has it.
#[must_use]
pub fn description() -> OpenApi {
    openapi::finished(described().into_openapi())
}

/// This description, `OpenAPI` 3.1.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "daemon", responses((status = 200, body = Object)))]
async fn document(State(api): State<Api>) -> Json<OpenApi> {
    Json(openapi::at(&api.http.base_path, description()))
}

/// All of it as one service.
pub fn router(api: &Api, pages: Option<Pages>) -> Router {
    let (routes, _) = described().split_for_parts();
    let (pages, around) = pages.map(|pages| (pages.routes, pages.around)).unzip();
    let inside = routes
        .merge(pages.unwrap_or_default())
        .fallback(async || Problem::of(Word::NotFound))
        .with_state(api.clone())
        .layer(from_fn_with_state(api.clone(), identity::identify))
        .layer(from_fn_with_state(CrossSite::new(&api.http.hosts), cross_site::refuse))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked as fn(_) -> _))
        .layer(from_fn_with_state(api.clone(), counted));
    let inside = around
        .map_or_else(|| inside.clone(), |around| guarded(around(inside.clone(), api), ANSWER_WITHIN + TOLD_WITHIN));
    Router::new().fallback_service(inside).layer(from_fn_with_state(api.clone(), front::front))
}

/// What is put around the handlers may panic and wait no more than they may. It has a little more time, in which it makes a page
/// of what they say.
fn guarded(inside: Router, limit: Duration) -> Router {
    inside
        .layer(from_fn(move |request: Request, next: Next| within(limit, next.run(request))))
        .layer(CatchPanicLayer::custom(panicked as fn(_) -> _))
}

/// Counts what is asked, where it is measured.
async fn counted(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.metrics() {
        Some(metrics) => super::metrics::count(metrics, request, next).await,
        None => next.run(request).await,
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    within(ANSWER_WITHIN, next.run(request)).await
}

async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Problem::of(Word::Busy).into_response())
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(event = "http.panicked", what, "a handler panicked, which is a defect of amplinkd");
    Problem::of(Word::Defect).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, middleware::from_fn};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    type Told = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

    /// What an answer comes to behind this.
    async fn told(around: fn(Request, Next) -> Told) -> StatusCode {
        let inside = Router::new().fallback(async || "a page").layer(from_fn(around));
        TowerToHyperService::new(guarded(inside, LIMIT)).call(Request::new(Body::empty())).await.unwrap().status()
    }

    #[tokio::test]
    async fn what_stands_around_the_handlers_is_bounded_as_they_are() {
        assert_eq!(told(|request, next| Box::pin(next.run(request))).await, StatusCode::OK);
        assert_eq!(told(|_, _| Box::pin(async { panic!("a page") })).await, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(told(|_, _| Box::pin(std::future::pending())).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
