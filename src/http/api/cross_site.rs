//! Requests that another site sends with a person's session are refused: by `Sec-Fetch-Site`, or where a browser lacks
//! that, by comparing `Origin` with the name that we are called by. A token is shown by a program, which no site can make
//! a browser do.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_layer::Layer as _;

use super::{identity::bearer, problem::Problem, word::Word};

/// What a refused request gets.
type Refusal = fn(ProtectionError) -> Response<Body>;

/// The rule, with the origins that proxies may have before us.
#[derive(Debug, Clone)]
pub(super) struct CrossSite(CsrfLayer<Refusal>);

impl CrossSite {
    /// Ours are these hosts behind TLS, besides whatever name a request has.
    pub(super) fn new(hosts: &[String]) -> Self {
        let layer = CsrfLayer::new().with_rejection_response(refused as Refusal);
        let trusted = hosts.iter().fold(layer, |layer, host| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            // A name that no browser could have written is no origin of anybody.
            layer.clone().add_trusted_origin(format!("https://{host}")).unwrap_or(layer)
        });
        Self(trusted)
    }
}

fn refused(_: ProtectionError) -> Response<Body> {
    Problem::of(Word::CrossOrigin).into_response()
}

/// The layer.
pub(super) async fn refuse(State(CrossSite(rule)): State<CrossSite>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some() {
        return next.run(request).await;
    }
    let within = TowerToHyperService::new(rule.layer(next));
    within.call(request).await.unwrap_or_else(|never| match never {})
}
