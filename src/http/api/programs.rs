//! Mini programs as WeChat lists them for accounts.

use axum::extract::State;

use super::{
    page::{Page, Span},
    params::PageParams,
    problem::Problem,
    query::Query,
    state::Api,
};
use crate::{
    domain::id::{AccountId, ProgramId},
    store::read::views::ProgramView,
};

/// The mini programs that WeChat shows, by account.
#[utoipa::path(get, path = "/api/v1/programs", tag = "programs", params(
    ("account" = Option<String>, Query, description = "Only programs of this official account", pattern = "^wx[0-9A-Za-z]{16}$"),
    ("program" = Option<String>, Query, description = "Only this mini program, on every account", pattern = "^wx[0-9A-Za-z]{16}$"),
    PageParams,
), responses((status = 200, body = Page<ProgramView>)))]
pub(super) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<ProgramView>, Problem> {
    let (of, span) = (filters(&mut query), query.page());
    query.done()?;
    page(&api, &of, &span).await
}

/// Whose programs, and which program.
pub(in crate::http) fn filters(query: &mut Query) -> (Option<AccountId>, Option<ProgramId>) {
    (query.account("account"), query.program("program"))
}

/// A page of the programs that match.
pub(in crate::http) async fn page(
    api: &Api,
    (account, program): &(Option<AccountId>, Option<ProgramId>),
    span: &Span,
) -> Result<Page<ProgramView>, Problem> {
    let of = (account.as_ref().map(AccountId::as_str), program.as_ref().map(ProgramId::as_str));
    let rows = api.reading(api.store().program_rows(of, span.after_pair(), span.rows())).await?;
    Ok(span.page(rows, |row| format!("{} {}", row.account, row.item)))
}
