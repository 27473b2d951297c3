//! Who may do what: every route with every kind of caller, and how people sign in.

use amplinkd::{
    domain::identity::{Role, Scope},
    http::api::table::{Access, ROUTES},
    store::write::users::UserChange,
};
use reqwest::Method;

use super::*;

/// A path of a route that names nothing there is.
fn at(path: &str) -> String {
    path.replace("{id}", "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b").replace("{appid}", ACCOUNT).replace("{name}", "ops")
}

/// What every answer has, whatever it is.
fn bound(said: &Said, place: &str) {
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(said.header(name), value, "{place}");
    }
    assert!(said.header("content-security-policy").starts_with("default-src 'none'"), "{place}");
    assert!(!said.header("permissions-policy").is_empty() && said.header("x-request-id").len() == 36, "{place}");
    assert!(!said.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_knows_its_callers() {
    let house = House::open("").await;
    let (viewer, metrics) = (house.viewer().await, house.token(Role::Viewer, &[Scope::Metrics]).await);
    let (operator, admin) = (house.operator().await, house.admin().await);
    for route in ROUTES {
        let (path, place) = (at(route.path), format!("{} {}", route.method, route.path));
        let ask = || house.ask(route.method.clone(), &path);
        let said = async |asked: RequestBuilder| {
            let said = Said::of(asked.send().await.unwrap()).await;
            bound(&said, &place);
            said
        };
        let is_probe = ["/livez", "/readyz"].contains(&route.path);
        let nobody = said(ask()).await;
        let other_host = said(ask().bearer_auth(&viewer).header("Host", "evil.example")).await;
        let digit = if viewer.ends_with('0') { '1' } else { '0' };
        let wrong = format!("{}{digit}", &viewer[..viewer.len() - 1]);
        let refused = said(ask().bearer_auth(wrong)).await;
        let by_viewer = said(ask().bearer_auth(&viewer)).await;
        let by_metrics = said(ask().bearer_auth(&metrics)).await;
        let forged = format!("amplinkd-{}=00", house.port);
        let cookie = said(ask().header("Cookie", &forged)).await;
        let cross = ask().header("Cookie", &forged).header("Sec-Fetch-Site", "cross-site");
        let cross = said(cross).await;
        assert_eq!(other_host.status.as_u16() == 421, !is_probe, "{place}: {other_host:?}");
        if route.access == Access::Open {
            assert!(nobody.status != StatusCode::UNAUTHORIZED || route.method == Method::POST, "{place}: {nobody:?}");
        } else {
            for none in [&nobody, &refused, &cookie] {
                let known = (none.problem(), none.header("www-authenticate"));
                assert_eq!(known, ((401, "unauthenticated".to_owned()), "Bearer"), "{place}");
            }
            let least = if let Access::May(role, _) = route.access { role } else { Role::Viewer };
            let by_operator = said(ask().bearer_auth(&operator)).await;
            let by_admin = said(ask().bearer_auth(&admin)).await;
            for (role, said) in [(Role::Viewer, &by_viewer), (Role::Operator, &by_operator), (Role::Admin, &by_admin)] {
                if role < least {
                    assert_eq!(said.problem(), (403, "forbidden".to_owned()), "{place}: {role}");
                } else {
                    assert!(![401, 403].contains(&said.status.as_u16()), "{place}: {role}: {said:?}");
                }
            }
        }
        match route.access {
            Access::Open | Access::Anyone => {}
            Access::May(_, Scope::Metrics) => assert_eq!(by_metrics.status, StatusCode::OK, "{place}: {by_metrics:?}"),
            Access::May(role, scope) => {
                assert_eq!(by_metrics.problem(), (403, "forbidden".to_owned()), "{place}");
                let detail = by_metrics.json()["detail"].as_str().unwrap().to_owned();
                let lacks = if role > Role::Viewer { role.as_str() } else { scope.as_str() };
                assert!(detail.contains(lacks), "{place}: {detail}");
            }
        }
        if route.method != Method::GET {
            assert_eq!(cross.problem(), (403, "cross_origin".to_owned()), "{place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_as_a_problem_in_the_callers_language() {
    let house = House::open("").await;
    let viewer = house.viewer().await;
    assert_eq!(house.get("/api/v1/tpyo", &viewer).await.problem(), (404, "not_found".to_owned()));
    let nobody = Said::of(house.ask(Method::GET, "/api/v1/tpyo").send().await.unwrap()).await;
    assert_eq!(nobody.problem(), (401, "unauthenticated".to_owned()), "also of what is not there");
    let outside = Said::of(house.ask(Method::GET, "/tpyo").send().await.unwrap()).await;
    assert_eq!(outside.problem(), (404, "not_found".to_owned()));
    let put = house.ask(Method::PUT, "/api/v1/requests").bearer_auth(&viewer);
    let put = Said::of(put.send().await.unwrap()).await;
    assert_eq!((put.problem(), put.header("allow")), ((405, "method".to_owned()), "GET, HEAD, POST"));
    let chinese = house.ask(Method::GET, "/api/v1/requests?stat=linked").bearer_auth(&viewer);
    let chinese = chinese.header("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8");
    let chinese = Said::of(chinese.send().await.unwrap()).await;
    assert_eq!((chinese.problem(), chinese.header("content-language")), ((422, "invalid".to_owned()), "zh"));
    assert_eq!(chinese.header("content-type"), "application/problem+json");
    let body = chinese.json();
    assert_eq!((&body["title"], &body["type"]), (&"请求不合法".into(), &"/problems/invalid".into()));
    assert_eq!(body["instance"], chinese.header("x-request-id"));
    assert_eq!(body["errors"][0]["pointer"], "?stat");
    assert!(body["errors"][0]["detail"].as_str().unwrap().contains("没有这个参数"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_out_and_a_new_password_ends_their_sessions() {
    let house = House::open("").await;
    house.user("lena", Role::Viewer, "correct horse").await;
    let wrong = house.sign_in("lena", "wrong").await;
    let nobody = house.sign_in("nobody", "wrong").await;
    assert_eq!(wrong.problem(), (401, "unauthenticated".to_owned()));
    assert_eq!(wrong.json()["detail"], nobody.json()["detail"], "a name is no secret that is given away");
    let signed_in = async || {
        let said = house.sign_in("lena", "correct horse").await;
        assert_eq!(said.status, StatusCode::NO_CONTENT, "{said:?}");
        let cookie = said.header("set-cookie");
        assert!(
            cookie.starts_with(&format!("amplinkd-{}=", house.port)) && cookie.contains("; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        cookie.split(';').next().unwrap().to_owned()
    };
    let with = async |method: Method, path: &str, cookie: &str| {
        Said::of(house.ask(method, path).header("Cookie", cookie).send().await.unwrap()).await
    };
    let (first, second) = (signed_in().await, signed_in().await);
    let sessions = with(Method::GET, "/api/v1/sessions", &first).await.json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "{sessions}");
    assert!(!sessions.to_string().contains(first.split_once('=').unwrap().1), "no secret is shown");
    // Out: the cookie is taken away, and is of no use to whoever kept it.
    let out = with(Method::DELETE, "/api/v1/session", &first).await;
    assert!(out.status == StatusCode::NO_CONTENT && out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert_eq!(with(Method::GET, "/api/v1/meta", &first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(with(Method::GET, "/api/v1/meta", &second).await.status, StatusCode::OK);
    let store = house.store().await;
    let change = UserChange::Password("$argon2id$other".to_owned());
    assert!(store.change_user("lena".to_owned(), change, by(ActionKind::ChangePassword, "lena"), now()).await.unwrap());
    store.close().await;
    assert_eq!(with(Method::GET, "/api/v1/meta", &second).await.status, StatusCode::UNAUTHORIZED);
    // Many at once, for what is allowed comes back one by one.
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let asked = house.ask(Method::POST, "/api/v1/session").header("Content-Type", "application/json");
        let asked = asked.body("{\"name\":\"mo\",\"password\":\"x\"}").send();
        tries.spawn(async { Said::of(asked.await.unwrap()).await });
    }
    let tries = tries.join_all().await;
    let too_many: Vec<&Said> = tries.iter().filter(|said| said.problem() == (429, "too_many".to_owned())).collect();
    assert!(too_many.len() >= 4, "{tries:?}");
    assert!((1..=13).contains(&too_many[0].header("retry-after").parse::<u64>().unwrap()), "{too_many:?}");
    let said = house.log.lines().join("\n");
    assert!(!said.contains("correct horse") && !said.contains(second.split_once('=').unwrap().1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_names_its_users_and_their_groups() {
    let proxy = "proxy = { from = [\"127.0.0.1/32\"], operators = [\"ops\"] }";
    let house = House::open(proxy).await;
    let said = async |user: &str| {
        let asked = house.ask(Method::GET, "/api/v1/meta").header("X-Forwarded-User", user);
        Said::of(asked.header("X-Forwarded-Groups", "ops").send().await.unwrap()).await.status.as_u16()
    };
    assert_eq!((said("lena").await, said("").await, said("a b").await), (200, 401, 401));
    let house = House::open("proxy = { from = [\"10.0.0.1/32\"] }").await;
    let asked = house.ask(Method::GET, "/api/v1/meta").header("X-Forwarded-User", "lena");
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 401, "nobody else may name users");
}
