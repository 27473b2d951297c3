//! The page on which a person shows who they are.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{form, view::View};
use crate::http::api::{identity, query::Query, state::Api};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'p> {
    view: &'p View,
    next: String,
}

/// The form, or where somebody wanted to go who has signed in already.
pub(super) async fn show(State(api): State<Api>, view: View, headers: HeaderMap, mut query: Query) -> Response {
    let next = form::own(&query.one_by("next", |next| Ok(next.to_owned())).unwrap_or_default());
    if identity::has_session(&api, &headers).await {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, view.url(&next))]).into_response();
    }
    view.page(&SignInPage { view: &view, next })
}
