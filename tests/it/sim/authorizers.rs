//! Who authorizes the platform, takes that back, or changes a password; and what the tokens of that may do.

use amplinkd::sim::{AuthorizerInfoShape, AuthorizerKind, AuthorizerOrder, Recovery, RefreshRotation, Span};
use serde_json::{Value, json};

use super::platform::{ACCOUNT, PROGRAM, Platform, text, tokens};

async fn code_of(platform: &Platform, access_token: &str) -> Value {
    platform.list(access_token).await["errcode"].clone()
}

#[tokio::test]
async fn a_code_is_traded_once_within_an_hour() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (status, answer) = platform.post("/_sim/authorize", &json!({ "account": ACCOUNT })).await;
    assert_eq!(status, 200);
    let code = text(&answer["authorization_code"]);
    let pushed = platform.pushed().await;
    assert_eq!(platform.field(&pushed[0], "InfoType"), "authorized");
    assert_eq!(platform.field(&pushed[0], "AuthorizationCode"), code);

    let traded = platform.trade(&token, &code).await;
    let info = &traded["authorization_info"];
    assert_eq!((&info["authorizer_appid"], &info["expires_in"]), (&json!(ACCOUNT), &json!(7_200)));
    let ids: Vec<_> = info["func_info"].as_array().unwrap().iter().map(|f| &f["funcscope_category"]["id"]).collect();
    assert!(ids.contains(&&json!(33)), "{ids:?}");
    let (access, refresh) = tokens(&traded);
    assert!(refresh.starts_with("refreshtoken@@@"), "{refresh}");
    assert_eq!(code_of(&platform, &access).await, 0);
    assert_eq!(platform.trade(&token, &code).await["errcode"], 61009);
    assert_eq!(platform.trade(&token, "made up").await["errcode"], 61009);

    let again = text(&platform.post("/_sim/reauthorize", &json!({ "account": ACCOUNT })).await.1["authorization_code"]);
    platform.pass(Span::hours(1));
    assert_eq!(platform.trade(&token, &again).await["errcode"], 61010);
}

#[tokio::test]
async fn a_refresh_leaves_the_old_token_five_minutes() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (old, refresh) = platform.authorized(&token).await;
    let (new, same) = tokens(&platform.refresh(&token, &refresh).await);
    assert_eq!(refresh, same);
    assert_ne!(old, new);
    platform.pass(Span::millis(299_999));
    assert_eq!((code_of(&platform, &old).await, code_of(&platform, &new).await), (json!(0), json!(0)));
    platform.pass(Span::millis(1));
    assert_eq!((code_of(&platform, &old).await, code_of(&platform, &new).await), (json!(40001), json!(0)));
    platform.pass(Span::minutes(115));
    assert_eq!(code_of(&platform, &new).await, 42001);
    assert_eq!(code_of(&platform, "made up").await, 40001);
}

#[tokio::test]
async fn a_new_authorization_kills_the_tokens_before_it_at_once() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (access, refresh) = platform.authorized(&token).await;
    let ask = json!({ "account": ACCOUNT, "func_ids": [1, 2] });
    let (_, answer) = platform.post("/_sim/reauthorize", &ask).await;
    assert_eq!(code_of(&platform, &access).await, 40001);
    assert_eq!(platform.refresh(&token, &refresh).await["errcode"], 61023);
    let pushed = platform.pushed().await;
    assert_eq!(platform.field(pushed.last().unwrap(), "InfoType"), "updateauthorized");

    let traded = platform.trade(&token, &text(&answer["authorization_code"])).await;
    let (access, _) = tokens(&traded);
    assert_eq!(code_of(&platform, &access).await, 61007, "without permission set 33");
    assert_eq!(platform.post("/_sim/authorize", &ask).await.0, 409, "it has authorized already");
}

