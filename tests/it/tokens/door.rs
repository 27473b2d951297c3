//! Stories of the event URL: what comes in by it at once, while the database is held, or from somebody who is not WeChat.

use std::time::Duration;

use amplinkd::{
    domain::authorizer::AuthorizerState,
    sim::{AuthorizerKind, ComponentApi, PushAsk, Spoil},
};
use rusqlite::Connection;

use super::{
    ACCOUNT as DAEMONS_ACCOUNT, PATIENCE, PROGRAM, Platform as Daemons,
    keeper::{ACCOUNT, LINKS, Platform},
    now_ms,
};
use crate::harness::wait_for;

/// WeChat waits as long for an answer.
const WECHAT_WAITS: Duration = Duration::from_secs(5);

impl Platform {
    /// The number of the push that was planned last.
    fn last_push(&self) -> u64 {
        let world = self.sim.world();
        let pushes = world.component().unwrap().pushes();
        pushes.last().unwrap().id
    }

    /// How a push was answered.
    fn answers(&self, id: u64) -> Vec<(Option<u16>, String)> {
        let world = self.sim.world();
        let push = world.component().unwrap().pushes().find(|push| push.id == id).unwrap();
        push.answers.iter().map(|answer| (answer.status, answer.body.trim().to_owned())).collect()
    }

    fn event_url(&self) -> String {
        self.sim.world().component().unwrap().push_to().unwrap().to_owned()
    }

    fn pushes_on_disk(&self) -> u32 {
        let disk = Connection::open(self.database()).unwrap();
        disk.query_row("SELECT count(*) FROM push", (), |row| row.get(0)).unwrap()
    }

    /// Holds the database as a program does that writes to it for long.
    fn hold_database(&self) -> Connection {
        let held = Connection::open(self.database()).unwrap();
        held.execute_batch("BEGIN IMMEDIATE").unwrap();
        held
    }
}

