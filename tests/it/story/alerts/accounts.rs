//! Accounts that cannot be read or called, in every way there is: told within minutes, found by the audit, heard by whoever
//! listens to the heartbeat, and over when they can be read again. What stands in `WeChat`'s place here says whatever it is
//! told to, for the simulator speaks as the pages do.

use std::sync::Mutex;

use amplinkd::{engine::pulse::Pulse, notify::heartbeat::Heartbeat};
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
    let heartbeat = Heartbeat::new(format!("{}/ping/check", pulse.url()).into(), seconds(5)).unwrap();
    Pulse::new(Arc::clone(guarded.daemon.engine()), heartbeat, minutes(1)).beat().await;
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
    guarded.attend(minutes(2)).await;
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
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\"}", "unreadable", "there is no \"wxopens\""),
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\",\"wxopens\":[]}", "unreadable", "what is answered is no list"),
        (ok, "{\"errcode\":0,\"errmsg\":\"ok\",\"wxopens\":null}", "unreadable", "\"wxopens\" is null"),
        (ok, "{\"errcode\":-1,\"errmsg\":\"system error\"}", "refused", "errcode -1"),
        (ok, "{\"errcode\":40013,\"errmsg\":\"invalid appid\"}", "refused", "invalid appid"),
        (ok, "<html><body>maintenance</body></html>", "unreachable", "no answer comes"),
        (StatusCode::BAD_GATEWAY, "<html>502</html>", "unreachable", "502"),
        (ok, "", "unreachable", "no answer comes"),
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
