//! Accounts that cannot be read or called, in every way there is: told within minutes, found by the audit, heard by whoever
//! listens to the heartbeat, and over when they can be read again. What stands in `WeChat`'s place here says whatever it is
//! told to, for the simulator speaks as the pages do.

use std::sync::Mutex;

use amplinkd::{
    alerting::heartbeat::HeartbeatTask,
    notify::heartbeat::{HeartbeatClient, HeartbeatKind, HeartbeatSettings},
};
use axum::{Router, extract::State, http::StatusCode, http::Uri};

use super::*;
use crate::told::receiver::Receiver;

/// What answers in `WeChat`'s place: a status and a body for every list.
#[derive(Clone)]
struct Wall {
    said: Arc<Mutex<(StatusCode, String)>>,
    url: String,
}

impl Wall {
    async fn standing() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wall = Self { said: Arc::default(), url };
        let router = Router::new().fallback(answer).with_state(wall.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        wall
    }

    fn says(&self, status: StatusCode, body: &str) {
        *self.said.lock().unwrap() = (status, body.to_owned());
    }
}

async fn answer(State(wall): State<Wall>, uri: Uri) -> (StatusCode, String) {
    if uri.path().ends_with("wxamplinkget") {
        return wall.said.lock().unwrap().clone();
    }
    (StatusCode::OK, "{\"errcode\":-1,\"errmsg\":\"system error\"}".to_owned())
}

/// A daemon that calls this address.
async fn calling(url: &str) -> Guarded {
    let mut daemon = Daemon::start().await;
    url.clone_into(&mut daemon.process.wechat_url);
    daemon.restart().await;
    // Nobody sends what would be queued for a channel.
    Guarded::around(daemon, |alerting| alerting.subscriptions.clear()).await
}

/// Whether the heartbeat of this moment says that all is well.
async fn is_well(guarded: &Guarded) -> bool {
    let pulse = Receiver::start();
    let url = format!("{}/ping/check", pulse.url()).into();
    let settings = HeartbeatSettings::new(HeartbeatKind::Healthchecks, url, seconds(5));
    let heartbeat = HeartbeatClient::new(settings).unwrap();
    HeartbeatTask::new(Arc::clone(guarded.daemon.engine()), heartbeat, minutes(1)).beat().await;
    let said = pulse.ledger();
    !said.iter().any(|arrival| arrival.path.contains("/fail"))
}

/// Rules of the audit that find something.
async fn audited(guarded: &Guarded) -> Vec<String> {
    let found = guarded.daemon.engine().recorder().audit().await.unwrap();
    found.into_iter().map(|found| found.rule).collect()
}