fn success() -> (Option<u16>, String) {
    (Some(200), "success".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_push_fifty_times_at_once_is_one_row_and_fifty_successes() {
    let platform = Platform::new().await;
    platform.ticket().await;
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), platform.now()).unwrap();
    let id = platform.last_push();
    let fifty = PushAsk { id: Some(id), times: Some(50), at_once: true, ..PushAsk::default() };
    platform.sim.world().push(&fifty, platform.now()).unwrap();

    platform.taken_up().await;

    assert_eq!(platform.answers(id), vec![success(); 50]);
    assert_eq!(platform.pushes_on_disk(), 1);
    assert_eq!(platform.called(ComponentApi::QueryAuth), 1);
    platform.token().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_answered_with_success_once_the_held_database_has_it() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let held = platform.hold_database();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), platform.now()).unwrap();
    let id = platform.last_push();

    let let_go = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(platform.answers(id), [], "nothing is on disk yet");
        held.execute_batch("ROLLBACK").unwrap();
    };
    tokio::join!(platform.sim.deliver_pushes(), let_go);

    assert_eq!(platform.answers(id), [success()]);
    assert_eq!(platform.pushes_on_disk(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_cannot_be_stored_in_time_is_answered_with_500_and_taken_when_it_comes_again() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let held = platform.hold_database();
    platform.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, Some(&LINKS), platform.now()).unwrap();
    let id = platform.last_push();

    let delivered = tokio::time::timeout(WECHAT_WAITS, platform.sim.deliver_pushes()).await;

    assert_eq!(delivered, Ok(1), "before WeChat gives up waiting");
    assert_eq!(platform.answers(id), [(Some(500), "not stored".to_owned())]);
    held.execute_batch("ROLLBACK").unwrap();
    drop(held);
    assert_eq!(platform.pushes_on_disk(), 0);
    platform.sim.world().push(&PushAsk { id: Some(id), ..PushAsk::default() }, platform.now()).unwrap();
    platform.taken_up().await;
    assert_eq!(platform.answers(id)[1..], [success()]);
    assert_eq!(platform.pushes_on_disk(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_is_taken_an_empty_body_and_a_get_are_not() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let kind = PushAsk { info_type: Some("notify_third_fasteregister".to_owned()), ..PushAsk::default() };
    let id = platform.sim.world().push(&kind, platform.now()).unwrap();
    platform.sim.deliver_pushes().await;
    assert_eq!(platform.answers(id), [success()]);
    assert_eq!(platform.pushes_on_disk(), 0, "it concerns nothing here");

    let http = reqwest::Client::new();
    let got = http.get(platform.event_url()).send().await.unwrap();
    assert_eq!((got.status().as_u16(), &got.headers()["allow"]), (405, &"POST".parse().unwrap()));
    let empty = http.post(platform.event_url()).send().await.unwrap();
    assert_eq!(empty.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forgery_gets_the_same_answer_and_changes_nothing() {
    let platform = Platform::new().await;
    platform.ticket().await;
    let before = platform.store.only_component().await.unwrap();
    for spoil in [Spoil::Signature, Spoil::TailAppid, Spoil::InnerAppid, Spoil::OuterAppid, Spoil::Key] {
        platform.pass(0, 1);
        let id =
            platform.sim.world().push(&PushAsk { spoil: Some(spoil), ..PushAsk::default() }, platform.now()).unwrap();
        platform.sim.deliver_pushes().await;
        assert_eq!(platform.answers(id), [(Some(403), "forbidden".to_owned())], "{spoil:?}");
    }
    assert_eq!(platform.store.only_component().await.unwrap(), before);
}

/// Bodies that cost more than they are long, and how they are answered.
fn hostile() -> [(u16, String); 6] {
    let doctype = "<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><AppId>&a;</AppId></xml>";
    let entity = |n: u32| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10));
    let entities = (1..16).map(entity).collect::<Vec<_>>().concat();
    let bomb = format!("<!DOCTYPE xml [<!ENTITY l0 \"lol\">{entities}]><xml><AppId>&l15;</AppId></xml>");
    let tags = format!("<xml>{}</xml>", "<b/>".repeat(10_000));
    let deep = format!("<xml>{}", "<b>".repeat(10_000));
    let full = format!("<xml>{}", " ".repeat((64 << 10) - 5));
    [(400, doctype.to_owned()), (400, bomb), (400, tags), (400, deep), (400, full.clone()), (413, format!("{full} "))]
}

/// What a process has in memory, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_and_cost_no_memory() {
    let platform = Daemons::new().await;
    let daemon = platform.daemon().await;
    platform.push_ticket().await;
    let url = format!("http://127.0.0.1:{}/wechat/callback", platform.callback);
    let post = async || {
        for (status, body) in hostile() {
            let said = platform.http.post(&url).body(body.clone()).send().await.unwrap();
            assert_eq!(said.status().as_u16(), status, "{}", &body[..40]);
        }
    };
    for _ in 0..20 {
        post().await;
    }
    let before = resident(daemon.id());
    for _ in 0..100 {
        post().await;
    }
    let grown = resident(daemon.id()).saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB more after 600 hostile bodies");
    // The same inside of what is encrypted and signed well.
    let spoilt = PushAsk { spoil: Some(Spoil::Doctype), ..PushAsk::default() };
    let id = platform.sim.world().push(&spoilt, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    let world = platform.sim.world();
    let push = world.component().unwrap().pushes().find(|push| push.id == id).unwrap();
    assert_eq!(push.answers[0].status, Some(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_withdrawal_was_answered_the_very_next_poll_does_not_happen() {
    let platform = Daemons::new().await;
    let daemon = platform.daemon().await;
    platform.push_ticket().await;
    platform.sim.world().authorize(DAEMONS_ACCOUNT, AuthorizerKind::Account, Some(&[1, 33]), now_ms()).unwrap();
    platform.sim.deliver_pushes().await;
    platform.run(&format!("request link {DAEMONS_ACCOUNT} {PROGRAM}"));
    let polls = || platform.sim.stats().wxamplinkget;
    assert!(wait_for(PATIENCE, async || polls() >= 10).await, "{}", daemon.log.tail());
    // Pushes are timed by the second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    platform.sim.world().revoke(DAEMONS_ACCOUNT, now_ms()).unwrap();
    platform.sim.deliver_pushes().await;

    let answered = polls();
    let shown = platform.authorizer();
    assert_eq!(shown["state"], AuthorizerState::Unauthorized.as_str());
    // Twenty polls would have been due.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(polls() <= answered + 1, "none but one that was on its way: {} more", polls() - answered);
}
