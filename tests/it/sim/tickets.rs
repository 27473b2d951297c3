//! Tickets, component tokens and their quota.

use amplinkd::sim::{ComponentApi, FaultKind, SecretKind, Span};
use serde_json::json;

use super::platform::{ACCOUNT, Platform, text};

#[tokio::test]
async fn a_ticket_buys_a_component_token() {
    let platform = Platform::begin().await;
    let ticket = platform.ticket().await;
    assert!(ticket.starts_with("ticket@@@"), "{ticket}");
    let answer = platform.component_token(&ticket).await;
    assert_eq!(answer["expires_in"], 7_200);
    assert!(answer.get("errcode").is_none(), "a success of these calls carries no code");
    let token = text(&answer["component_access_token"]);
    let list = platform.call("api_get_authorizer_list", &token, json!({ "offset": 0, "count": 500 })).await;
    assert_eq!(list, json!({ "total_count": 0, "list": [] }));
}

#[tokio::test]
async fn a_ticket_is_made_every_ten_minutes_and_lives_for_twelve_hours() {
    let platform = Platform::begin().await;
    let first = platform.ticket().await;
    platform.pass(Span::minutes(9));
    assert!(platform.pushed().await.is_empty());
    platform.pass(Span::minutes(1));
    let second = platform.ticket().await;
    assert_ne!(first, second);
    platform.pass(Span::minutes(11 * 60 + 49));
    assert!(platform.component_token(&first).await["errcode"].is_null(), "an older ticket works as long as it lives");
    platform.pass(Span::minutes(1));
    assert_eq!(platform.component_token(&first).await["errcode"], 61005);
    assert!(platform.component_token(&second).await["errcode"].is_null());
    let later = platform.pushed().await;
    assert_eq!(later.len(), 71, "every ticket of twelve hours less ten minutes");

    let mut half = first.clone();
    half.truncate(first.len() / 2);
    assert_eq!(platform.component_token(&half).await["errcode"], 61006);
    assert_eq!(platform.component_token("").await["errcode"], 61006);
}

#[tokio::test]
async fn the_wrong_appid_and_the_wrong_secret_have_their_codes() {
    let platform = Platform::begin().await;
    let ticket = platform.ticket().await;
    platform.sim.world().account(ACCOUNT);
    let call = async |appid: &str, secret: &str| {
        let body = json!({
            "component_appid": appid, "component_appsecret": secret, "component_verify_ticket": ticket,
        });
        platform.post("/cgi-bin/component/api_component_token", &body).await.1["errcode"].clone()
    };
    assert_eq!(call("wx1", &platform.secret()).await, 40013);
    assert_eq!(call(ACCOUNT, &platform.secret()).await, 61011);
    assert_eq!(call(&platform.appid, "wrong").await, 40125);
    assert!(call(&platform.appid, &platform.secret()).await.is_null());
    let (status, _) = platform.post("/cgi-bin/component/api_component_token", &json!([])).await;
    assert_eq!(status, 200, "a body that cannot be read is a code as well");
}

#[tokio::test]
async fn an_older_component_token_works_five_minutes_beside_the_new_one() {
    let platform = Platform::begin().await;
    let (old, new) = (platform.token().await, platform.token().await);
    let code = async |token: &str| {
        let page = json!({ "offset": 0, "count": 1 });
        platform.call("api_get_authorizer_list", token, page).await["errcode"].clone()
    };
    platform.pass(Span::millis(299_999));
    assert!(code(&old).await.is_null() && code(&new).await.is_null());
    platform.pass(Span::millis(1));
    assert_eq!(code(&old).await, 40001);
    assert_eq!(code("made up").await, 40014);
    assert_eq!(code("").await, 41001);
    platform.pass(Span::minutes(115));
    assert_eq!(code(&new).await, 42001);
    platform.sim.world().switches.component_token_expired = 42006;
    assert_eq!(code(&new).await, 42006);

    let third = platform.token().await;
    assert_eq!(platform.post("/_sim/component/expire", &json!({})).await.0, 200);
    assert_eq!(code(&third).await, 42006, "killed from outside");
}

