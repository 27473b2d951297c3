//! Who did what to what, when, by which door and why; and how far an action on many is.

use askama::Template;
use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};

use super::{filtered::Filtered, view::View};
use crate::{
    domain::identity::Role,
    http::api::{actions, identity::Caller, problem::Problem, query::Query, state::Api},
    store::read::actions::ActionView,
};

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage<'p> {
    view: &'p View,
    rows: Vec<ActionView>,
    list: Filtered,
    /// Others' actions are shown to an admin alone.
    is_own: bool,
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    let is_own = caller.role < Role::Admin;
    let rows = actions::list(State(api), caller, query).await?;
    Ok(view.page(&ActionsPage { rows: rows.items, list: Filtered::of(&view, &[], rows.next), is_own, view: &view }))
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage<'p> {
    view: &'p View,
    row: &'p ActionView,
}

impl ActionPage<'_> {
    fn is_of_many(&self) -> bool {
        self.row.left.is_some() || self.row.count.is_some_and(|count| count > 1)
    }

    /// How much of it is done, in hundredths.
    fn percent(&self) -> i64 {
        let all = self.row.count.unwrap_or_default().max(1);
        ((self.row.done + self.row.failed) * 100 / all).clamp(0, 100)
    }
}

/// One action.
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    path: Path<String>,
    view: View,
    query: Query,
) -> Result<Response, Problem> {
    let Json(row) = actions::show(State(api), caller, path, query).await?;
    Ok(view.page(&ActionPage { view: &view, row: &row }))
}
