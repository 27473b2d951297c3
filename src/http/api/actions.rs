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
    domain::{action::ActionKind, identity::Role},
    store::read::actions::{ActionFilter, ActionView},
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
    let id = requests::id(&text)?;
    let row = api.reading(api.store().action_view(id.as_str())).await?;
    let own = own(&caller);
    let is_shown = |row: &ActionView| {
        own.actor.as_ref().is_none_or(|actor| *actor == row.actor)
            && own.via.as_ref().is_none_or(|via| *via == row.via)
            && (own.token.is_none() || own.token == row.token)
    };
    row.filter(is_shown).map(Json).ok_or_else(|| Problem::of(Word::NotFound))
}
