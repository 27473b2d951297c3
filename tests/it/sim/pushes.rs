//! What the platform is pushed: how it is written, in which order, how often, and what becomes of the answers.

use std::time::Duration;

use amplinkd::sim::{PushAsk, PushFormat, PushOrder, Span, Spoil};
use serde_json::{Value, json};

use super::platform::{ACCOUNT, Platform, START};

fn ask() -> PushAsk {
    PushAsk { info_type: Some("notify".to_owned()), account: Some(ACCOUNT.to_owned()), ..PushAsk::default() }
}

impl Platform {
    fn push(&self, ask: &PushAsk) -> u64 {
        self.sim.world().push(ask, self.now()).unwrap()
    }

    /// The answers that a push got.
    fn answers(&self, id: u64) -> Vec<(Option<u16>, String)> {
        let world = self.sim.world();
        let push = world.component().unwrap().pushes().find(|push| push.id == id).unwrap();
        push.answers.iter().map(|answer| (answer.status, answer.body.clone())).collect()
    }

    /// Brings the callback to a state in which nothing is under way.
    async fn quiet(&self) {
        self.pushed().await;
    }
}

#[tokio::test]
async fn a_push_is_encrypted_and_signed() {
    let platform = Platform::begin().await;
    platform.sim.deliver_pushes().await;
    let push = platform.callback.take_one();
    let message = push.message(&platform.keys(), &platform.appid).unwrap();
    let begin = format!(
        "<xml>\n<AppId><![CDATA[{}]]></AppId>\n<CreateTime>{}</CreateTime>\n\
         <InfoType><![CDATA[component_verify_ticket]]></InfoType>\n<ComponentVerifyTicket><![CDATA[ticket@@@",
        platform.appid,
        START / 1_000
    );
    assert!(message.starts_with(&begin) && message.ends_with("</ComponentVerifyTicket>\n</xml>"), "{message}");
    assert_eq!(push.content_type, "text/xml");
    let names: Vec<&str> = push.query.keys().map(String::as_str).collect();
    assert_eq!(names, ["encrypt_type", "msg_signature", "nonce", "signature", "timestamp"]);
    assert_eq!((push.query["encrypt_type"].as_str(), &push.query["timestamp"]), ("aes", &(START / 1_000).to_string()));
    assert_ne!(push.query["signature"], push.query["msg_signature"]);
    assert!(!push.body.contains("ticket@@@"));
}

#[tokio::test]
async fn a_push_has_five_formats() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    let create_time = format!("<CreateTime>{}</CreateTime>", START / 1_000);
    let in_cdata = format!("<CreateTime><![CDATA[{}]]></CreateTime>", START / 1_000);
    for (format, holds, ends) in [
        (PushFormat::Xml, "<InfoType>notify</InfoType>", "</xml>"),
        (PushFormat::Cdata, create_time.as_str(), "</xml>"),
        (PushFormat::CdataNumbers, in_cdata.as_str(), "</xml>"),
        (PushFormat::Malformed, create_time.as_str(), "\n<xml>"),
    ] {
        platform.sim.world().switches.push_format = format;
        platform.push(&ask());
        platform.sim.deliver_pushes().await;
        let message = platform.callback.take_one().message(&platform.keys(), &platform.appid).unwrap();
        assert!(message.contains(holds) && message.ends_with(ends), "{format:?}: {message}");
    }
    platform.sim.world().switches.push_format = PushFormat::Json;
    platform.push(&ask());
    platform.sim.deliver_pushes().await;
    let push = platform.callback.take_one();
    let plain: Value = serde_json::from_str(&push.body).unwrap();
    let whole = json!({
        "AppId": platform.appid, "CreateTime": START / 1_000, "InfoType": "notify", "AuthorizerAppid": ACCOUNT,
    });
    assert_eq!((plain, push.query.len()), (whole, 0));
    assert_eq!(push.content_type, "application/json");
}

#[tokio::test]
async fn spoilt_pushes_are_not_wechats_own() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    let id = platform.push(&ask());
    platform.sim.deliver_pushes().await;
    let good = platform.callback.take_one();
    assert!(good.message(&platform.keys(), &platform.appid).is_some());
    for spoil in [
        Spoil::Signature,
        Spoil::TailAppid,
        Spoil::InnerAppid,
        Spoil::OuterAppid,
        Spoil::Key,
        Spoil::Doctype,
        Spoil::Truncated,
    ] {
        platform.push(&PushAsk { id: Some(id), spoil: Some(spoil), ..PushAsk::default() });
        platform.sim.deliver_pushes().await;
        let push = platform.callback.take_one();
        assert!(push.message(&platform.keys(), &platform.appid).is_none(), "{spoil:?}");
        assert_eq!(push.query["signature"], good.query["signature"], "{spoil:?}: this one is always right");
    }
    let (status, answer) = platform.post("/_sim/push", &json!({ "id": id, "spoil": "signature" })).await;
    assert_eq!((status, &answer["id"]), (200, &json!(id)));
    assert_eq!(platform.post("/_sim/push", &json!({ "id": 4_711 })).await.0, 409);
}

