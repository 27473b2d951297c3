//! The pages where people look: who must act, since when, and what comes next. They show the rows of the API and ask it for
//! every change, so that nothing can be done here that a program cannot do.
//!
//! From outside inwards: `face` (language, theme, problems as pages), `form` (a form becomes a request of the API), one file
//! per page with its template in `templates/`. `view` is what every page knows, `words` what things are called.

#![expect(
    clippy::unused_self,
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    reason = "templates call methods, and hand them references"
)]

mod account;
mod account_told;
mod accounts;
mod actions;
mod alerts;
mod assets;
mod audit;
mod audit_words;
mod channels;
mod charts;
mod conflicts;
mod deed_words;
mod demo;
mod face;
mod filtered;
mod finding_words;
mod form;
mod me;
mod overview;
mod plan;
pub mod played;
mod programs;
mod report;
mod request;
mod requests;
mod search;
mod shared;
mod shown;
mod sign_in;
mod view;
mod words;

use axum::{Extension, Router, middleware::from_fn_with_state, routing::get};

use self::{played::Demo, shared::Shared};
use super::api::{Pages, state::Api};

/// All pages, and what a demo adds to them.
#[must_use]
pub fn pages(demo: Option<Demo>) -> Pages {
    let routes = Router::new()
        .route("/assets/{name}", get(assets::asset))
        .route("/favicon.ico", get(assets::icon))
        .route("/sign-in", get(sign_in::show))
        .route("/", get(overview::show))
        .route("/search", get(search::find))
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(request::show))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{appid}", get(account::show))
        .route("/programs", get(programs::list))
        .route("/conflicts", get(conflicts::list))
        .route("/report", get(report::show))
        .route("/plan", get(plan::show))
        .route("/audit", get(audit::show))
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}", get(alerts::show))
        .route("/channels", get(channels::list))
        .route("/channels/{name}", get(channels::show))
        .route("/actions", get(actions::list))
        .route("/actions/{id}", get(actions::show))
        .route("/me", get(me::show))
        .layer(Extension(Shared::default()));
    let routes = match demo {
        Some(demo) => routes.merge(demo::routes()).layer(Extension(demo)),
        None => routes,
    };
    Pages { routes, around }
}

fn around(inside: Router, api: &Api) -> Router {
    Router::new().fallback_service(inside).layer(from_fn_with_state(api.clone(), face::face))
}