#[tokio::test]
async fn who_takes_the_authorization_back_answers_61003() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (access, refresh) = platform.authorized(&token).await;
    platform.pushed().await;
    let account = json!({ "account": ACCOUNT });
    assert_eq!(platform.post("/_sim/revoke", &account).await.0, 200);
    assert_eq!(code_of(&platform, &access).await, 61003);
    assert_eq!(platform.refresh(&token, &refresh).await["errcode"], 61003);
    let info = json!({ "authorizer_appid": ACCOUNT });
    assert_eq!(platform.call("api_get_authorizer_info", &token, info).await["errcode"], 61003);
    let served = platform.post(&format!("/token?appid={ACCOUNT}"), &json!({})).await;
    assert_eq!((served.0, &served.1["errcode"]), (409, &json!(61003)));
    let pushed = platform.pushed().await;
    assert_eq!(platform.field(&pushed[0], "InfoType"), "unauthorized");
    assert_eq!(platform.field(&pushed[0], "AuthorizerAppid"), ACCOUNT);
    let page = json!({ "offset": 0, "count": 500 });
    assert_eq!(platform.call("api_get_authorizer_list", &token, page).await["total_count"], 0);

    for path in ["revoke", "reauthorize", "password", "forget_refresh"] {
        assert_eq!(platform.post(&format!("/_sim/{path}"), &account).await.0, 409, "{path}");
    }
    let (access, _) = platform.authorized(&token).await;
    assert_eq!(code_of(&platform, &access).await, 0);
}

#[tokio::test]
async fn a_changed_password_kills_every_token() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    for code in [42007, 61023] {
        platform.sim.world().switches.password_changed = code;
        let (_, answer) = match platform.post("/_sim/authorize", &json!({ "account": ACCOUNT })).await {
            (409, _) => platform.post("/_sim/reauthorize", &json!({ "account": ACCOUNT })).await,
            granted => granted,
        };
        let (access, refresh) = tokens(&platform.trade(&token, &text(&answer["authorization_code"])).await);
        assert_eq!(code_of(&platform, &access).await, 0);
        assert_eq!(platform.post("/_sim/password", &json!({ "account": ACCOUNT })).await.0, 200);
        assert_eq!(code_of(&platform, &access).await, code);
        assert_eq!(platform.refresh(&token, &refresh).await["errcode"], code);
    }
}

#[tokio::test]
async fn a_lost_refresh_token_stands_in_the_list_unless_it_is_hidden() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (access, refresh) = platform.authorized(&token).await;
    let listed = async || {
        let page = json!({ "offset": 0, "count": 500 });
        let list = platform.call("api_get_authorizer_list", &token, page).await;
        assert_eq!((&list["total_count"], &list["list"][0]["authorizer_appid"]), (&json!(1), &json!(ACCOUNT)));
        text(&list["list"][0]["refresh_token"])
    };
    assert_eq!(listed().await, refresh);
    platform.post("/_sim/forget_refresh", &json!({ "account": ACCOUNT })).await;
    assert_eq!(platform.refresh(&token, &refresh).await["errcode"], 61023);
    assert_eq!(code_of(&platform, &access).await, 0, "the access token works on");
    let found = listed().await;
    assert_ne!(found, refresh);
    assert!(platform.refresh(&token, &found).await["errcode"].is_null());

    platform.sim.world().switches.list_hides_refresh = true;
    assert_eq!(listed().await, "");
    platform.sim.world().switches.list_hides_refresh = false;
    platform.sim.world().forget_refresh(ACCOUNT, Recovery::Empty, platform.now()).unwrap();
    assert_eq!(listed().await, "");
    let info = platform.call("api_get_authorizer_info", &token, json!({ "authorizer_appid": ACCOUNT })).await;
    assert!(info["authorization_info"].get("authorizer_refresh_token").is_none(), "{info}");
}

#[tokio::test]
async fn refresh_tokens_may_rotate() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (_, first) = platform.authorized(&token).await;
    platform.sim.world().switches.refresh_token_rotates = RefreshRotation::Each;
    let (_, second) = tokens(&platform.refresh(&token, &first).await);
    assert_ne!(first, second);
    assert_eq!(platform.refresh(&token, &first).await["errcode"], 61023);

    let grace = json!({ "refresh_token_rotates": "after 5m grace" });
    let (status, switches) = platform.post("/_sim/switches", &grace).await;
    assert_eq!((status, &switches["refresh_token_rotates"]), (200, &json!("after 5m grace")));
    let (_, third) = tokens(&platform.refresh(&token, &second).await);
    platform.pass(Span::millis(299_999));
    let (_, fourth) = tokens(&platform.refresh(&token, &second).await);
    platform.pass(Span::millis(1));
    assert_eq!(platform.refresh(&token, &second).await["errcode"], 61023);
    assert_ne!(third, fourth);
    assert!(platform.refresh(&token, &fourth).await["errcode"].is_null());
    assert_eq!(platform.post("/_sim/switches", &json!({ "refresh_token_rotates": "sometimes" })).await.0, 400);
}