#[tokio::test]
async fn the_same_push_comes_again_byte_for_byte() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    let id = platform.push(&PushAsk { times: Some(3), ..ask() });
    let at_once = PushAsk { id: Some(id), times: Some(50), at_once: true, ..PushAsk::default() };
    assert_eq!(platform.sim.deliver_pushes().await, 3);
    platform.push(&at_once);
    assert_eq!(platform.sim.deliver_pushes().await, 50);
    let bodies: Vec<String> = platform.callback.take().into_iter().map(|push| push.body).collect();
    assert_eq!((bodies.len(), bodies.iter().all(|body| *body == bodies[0])), (53, true));

    platform.sim.world().switches.push_twice = true;
    platform.sim.world().authorize(ACCOUNT, amplinkd::sim::AuthorizerKind::Account, None, START).unwrap();
    let pushed = platform.pushed().await;
    assert_eq!((pushed.len(), &pushed[0].body), (2, &pushed[1].body));
}

#[tokio::test]
async fn pushes_are_held_lost_and_reordered() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    let hold = async |hold: bool, drop: bool| {
        let body = json!({ "hold": hold, "drop": drop });
        platform.post("/_sim/hold_pushes", &body).await.1["dropped"].clone()
    };
    hold(true, false).await;
    platform.pass(Span::hours(1));
    assert!(platform.pushed().await.is_empty());
    platform.sim.world().switches.push_order = PushOrder::Reversed;
    hold(false, false).await;
    let times = |pushed: &[super::callback::Received]| -> Vec<i64> {
        pushed.iter().map(|push| platform.field(push, "CreateTime").parse().unwrap()).collect()
    };
    let reversed = times(&platform.pushed().await);
    assert_eq!(reversed.len(), 6);
    assert!(reversed.is_sorted_by(|one, next| one > next), "{reversed:?}");

    platform.sim.world().switches.push_order = PushOrder::Shuffled;
    platform.pass(Span::hours(2));
    let shuffled = times(&platform.pushed().await);
    assert!(shuffled.len() == 12 && !shuffled.is_sorted(), "{shuffled:?}");

    hold(true, false).await;
    platform.pass(Span::hours(1));
    assert_eq!(hold(false, true).await, 6);
    assert!(platform.pushed().await.is_empty(), "a gap of an hour");

    platform.sim.world().switches.push_delay = Span::minutes(3);
    platform.pass(Span::minutes(10));
    assert!(platform.pushed().await.is_empty());
    platform.pass(Span::minutes(3));
    assert_eq!(platform.pushed().await.len(), 1);
}

#[tokio::test]
async fn a_push_without_success_is_repeated_only_if_a_switch_says_so() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    platform.callback.answers(500, "no database");
    let lost = platform.push(&ask());
    platform.quiet().await;
    platform.pass(Span::minutes(1));
    assert!(platform.pushed().await.is_empty());
    assert_eq!(platform.answers(lost), [(Some(500), "no database".to_owned())]);

    platform.sim.world().switches.push_repeats = 2;
    let repeated = platform.push(&ask());
    for _ in 0..4 {
        platform.quiet().await;
        platform.pass(Span::seconds(10));
    }
    assert_eq!(platform.answers(repeated).len(), 3);
    platform.callback.answers(200, "success");
    let taken = platform.push(&ask());
    platform.quiet().await;
    platform.pass(Span::seconds(10));
    platform.quiet().await;
    assert_eq!(platform.answers(taken), [(Some(200), "success".to_owned())]);

    let nowhere = platform.push(&PushAsk { to: Some("http://127.0.0.1:1/".to_owned()), ..ask() });
    platform.quiet().await;
    let (status, why) = platform.answers(nowhere).remove(0);
    assert!(status.is_none() && why.contains("refused") && !why.contains("http:"), "{why}");
}

#[tokio::test]
async fn a_push_keeps_the_keys_it_was_made_with() {
    let platform = Platform::begin().await;
    platform.quiet().await;
    let old = platform.keys();
    let id = platform.push(&ask());
    let (_, new) = platform.post("/_sim/rotate_key", &json!({})).await;
    assert_eq!(new, json!(platform.keys()));
    assert_ne!(old, platform.keys());
    platform.sim.deliver_pushes().await;
    assert!(platform.callback.take_one().message(&old, &platform.appid).is_some());
    platform.push(&PushAsk { id: Some(id), keys: Some(1), ..PushAsk::default() });
    platform.sim.deliver_pushes().await;
    assert!(platform.callback.take_one().message(&platform.keys(), &platform.appid).is_some());
    let wrong = json!({ "keys": { "token": "t", "encoding_aes_key": "short" } });
    let (status, refused) = platform.post("/_sim/component", &wrong).await;
    assert!(status == 400 && !refused.to_string().contains("short\""), "{refused}");
    assert_eq!(platform.post("/_sim/component", &json!({ "push_to": "nowhere" })).await.0, 400);
}

#[tokio::test]
async fn pushes_go_out_by_themselves_unless_the_platform_wants_them_by_hand() {
    let platform = Platform::begin().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(platform.callback.take().is_empty());
    assert_eq!(platform.post("/_sim/component", &json!({ "by_hand": false })).await.0, 200);
    let mut pushed = Vec::new();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        pushed.extend(platform.callback.take());
        if !pushed.is_empty() {
            break;
        }
    }
    assert_eq!(pushed.len(), 1);
}

#[tokio::test]
async fn the_same_seed_pushes_the_same() {
    let told = async || {
        let platform = Platform::begin().await;
        platform.sim.world().switches.push_order = PushOrder::Shuffled;
        platform.sim.world().authorize(ACCOUNT, amplinkd::sim::AuthorizerKind::Account, None, START).unwrap();
        platform.pass(Span::hours(1));
        let pushed = platform.pushed().await;
        pushed.into_iter().map(|push| (push.query, push.body)).collect::<Vec<_>>()
    };
    let first = told().await;
    assert_eq!(first.len(), 8);
    assert_eq!(first, told().await);
}
