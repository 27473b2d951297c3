//! Who looks: their sessions and tokens, and how pages look to them.

use askama::Template;
use axum::{extract::State, response::Response};

use super::view::View;
use crate::{
    domain::identity::Scope,
    http::api::{identity::Caller, problem::Problem, query::Query, sign_in, state::Api, tokens},
    store::write::{api_tokens::ApiTokenView, sessions::SessionView},
};

#[derive(Template)]
#[template(path = "me.html")]
struct MePage<'p> {
    view: &'p View,
    caller: &'p Caller,
    sessions: Vec<SessionView>,
    tokens: Vec<ApiTokenView>,
    scopes: Vec<&'static str>,
}

impl MePage<'_> {
    fn is_this(&self, session: &SessionView) -> bool {
        self.caller.session.as_ref() == Some(&session.id)
    }
}

/// The page.
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let sessions = sign_in::list(State(api.clone()), caller.clone(), Query::default()).await?.items;
    let tokens = tokens::list(State(api), caller.clone(), Query::default()).await?.items;
    let scopes = caller.role.scopes().into_iter().map(Scope::as_str).collect();
    Ok(view.page(&MePage { view: &view, caller: &caller, sessions, tokens, scopes }))
}
