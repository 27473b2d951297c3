//! Who asks, and whether they may: by a token, by a session, or by the word of a trusted proxy, as [`super::table`] says.
//! There is no anonymous caller.

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;

use super::{
    cookie, health, measured,
    problem::Problem,
    state::{Api, AuthFailures},
    table::{self, Access, VIEW},
    text::Text,
    word::Word,
};
use crate::{
    config::{Network, TrustedProxy},
    credential,
    domain::{
        action::{ActionKind, Actor, By, Via},
        identity::{Role, Scope, check_name},
        time::Time,
    },
    http::peer::Peer,
    store::write::action::Action,
};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the user or of the token.
    pub name: String,
    /// By which door: a token is a program's, all else a person's.
    pub via: Via,
    /// What they may do at most.
    pub role: Role,
    /// What of that they may do.
    pub scopes: Vec<Scope>,
    /// The id of the token.
    pub token: Option<String>,
    /// The id of the session.
    pub session: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// As it is written down beside what they do.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            name: self.name.clone(),
            via: self.via,
            token: self.token.clone(),
            address: self.address.map(|address| address.to_string()),
        }
    }

    /// On whose word something is done.
    #[must_use]
    pub fn by(&self) -> By {
        By::new(self.actor())
    }

    /// Whether they may use a route.
    pub(super) fn may(&self, access: Access) -> Result<(), Problem> {
        let Access::May(role, scope) = access else { return Ok(()) };
        if self.role < role {
            let (en, zh) = (
                format!("This needs the role {role}; {} has the role {}.", self.name, self.role),
                format!("此操作需要角色 {role}；{} 的角色为 {}。", self.name, self.role),
            );
            return Err(Problem::new(Word::Forbidden, Text::new(en, zh)));
        }
        if !self.scopes.contains(&scope) {
            let (en, zh) = (
                format!("This needs the scope {scope}, which the token {} lacks.", self.name),
                format!("此操作需要范围 {scope}，令牌 {} 没有该范围。", self.name),
            );
            return Err(Problem::new(Word::Forbidden, Text::new(en, zh)));
        }
        Ok(())
    }

    fn person(name: String, role: Role, session: Option<String>, address: Option<IpAddr>) -> Self {
        Self { name, via: Via::Web, role, scopes: role.scopes(), token: None, session, address }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::of(Word::Unauthenticated))
    }
}

/// From where a request comes, behind a trusted proxy by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(pub Option<IpAddr>);

impl FromRequestParts<Api> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self(origin(&parts.headers, parts.extensions.get().copied(), api.http.proxy.as_ref())))
    }
}

/// Lets through who may use the route, and nobody else.
pub(super) async fn identify(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let access = path.as_deref().and_then(|path| table::access(request.method(), path));
    // The one route that a configuration can open.
    let is_open = path.as_deref() == Some(measured::PATH) && access.is_some() && api.config().metrics.open;
    let access = match access {
        Some(_) if is_open => Some(Access::Open),
        // The one thing of probes that is not for everybody.
        Some(Access::Open) if is_verbose_probe(request.uri()) => Some(VIEW),
        access => access,
    };
    let is_of_api = path.is_some() || request.uri().path().starts_with("/api/");
    if access == Some(Access::Open) || !is_of_api {
        return next.run(request).await;
    }
    let (headers, peer) = (request.headers().clone(), request.extensions().get::<Peer>().copied());
    let caller = match authenticate(&api, &headers, peer).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    match (path, access) {
        (None, _) => {}
        // Nothing that is not in the table is ever reached.
        (Some(path), None) => return not_allowed(&path),
        (Some(_), Some(access)) => {
            if let Err(problem) = caller.may(access) {
                AuthFailures::count(&api.failures.forbidden);
                return problem.into_response();
            }
        }
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Whether these headers bring a session that has not ended.
pub(in crate::http) async fn has_session(api: &Api, headers: &HeaderMap) -> bool {
    let Some(digest) = cookie::of(headers).map(credential::digest) else { return false };
    matches!(api.reading(api.store().session_owner(&digest, api.now())).await, Ok(Some(_)))
}

fn is_verbose_probe(uri: &Uri) -> bool {
    health::PROBES.contains(&uri.path()) && health::is_verbose(uri.query())
}

/// Whether whoever came with these headers is still the same and may still use a route. While nobody can tell, they may.
pub(super) async fn still_may(
    api: &Api,
    (headers, peer): (&HeaderMap, Option<Peer>),
    caller: &Caller,
    access: Access,
) -> bool {
    match authenticate(api, headers, peer).await {
        Ok(now) => now.name == caller.name && now.may(access).is_ok(),
        Err(problem) => problem.word() != Word::Unauthenticated,
    }
}

/// 405 with the methods that the path takes.
fn not_allowed(path: &str) -> Response {
    let methods = table::all().filter(|route| route.path == path).map(|route| &route.method);
    let methods: Vec<&str> = methods
        .flat_map(|method| match *method {
            Method::GET => &["GET", "HEAD"][..],
            Method::POST => &["POST"],
            Method::DELETE => &["DELETE"],
            Method::PATCH => &["PATCH"],
            _ => &[],
        })
        .copied()
        .collect();
    let mut response = Problem::of(Word::Method).into_response();
    response.headers_mut().extend(HeaderValue::try_from(methods.join(", ")).map(|methods| (header::ALLOW, methods)));
    response
}

/// Who asks, where somebody does who has signed in.
pub(in crate::http) async fn caller(api: &Api, headers: &HeaderMap, peer: Option<Peer>) -> Option<Caller> {
    if cookie::of(headers).is_none() && api.http.proxy.is_none() {
        return None;
    }
    authenticate(api, headers, peer).await.ok()
}

async fn authenticate(api: &Api, headers: &HeaderMap, peer: Option<Peer>) -> Result<Caller, Problem> {
    let from = origin(headers, peer, api.http.proxy.as_ref());
    if let Some(token) = bearer(headers) {
        return by_token(api, token, from).await;
    }
    let session = cookie::of(headers).map(credential::digest);
    if let Some(caller) = api.http.proxy.as_ref().and_then(|proxy| by_proxy(proxy, headers, peer, from)) {
        let caller = caller?;
        if let Some(session) = session {
            end_that_of_another(api, &session, &caller).await;
        }
        return Ok(caller);
    }
    let Some(session) = session else {
        AuthFailures::count(&api.failures.missing);
        return Err(Problem::of(Word::Unauthenticated));
    };
    by_session(api, session, from).await
}

/// What stands behind `Bearer`; that it is there rules out every other way to show who one is.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    Some(
        shown
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map_or("", |(_, token)| token.trim()),
    )
}

