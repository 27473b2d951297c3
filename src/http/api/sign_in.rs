//! Signing in and out: a name and a password become a session. Whoever guesses is slowed down, and learns nothing from how
//! long an answer takes.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    body::Body,
    cookie,
    identity::{Caller, Origin},
    page::Page,
    problem::Problem,
    query::Query,
    state::{Api, AuthFailures},
    text::Text,
    word::Word,
};
use crate::{
    credential,
    domain::action::{ActionKind, Actor, By, Via},
    store::write::{
        action::Action,
        sessions::{LASTS, NewSession, SessionView},
        users::UserPassword,
    },
};

/// Characters of a browser's name that are kept with its session.
const AGENT_MAX: usize = 200;

/// A name and a password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The user's name.
    name: String,
    /// The user's password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: SecretString,
}

/// A text that nobody prints.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

/// Signs in: the answer sets the cookie of a new session.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = SignIn, responses((status = 204, description = "Signed in; the cookie is set")))]
pub(super) async fn sign_in(
    State(api): State<Api>,
    Origin(address): Origin,
    headers: HeaderMap,
    Body(SignIn { name, password }): Body<SignIn>,
) -> Result<Response, Problem> {
    api.sign_ins.take(address, &name).map_err(Problem::too_many)?;
    let known = api.reading(api.store().user_password(&name)).await?;
    if !is_right(&api, password, known).await? {
        AuthFailures::count(&api.failures.password);
        tracing::warn!(event = "http.sign_in_failed", address = ?address, "a sign-in failed");
        let text = Text::fixed("The name or the password is wrong.", "用户名或密码错误。");
        return Err(Problem::new(Word::Unauthenticated, text));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let cookie = begin(&api, name, (address, &headers), Duration::ZERO).await?;
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Compares the password, of a name that nobody has as long as of any other.
async fn is_right(api: &Api, password: SecretString, known: Option<UserPassword>) -> Result<bool, Problem> {
    let ending = |_| Problem::of(Word::Ending);
    let _turn = api.passwords.acquire().await.map_err(ending)?;
    let compare = move || {
        let hash = known.as_ref().map(|known| known.password.as_str());
        credential::is_password(&password, hash) && known.is_some_and(|known| !known.disabled)
    };
    tokio::task::spawn_blocking(compare).await.map_err(|_| Problem::of(Word::Defect))
}

/// Begins a session in place of the one that the browser had, and answers with its cookie. It lasts longer by `more`.
pub(in crate::http) async fn begin(
    api: &Api,
    user: String,
    (address, headers): (Option<IpAddr>, &HeaderMap),
    more: Duration,
) -> Result<Option<HeaderValue>, Problem> {
    let now = api.now();
    let actor =
        Actor { name: user.clone(), via: Via::Web, token: None, address: address.map(|address| address.to_string()) };
    let by = By::new(actor);
    if let Some(old) = cookie::of(headers).map(credential::digest)
        && let Some(owner) = api.reading(api.store().session_owner(&old, now)).await?
    {
        let action = Action::of(ActionKind::SignOut, owner.id.clone(), &by, now);
        api.store().end_session(owner.id, owner.user, action).await?;
    }
    let secret = credential::session_secret();
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let session = NewSession {
        digest: credential::digest(secret.expose_secret()),
        id: format!("{:016x}", api.clock().random()),
        user,
        address: address.map(|address| address.to_string()),
        agent: agent.map(|agent| agent.chars().take(AGENT_MAX).collect()),
    };
    let action = Action::of(ActionKind::SignIn, session.id.clone(), &by, now);
    api.store().begin_session(session, action, now + more).await?;
    Ok(cookie::set(secret.expose_secret(), LASTS.as_secs(), &api.http.base_path, headers))
}

/// Signs out: the session ends, and the cookie is taken away.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204, description = "Signed out")))]
pub(super) async fn sign_out(State(api): State<Api>, caller: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(id) = caller.session.clone() {
        end(&api, &caller, id).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in cookie::cleared(&api.http.base_path, &headers).into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The caller's own sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "session", responses((status = 200, body = Page<SessionView>)))]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
) -> Result<Page<SessionView>, Problem> {
    query.done()?;
    if caller.via != Via::Web {
        return Ok(Page::whole(Vec::new()));
    }
    api.reading(api.store().sessions(&caller.name, api.now())).await.map(Page::whole)
}

/// Ends all of the caller's sessions but the one that asks.
#[utoipa::path(delete, path = "/api/v1/sessions", tag = "session", responses((status = 204, description = "The others have ended")))]
pub(super) async fn end_others(State(api): State<Api>, caller: Caller) -> Result<StatusCode, Problem> {
    if caller.via == Via::Web {
        let action = Action::of(ActionKind::SignOut, caller.name.clone(), &caller.by(), api.now());
        api.store().end_other_sessions(caller.name.clone(), caller.session.clone(), action).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the caller's sessions.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "session", params(("id" = String, Path, description = "As the list of sessions shows it")), responses((status = 204, description = "It has ended")))]
pub(super) async fn end_one(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let has_ended = caller.via == Via::Web && end(&api, &caller, id).await?;
    if has_ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::of(Word::NotFound)) }
}

async fn end(api: &Api, caller: &Caller, id: String) -> Result<bool, Problem> {
    let action = Action::of(ActionKind::SignOut, id.clone(), &caller.by(), api.now());
    Ok(api.store().end_session(id, caller.name.clone(), action).await?)
}
