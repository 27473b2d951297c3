//! Conflicts, open ones first: what we had, and what WeChat says.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{filtered::Filtered, view::View};
use crate::{
    http::api::{
        conflicts,
        page::{Page, Span},
        problem::Problem,
        query::Query,
        state::Api,
    },
    store::read::views::{ConflictFilter, ConflictView},
};

#[derive(Template)]
#[template(path = "conflicts.html")]
struct ConflictsPage<'p> {
    view: &'p View,
    /// Those that are open, where the list has both and this is its beginning; the rest is in `rows`.
    open: Vec<ConflictView>,
    rows: Vec<ConflictView>,
    list: Filtered,
}

/// The page.
pub(super) async fn list(State(api): State<Api>, view: View, mut query: Query) -> Result<Response, Problem> {
    let (filter, span) = (conflicts::filters(&mut query), query.page());
    query.done()?;
    let Page { items, next } = page(&api, &filter, &span).await?;
    let is_mixed = filter.open.is_none() && span.after.is_none();
    let open = if is_mixed {
        page(&api, &ConflictFilter { open: Some(true), ..filter }, &span).await?.items
    } else {
        Vec::new()
    };
    let rows = items.into_iter().filter(|row| !is_mixed || row.resolved_at.is_some()).collect();
    let list = Filtered::of(&view, &presets(&view), next);
    Ok(view.page(&ConflictsPage { open, rows, list, view: &view }))
}

async fn page(api: &Api, filter: &ConflictFilter, span: &Span) -> Result<Page<ConflictView>, Problem> {
    let rows = api.reading(api.store().conflict_page(filter, span.after.as_deref(), span.rows())).await?;
    Ok(span.page(rows, |row| row.id.clone()))
}

fn presets(view: &View) -> [(&'static str, &'static str); 3] {
    [
        (view.t("All", "全部"), ""),
        (view.t("Open", "未解决"), "open=true"),
        (view.t("Resolved", "已解决"), "resolved=true"),
    ]
}
