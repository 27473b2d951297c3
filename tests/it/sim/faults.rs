//! What a client meets on a bad day, and what of its call was carried out all the same.

use amplinkd::sim::{Api, FaultKind, Faults, Span};
use serde_json::{Value, json};

use super::{PROGRAM, Story, read};

#[tokio::test]
async fn a_lost_answer_leaves_an_effect() {
    let story = Story::begin(Faults::none()).await;
    story.next(FaultKind::LostAnswer);
    let body = json!({ "appid": PROGRAM });
    assert!(story.send("wxamplink", &body).await.is_err());

    let ledger = story.sim.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!((ledger[0].api, ledger[0].errcode), (Api::Link, 0));
    assert!(ledger[0].effect && !ledger[0].delivered);
    assert_eq!(ledger[0].fault, Some(FaultKind::LostAnswer));
    assert_eq!(story.link().await["errcode"], 89010);
    assert_eq!(story.statuses().await, [12]);
}

#[tokio::test]
async fn a_reset_before_the_effect_leaves_none() {
    let story = Story::begin(Faults::none()).await;
    story.next(FaultKind::ResetBefore);
    assert!(story.send("wxamplink", &json!({ "appid": PROGRAM })).await.is_err());
    let ledger = story.sim.ledger();
    assert!(!ledger[0].effect && !ledger[0].delivered);
    assert!(story.statuses().await.is_empty());
    assert_eq!(story.link().await["errcode"], 0);
}

#[tokio::test]
async fn faults_with_a_verdict_show_their_code() {
    for (kind, code, effect) in [
        (FaultKind::BusyBefore, -1, 0),
        (FaultKind::BusyAfter, -1, 1),
        (FaultKind::TooFast, 45011, 0),
        (FaultKind::TokenExpired, 42001, 0),
        (FaultKind::TokenInvalid, 40001, 0),
        (FaultKind::IpRefused, 61004, 0),
    ] {
        let mut story = Story::begin(Faults::none()).await;
        story.next(kind);
        assert_eq!(story.link().await["errcode"], code, "{kind:?}");
        assert_eq!(story.sim.stats().invitations, effect, "{kind:?}");
        // A new token helps against a dead one, and waiting against a refused IP.
        story.pass(Span::minutes(3)).await;
        assert_eq!(story.statuses().await.len(), usize::from(effect == 1), "{kind:?}");
    }
}

#[tokio::test]
async fn faults_of_the_body_cannot_be_read() {
    for (kind, http_status, effect) in [
        (FaultKind::BadGateway, 502, 0),
        (FaultKind::HtmlPage, 200, 1),
        (FaultKind::EmptyBody, 200, 1),
        (FaultKind::TruncatedJson, 200, 1),
    ] {
        let story = Story::begin(Faults::none()).await;
        story.next(kind);
        let response = story.send("wxamplink", &json!({ "appid": PROGRAM })).await.unwrap();
        assert_eq!(response.status().as_u16(), http_status, "{kind:?}");
        let body = response.bytes().await.unwrap();
        assert!(serde_json::from_slice::<Value>(&body).is_err(), "{kind:?}");
        assert_eq!(story.sim.stats().invitations, effect, "{kind:?}");
        assert!(!story.sim.ledger()[0].delivered, "{kind:?}");
    }
}

#[tokio::test]
async fn faults_of_the_list_are_readable() {
    let story = Story::begin(Faults::none()).await;
    story.link().await;
    story.next(FaultKind::DuplicateItems);
    assert_eq!(story.statuses().await, [3, 12]);
    story.next(FaultKind::ReorderedItems);
    assert_eq!(story.statuses().await, [12]);
    story.next(FaultKind::ItemsWithoutAppid);
    let list = story.list().await;
    assert!(list["wxopens"]["items"][0].get("appid").is_none());
    story.next(FaultKind::WrongContentType);
    let response = story.send("wxamplinkget", &json!({})).await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(read(response).await["errcode"], 0);

    story.sim.world().faults.slow_for = Span::millis(300);
    story.next(FaultKind::Slow);
    let patience = std::time::Duration::from_millis(50);
    let impatient = tokio::time::timeout(patience, story.list()).await;
    assert!(impatient.is_err(), "a slow answer takes its time");
}

#[tokio::test]
async fn the_same_seed_brings_the_same_story() {
    let told = async || {
        let mut story = Story::begin(Faults::nasty()).await;
        story.sim.world().faults.slow_for = Span::ZERO;
        for n in 0..60 {
            let body = json!({ "appid": format!("wx{n}") });
            let _ = story.send("wxamplink", &body).await;
            story.pass(Span::minutes(10)).await;
        }
        (story.sim.ledger(), story.sim.stats())
    };
    let first = told().await;
    assert!(first.1.faults.len() > 5, "{:?}", first.1.faults);
    assert_eq!(first, told().await);
}
