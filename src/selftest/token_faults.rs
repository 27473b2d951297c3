//! Deliberate faults of a daemon that keeps its platform's tokens: each check of a life notices its own.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    generator::account,
    platform::{self, WITH_LINKS},
    runner::Runner,
    scenario::Scenario,
};
use crate::sim::{AuthorizerKind, ComponentSetup};

/// The first seed whose platform keeps its tokens itself.
fn own_tokens() -> u64 {
    (1..1_000).find(|seed| platform::keeps_tokens(*seed)).unwrap()
}

/// A life of such a platform after a few calm hours, in which an account is followed.
async fn after_hours(folder: &Path) -> Runner {
    let span = Duration::from_hours(2);
    let life = Scenario { seed: own_tokens(), span, turn_every: Scenario::ORDINARY, at_once: 1 };
    let mut living = Runner::begin(life, folder).await;
    living.boot(None).await.unwrap();
    let now = living.wechat_now();
    // Some have done so already.
    let _ = living.sim.world().authorize(&account(0), AuthorizerKind::Account, Some(&WITH_LINKS), now);
    living.follow(&account(0)).await;
    living.live_for(span, false).await.unwrap();
    assert!(living.platform.as_ref().unwrap().witness.seen() > 5, "calls were looked at");
    living
}

/// What WeChat answers to this request of somebody's.
async fn asked(url: &str, request: String) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_reaches_wechat_before_it_is_on_disk_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let living = after_hours(folder.path()).await;
    let url = living.sim.url();
    let said = asked(&url, get(&format!("/token?appid={}&renew=1", account(0)))).await;
    let body: serde_json::Value = serde_json::from_str(said.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    let token = body["access_token"].as_str().unwrap();
    asked(&url, post(&format!("/cgi-bin/wxopen/wxamplinkget?access_token={token}"), "{}")).await;
    let broken = living.sees_no_wrong().unwrap_err();
    assert!(broken.what.contains("not on disk") && !broken.what.contains(token), "{broken:?}");
    living.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fetches_of_the_next_token_at_once_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let living = after_hours(folder.path()).await;
    let url = living.sim.url();
    let fetch = || asked(&url, post("/cgi-bin/component/api_component_token", "{}"));
    fetch().await;
    living.sees_no_wrong().unwrap();
    tokio::join!(fetch(), fetch());
    let broken = living.sees_no_wrong().unwrap_err();
    assert!(broken.what.contains("two calls at once"), "{broken:?}");
    living.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_answered_although_its_account_goes_on_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut living = after_hours(folder.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // Whoever says so to every push and does nothing.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nsuccess").await;
        }
    });
    let elsewhere = ComponentSetup { push_to: Some(url), ..ComponentSetup::default() };
    let now = living.wechat_now();
    living.sim.world().switches.push_delay = crate::sim::Span::ZERO;
    living.sim.world().set_component(&elsewhere, now).unwrap();
    living.sim.world().revoke(&account(0), now).unwrap();
    let broken = living.push().await.unwrap_err();
    assert_eq!(broken.promise, "suspended before the push is answered");
    living.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_beside_the_database_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut living = after_hours(folder.path()).await;
    living.no_secret_leaks().await.unwrap();
    let ticket = living.sim.world().component().unwrap().ticket().unwrap().0.to_owned();
    std::fs::write(living.setup.database.with_extension("note"), format!("debug: {ticket}")).unwrap();
    let broken = living.no_secret_leaks().await.unwrap_err();
    assert!(broken.promise == "no secret leaks" && !broken.what.contains(&ticket[9..]), "{broken:?}");
    living.end().await;
}
