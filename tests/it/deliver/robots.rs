//! Group robots and mailboxes: unconfirmed answers, shared rate limits, alerts that overtake, reminders sent as one message,
//! and a mail server that answers 550 for a while.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use amplinkd::{
    clock::{Clock, ManualClock},
    domain::event::Reminder,
    notify::Kind,
};

use super::{Post, hours, minutes, seconds};
use crate::notify::smtp::{Say, SmtpServer};

/// What a group was sent, each message with the stopwatch's time.
type Ledger = Vec<(Duration, serde_json::Value)>;

/// A robot's service.
struct Group {
    url: String,
    ledger: Arc<Mutex<Ledger>>,
    /// What it answers.
    says: Arc<Mutex<&'static str>>,
}

const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

impl Group {
    async fn open(clock: Arc<ManualClock>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send?key=k", listener.local_addr().unwrap());
        let group = Self { url, ledger: Arc::default(), says: Arc::new(Mutex::new(OK)) };
        let (ledger, says) = (Arc::clone(&group.ledger), Arc::clone(&group.says));
        let take = move |body: String| {
            ledger.lock().unwrap().push((clock.monotonic(), serde_json::from_str(&body).unwrap()));
            let said = *says.lock().unwrap();
            async move { said }
        };
        let app = axum::Router::new().route("/send", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        group
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// The first line of each message.
    fn heads(&self) -> Vec<String> {
        let head = |(_, body): &(Duration, serde_json::Value)| {
            body["markdown"]["content"].as_str().unwrap().lines().next().unwrap().to_owned()
        };
        self.ledger().iter().map(head).collect()
    }
}

async fn chat(names: &[&'static str]) -> (Post, Group) {
    let mut post = Post::open(&[]).await;
    let group = Group::open(Arc::clone(&post.clock)).await;
    post.robots = names.iter().map(|name| (*name, Kind::Wecom, group.url.clone())).collect();
    post.restart().await;
    (post, group)
}

fn reminder(number: usize) -> String {
    let (request, account, program) = (format!("r{number}"), format!("wxa{number}"), format!("wxp{number}"));
    let title = format!("A reminder for the administrator of the account {account}");
    let (request, account, program) = (request.as_str(), account.as_str(), program.as_str());
    let (stage, language, text) = ("account_admin", "en", "Please answer.");
    Reminder { request, account, program, stage, language, title: &title, text }.to_json()
}

async fn last_error(post: &mut Post, event: &str) -> Option<String> {
    let sql = "SELECT last_error FROM delivery WHERE event_id = $1";
    sqlx::query_scalar(sql).bind(event).fetch_one(&mut post.connection).await.unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_understood_costs_one_copy_and_is_kept() {
    for (page, words) in [("<html>welcome</html>", "<html>welcome</html>"), ("", "without a code"), ("ok", "ok")] {
        let (mut post, group) = chat(&["ops"]).await;
        *group.says.lock().unwrap() = page;
        let first = post.owe_to(&["ops"], "one").await;
        let behind = post.owe_to(&["ops"], "one").await;
        post.run_for(minutes(1)).await;
        for event in [&first, &behind] {
            assert_eq!(post.delivery(event, "ops").await, ("delivered".to_owned(), 2, 0), "{page:?}");
            let said = last_error(&mut post, event).await.unwrap();
            assert!(said.starts_with("unconfirmed: HTTP 200") && said.contains(words), "{said}");
        }
        post.run_for(hours(80)).await;
        assert_eq!(group.ledger().len(), 4, "two tries each, and none after");
        assert_eq!(post.health("ops").since, None, "it is no failure");
    }
}

#[tokio::test]
async fn an_answer_that_is_understood_the_second_time_is_a_success() {
    let (mut post, group) = chat(&["ops"]).await;
    *group.says.lock().unwrap() = "<html>restarting</html>";
    let event = post.owe_to(&["ops"], "one").await;
    post.settle().await;
    post.restart().await;
    *group.says.lock().unwrap() = OK;
    post.run_for(minutes(1)).await;
    assert_eq!(post.delivery(&event, "ops").await, ("delivered".to_owned(), 2, 0));
    assert_eq!(last_error(&mut post, &event).await, None);
}

#[tokio::test]
async fn two_channels_of_one_robot_share_what_it_takes() {
    let (mut post, group) = chat(&["alerts", "steps"]).await;
    for number in 0..60 {
        post.owe_to(&["alerts", "steps"], &format!("key-{number}")).await;
    }
    post.run_for(seconds(59)).await;
    assert_eq!(group.ledger().len(), 20);
    let of = |channel: &str| format!("channel = '{channel}' AND state = 'delivered'");
    post.run_for(minutes(2)).await;
    let (alerts, steps) = (post.count(&of("alerts")).await, post.count(&of("steps")).await);
    assert!(alerts >= 10 && steps >= 10, "neither starves the other: {alerts} and {steps}");
    post.restart().await;
    post.run_for(minutes(5)).await;
    let moments: Vec<Duration> = group.ledger().iter().map(|(at, _)| *at).collect();
    assert_eq!(moments.len(), 120);
    for (index, first) in moments.iter().enumerate() {
        let within = moments[index..].iter().filter(|at| **at < *first + minutes(1)).count();
        assert!(within <= 20, "{within} in the minute from {first:?} on");
    }
}

#[tokio::test]
async fn an_alert_overtakes_what_can_wait_and_the_daemons_overtakes_it() {
    let (mut post, group) = chat(&["ops"]).await;
    for number in 0..200 {
        post.owe_to(&["ops"], &format!("key-{number}")).await;
    }
    post.run_for(seconds(61)).await;
    let before = group.ledger().len();
    let notice = |title: &str, rule: &str| {
        format!(
            r#"{{"rule":"{rule}","reason":"{rule}.x","state":"fired","count":1,"level":0,"title_en":"{title}","title_zh":"x","alerts":[]}}"#
        )
    };
    post.owe_as(&["ops"], ("amplinkd.alert.fired", "stuck.unlink", &notice("stuck", "stuck"))).await;
    post.owe_as(&["ops"], ("amplinkd.alert.fired", "daemon.overdue", &notice("daemon", "daemon"))).await;
    post.run_for(minutes(1)).await;
    let heads = group.heads();
    assert!(heads[before].contains("daemon") && heads[before + 1].contains("stuck"), "{:?}", &heads[before..]);
    assert!(heads.len() < 200, "the others still wait");
}

#[tokio::test]
async fn reminders_that_are_due_at_once_are_one_message() {
    let (mut post, group) = chat(&["ops"]).await;
    for number in 0..30 {
        post.owe_as(&["ops"], ("amplinkd.nudge", &format!("r{number}"), &reminder(number))).await;
    }
    post.owe_to(&["ops"], "another").await;
    post.run_for(minutes(1)).await;
    assert_eq!(post.count("state = 'delivered' AND attempts = 1").await, 31);
    let bodies: Vec<String> = group.ledger().iter().map(|(_, body)| body.to_string()).collect();
    assert_eq!(bodies.len(), 2, "{bodies:#?}");
    assert!((0..30).all(|number| bodies[0].contains(&format!("wxa{number}*"))), "{}", bodies[0]);
    // One that comes alone is told in its own words.
    post.owe_as(&["ops"], ("amplinkd.nudge", "r99", &reminder(99))).await;
    post.run_for(minutes(1)).await;
    assert!(group.ledger()[2].1.to_string().contains("Please answer."));
}

#[tokio::test]
async fn more_reminders_than_a_message_holds_are_all_told() {
    let (mut post, group) = chat(&["ops"]).await;
    for number in 0..300 {
        post.owe_as(&["ops"], ("amplinkd.nudge", &format!("r{number}"), &reminder(number))).await;
    }
    post.run_for(minutes(2)).await;
    let bodies: Vec<String> = group.ledger().iter().map(|(_, body)| body.to_string()).collect();
    assert!(bodies.len() <= 12, "{} messages", bodies.len());
    for number in 0..300 {
        let name = format!("account wxa{number}*");
        assert_eq!(bodies.iter().filter(|body| body.contains(&name)).count(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_mail_server_that_says_550_for_ten_minutes_loses_nothing() {
    let is_slow = Arc::new(Mutex::new(true));
    let mood = Arc::clone(&is_slow);
    let server = SmtpServer::start(move |command| {
        let is_refused = *mood.lock().unwrap() && command.starts_with("MAIL");
        is_refused.then_some(Say::Lines("550 Mail sending frequency is limited, please try again later"))
    })
    .await;
    let mut post = Post::open(&[]).await;
    post.robots = vec![("mail", Kind::Email, format!("smtp://127.0.0.1:{}?tls=none", server.port))];
    post.restart().await;
    for _ in 0..5 {
        for key in ["stuck.unlink", "failed.refused", "other"] {
            post.owe_to(&["mail"], key).await;
        }
        post.run_for(minutes(2)).await;
    }
    assert_eq!(server.heard().mails.len(), 0);
    assert_eq!(post.count("state = 'pending'").await, 15);
    *is_slow.lock().unwrap() = false;
    post.run_for(minutes(20)).await;
    assert_eq!((server.heard().mails.len(), post.count("state = 'delivered'").await), (15, 15));
}
