//! Official accounts: how each is read and called.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::{self, Query},
    state::Api,
    tag,
    word::Word,
};
use crate::{
    domain::{account::Trouble, id::AccountId},
    engine::wish::AskError,
    store::{
        read::{
            account_page::{AccountFilter, SuspendedBy},
            views::AccountView,
        },
        write::gates::GateView,
    },
};

/// Which accounts; everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Filters {
    /// Only accounts in this state
    #[param(schema_with = params::account_states, required = false)]
    state: String,
    /// Only accounts suspended by `operator`, by `wechat`, or by WeChat with one of these codes
    #[param(schema_with = params::suspended_by, required = false)]
    suspended_by: Vec<String>,
    /// Only accounts whose list cannot be read, for one of these reasons
    #[param(schema_with = params::troubles, required = false)]
    trouble: Vec<String>,
    /// Only accounts with an open request that has this label, as NAME=VALUE; repeatable
    #[param(schema_with = params::labels, required = false)]
    label: Vec<String>,
}

/// Accounts, by appid.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(Filters, PageParams), responses((status = 200, body = Page<AccountView>)))]
pub(super) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<AccountView>, Problem> {
    let filter = AccountFilter {
        state: query.word("state", &["active", "suspended"]).map(str::to_owned),
        suspended_by: query.list_by("suspended_by", query::parsed::<SuspendedBy>),
        troubles: query.words("trouble", &Trouble::ALL.map(Trouble::as_str)).into_iter().map(str::to_owned).collect(),
    };
    let (labels, span) = (query.labels(), query.page());
    query.done()?;
    let store = api.store();
    let rows = if labels.is_empty() {
        api.reading(store.account_page(&filter, span.after(), span.rows())).await?
    } else {
        let names = api.reading(store.accounts_with_labels(&labels)).await?;
        let begin = names.partition_point(|name| name.as_str() <= span.after());
        labelled(&api, &names[begin..], &filter, span.rows() as usize).await?
    };
    Ok(span.page(rows, |row| row.account.clone()))
}

/// The first rows of these accounts that match.
async fn labelled(
    api: &Api,
    names: &[String],
    filter: &AccountFilter,
    most: usize,
) -> Result<Vec<AccountView>, Problem> {
    let mut rows = Vec::new();
    for some in names.chunks(most) {
        rows.extend(api.reading(api.store().accounts_named(some, filter)).await?);
        if rows.len() >= most {
            break;
        }
    }
    Ok(rows)
}

/// An account and what holds its calls back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownAccount {
    #[serde(flatten)]
    row: AccountView,
    /// Its gates and that of our address.
    gates: Vec<GateView>,
}

/// An appid in a path: nothing is at one that is none.
pub(super) fn appid(text: &str) -> Result<AccountId, Problem> {
    text.parse().map_err(|_| Problem::of(Word::NotFound))
}

/// One account, with the gates that hold its calls back.
#[utoipa::path(get, path = "/api/v1/accounts/{appid}", tag = "accounts", params(
    ("appid" = String, Path, description = "The official account's appid"),
), responses((status = 200, body = ShownAccount)))]
pub(super) async fn show(State(api): State<Api>, Path(text): Path<String>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let account = appid(&text)?;
    let found = api.reading(api.store().account_views(Some(account.as_str()), None, 1)).await?;
    let row = found.into_iter().next().ok_or_else(|| AskError::NoAccount(account.clone()))?;
    let gates = api.reading(api.store().gates_of(account.as_str(), api.now())).await?;
    let tag = tag::tag(&row, &gates);
    Ok(([(header::ETAG, tag)], Json(ShownAccount { row, gates })).into_response())
}
