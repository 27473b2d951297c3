//! A channel that takes nothing: told on the others, and over when it takes messages again.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use amplinkd::{
    alerting::{deliver::ChannelEndpoint, unwritable_alarm::UnwritableAlarm},
    domain::text::Language,
    notify::{Channel, ChannelSettings, Kind},
    shutdown::Shutdown,
};
use axum::{Router, http::StatusCode, routing::post};

use super::*;

/// A service that is away while it is told so, and keeps what it takes.
async fn service(is_away: Arc<AtomicBool>, taken: Arc<Mutex<Vec<String>>>) -> String {
    let answer = move |body: String| {
        let is_away = is_away.load(Ordering::Relaxed);
        if !is_away {
            taken.lock().unwrap().push(body);
        }
        async move { if is_away { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK } }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(answer))).await });
    url
}

fn webhook(name: &str, url: String) -> ChannelEndpoint {
    let settings =
        ChannelSettings { url: Some(url.into()), ..ChannelSettings::new(name, Kind::Webhook, Duration::from_secs(5)) };
    let channel = Channel::new(&settings).unwrap();
    let zone = amplinkd::domain::time::BEIJING;
    ChannelEndpoint { name: name.to_owned(), pace: channel.pace(), channel, language: Language::Zh, zone, link: None }
}

#[tokio::test]
async fn a_channel_that_takes_nothing_is_told_on_the_others_until_it_does() {
    let is_away = Arc::new(AtomicBool::new(true));
    let url = service(Arc::clone(&is_away), Arc::default()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_can_be_written_is_told_without_being_written() {
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let url = service(Arc::default(), Arc::clone(&taken)).await;
    let mut guarded = Guarded::start().await;
    let outlets = vec![Arc::new(webhook("ops", url))];
    let engine = Arc::clone(guarded.daemon.engine());
    let alarm = UnwritableAlarm::new(Arc::clone(&engine), &guarded.daemon.alerting.subscriptions, outlets);
    let shutdown = Shutdown::new();
    let driver = guarded.daemon.running.take().unwrap().1;
    let loop_ends = driver.spawn(shutdown.clone());
    let asked = shutdown.clone();
    let alarm_ends = tokio::spawn(async move { alarm.run(&asked).await });

    let mut holder = guarded.daemon.connection().await;
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();
    assert!(engine.store().wake(&ACCOUNT.parse().unwrap()).await.is_err());
    while engine.readings().unwritable_since.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    guarded.daemon.clock.advance(seconds(31));
    while taken.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let event: serde_json::Value = serde_json::from_str(&taken.lock().unwrap()[0]).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["reason"]),
        (&"amplinkd.alert.fired".into(), &"daemon.unwritable".into())
    );
    assert!(event["data"]["alerts"][0]["message_en"].as_str().unwrap().contains("busy"), "{event}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    shutdown.ask();
    let (ended, told) = tokio::join!(loop_ends, alarm_ends);
    drop((ended.unwrap(), told.unwrap()));
    assert_eq!(taken.lock().unwrap().len(), 1, "once an outage");
}