#[tokio::test]
async fn another_refresher_may_kill_our_token() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    for (dies, code) in [(false, 0), (true, 40001)] {
        platform.sim.world().switches.token_dies_on_refresh_of_another = dies;
        let now = platform.now();
        let _ = platform.sim.world().revoke(ACCOUNT, now);
        let (ours, _) = platform.authorized(&token).await;
        let theirs = platform.post(&format!("/token?appid={ACCOUNT}&renew=1"), &json!({})).await.1;
        assert_eq!(code_of(&platform, &ours).await, code);
        assert_eq!(code_of(&platform, &text(&theirs["access_token"])).await, 0);
    }
}

#[tokio::test]
async fn the_list_comes_in_pages_of_five_hundred() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let name = |n: usize| format!("wx{n:016}");
    for n in 0..1_200 {
        let now = platform.now();
        platform.sim.world().authorize(&name(n), AuthorizerKind::Account, None, now).unwrap();
    }
    let page = async |offset: usize, count: usize| {
        let body = json!({ "offset": offset, "count": count });
        platform.call("api_get_authorizer_list", &token, body).await
    };
    let mut seen = Vec::new();
    for offset in [0, 500, 1_000] {
        let list = page(offset, 500).await;
        assert_eq!(list["total_count"], 1_200);
        seen.extend(list["list"].as_array().unwrap().iter().map(|item| text(&item["authorizer_appid"])));
    }
    assert_eq!(seen, (0..1_200).map(name).collect::<Vec<_>>());
    assert_eq!(page(1_200, 500).await["list"], json!([]));
    assert_eq!(page(0, 501).await["errcode"], 40097);
    platform.sim.world().switches.list_order = AuthorizerOrder::NewestFirst;
    assert_eq!(page(0, 1).await["list"][0]["authorizer_appid"], name(1_199));
}

#[tokio::test]
async fn an_authorizers_description_has_two_shapes() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let now = platform.now();
    platform.sim.world().authorize(PROGRAM, AuthorizerKind::Program, None, now).unwrap();
    let program = platform.sim.world().program(PROGRAM).clone();
    let ask = json!({ "authorizer_appid": PROGRAM });
    let new = platform.call("api_get_authorizer_info", &token, ask.clone()).await;
    assert_eq!(new["authorizer_info"]["user_name"], program.username);
    assert_eq!(new["authorizer_info"]["nick_name"], program.nickname);
    assert!(new["authorizer_info"]["MiniProgramInfo"].is_object());
    assert_eq!(new["authorization_info"]["authorizer_appid"], PROGRAM);
    assert!(new["authorization_info"]["func_info"][0]["funcscope_category"]["id"].is_number());

    platform.sim.world().switches.authorizer_info = AuthorizerInfoShape::Old;
    let old = platform.call("api_get_authorizer_info", &token, ask).await;
    assert_eq!(old["authorization_info"]["appid"], PROGRAM);
    assert!(old["authorization_info"].get("authorizer_appid").is_none() && old["qrcode_url"].is_string());
}

#[tokio::test]
async fn a_program_is_the_wrong_kind_of_authorizer() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let ask = json!({ "account": PROGRAM, "kind": "program" });
    let (_, answer) = platform.post("/_sim/authorize", &ask).await;
    let (access, _) = tokens(&platform.trade(&token, &text(&answer["authorization_code"])).await);
    assert_eq!(code_of(&platform, &access).await, 48001);
}

#[tokio::test]
async fn only_a_strict_world_knows_nobody_who_was_not_described() {
    let platform = Platform::begin().await;
    let ask = format!("/token?appid={ACCOUNT}");
    let (status, served) = platform.post(&ask, &json!({})).await;
    assert_eq!(status, 200);
    let access = text(&served["access_token"]);
    assert_eq!(code_of(&platform, &access).await, 0, "made up, as without a platform");
    platform.sim.world().switches.strict = true;
    assert_eq!(code_of(&platform, &access).await, 61003);
    assert_eq!(platform.post(&ask, &json!({})).await.0, 409);
}