#[tokio::test]
async fn a_days_calls_are_limited_per_api() {
    let platform = Platform::begin().await;
    assert_eq!(platform.sim.world().quotas.component_calls_per_day, Some(10_000));
    platform.sim.world().quotas.component_calls_per_day = Some(3);
    let ticket = platform.ticket().await;
    let mut token = String::new();
    for _ in 0..3 {
        token = text(&platform.component_token(&ticket).await["component_access_token"]);
    }
    assert_eq!(platform.component_token(&ticket).await["errcode"], 45009);
    let page = json!({ "offset": 0, "count": 1 });
    assert!(platform.call("api_get_authorizer_list", &token, page).await["errcode"].is_null(), "another API");
    platform.pass(Span::hours(15));
    assert!(platform.component_token(&ticket).await["errcode"] == 45009, "it is 23:00 in Beijing");
    platform.pass(Span::hours(1));
    let ticket = platform.ticket().await;
    assert!(platform.component_token(&ticket).await["errcode"].is_null());
}

#[tokio::test]
async fn tickets_may_wait_until_they_are_asked_for() {
    let platform = Platform::begin().await;
    let other =
        json!({ "appid": "wx00000000000000dd", "tickets": false, "by_hand": true, "push_to": platform.callback.url });
    assert_eq!(platform.post("/_sim/component", &other).await.0, 200);
    platform.pass(Span::hours(1));
    assert!(platform.pushed().await.is_empty());
    let start = async |secret: &str| {
        let body = json!({ "component_appid": "wx00000000000000dd", "component_secret": secret });
        platform.post("/cgi-bin/component/api_start_push_ticket", &body).await.1
    };
    assert_eq!(start("wrong").await["errcode"], 40125);
    assert_eq!(start(&platform.secret()).await, json!({ "errcode": 0, "errmsg": "ok" }));
    assert_eq!(platform.pushed().await.len(), 1);
}

#[tokio::test]
async fn faults_meet_the_platforms_calls() {
    let platform = Platform::begin().await;
    let ticket = platform.ticket().await;
    for (kind, code) in [
        (FaultKind::BusyBefore, -1),
        (FaultKind::BusyAfter, -1),
        (FaultKind::TooFast, 45011),
        (FaultKind::IpRefused, 61004),
    ] {
        platform.sim.world().faults.next_component(Some(ComponentApi::ComponentToken), kind);
        assert_eq!(platform.component_token(&ticket).await["errcode"], code, "{kind:?}");
        platform.sim.world().faults.allow_ip();
    }
    let token = text(&platform.component_token(&ticket).await["component_access_token"]);
    let next = json!({ "kind": "token_expired", "api": "api_get_authorizer_list" });
    assert_eq!(platform.post("/_sim/faults/next", &next).await.0, 200);
    let page = json!({ "offset": 0, "count": 1 });
    for _ in 0..2 {
        assert_eq!(platform.call("api_get_authorizer_list", &token, page.clone()).await["errcode"], 42001);
    }

    let world = platform.sim.world();
    let component = world.component().unwrap();
    let calls: Vec<_> = component.calls().map(|call| (call.errcode, call.fault.is_some())).collect();
    assert_eq!(calls, [(-1, true), (0, true), (45011, true), (61004, true), (0, false), (42001, true), (42001, false)]);
    assert_eq!(component.called(ComponentApi::ComponentToken), 5);
    assert_eq!(world.stats().component[&ComponentApi::AuthorizerList], 2);
}

#[tokio::test]
async fn every_secret_is_registered() {
    let platform = Platform::begin().await;
    let token = platform.token().await;
    let (access, refresh) = platform.authorized(&token).await;
    platform.post("/_sim/rotate_key", &json!({})).await;
    let keys = platform.keys();
    let secrets = platform.sim.world().secrets();
    let holds = |kind, text: &str| secrets.iter().any(|secret| secret.kind == kind && text.starts_with(&secret.text));
    assert!(holds(SecretKind::ComponentSecret, &platform.secret()));
    assert!(holds(SecretKind::EncodingAesKey, &keys.encoding_aes_key));
    assert!(holds(SecretKind::PushToken, &keys.token));
    assert!(holds(SecretKind::ComponentToken, &token));
    assert!(holds(SecretKind::AccessToken, &access));
    assert!(holds(SecretKind::RefreshToken, &refresh));
    for kind in [SecretKind::Ticket, SecretKind::AuthorizationCode, SecretKind::PreAuthCode] {
        assert!(secrets.iter().any(|secret| secret.kind == kind && secret.text.len() > 60), "{kind:?}");
    }
    assert!(secrets.iter().all(|secret| secret.text.len() >= 20), "a short text would be found by chance");
    assert!(!platform.secret().contains(&platform.appid[2..]), "an appid stands in every log");
}
