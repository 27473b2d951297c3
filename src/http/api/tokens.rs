//! Tokens of the API: everybody who signs in has own ones, an admin manages all. A token is shown once, and none may do more
//! than whoever makes it.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

use super::{
    body::Body,
    identity::Caller,
    page::Page,
    problem::Problem,
    query::Query,
    state::Api,
    text::Text,
    users::{self, check_new_name, role_of, roles, wrong},
    word::Word,
};
use crate::{
    config::parse_duration,
    credential::{self, ApiToken},
    domain::{
        action::{ActionKind, Via},
        identity::{Role, Scope},
        text::format::rfc3339,
        time::Time,
    },
    store::write::{
        action::Action,
        api_tokens::{ApiTokenView, NewApiToken},
    },
};

/// How long a token is good where nothing is said.
const USUALLY: &str = "365d";

/// Tokens that somebody has at once: more are a program that forgets them.
const OWN_MAX: usize = 50;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// The name of the program, for `v_action`: letters, digits and . _ - @
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do at most: viewer where it is left out
    #[schema(schema_with = roles)]
    role: Option<String>,
    /// Only these of what the role may; all of them where it is left out
    #[schema(schema_with = scopes)]
    scopes: Option<Vec<String>>,
    /// For how long, such as 365d or 12h, or never; 365d where it is left out
    expires: Option<String>,
    /// Whose own it is: it ends with the user. The caller's where it is left out; only an admin may name another
    user: Option<String>,
    /// Nobody's own, so that it outlives its maker's password; only an admin may say so
    #[serde(default)]
    shared: bool,
}

fn scopes() -> RefOr<Schema> {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Scope::ALL.map(Scope::as_str)));
    let kinds = SchemaType::from_iter([Type::Array, Type::Null]);
    ArrayBuilder::new().schema_type(kinds).items(word).min_items(Some(1)).into()
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// The part that names it and opens nothing.
    id: String,
    /// The name of the program.
    name: String,
    /// What it may do at most.
    role: String,
    /// What of that it may do.
    scopes: Vec<String>,
    /// Whose own it is; null for nobody's.
    user: Option<String>,
    /// When it ends; null for never.
    expires_at: Option<String>,
    /// The token. It is shown here and never again.
    token: String,
}

/// What may be seen and ended of the tokens.
enum Own {
    /// All: of an admin who manages users.
    All,
    /// Those of this user.
    User(String),
    /// The one that was shown.
    Shown(String),
    /// None: of somebody whom a proxy names, and who is no user here.
    None,
}

impl Own {
    fn of(caller: &Caller) -> Self {
        match (&caller.token, &caller.session) {
            _ if is_manager(caller) => Self::All,
            (Some(token), _) => Self::Shown(token.clone()),
            (None, Some(_)) => Self::User(caller.name.clone()),
            (None, None) => Self::None,
        }
    }

    async fn rows(&self, api: &Api) -> Result<Vec<ApiTokenView>, Problem> {
        let user = match self {
            Self::User(user) => Some(user.as_str()),
            Self::All | Self::Shown(_) | Self::None => None,
        };
        let mut rows = api.reading(api.store().api_tokens(user)).await?;
        match self {
            Self::All | Self::User(_) => {}
            Self::Shown(id) => rows.retain(|row| row.id == *id),
            Self::None => rows.clear(),
        }
        Ok(rows)
    }
}

fn is_manager(caller: &Caller) -> bool {
    caller.role == Role::Admin && caller.scopes.contains(&Scope::Users)
}

/// The caller's own tokens, or all of an admin's house; those that are revoked last. No token itself is shown.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", responses((status = 200, body = Page<ApiTokenView>)))]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
) -> Result<Page<ApiTokenView>, Problem> {
    query.done()?;
    Own::of(&caller).rows(&api).await.map(Page::whole)
}

