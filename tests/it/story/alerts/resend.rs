//! Firing alerts are resent to an Alertmanager, which keeps them in memory only; resolved ones are not, and the alerts of a
//! daemon that is gone expire.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use amplinkd::{
    alerting::deliver::ChannelEndpoint,
    clock::Clock,
    domain::text::Language,
    notify::{Channel, ChannelSettings, Kind as Way},
};
use axum::{Json, Router, http::StatusCode, routing::post};

use super::*;

/// Alerts by their keys, each with its end.
type Known = BTreeMap<String, jiff::Timestamp>;

/// An Alertmanager with its memory.
#[derive(Clone, Default)]
struct Memory {
    known: Arc<Mutex<Known>>,
    /// The keys in each POST.
    posts: Arc<Mutex<Vec<Vec<String>>>>,
    is_away: Arc<Mutex<bool>>,
}

impl Memory {
    async fn start(&self) -> String {
        let this = self.clone();
        let take = move |Json(alerts): Json<Vec<serde_json::Value>>| {
            let status = this.take(&alerts);
            async move { status }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/api/v2/alerts", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn take(&self, alerts: &[serde_json::Value]) -> StatusCode {
        if *self.is_away.lock().unwrap() {
            return StatusCode::BAD_GATEWAY;
        }
        let mut keys = Vec::new();
        for alert in alerts {
            let key = alert["labels"]["key"].as_str().unwrap().to_owned();
            self.known.lock().unwrap().insert(key.clone(), alert["endsAt"].as_str().unwrap().parse().unwrap());
            keys.push(key);
        }
        self.posts.lock().unwrap().push(keys);
        StatusCode::OK
    }

    fn posts(&self) -> MutexGuard<'_, Vec<Vec<String>>> {
        self.posts.lock().unwrap()
    }

    /// It forgets everything.
    fn restart(&self) {
        self.known.lock().unwrap().clear();
        self.posts().clear();
    }

    /// How many alerts fire over there.
    fn firing(&self, guarded: &Guarded) -> usize {
        let now = jiff::Timestamp::from_millisecond(guarded.daemon.clock.now().ms()).unwrap();
        self.known.lock().unwrap().values().filter(|end| **end > now).count()
    }
}

fn channel(url: &str, resend_every: Option<Duration>) -> ChannelEndpoint {
    let channel = Channel::new(&ChannelSettings {
        url: Some(url.into()),
        resend_every,
        ..ChannelSettings::new("ops", Way::Alertmanager, seconds(5))
    })
    .unwrap();
    let (pace, zone) = (channel.pace(), amplinkd::domain::time::BEIJING);
    ChannelEndpoint { name: "ops".to_owned(), pace, channel, language: Language::Zh, zone, link: None }
}

/// A daemon with three links that nobody answers, and an Alertmanager that knows of them.
async fn three_are_stuck() -> (Guarded, Memory, String) {
    let memory = Memory::default();
    let url = memory.start().await;
    let mut guarded = Guarded::start().await;
    guarded.post(vec![channel(&url, Some(minutes(1)))]).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    for number in 2..=3 {
        let (account, program) = (format!("wxaaaa{number:012}"), format!("wxbbbb{number:012}"));
        guarded.daemon.ask(to_link(&account, &program)).await;
    }
    guarded.run_for(hours(25)).await;
    assert_eq!(memory.firing(&guarded), 3);
    (guarded, memory, url)
}

#[tokio::test]
async fn an_alertmanager_that_was_restarted_knows_within_a_minute_what_fires() {
    let (mut guarded, memory, _) = three_are_stuck().await;
    memory.restart();
    guarded.run_for(seconds(61)).await;
    assert_eq!(memory.firing(&guarded), 3);
    assert!(memory.posts().iter().all(|keys| keys.len() == 3), "all in one: {:?}", memory.posts());
}

#[tokio::test]
async fn telling_again_writes_nothing_and_never_says_that_what_is_over_fires() {
    let (mut guarded, memory, _) = three_are_stuck().await;
    let before = (guarded.events().await, guarded.alerts().await);
    let changes = "SELECT count(*) + (SELECT coalesce(sum(version), 0) FROM alert) FROM delivery";
    let mut connection = guarded.daemon.connection().await;
    let rows: i64 = sqlx::query_scalar(changes).fetch_one(&mut connection).await.unwrap();
    memory.posts().clear();
    guarded.run_for(hours(2)).await;
    let told = memory.posts().len();
    assert!((110..=125).contains(&told), "{told} in two hours");
    assert_eq!((guarded.events().await, guarded.alerts().await), before);
    assert_eq!(sqlx::query_scalar::<_, i64>(changes).fetch_one(&mut connection).await.unwrap(), rows);

    guarded.agree();
    guarded.run_for(hours(1)).await;
    let over = guarded.of("stuck").await.into_iter().find(|alert| alert.state == "resolved").unwrap().key;
    assert_eq!(memory.firing(&guarded), 2);
    let last = memory.posts().iter().rposition(|keys| keys.contains(&over)).unwrap();
    let posts = memory.posts();
    assert_eq!(posts[last], std::slice::from_ref(&over), "its end was told last");
    assert!(posts.len() > last + 30 && posts[last + 1..].iter().all(|keys| keys.len() == 2));
}

#[tokio::test]
async fn what_a_person_took_still_fires_over_there() {
    let (mut guarded, memory, _) = three_are_stuck().await;
    guarded.daemon.sql("UPDATE alert SET state = 'acknowledged', acknowledged_at = 1, notify_at = NULL").await;
    memory.restart();
    guarded.run_for(hours(3)).await;
    assert_eq!(memory.firing(&guarded), 3);
}

#[tokio::test]
async fn alerts_of_a_daemon_that_is_gone_end_and_a_new_one_tells_at_once() {
    let (mut guarded, memory, url) = three_are_stuck().await;
    guarded.deliver = None;
    guarded.resender = None;
    guarded.daemon.clock.advance(minutes(4));
    assert_eq!(memory.firing(&guarded), 3, "a restart of the daemon takes less");
    guarded.daemon.clock.advance(minutes(2));
    assert_eq!(memory.firing(&guarded), 0);
    guarded.restart().await;
    guarded.post(vec![channel(&url, Some(minutes(1)))]).await;
    guarded.settle().await;
    assert_eq!(memory.firing(&guarded), 3);
}

#[tokio::test]
async fn one_that_is_away_is_told_of_and_hears_everything_when_it_is_back() {
    let (mut guarded, memory, _) = three_are_stuck().await;
    *memory.is_away.lock().unwrap() = true;
    guarded.attend(minutes(10)).await;
    assert_eq!(guarded.the("channel_failing").await.state, "firing", "although nothing new was to be sent");
    memory.restart();
    *memory.is_away.lock().unwrap() = false;
    guarded.attend(minutes(10)).await;
    assert_eq!(guarded.the("channel_failing").await.state, "resolved");
    assert_eq!(memory.firing(&guarded), 3);
}

#[tokio::test]
async fn without_it_an_alert_lasts_until_the_next_repeat() {
    let memory = Memory::default();
    let url = memory.start().await;
    let mut guarded = Guarded::start().await;
    guarded.post(vec![channel(&url, None)]).await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(hours(25)).await;
    memory.restart();
    guarded.run_for(hours(20)).await;
    assert_eq!(memory.posts().len(), 0);
    guarded.run_for(hours(5)).await;
    assert_eq!((memory.posts().len(), memory.firing(&guarded)), (1, 1));
}
