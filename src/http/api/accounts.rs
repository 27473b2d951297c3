//! Official accounts: how each is read and called, and an operator's word whether it is.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    acting::Acting,
    body::{Body, Optional},
    page::{Page, Span},
    params::{self, PageParams},
    problem::{Fault, Problem},
    query::{self, Query},
    state::Api,
    tag,
    text::Text,
    word::Word,
};
use crate::{
    domain::{account::Trouble, action::By, id::AccountId, text::parse::moment},
    engine::wish::AskError,
    store::{
        read::{
            account_page::{AccountFilter, SuspendedBy},
            views::AccountView,
        },
        write::{account_actions::Word as Standing, gates::GateView},
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

/// All of them but labels.
pub(in crate::http) fn filters(query: &mut Query) -> AccountFilter {
    AccountFilter {
        state: query.word("state", &["active", "suspended"]).map(str::to_owned),
        suspended_by: query.list_by("suspended_by", query::parsed::<SuspendedBy>),
        troubles: query.words("trouble", &Trouble::ALL.map(Trouble::as_str)).into_iter().map(str::to_owned).collect(),
    }
}

/// Accounts, by appid.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(Filters, PageParams), responses((status = 200, body = Page<AccountView>)))]
pub(super) async fn list(State(api): State<Api>, mut query: Query) -> Result<Page<AccountView>, Problem> {
    let filter = filters(&mut query);
    let (labels, span) = (query.labels(), query.page());
    query.done()?;
    page(&api, &filter, &labels, &span).await
}

/// A page of the accounts that match.
pub(in crate::http) async fn page(
    api: &Api,
    filter: &AccountFilter,
    labels: &[(String, String)],
    span: &Span,
) -> Result<Page<AccountView>, Problem> {
    let read = api.store().look_at_accounts(filter, labels, span.after(), span.rows());
    Ok(span.page_of(api.reading(read).await?, |row| row.account.clone()))
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
pub(in crate::http) fn appid(text: &str) -> Result<AccountId, Problem> {
    text.parse().map_err(|_| Problem::of(Word::NotFound))
}

/// One account, with the gates that hold its calls back.
#[utoipa::path(get, path = "/api/v1/accounts/{appid}", tag = "accounts", params(
    ("appid" = String, Path, description = "The official account's appid"),
), responses((status = 200, body = ShownAccount)))]
pub(super) async fn show(State(api): State<Api>, Path(text): Path<String>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let account = appid(&text)?;
    let row = row(&api, &account).await?;
    shown(&api, row).await
}

/// The row of an account.
pub(in crate::http) async fn row(api: &Api, account: &AccountId) -> Result<AccountView, Problem> {
    let found = api.reading(api.store().account_views(Some(account.as_str()), None, 1)).await?;
    let row = found.into_iter().find(|row| row.account == account.as_str());
    row.ok_or_else(|| AskError::NoAccount(account.clone()).into())
}

async fn shown(api: &Api, row: AccountView) -> Result<Response, Problem> {
    let gates = api.reading(api.store().gates_of(&row.account, api.now())).await?;
    let tag = tag::tag(&row, &gates);
    Ok(([(header::ETAG, tag)], Json(ShownAccount { row, gates })).into_response())
}

/// Why an account is suspended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspension {
    /// Why, for the record; one line
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Suspends an account: no calls are made for it until it is resumed; its requests stay as they are.
#[utoipa::path(post, path = "/api/v1/accounts/{appid}/suspend", tag = "accounts", request_body = Suspension, params(
    ("appid" = String, Path, description = "The official account's appid"),
), responses((status = 200, body = ShownAccount, description = "It is suspended by an operator, now or before")))]
pub(super) async fn suspend(
    State(api): State<Api>,
    acting: Acting,
    Body(Suspension { reason }): Body<Suspension>,
) -> Result<Response, Problem> {
    let by = acting.by("reason", Some(&reason))?;
    if by.reason.is_none() {
        let detail = Text::fixed("expected some words", "请填写原因");
        return Err(Problem::invalid(vec![Fault { pointer: "/reason".to_owned(), detail }]));
    }
    tell(&api, &acting, Standing::Suspend, by).await
}

/// Why an account is resumed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Resumption {
    /// Why, for the record; one line
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Resumes an account, whoever suspended it or whatever held its calls back, and looks at it at once.
#[utoipa::path(post, path = "/api/v1/accounts/{appid}/resume", tag = "accounts", request_body = Option<Resumption>, params(
    ("appid" = String, Path, description = "The official account's appid"),
), responses((status = 200, body = ShownAccount, description = "It is active, now or before")))]
pub(super) async fn resume(
    State(api): State<Api>,
    acting: Acting,
    Optional(Resumption { reason }): Optional<Resumption>,
) -> Result<Response, Problem> {
    tell(&api, &acting, Standing::Resume, acting.by("reason", reason.as_deref())?).await
}

/// Says a word of an account and answers what it is then. Under a condition it is said only while the account stands as it
/// was compared.
async fn tell(api: &Api, acting: &Acting, word: Standing, by: By) -> Result<Response, Problem> {
    let account = appid(&acting.named)?;
    let before = row(api, &account).await?;
    acting.check(&before)?;
    let (store, name, now) = (api.store(), account.to_string(), api.now());
    let is_changed = match moment(&before.since).filter(|_| acting.has_condition()) {
        Some(since) => store.tell_account_as_read(word, name, since, by, now).await?,
        None => !store.tell_accounts(word, vec![name], by, now).await?.is_empty(),
    };
    let after = row(api, &account).await?;
    let is_so = match word {
        Standing::Suspend => after.suspended_by.as_deref() == Some("operator"),
        Standing::Resume => after.suspended_by.is_none(),
        Standing::Check => true,
    };
    if !is_changed && !is_so {
        return Err(acting.changed(&after));
    }
    shown(api, after).await
}
