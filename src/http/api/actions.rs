//! Who did what: an admin sees everybody's actions, others see their own.

use axum::{
    Json,
    extract::{Path, State},
};
use utoipa::IntoParams;

use super::{
    identity::Caller,
    page::Page,
    params::{self, PageParams},
    problem::Problem,
    query::Query,
    requests,
    state::Api,
    text::Text,
    word::Word,
};
use crate::{
    domain::{
        action::{ActionKind, SubjectKind},
        identity::Role,
    },
    store::read::{
        account_page::AccountFilter,
        actions::{ActionFilter, ActionView},
        alert_views::AlertView,
        bulk::Found,
        views::{AccountView, RequestView},
    },
};

/// Which actions; everything that is given must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name; here for the description")]
struct Filters {
    /// Only what this user, program or user of the system did; only an admin may name another than themself
    actor: Option<String>,
    /// Only what was done to this: a request's or an alert's id, an appid, or a name
    subject: Option<String>,
    /// Only of this kind
    #[param(schema_with = params::actions, required = false)]
    action: String,
}

/// What people and their programs did, newest first; only the caller's own, unless the caller is an admin.
#[utoipa::path(get, path = "/api/v1/actions", tag = "actions", params(Filters, PageParams), responses((status = 200, body = Page<ActionView>)))]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut query: Query,
) -> Result<Page<ActionView>, Problem> {
    let actor = query.one_by("actor", |actor| Ok(actor.to_owned()));
    let filter = ActionFilter {
        subject: query.one_by("subject", |subject| Ok(subject.to_owned())),
        action: query.word("action", &ActionKind::ALL.map(ActionKind::as_str)).map(str::to_owned),
        ..ActionFilter::default()
    };
    let span = query.page();
    query.done()?;
    let filter = ActionFilter { actor: actor.clone().or_else(|| own(&caller).actor), ..only(&caller, filter) };
    if caller.role < Role::Admin && actor.is_some_and(|actor| actor != caller.name) {
        let text = Text::fixed("Only an admin sees what others did.", "只有管理员可以查看他人的操作。");
        return Err(Problem::new(Word::Forbidden, text));
    }
    let looked = api.reading(api.store().look_at_actions(&filter, span.after.as_deref(), span.rows())).await?;
    Ok(span.page_of(looked, |row| row.id.clone()))
}

/// What is the caller's own: a token's by its id, a person's by name and door, for a program may have the same name.
fn own(caller: &Caller) -> ActionFilter {
    if caller.role == Role::Admin {
        return ActionFilter::default();
    }
    let via = Some(caller.via.as_str().to_owned());
    ActionFilter { actor: Some(caller.name.clone()), via, token: caller.token.clone(), ..ActionFilter::default() }
}

/// A filter within what the caller may see.
fn only(caller: &Caller, filter: ActionFilter) -> ActionFilter {
    let own = own(caller);
    ActionFilter { via: own.via, token: own.token, ..filter }
}

/// One action, and how far it has come.
#[utoipa::path(get, path = "/api/v1/actions/{id}", tag = "actions", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
), responses((status = 200, body = ActionView)))]
pub(in crate::http) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(text): Path<String>,
    query: Query,
) -> Result<Json<ActionView>, Problem> {
    query.done()?;
    seen(&api, &caller, &text).await.map(Json)
}

/// The action of this id, where the caller may see it.
async fn seen(api: &Api, caller: &Caller, text: &str) -> Result<ActionView, Problem> {
    let id = requests::id(text)?;
    let row = api.reading(api.store().action_view(id.as_str())).await?;
    let own = own(caller);
    let is_shown = |row: &ActionView| {
        own.actor.as_ref().is_none_or(|actor| *actor == row.actor)
            && own.via.as_ref().is_none_or(|via| *via == row.via)
            && (own.token.is_none() || own.token == row.token)
    };
    row.filter(is_shown).ok_or_else(|| Problem::of(Word::NotFound))
}

/// A page of what an action on many did: names of what it was done to, and where the next ones begin.
struct Deeds {
    action: ActionView,
    page: Page<Found>,
}

impl Deeds {
    async fn read(api: &Api, caller: &Caller, text: &str, mut query: Query) -> Result<Self, Problem> {
        let span = query.page();
        query.done()?;
        let action = seen(api, caller, text).await?;
        let found = api.reading(api.store().deeds_of(&action.id, span.after(), span.rows())).await?;
        Ok(Self { action, page: span.page(found, |deed| deed.key.clone()) })
    }

    /// Their names, where they are of this kind; otherwise none.
    fn names(&self, kind: SubjectKind) -> Vec<String> {
        let deeds = self.page.items.iter().filter(|_| self.action.subject_kind == kind.as_str());
        deeds.map(|deed| deed.name.clone()).collect()
    }

    /// The page with rows in place of names.
    fn of<T>(self, items: Vec<T>) -> Page<T> {
        Page { items, next: self.page.next }
    }
}

/// The requests that an action on many changed, as they are now, in the order in which it came to them; of a `retry` the new
/// ones.
#[utoipa::path(get, path = "/api/v1/actions/{id}/requests", tag = "actions", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
    PageParams,
), responses((status = 200, body = Page<RequestView>)))]
pub(super) async fn requests_of(
    State(api): State<Api>,
    caller: Caller,
    Path(text): Path<String>,
    query: Query,
) -> Result<Page<RequestView>, Problem> {
    let deeds = Deeds::read(&api, &caller, &text, query).await?;
    let (mut ids, store) = (deeds.names(SubjectKind::Request), api.store());
    if deeds.action.action == ActionKind::Retry.as_str() {
        ids = api.reading(store.retries_of(&ids, &deeds.action.id)).await?;
    }
    let mut rows = api.reading(store.request_views(&ids)).await?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(deeds.of(rows))
}

/// The alerts that an action on many changed, as they are now, in the order in which it came to them.
#[utoipa::path(get, path = "/api/v1/actions/{id}/alerts", tag = "actions", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
    PageParams,
), responses((status = 200, body = Page<AlertView>)))]
pub(super) async fn alerts_of(
    State(api): State<Api>,
    caller: Caller,
    Path(text): Path<String>,
    query: Query,
) -> Result<Page<AlertView>, Problem> {
    let deeds = Deeds::read(&api, &caller, &text, query).await?;
    let rows = api.reading(api.store().alert_views(&deeds.names(SubjectKind::Alert))).await?;
    Ok(deeds.of(rows))
}

/// The accounts that an action on many changed, as they are now, in the order in which it came to them.
#[utoipa::path(get, path = "/api/v1/actions/{id}/accounts", tag = "actions", params(
    ("id" = String, Path, format = Uuid, description = "The whole id"),
    PageParams,
), responses((status = 200, body = Page<AccountView>)))]
pub(super) async fn accounts_of(
    State(api): State<Api>,
    caller: Caller,
    Path(text): Path<String>,
    query: Query,
) -> Result<Page<AccountView>, Problem> {
    let deeds = Deeds::read(&api, &caller, &text, query).await?;
    let names = deeds.names(SubjectKind::Account);
    let rows = api.reading(api.store().accounts_named(&names, &AccountFilter::default())).await?;
    Ok(deeds.of(rows))
}