/// Makes a token, which is shown in this answer and never again.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, responses((status = 201, body = MadeToken, description = "The token is good at once")))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    query.done()?;
    check_new_name(&new.name)?;
    let role = new.role.as_deref().map_or(Ok(Role::Viewer), role_of)?;
    let scopes = new.scopes(role)?;
    may_give(&caller, role, &scopes)?;
    let now = api.now();
    let expires_at = new.expires_at(now)?;
    let user = owner(&api, &caller, &new, role).await?;
    let ApiToken { id, token } = ApiToken::generate();
    let words: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let by = caller.by();
    let reason = format!("as {role}, for {}", words.join(" "));
    let action = Action::of(ActionKind::NewApiToken, &new.name, &by.clone().because(Some(reason)), now);
    let kept = NewApiToken {
        id: id.clone(),
        name: new.name.clone(),
        role,
        scopes,
        digest: credential::digest(token.expose_secret()),
        user: user.clone(),
        by: by.actor.name,
        expires_at,
    };
    if !api.store().add_api_token(kept, action, now).await? {
        return Err(wrong("name", Text::fixed("there is a token with this name already", "已有同名令牌")));
    }
    let made = MadeToken {
        id,
        name: new.name,
        role: role.to_string(),
        scopes: words,
        user,
        expires_at: expires_at.map(rfc3339),
        token: token.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

impl NewToken {
    /// The scopes that are wanted, or all of the role.
    fn scopes(&self, role: Role) -> Result<Vec<Scope>, Problem> {
        let Some(words) = &self.scopes else { return Ok(role.scopes()) };
        let mut scopes = Vec::new();
        for (place, word) in words.iter().enumerate() {
            let Some(scope) = Scope::from_word(word) else {
                let all = Scope::ALL.map(Scope::as_str).join(", ");
                let detail = Text::new(format!("expected one of {all}"), format!("应为以下之一：{all}"));
                return Err(wrong(&format!("scopes/{place}"), detail));
            };
            if !role.includes(scope) {
                let least = scope.role();
                let detail = Text::new(
                    format!("the scope {scope} is more than the role {role} may: it needs the role {least}"),
                    format!("范围 {scope} 超出角色 {role} 的权限，需要角色 {least}"),
                );
                return Err(wrong(&format!("scopes/{place}"), detail));
            }
            scopes.push(scope);
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(wrong("scopes", Text::fixed("expected one scope at least", "至少给出一个范围")));
        }
        Ok(scopes)
    }

    fn expires_at(&self, now: Time) -> Result<Option<Time>, Problem> {
        match self.expires.as_deref().unwrap_or(USUALLY) {
            "never" => Ok(None),
            text => match parse_duration(text) {
                Ok(wait) => Ok(Some(now + wait)),
                Err(why) => {
                    let detail = Text::new(format!("{why}, or never"), "应为时长，例如 365d 或 12h，或 never");
                    Err(wrong("expires", detail))
                }
            },
        }
    }
}

/// Nobody gives more than they have.
fn may_give(caller: &Caller, role: Role, scopes: &[Scope]) -> Result<(), Problem> {
    let lacking = scopes.iter().find(|scope| !caller.scopes.contains(scope));
    let (en, zh) = match lacking {
        _ if role > caller.role => (
            format!("{} has the role {} and cannot give the role {role}.", caller.name, caller.role),
            format!("{} 的角色为 {}，不能授予角色 {role}。", caller.name, caller.role),
        ),
        Some(scope) => (
            format!("{} lacks the scope {scope} and cannot give it.", caller.name),
            format!("{} 没有范围 {scope}，不能授予。", caller.name),
        ),
        None => return Ok(()),
    };
    Err(Problem::new(Word::Forbidden, Text::new(en, zh)))
}

/// Whose own a new token becomes.
async fn owner(api: &Api, caller: &Caller, new: &NewToken, role: Role) -> Result<Option<String>, Problem> {
    if new.shared && new.user.is_some() {
        return Err(wrong("shared", Text::fixed("excludes `user`", "与 `user` 互斥")));
    }
    let is_other = new.shared || new.user.as_ref().is_some_and(|user| *user != caller.name);
    let is_user_here = caller.via == Via::Web && caller.session.is_some();
    if !is_manager(caller) && (is_other || !is_user_here) {
        let (en, zh) = (
            "Only a user who has signed in makes own tokens, and only an admin those of others.",
            "只有已登录的用户可以创建自己的令牌，只有管理员可以为他人创建。",
        );
        return Err(Problem::new(Word::Forbidden, Text::fixed(en, zh)));
    }
    let own = is_user_here.then(|| caller.name.clone()).filter(|_| !new.shared);
    let Some(name) = new.user.clone().or(own) else { return Ok(None) };
    let Ok(user) = users::row(api, &name).await else {
        return Err(wrong("user", Text::fixed("there is no such user", "没有这个用户")));
    };
    if user.disabled_at.is_some() || Role::from_word(&user.role).is_none_or(|has| role > has) {
        let detail = Text::new(
            format!("{name} has the role {} and cannot have a token of the role {role}", user.role),
            format!("{name} 的角色为 {}，不能拥有角色 {role} 的令牌", user.role),
        );
        return Err(wrong("role", detail));
    }
    let live = api.reading(api.store().api_tokens(Some(&name))).await?;
    if live.iter().filter(|token| token.revoked_at.is_none()).count() >= OWN_MAX {
        let detail = Text::new(
            format!("{name} has {OWN_MAX} tokens already: revoke one first"),
            format!("{name} 已有 {OWN_MAX} 个令牌，请先撤销一个"),
        );
        return Err(wrong("user", detail));
    }
    Ok(Some(name))
}

/// Revokes a token by its id or its name; it stops working at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(
    ("id" = String, Path, description = "Its id or its name"),
), responses((status = 204, description = "It works no more")))]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(text): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    let rows = Own::of(&caller).rows(&api).await?;
    let mut live = rows.into_iter().filter(|row| row.revoked_at.is_none());
    let row = live.find(|row| row.id == text || row.name == text).ok_or_else(|| Problem::of(Word::NotFound))?;
    let now = api.now();
    let action = Action::of(ActionKind::RevokeApiToken, row.name, &caller.by(), now);
    let is_revoked = api.store().revoke_api_token(row.id, None, action, now).await?;
    if is_revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::of(Word::NotFound)) }
}
