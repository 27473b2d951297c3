//! A channel that takes nothing: told on the others, and over when it takes messages again.

use std::sync::atomic::{AtomicBool, Ordering};

use amplinkd::{
    domain::message::Language,
    engine::deliver::Outlet,
    notify::{Channel, ChannelSettings, Kind},
};
use axum::{Router, http::StatusCode, routing::post};

use super::*;

/// A service that is away while it is told so.
async fn service(is_away: Arc<AtomicBool>) -> String {
    let answer = move || {
        let is_away = is_away.load(Ordering::Relaxed);
        async move { if is_away { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK } }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(answer))).await });
    url
}

fn webhook(name: &str, url: String) -> Outlet {
    let settings = ChannelSettings {
        name: name.to_owned(),
        kind: Kind::Webhook,
        url: Some(url.into()),
        secrets: Vec::new(),
        timeout: Duration::from_secs(5),
        from: None,
        to: Vec::new(),
    };
    let channel = Channel::new(&settings).unwrap();
    let zone = chrono_tz::Asia::Shanghai;
    Outlet { name: name.to_owned(), pace: channel.pace(), channel, language: Language::Zh, zone, link: None }
}

#[tokio::test]
async fn a_channel_that_takes_nothing_is_told_on_the_others_until_it_does() {
    let is_away = Arc::new(AtomicBool::new(true));
    let url = service(Arc::clone(&is_away)).await;
    let mut guarded = Guarded::start().await;
    guarded.post(vec![webhook("ops", url)]).await;
    guarded.daemon.link().await;
    guarded.run_for(minutes(20)).await;
    let alert = guarded.the("channel_failing").await;
    assert_eq!((alert.key.as_str(), alert.state.as_str()), ("channel_failing/ops", "firing"));
    assert!(alert.message_en.contains("503") && alert.message_zh.contains("ops"), "{alert:?}");
    is_away.store(false, Ordering::Relaxed);
    guarded.run_for(hours(1)).await;
    assert_eq!(guarded.the("channel_failing").await.state, "resolved");
    guarded.daemon.assert_sound().await;
}