fn refused(api: &Api, en: &'static str, zh: &'static str) -> Problem {
    AuthFailures::count(&api.failures.refused);
    Problem::new(Word::Unauthenticated, Text::fixed(en, zh))
}

async fn by_token(api: &Api, token: &str, address: Option<IpAddr>) -> Result<Caller, Problem> {
    let Some(id) = credential::token_id(token) else {
        return Err(refused(
            api,
            "This is no token of amplinkd: its checksum does not fit. Copy it again, whole.",
            "这不是 amplinkd 的令牌：校验和不符。请重新完整复制。",
        ));
    };
    let known = api.reading(api.store().known_api_token(id)).await?;
    let now = api.now();
    let digest = credential::digest(token);
    let known = known.filter(|known| bool::from(known.digest.as_slice().ct_eq(&digest)));
    let is_over = |at: i64| Time::from_ms(at) <= now;
    let Some(known) = known.filter(|known| !known.expires_at.is_some_and(is_over)) else {
        return Err(refused(
            api,
            "This token is not known, has expired or was revoked: `amplinkd api-token list` shows those there are.",
            "该令牌未知、已过期或已撤销，可用 `amplinkd api-token list` 查看。",
        ));
    };
    let roles = [Some(known.role.as_str()), known.user_role.as_deref()];
    let role = roles.into_iter().flatten().filter_map(Role::from_word).min().unwrap_or(Role::Viewer);
    let scopes = known.scopes.iter().filter_map(|word| Scope::from_word(word)).filter(|scope| role.includes(*scope));
    if known.is_to_be_used(now) {
        let (store, id) = (api.store().clone(), id.to_owned());
        // Beside the answer: nobody waits for it, and a disk that is full spoils no read.
        drop(tokio::spawn(async move { store.api_token_used(id, now).await }));
    }
    Ok(Caller {
        scopes: scopes.collect(),
        name: known.name,
        via: Via::Api,
        role,
        token: Some(id.to_owned()),
        session: None,
        address,
    })
}

async fn by_session(api: &Api, digest: Vec<u8>, address: Option<IpAddr>) -> Result<Caller, Problem> {
    let now = api.now();
    let Some(owner) = api.reading(api.store().session_owner(&digest, now)).await? else {
        return Err(refused(api, "This session has ended: sign in again.", "会话已结束，请重新登录。"));
    };
    if owner.is_to_be_seen(now) {
        let store = api.store().clone();
        drop(tokio::spawn(async move { store.session_seen(digest, now).await }));
    }
    let role = Role::from_word(&owner.role).unwrap_or(Role::Viewer);
    Ok(Caller::person(owner.user, role, Some(owner.id), address))
}

/// The user that a trusted proxy names; nothing where none does.
fn by_proxy(
    proxy: &TrustedProxy,
    headers: &HeaderMap,
    peer: Option<Peer>,
    address: Option<IpAddr>,
) -> Option<Result<Caller, Problem>> {
    let is_trusted = peer.and_then(|peer| peer.0).is_some_and(|peer| is_in(&proxy.from, peer));
    let mut names = headers.get_all(&proxy.user).iter();
    let name = names.next().filter(|_| is_trusted)?;
    let name = std::str::from_utf8(name.as_bytes()).unwrap_or_default().trim();
    if names.next().is_some() || check_name(name).is_err() {
        let text = Text::new(
            format!("The proxy names no user in {}, or one with characters that names do not have.", proxy.user),
            format!("代理在 {} 中没有给出用户，或用户名含有不允许的字符。", proxy.user),
        );
        return Some(Err(Problem::new(Word::Unauthenticated, text)));
    }
    let groups = headers.get_all(&proxy.groups).iter().map(|groups| groups.to_str().unwrap_or_default());
    let groups: Vec<&str> = groups.flat_map(|groups| groups.split(',')).map(str::trim).collect();
    let is_one_of = |all: &[String]| all.iter().any(|group| groups.contains(&group.as_str()));
    let role = if is_one_of(&proxy.admins) {
        Role::Admin
    } else if is_one_of(&proxy.operators) {
        Role::Operator
    } else {
        Role::Viewer
    };
    Some(Ok(Caller::person(name.to_owned(), role, None, address)))
}

