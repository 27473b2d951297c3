//! Users, tokens and what they did: nobody gives more than they have, and nobody sees what is not theirs.

use super::*;

impl House {
    /// The cookie of somebody who signs in.
    async fn session(&self, name: &str, password: &str) -> String {
        let said = self.sign_in(name, password).await;
        said.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    async fn by_session(&self, method: Method, path: &str, cookie: &str, body: Value) -> Said {
        let asked = self.ask(method, path).header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin");
        self.send(asked, body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_may_no_more_than_its_maker() {
    let house = House::open("").await;
    house.user("lena", Role::Operator, "correct horse").await;
    house.user("root", Role::Admin, "correct horse").await;
    let (lena, root) = (house.session("lena", "correct horse").await, house.session("root", "correct horse").await);
    let make = async |cookie: &str, body: Value| house.by_session(Method::POST, "/api/v1/tokens", cookie, body).await;
    let new = make(&lena, json!({ "name": "lena-ci", "role": "operator", "scopes": ["requests", "read"] })).await;
    let token = new.json()["token"].as_str().unwrap().to_owned();
    assert_eq!((new.status.as_u16(), &new.json()["user"]), (201, &json!("lena")), "{new:?}");
    assert_eq!(new.json()["scopes"], json!(["read", "requests"]));
    house.request(&token, PROGRAM).await;
    assert_eq!(house.bare(Method::POST, "/api/v1/channels/x/test", &token).await.problem().0, 403);
    for (wrong, status, pointer) in [
        (json!({ "name": "a", "scopes": ["requests"] }), 422, "/scopes/0"),
        (json!({ "name": "a", "scopes": ["tpyo"] }), 422, "/scopes/0"),
        (json!({ "name": "a", "scopes": [] }), 422, "/scopes"),
        (json!({ "name": "a", "role": "king" }), 422, "/role"),
        (json!({ "name": "a b" }), 422, "/name"),
        (json!({ "name": "lena-ci" }), 422, "/name"),
        (json!({ "name": "a", "expires": "soon" }), 422, "/expires"),
        (json!({ "name": "a", "role": "admin" }), 403, ""),
        (json!({ "name": "a", "user": "root" }), 403, ""),
        (json!({ "name": "a", "shared": true }), 403, ""),
    ] {
        let said = make(&lena, wrong.clone()).await;
        assert_eq!(said.problem().0, status, "{wrong}: {said:?}");
        assert!(pointer.is_empty() || said.json()["errors"][0]["pointer"] == pointer, "{wrong}: {said:?}");
    }
    // A token makes no others, unless it manages users; and then none that may more.
    assert_eq!(house.post("/api/v1/tokens", &token, json!({ "name": "b" })).await.problem().0, 403);
    let manager = house.token(Role::Admin, &[Scope::Users, Scope::Read]).await;
    assert_eq!(
        house.post("/api/v1/tokens", &manager, json!({ "name": "b" })).await.problem().0,
        403,
        "events, metrics"
    );
    let new =
        house.post("/api/v1/tokens", &manager, json!({ "name": "b", "scopes": ["read"], "expires": "never" })).await;
    assert_eq!((&new.json()["user"], &new.json()["expires_at"]), (&json!(null), &json!(null)), "{new:?}");
    // An admin makes those of others, within what these may.
    let other = make(&root, json!({ "name": "c", "role": "admin", "user": "lena" })).await;
    assert_eq!((other.problem().0, &other.json()["errors"][0]["pointer"]), (422, &json!("/role")));
    assert_eq!(make(&root, json!({ "name": "c", "user": "nobody" })).await.problem().0, 422);
    assert_eq!(make(&root, json!({ "name": "c", "user": "lena" })).await.json()["user"], "lena");
    assert_eq!(make(&root, json!({ "name": "d", "shared": true })).await.json()["user"], json!(null));
    // Whose is whose.
    let names = |said: Said| -> Vec<String> {
        assert!(!said.text.contains("amplinkd_"), "no token is shown again");
        said.json()["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(house.by_session(Method::GET, "/api/v1/tokens", &lena, json!({})).await), ["c", "lena-ci"]);
    assert_eq!(names(house.get("/api/v1/tokens", &token).await), ["lena-ci"]);
    assert!(names(house.by_session(Method::GET, "/api/v1/tokens", &root, json!({})).await).len() >= 5);
    let revoke = async |cookie: &str, name: &str| {
        let path = format!("/api/v1/tokens/{name}");
        house.by_session(Method::DELETE, &path, cookie, json!({})).await.status.as_u16()
    };
    assert_eq!((revoke(&lena, "d").await, revoke(&lena, "lena-ci").await, revoke(&root, "d").await), (404, 204, 204));
    assert_eq!(revoke(&lena, "lena-ci").await, 404, "it is revoked already");
    assert_eq!(house.get("/api/v1/meta", &token).await.status, StatusCode::UNAUTHORIZED);
    let log = house.log.lines().join("\n");
    assert!(!log.contains(&token) && !log.contains("correct horse"));
    let actions = house.json("action list --subject lena-ci");
    let kinds: Vec<&Value> = actions.as_array().unwrap().iter().map(|action| &action["action"]).collect();
    assert_eq!(kinds, ["revoke_api_token", "new_api_token"]);
    assert_eq!((&actions[0]["actor"], &actions[0]["via"]), (&json!("lena"), &json!("web")));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_managed_by_admins_of_whom_one_remains() {
    let house = House::open("").await;
    house.user("root", Role::Admin, "correct horse").await;
    let root = house.session("root", "correct horse").await;
    let (operator, users) = (house.operator().await, "/api/v1/users");
    assert_eq!(house.get(users, &operator).await.problem(), (403, "forbidden".to_owned()));
    let on = async |method: Method, path: &str, body: Value| house.by_session(method, path, &root, body).await;
    let added =
        on(Method::POST, users, json!({ "name": "lena", "role": "operator", "password": "correct horse" })).await;
    assert_eq!((added.status.as_u16(), &added.json()["role"]), (201, &json!("operator")), "{added:?}");
    for (wrong, pointer) in [
        (json!({ "name": "lena", "password": "correct horse" }), "/name"),
        (json!({ "name": "l n", "password": "correct horse" }), "/name"),
        (json!({ "name": "mo", "password": "short" }), "/password"),
        (json!({ "name": "mo", "password": "correct horse", "role": "king" }), "/role"),
        (json!({ "name": "mo" }), "/password"),
    ] {
        let said = on(Method::POST, users, wrong.clone()).await;
        assert_eq!((said.problem().0, &said.json()["errors"][0]["pointer"]), (422, &json!(pointer)), "{wrong}");
    }
    let lena = house.session("lena", "correct horse").await;
    let new = house.by_session(Method::POST, "/api/v1/tokens", &lena, json!({ "name": "ci" })).await;
    let token = new.json()["token"].as_str().unwrap().to_owned();
    let changed =
        on(Method::PATCH, "/api/v1/users/lena", json!({ "role": "viewer", "password": "another horse" })).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["role"], &changed.json()["sessions"]),
        (200, &json!("viewer"), &json!(0))
    );
    let ended = house.by_session(Method::GET, "/api/v1/sessions", &lena, json!({})).await;
    assert_eq!((ended.status.as_u16(), house.get("/api/v1/meta", &token).await.status.as_u16()), (401, 401));
    assert_eq!(house.sign_in("lena", "another horse").await.status, StatusCode::NO_CONTENT);
    let disabled = on(Method::PATCH, "/api/v1/users/lena", json!({ "disabled": true })).await;
    assert!(disabled.json()["disabled_at"].is_string(), "{disabled:?}");
    assert_eq!(house.sign_in("lena", "another horse").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(on(Method::PATCH, "/api/v1/users/lena", json!({})).await.problem().0, 422);
    assert_eq!(on(Method::PATCH, "/api/v1/users/nobody", json!({ "disabled": true })).await.problem().0, 404);
    // The last admin stays; of two who remove each other, one does.
    for (method, body) in [
        (Method::PATCH, json!({ "role": "viewer" })),
        (Method::PATCH, json!({ "disabled": true })),
        (Method::DELETE, json!({})),
    ] {
        let said = on(method, "/api/v1/users/root", body.clone()).await;
        assert_eq!(said.problem(), (403, "forbidden".to_owned()), "{body}");
        assert!(said.json()["detail"].as_str().unwrap().contains("last admin"), "{said:?}");
    }
    on(Method::POST, users, json!({ "name": "mo", "role": "admin", "password": "correct horse" })).await;
    let mo = house.session("mo", "correct horse").await;
    let (first, second) = tokio::join!(
        house.by_session(Method::DELETE, "/api/v1/users/root", &mo, json!({})),
        house.by_session(Method::DELETE, "/api/v1/users/mo", &root, json!({})),
    );
    let statuses = [first.status.as_u16(), second.status.as_u16()];
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(house.number("SELECT count(*) FROM user WHERE role = 'admin' AND disabled_at IS NULL").await, 1);
    let kinds = house.json("action list --subject lena");
    let kinds: Vec<&Value> = kinds.as_array().unwrap().iter().map(|action| &action["action"]).collect();
    assert_eq!(kinds[..3], ["change_user", "change_password", "change_user"], "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_manages_users_takes_nobody_over_who_may_more() {
    let house = House::open("").await;
    house.user("root", Role::Admin, "correct horse").await;
    house.user("ro", Role::Viewer, "correct horse").await;
    let manager = house.token(Role::Admin, &[Scope::Users, Scope::Read, Scope::Events, Scope::Metrics]).await;
    let patch = async |name: &str, body: Value| {
        let asked = house.ask(Method::PATCH, &format!("/api/v1/users/{name}")).bearer_auth(&manager);
        house.send(asked, body).await.status.as_u16()
    };
    let password = || json!({ "password": "another horse" });
    assert_eq!((patch("root", password()).await, patch("ro", password()).await), (403, 200));
    assert_eq!(patch("ro", json!({ "role": "operator" })).await, 403);
    let new = |role: &str| json!({ "name": format!("n-{role}"), "password": "correct horse", "role": role });
    assert_eq!(house.post("/api/v1/users", &manager, new("admin")).await.problem().0, 403);
    assert_eq!(house.post("/api/v1/users", &manager, new("viewer")).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_their_own_actions_and_an_admin_all() {
    let house = House::open("").await;
    let (one, other, admin) = (house.operator().await, house.operator().await, house.admin().await);
    let (mine, theirs) = (house.request(&one, PROGRAM).await, house.request(&other, "wx00000000000000cc").await);
    let subjects = async |path: &str, token: &str| -> Vec<String> {
        let said = house.get(path, token).await.json();
        let subjects = said["items"].as_array().unwrap().iter().map(|row| row["subject"].to_string());
        subjects.map(|subject| subject.trim_matches('"').to_owned()).collect()
    };
    assert_eq!(subjects("/api/v1/actions", &one).await, std::slice::from_ref(&mine));
    assert_eq!(subjects("/api/v1/actions?action=request", &admin).await, [theirs.clone(), mine.clone()]);
    assert_eq!(subjects(&format!("/api/v1/actions?subject={theirs}"), &one).await, Vec::<String>::new());
    assert_eq!(house.get("/api/v1/actions?actor=root", &one).await.problem(), (403, "forbidden".to_owned()));
    assert_eq!(house.get("/api/v1/actions?action=tpyo", &one).await.problem(), (422, "invalid".to_owned()));
    let page = house.get("/api/v1/actions?action=request&limit=1", &admin).await;
    let next = page.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(
        subjects(&format!("/api/v1/actions?action=request&limit=1&after={next}"), &admin).await,
        std::slice::from_ref(&mine)
    );
    let action = house.json(&format!("action list --subject {theirs}"))[0].clone();
    let path = format!("/api/v1/actions/{}", action["id"].as_str().unwrap());
    assert_eq!(house.get(&path, &admin).await.json(), action);
    assert_eq!(house.get(&path, &other).await.json(), action);
    assert_eq!(house.get(&path, &one).await.problem(), (404, "not_found".to_owned()));
    let audit = house.bare(Method::POST, "/api/v1/audit", &one).await;
    assert_eq!((audit.status.as_u16(), audit.json()["findings"].is_array()), (200, true), "{audit:?}");
    assert_eq!(subjects("/api/v1/actions?action=audit", &one).await, ["null"]);
}
