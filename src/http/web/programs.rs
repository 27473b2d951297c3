//! Mini programs as WeChat lists them for accounts. What WeChat sends is shown as text; nothing of it is loaded.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{filtered::Filtered, view::View};
use crate::{
    http::api::{page::Page, problem::Problem, programs, query::Query, state::Api},
    store::read::views::ProgramView,
};

#[derive(Template)]
#[template(path = "programs.html")]
struct ProgramsPage<'p> {
    view: &'p View,
    rows: &'p [ProgramView],
    list: Filtered,
}

/// The page.
pub(super) async fn list(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let (of, span) = (programs::filters(&mut query), query.page());
    query.done()?;
    let Page { items, next } = programs::page(&api, &of, &span).await?;
    let list = Filtered::of(&view, &[], next);
    Ok(view.page(&ProgramsPage { rows: &items, list, view: &view }))
}