/// A browser that brings a session of somebody else than its proxy names: that session ends.
async fn end_that_of_another(api: &Api, digest: &[u8], caller: &Caller) {
    let now = api.now();
    let Ok(Some(owner)) = api.reading(api.store().session_owner(digest, now)).await else { return };
    if owner.user != caller.name {
        let action = Action::of(ActionKind::SignOut, owner.id.clone(), &caller.by(), now);
        let _ = api.store().end_session(owner.id, owner.user, action).await;
    }
}

fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.has(address))
}

/// From where a request comes: the peer; behind a trusted proxy, the last address of `X-Forwarded-For` that is not one of
/// its own.
fn origin(headers: &HeaderMap, peer: Option<Peer>, proxy: Option<&TrustedProxy>) -> Option<IpAddr> {
    let peer = peer.and_then(|peer| peer.0).map(|address| address.to_canonical());
    let (Some(address), Some(proxy)) = (peer, proxy) else { return peer };
    if !is_in(&proxy.from, address) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or_default());
    let forwarded: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    for hop in forwarded.iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) if is_in(&proxy.from, hop) => {}
            Ok(hop) => return Some(hop.to_canonical()),
            Err(_) => break,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> TrustedProxy {
        TrustedProxy {
            from: vec!["10.0.0.1/32".parse().unwrap()],
            user: "x-forwarded-user".to_owned(),
            groups: "x-forwarded-groups".to_owned(),
            operators: vec!["ops".to_owned()],
            admins: vec!["root".to_owned()],
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn peer(address: &str) -> Peer {
        Peer(Some(address.parse().unwrap()))
    }

    #[test]
    fn a_proxy_is_believed_where_it_calls_from_and_nowhere_else() {
        let said = |pairs: &[(&'static str, &str)], from: &str| {
            by_proxy(&proxy(), &headers(pairs), Some(peer(from)), None)
                .map(|said| said.map(|caller| (caller.name, caller.role)))
        };
        let user = ("x-forwarded-user", "张伟");
        let role = |groups| said(&[user, ("x-forwarded-groups", groups)], "10.0.0.1").unwrap().unwrap().1;
        assert_eq!(
            (role("a, ops"), role("root,ops"), role("opsx,xops"), role("")),
            (Role::Operator, Role::Admin, Role::Viewer, Role::Viewer)
        );
        assert!(said(&[user], "10.0.0.2").is_none());
        assert!(said(&[], "10.0.0.1").is_none());
        assert!(by_proxy(&proxy(), &headers(&[user]), Some(Peer(None)), None).is_none());
        for wrong in [&[("x-forwarded-user", "")][..], &[("x-forwarded-user", "a b")], &[user, user]] {
            assert!(said(wrong, "10.0.0.1").unwrap().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_origin_is_what_a_trusted_proxy_says_last() {
        let of = |forwarded: &str, from: &str| {
            let headers = headers(&[("x-forwarded-for", forwarded)]);
            origin(&headers, Some(peer(from)), Some(&proxy())).unwrap().to_string()
        };
        assert_eq!(of("1.1.1.1, 2.2.2.2", "10.0.0.1"), "2.2.2.2");
        assert_eq!(of("1.1.1.1, 2.2.2.2, 10.0.0.1", "10.0.0.1"), "2.2.2.2");
        assert_eq!(of("1.1.1.1, nonsense", "10.0.0.1"), "10.0.0.1");
        assert_eq!(of("1.1.1.1", "10.0.0.2"), "10.0.0.2");
        assert_eq!(
            origin(&headers(&[("x-forwarded-for", "1.1.1.1")]), Some(peer("10.0.0.1")), None),
            Some([10, 0, 0, 1].into())
        );
    }

    #[test]
    fn a_role_and_a_scope_are_both_needed() {
        let mut caller = Caller::person("lena".to_owned(), Role::Operator, None, None);
        assert!(caller.may(Access::May(Role::Operator, Scope::Alerts)).is_ok());
        assert!(caller.may(Access::May(Role::Admin, Scope::Users)).is_err());
        caller.scopes = vec![Scope::Metrics];
        assert!(caller.may(Access::May(Role::Viewer, Scope::Read)).is_err());
        assert!(caller.may(Access::Anyone).is_ok());
    }

    #[test]
    fn whatever_stands_in_authorization_is_the_only_word_taken() {
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc ")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), Some(""));
        assert_eq!(bearer(&headers(&[])), None);
    }
}