/// Five requests of an account that never gets a list: told within a quarter of an hour, by the audit and the heartbeat too.
async fn is_told_within_minutes(mut guarded: Guarded, form: &str, trouble: &str, shown: &str) {
    for number in 0..5 {
        guarded.daemon.ask(to_link(ACCOUNT, &format!("wxdddd{number:012}"))).await;
    }
    guarded.attend(minutes(14)).await;
    assert_eq!(guarded.alerts().await, [], "{form}");
    assert_eq!(audited(&guarded).await, Vec::<String>::new(), "{form}");
    // An answer without a list is enough for a first call, and trouble from then on.
    guarded.attend(minutes(3)).await;
    let alert = guarded.the("account_unreadable").await;
    assert_eq!(
        (alert.reason, alert.account.as_deref()),
        (format!("account_unreadable.{trouble}"), Some(ACCOUNT)),
        "{form}"
    );
    assert_eq!(alert.key, format!("account_unreadable/{ACCOUNT}"));
    assert!(alert.message_en.contains(shown), "{form}: {}", alert.message_en);
    assert!(alert.message_zh.contains("无法读取"), "{form}: {}", alert.message_zh);
    assert_eq!(guarded.told().await, ["fired"], "{form}");
    assert_eq!(audited(&guarded).await, ["unread"], "{form}");
    assert!(!is_well(&guarded).await, "{form}");
    guarded.attend(minutes(10)).await;
    assert_eq!(guarded.alerts().await.len(), 1, "{form}: what the audit finds of it is not told once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_never_comes_is_told_within_minutes_whatever_comes_in_its_place() {
    let ok = StatusCode::OK;
    for (status, body, trouble, shown) in [
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\"}", "unreadable", "without a list"),
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\",\"wxopens\":[]}", "unreadable", "without a list"),
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\",\"wxopens\":null}", "unreadable", "without a list"),
        (ok, "{\"errcode\":-1,\"errmsg\":\"system error\"}", "refused", "errcode -1"),
        (ok, "{\"errcode\":40013,\"errmsg\":\"invalid appid\"}", "refused", "invalid appid"),
        (ok, "<html><body>maintenance</body></html>", "unreadable", "no JSON object"),
        (StatusCode::BAD_GATEWAY, "<html>502</html>", "unreachable", "502"),
        (ok, "", "unreadable", "is empty"),
    ] {
        let wall = Wall::standing().await;
        wall.says(status, body);
        is_told_within_minutes(calling(&wall.url).await, body, trouble, shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wechat_that_is_not_there_at_all_is_told_within_minutes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    is_told_within_minutes(calling(&url).await, "nobody listens", "unreachable", "no answer comes").await;
}

/// Every look at the account meets this code from now on; `None`: it answers.
fn answers(guarded: &Guarded, errcode: Option<i64>) {
    guarded.daemon.sim.world().account(ACCOUNT).answers_always = errcode;
}

/// A daemon whose account is looked at every half minute, and of which nobody is told but by the rules of accounts.
async fn looked_at() -> Guarded {
    let mut guarded = Guarded::start().await;
    guarded.daemon.nobody_answers();
    guarded.daemon.link().await;
    guarded.run_for(minutes(2)).await;
    guarded
}

#[tokio::test]
async fn a_source_that_fails_three_times_in_four_is_told_once() {
    for (errcode, rule) in [(40_001, "token_failing"), (-1, "account_unreadable")] {
        let mut guarded = looked_at().await;
        answers(&guarded, Some(errcode));
        guarded.attend(minutes(18)).await;
        assert_eq!(guarded.the(rule).await.state, "firing");
        // One look in four succeeds, for an hour and more.
        for _ in 0..12 {
            answers(&guarded, None);
            let looks = guarded.daemon.sim.stats().wxamplinkget;
            while guarded.daemon.account(ACCOUNT).await.failures > 0 {
                guarded.attend(seconds(15)).await;
            }
            assert!(guarded.daemon.sim.stats().wxamplinkget > looks);
            answers(&guarded, Some(errcode));
            while guarded.daemon.account(ACCOUNT).await.failures < 3 {
                guarded.attend(seconds(15)).await;
            }
        }
        assert_eq!(
            (guarded.the(rule).await.state.as_str(), guarded.told().await),
            ("firing", vec!["fired".to_owned()])
        );
        answers(&guarded, None);
        guarded.attend(minutes(10)).await;
        assert_eq!(guarded.the(rule).await.state, "firing", "ten minutes are no proof");
        // Three good looks, at the pace of an account that has waited for hours, and the last of them written down.
        for _ in 0..70 {
            guarded.run_for(minutes(1)).await;
        }
        assert_eq!((guarded.the(rule).await.state.as_str(), guarded.told().await.len()), ("resolved", 2));
    }
}

#[tokio::test]
async fn an_account_has_one_alert_at_a_time_whatever_its_trouble() {
    let mut guarded = looked_at().await;
    let open = async |guarded: &Guarded| {
        let open = guarded.alerts().await.into_iter().filter(|alert| alert.state != "resolved");
        open.map(|alert| alert.key).collect::<Vec<_>>()
    };
    for errcode in [40_001, -1, 40_001, -1] {
        answers(&guarded, Some(errcode));
        guarded.attend(hours(2)).await;
        let rule = if errcode == -1 { "account_unreadable" } else { "token_failing" };
        assert_eq!(open(&guarded).await, [format!("{rule}/{ACCOUNT}")]);
    }
    // What is over and comes back without a good look between is told again.
    assert_eq!(guarded.of("token_failing").await.len(), 2);
    // One trouble after the other, look by look, is no news at each.
    let told = guarded.told().await.len();
    for look in 0..12 {
        answers(&guarded, Some(if look % 2 == 0 { 40_001 } else { -1 }));
        let failures = guarded.daemon.account(ACCOUNT).await.failures;
        while guarded.daemon.account(ACCOUNT).await.failures == failures {
            guarded.attend(seconds(30)).await;
        }
        assert_eq!(open(&guarded).await.len(), 1);
    }
    assert!(guarded.told().await.len() <= told + 2 * 12, "each look is half an hour after the last");
}

#[tokio::test]
async fn calls_that_are_refused_while_lists_are_fine_are_told_with_the_code() {
    let mut guarded = looked_at().await;
    let since = (guarded.daemon.clock.now() - minutes(14)).ms();
    // The engine counts them; here they are counted by hand.
    let refused = format!(
        "UPDATE account SET call_failures = 4, calls_refused_since = {since}, call_error = 'errcode 48001: api unauthorized'"
    );
    guarded.daemon.sql(&refused).await;
    guarded.attend(seconds(30)).await;
    assert_eq!(guarded.of("calls_refused").await, []);
    guarded.attend(minutes(2)).await;
    let alert = guarded.the("calls_refused").await;
    assert_eq!((alert.key, alert.reason.as_str()), (format!("calls_refused/{ACCOUNT}"), "calls_refused.backed_off"));
    assert!(alert.message_en.contains("errcode 48001: api unauthorized"), "{}", alert.message_en);
    assert!(alert.message_en.contains("although lists can be read") && alert.message_zh.contains("被拒绝"));
    guarded.daemon.sql("UPDATE account SET call_failures = 0, calls_refused_since = NULL, call_error = NULL").await;
    guarded.attend(minutes(10)).await;
    guarded.daemon.sql(&refused).await;
    guarded.attend(minutes(10)).await;
    assert_eq!(guarded.the("calls_refused").await.state, "firing", "one call that passes is no end");
    guarded.daemon.sql("UPDATE account SET call_failures = 0, calls_refused_since = NULL, call_error = NULL").await;
    guarded.attend(minutes(20)).await;
    assert_eq!(guarded.the("calls_refused").await.state, "resolved");
    assert_eq!(guarded.told().await, ["fired", "resolved"]);
}

#[tokio::test]
async fn an_undocumented_status_is_one_alert_however_often_it_is_listed() {
    let wall = Wall::standing().await;
    let item = |number: usize, status: i64| {
        format!("{{\"status\":{status},\"username\":\"gh_{number:012}\",\"appid\":\"wxdddd{number:012}\"}}")
    };
    let list = |items: Vec<String>| {
        format!("{{\"errcode\":0,\"errmsg\":\"ok\",\"wxopens\":{{\"items\":[{}]}}}}", items.join(","))
    };
    wall.says(
        StatusCode::OK,
        &list((0..1_000).map(|number| item(number, if number < 990 { 7 } else { -4 })).collect()),
    );
    let mut guarded = calling(&wall.url).await;
    guarded.daemon.link().await;
    guarded.attend(minutes(1)).await;
    let alerts = guarded.of("unknown_status").await;
    let keys: Vec<&str> = alerts.iter().map(|alert| alert.key.as_str()).collect();
    assert_eq!(keys, ["unknown_status/-4", "unknown_status/7"]);
    assert!(alerts[1].message_en.contains("WeChat lists 990 items with status 7"), "{alerts:?}");
    assert!(alerts[1].message_en.contains(&format!("wxdddd000000000000 of account {ACCOUNT}")), "{alerts:?}");
    assert!(alerts[1].message_zh.contains("990 项的状态为 7"), "{alerts:?}");
    assert_eq!(guarded.told().await, ["fired"], "one message for all of them");
    // A list that shows another status at every look does not raise an alert for each.
    for look in 0..60 {
        let statuses = 100 + look * 50..150 + look * 50;
        wall.says(StatusCode::OK, &list((0..).zip(statuses).map(|(number, status)| item(number, status)).collect()));
        guarded.attend(seconds(30)).await;
    }
    let open = guarded.of("unknown_status").await.into_iter().filter(|alert| alert.state == "firing").count();
    assert!((2..=20).contains(&open), "{open} are open");
    wall.says(StatusCode::OK, &list(vec![item(1, 1)]));
    guarded.attend(minutes(25)).await;
    assert!(guarded.of("unknown_status").await.iter().all(|alert| alert.state == "resolved"));
}

#[tokio::test]
async fn a_plan_that_is_stretched_for_an_hour_is_told() {
    let mut guarded = looked_at().await;
    let since = guarded.daemon.clock.now().ms();
    guarded
        .daemon
        .sql(&format!(
            "INSERT OR REPLACE INTO pace (one, stretch, late_ms, strained_since, at) VALUES (1, 2450, 0, {since}, {since});
             CREATE TRIGGER kept BEFORE UPDATE ON pace WHEN NEW.at <> OLD.at BEGIN SELECT RAISE(IGNORE); END"
        ))
        .await;
    guarded.run_for(minutes(59)).await;
    assert_eq!(guarded.of("capacity").await, []);
    guarded.attend(minutes(2)).await;
    let alert = guarded.the("capacity").await;
    assert_eq!((alert.key.as_str(), alert.reason.as_str()), ("capacity/all", "capacity.stretched"));
    assert!(alert.message_en.contains("2.4 times") && alert.message_zh.contains("2.4 倍"), "{alert:?}");
    guarded.daemon.sql("UPDATE pace SET stretch = 1000, strained_since = NULL").await;
    guarded.attend(minutes(20)).await;
    assert_eq!(guarded.the("capacity").await.state, "resolved");
}
