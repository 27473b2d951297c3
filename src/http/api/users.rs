//! Users: people who may sign in. Only admins manage them, and none of them gives more than they have.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

use super::{
    body::Body,
    identity::Caller,
    page::Page,
    problem::{Fault, Problem},
    query::Query,
    sign_in::secret,
    state::Api,
    text::Text,
    word::Word,
};
use crate::{
    credential,
    domain::{
        action::ActionKind,
        identity::{NAME_MAX, Role, check_name},
    },
    store::write::{
        action::Action,
        users::{Changed, UserChange, UserView},
    },
};

/// A user to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// The name to sign in with: letters, digits and . _ - @
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What the user may do: viewer where it is left out
    #[schema(schema_with = roles)]
    role: Option<String>,
    /// The password, at least 8 characters
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 8, max_length = 1024)]
    password: SecretString,
}

/// What changes of a user; at least one member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPatch {
    /// What the user may do from now on
    #[schema(schema_with = roles)]
    role: Option<String>,
    /// Whether the user may no longer sign in: sessions and own tokens end
    disabled: Option<bool>,
    /// Another password, at least 8 characters: sessions and own tokens end
    #[serde(default, deserialize_with = "some_secret")]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 1024)]
    password: Option<SecretString>,
}

fn some_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(SecretString::from))
}

/// The words of roles, or none.
pub(super) fn roles() -> RefOr<Schema> {
    let words: Vec<Option<&str>> = Role::ALL.iter().map(|role| Some(role.as_str())).chain([None]).collect();
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).enum_values(Some(words)).into()
}

/// A value that is not legal.
pub(super) fn wrong(member: &str, detail: Text) -> Problem {
    Problem::invalid(vec![Fault { pointer: format!("/{member}"), detail }])
}

/// The role with this word.
pub(super) fn role_of(word: &str) -> Result<Role, Problem> {
    Role::from_word(word).ok_or_else(|| {
        let words = Role::ALL.map(Role::as_str).join(", ");
        wrong("role", Text::new(format!("expected one of {words}"), format!("应为以下之一：{words}")))
    })
}

/// A new name.
pub(super) fn check_new_name(name: &str) -> Result<(), Problem> {
    check_name(name).map_err(|why| {
        let zh = format!("名称为 1 到 {NAME_MAX} 字节，只含字母、数字和 . _ - @");
        wrong("name", Text::new(why, zh))
    })
}

/// That somebody would give, or take over, more than they may themselves.
pub(super) fn may_give(caller: &Caller, role: Role) -> Result<(), Problem> {
    let has_all = role <= caller.role && role.scopes().iter().all(|scope| caller.scopes.contains(scope));
    if has_all {
        return Ok(());
    }
    let (en, zh) = (
        format!(
            "{} may not do all that the role {role} may, and so neither give it nor manage who has it.",
            caller.name
        ),
        format!("{} 自身不具备角色 {role} 的全部权限，因此不能授予该角色，也不能管理拥有该角色的用户。", caller.name),
    );
    Err(Problem::new(Word::Forbidden, Text::new(en, zh)))
}

/// A password as it is kept. It takes memory and a core, so that few are made at once.
async fn hashed(api: &Api, password: SecretString) -> Result<String, Problem> {
    credential::check_password(password.expose_secret()).map_err(|why| {
        let (least, most) = (credential::PASSWORD_MIN, credential::PASSWORD_MAX);
        wrong("password", Text::new(why, format!("密码至少 {least} 个字符，最多 {most} 字节")))
    })?;
    let _turn = api.passwords.acquire().await.map_err(|_| Problem::of(Word::Ending))?;
    let hash = tokio::task::spawn_blocking(move || credential::hash_password(&password)).await;
    hash.map_err(|_| Problem::of(Word::Defect))?.map_err(|_| Problem::of(Word::Busy))
}

/// A user.
pub(super) async fn row(api: &Api, name: &str) -> Result<UserView, Problem> {
    let users = api.reading(api.store().users(api.now())).await?;
    users.into_iter().find(|user| user.name == name).ok_or_else(|| Problem::of(Word::NotFound))
}

/// Users, by name.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", responses((status = 200, body = Page<UserView>)))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Page<UserView>, Problem> {
    query.done()?;
    api.reading(api.store().users(api.now())).await.map(Page::whole)
}

/// Adds a user, who can sign in at once.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = UserView, description = "The user can sign in")))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
    Body(NewUser { name, role, password }): Body<NewUser>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    query.done()?;
    check_new_name(&name)?;
    let role = role.as_deref().map_or(Ok(Role::Viewer), role_of)?;
    may_give(&caller, role)?;
    let hash = hashed(&api, password).await?;
    let now = api.now();
    let action = Action::of(ActionKind::AddUser, &name, &caller.by().because(Some(format!("as {role}"))), now);
    if !api.store().add_user(name.clone(), role, hash, action, now).await? {
        return Err(wrong("name", Text::fixed("there is a user with this name already", "已有同名用户")));
    }
    Ok((StatusCode::CREATED, Json(row(&api, &name).await?)))
}

/// Changes what a user may do, whether they may sign in, or their password.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "users", request_body = UserPatch, params(
    ("name" = String, Path, description = "The user's name"),
), responses((status = 200, body = UserView)))]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
    Body(UserPatch { role, disabled, password }): Body<UserPatch>,
) -> Result<Json<UserView>, Problem> {
    query.done()?;
    let user = row(&api, &name).await?;
    may_give(&caller, role_of(&user.role)?)?;
    let now = api.now();
    let deed = |kind, what: Option<String>| Action::of(kind, &name, &caller.by().because(what), now);
    let mut changes = Vec::new();
    if let Some(role) = role.as_deref().map(role_of).transpose()? {
        may_give(&caller, role)?;
        changes.push((UserChange::Role(role), deed(ActionKind::ChangeUser, Some(format!("role {role}")))));
    }
    if let Some(disabled) = disabled {
        let what = if disabled { "disabled" } else { "enabled" }.to_owned();
        changes.push((UserChange::Disabled(disabled), deed(ActionKind::ChangeUser, Some(what))));
    }
    if let Some(password) = password {
        changes.push((UserChange::Password(hashed(&api, password).await?), deed(ActionKind::ChangePassword, None)));
    }
    if changes.is_empty() {
        let detail =
            Text::fixed("expected `role`, `disabled` or `password`", "应给出 `role`、`disabled` 或 `password`");
        return Err(Problem::invalid(vec![Fault { pointer: String::new(), detail }]));
    }
    apply(&api, &name, changes).await?;
    row(&api, &name).await.map(Json)
}

/// Removes a user, with all sessions and the user's own tokens.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users", params(
    ("name" = String, Path, description = "The user's name"),
), responses((status = 204, description = "The user is gone")))]
pub(super) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    let user = row(&api, &name).await?;
    may_give(&caller, role_of(&user.role)?)?;
    let action = Action::of(ActionKind::RemoveUser, &name, &caller.by(), api.now());
    apply(&api, &name, vec![(UserChange::Removed, action)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn apply(api: &Api, name: &str, changes: Vec<(UserChange, Action)>) -> Result<(), Problem> {
    match api.store().change_user_but_last_admin(name.to_owned(), changes, api.now()).await? {
        Changed::Done => Ok(()),
        Changed::Unknown => Err(Problem::of(Word::NotFound)),
        Changed::LastAdmin => {
            let text = Text::new(
                format!("{name} is the last admin who may sign in: make another one first."),
                format!("{name} 是最后一个可登录的管理员：请先添加另一个管理员。"),
            );
            Err(Problem::new(Word::Forbidden, text))
        }
    }
}
