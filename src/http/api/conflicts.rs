//! Conflicts: where WeChat contradicts our record, or somebody else was first.

use axum::{
    Json,
    extract::{Path, State},
};

use super::{page::Page, params::PageParams, problem::Problem, query::Query, requests, state::Api, word::Word};
use crate::store::read::views::{ConflictFilter, ConflictView};

pub(in crate::http) fn filters(query: &mut Query) -> ConflictFilter {
    ConflictFilter {
        id: None,
        request: query.id("request").map(String::from),
        account: query.account("account").map(String::from),
        open: query.either("open", "resolved"),
    }
}

/// Conflicts, newest first.
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts", params(
    ("open" = Option<bool>, Query, description = "Only open conflicts"),
    ("resolved" = Option<bool>, Query, description = "Only resolved conflicts; excludes `open`"),
    ("account" = Option<String>, Query, description = "Only conflicts of this official account", pattern = "^wx[0-9A-Za-z]{16}$"),
    ("request" = Option<String>, Query, description = "Only conflicts of this request", format = Uuid),
    PageParams,
), responses((status = 200, body = Page<ConflictView>)))]
pub(super) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<ConflictView>, Problem> {
    let (filter, span) = (filters(&mut query), query.page());
    query.done()?;
    let rows = api.reading(api.store().conflict_page(&filter, span.after.as_deref(), span.rows())).await?;
    Ok(span.page(rows, |row| row.id.clone()))
}

/// One conflict, with both sides.
#[utoipa::path(get, path = "/api/v1/conflicts/{id}", tag = "conflicts", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ConflictView)))]
pub(super) async fn show(
    State(api): State<Api>,
    Path(text): Path<String>,
    query: Query,
) -> Result<Json<ConflictView>, Problem> {
    query.done()?;
    let filter = ConflictFilter { id: Some(requests::id(&text)?.into()), ..ConflictFilter::default() };
    let found = api.reading(api.store().conflict_page(&filter, None, 1)).await?;
    found.into_iter().next().map(Json).ok_or_else(|| Problem::of(Word::NotFound))
}
