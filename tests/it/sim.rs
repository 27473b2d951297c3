//! The simulator over real HTTP: what a client of WeChat meets.

#![expect(clippy::unwrap_used, reason = "a story whose first steps fail has nothing more to tell")]

mod authorizers;
mod callback;
mod faults;
mod platform;
mod pushes;
mod simulate;
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amplinkd::sim::{EmptyItems, FaultKind, Faults, FuncInfoKey, Phase, PlanSet, RidSpelling, Sim, SimConfig, Span};
use serde_json::{Value, json};

const ACCOUNT: &str = "wxaccount";
const PROGRAM: &str = "wxprogram";

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200_000;

struct Story {
    sim: Sim,
    time: Arc<AtomicI64>,
    http: reqwest::Client,
    token: String,
}

impl Story {
    async fn begin(faults: Faults) -> Self {
        // Another test may have installed it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let time = Arc::new(AtomicI64::new(START));
        let clock = Arc::clone(&time);
        let now = Arc::new(move || clock.load(Ordering::SeqCst));
        let sim = Sim::start(SimConfig { seed: 7, now, faults }).await.unwrap();
        let mut story = Self { sim, time, http: reqwest::Client::new(), token: String::new() };
        story.plans("never answers", "never answers");
        story.fetch_token(ACCOUNT).await;
        story
    }

    fn plans(&self, account_admin: &str, program_admin: &str) {
        let plans = PlanSet {
            account_admin: Some(account_admin.parse().unwrap()),
            program_admin: Some(program_admin.parse().unwrap()),
            unlink: None,
        };
        self.sim.world().plans.set(None, None, plans);
    }

    /// Lets time pass; a real client would fetch a new token on the way, so this one does.
    async fn pass(&mut self, span: Span) {
        self.time.fetch_add(span.as_millis(), Ordering::SeqCst);
        self.fetch_token(ACCOUNT).await;
    }

    async fn fetch_token(&mut self, account: &str) {
        let url = format!("{}?appid={account}", self.sim.token_url());
        let body: Value = read(self.http.get(url).send().await.unwrap()).await;
        body["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    async fn send(&self, name: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        let token = &self.token;
        let url = format!("{}/cgi-bin/wxopen/{name}?access_token={token}", self.sim.url());
        let request = self.http.post(url).body(body.to_string());
        request.send().await
    }

    async fn call(&self, name: &str, body: Value) -> Value {
        read(self.send(name, &body).await.unwrap()).await
    }

    async fn link(&self) -> Value {
        let body = json!({ "appid": PROGRAM, "notify_users": "0", "show_profile": "1" });
        self.call("wxamplink", body).await
    }

    async fn list(&self) -> Value {
        self.call("wxamplinkget", json!({})).await
    }

    async fn statuses(&self) -> Vec<i64> {
        let list = self.list().await;
        let items = list["wxopens"]["items"].as_array().unwrap();
        items.iter().map(|item| item["status"].as_i64().unwrap()).collect()
    }

    async fn sim_post(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_sim/{path}", self.sim.url());
        let response = self.http.post(url).body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), read(response).await)
    }

    fn next(&self, kind: FaultKind) {
        self.sim.world().faults.next(None, kind);
    }
}

async fn read(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn keys(item: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn both_administrators_agree() {
    let mut story = Story::begin(Faults::none()).await;
    story.plans("approves after 2h", "approves after 5h");
    assert_eq!(story.link().await, json!({ "errcode": 0, "errmsg": "ok" }));
    assert_eq!(story.statuses().await, [12]);
    story.pass(Span::hours(2)).await;
    assert_eq!(story.statuses().await, [2]);
    story.pass(Span::hours(5)).await;
    assert_eq!(story.statuses().await, [1]);
    assert_eq!(story.link().await["errcode"], 89015);

    let stats = story.sim.stats();
    assert_eq!((stats.wxamplinkget, stats.wxamplink, stats.invitations), (3, 2, 1));
    story.sim.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_program_admin_refuses() {
    let mut story = Story::begin(Faults::none()).await;
    story.plans("approves after 1m", "refuses after 1m");
    story.link().await;
    story.pass(Span::minutes(2)).await;
    assert_eq!(story.statuses().await, [3]);
    let list = story.list().await;
    assert!(list["wxopens"]["items"][0].get("appid").is_none());
}

#[tokio::test]
async fn an_invitation_in_flight_answers_89010_with_a_request_id() {
    let story = Story::begin(Faults::none()).await;
    story.link().await;
    let again = story.link().await;
    assert_eq!(again["errcode"], 89010);
    let errmsg = again["errmsg"].as_str().unwrap();
    assert!(errmsg.starts_with("link message has sent rid: "), "{errmsg}");
    assert_eq!(story.sim.world().invitations(ACCOUNT, PROGRAM), 1);
}

#[tokio::test]
async fn people_act_through_the_administrators_api() {
    let story = Story::begin(Faults::none()).await;
    let pair = json!({ "account": ACCOUNT, "program": PROGRAM });
    assert_eq!(story.sim_post("console_link", pair.clone()).await.0, 200);
    assert_eq!(story.link().await["errcode"], 89035);
    assert_eq!(story.sim_post("console_link", pair.clone()).await.0, 409);

    let by = |who: &str| json!({ "account": ACCOUNT, "program": PROGRAM, "by": who });
    assert_eq!(story.sim_post("approve", by("account_admin")).await.0, 409);
    assert_eq!(story.sim_post("approve", by("program_admin")).await.0, 200);
    assert_eq!(story.statuses().await, [1]);
    assert_eq!(story.sim_post("remove", pair).await.0, 200);
    assert!(story.statuses().await.is_empty());

    let plan = json!({ "account": ACCOUNT, "account_admin": "approves after 90s" });
    assert_eq!(story.sim_post("plan", plan).await.0, 200);
    story.link().await;
    assert_eq!(story.sim_post("advance", json!({ "by": "90s" })).await.0, 200);
    assert_eq!(story.statuses().await, [2]);
    assert_eq!(story.sim_post("refuse", by("program_admin")).await.0, 200);
    assert_eq!(story.statuses().await, [3]);
}

#[tokio::test]
async fn the_experimenter_changes_the_world_through_the_api() {
    let story = Story::begin(Faults::none()).await;
    let (status, switches) = story.sim_post("switches", json!({ "listing_delay": "5s" })).await;
    assert_eq!((status, &switches["listing_delay"]), (200, &json!("5s")));
    assert_eq!(story.sim_post("switches", json!({ "no_such": 1 })).await.0, 400);
    let late = json!({ "month_rolls_late_by": "3h", "day_rolls_late_by": "90m" });
    let (status, switches) = story.sim_post("switches", late).await;
    assert_eq!((status, &switches["month_rolls_late_by"]), (200, &json!("3h")));
    let now = story.sim.now();
    let (status, moved) = story.sim_post("advance", json!({ "back": "10m" })).await;
    assert_eq!(status, 200);
    let behind = now - moved["now"].as_i64().unwrap();
    assert!((590_000..=600_000).contains(&behind), "its clock is {behind} ms behind");
    assert_eq!(story.sim_post("advance", json!({ "by": "10m" })).await.0, 200);
    assert_eq!(story.sim_post("quota", json!({ "calls_per_day": 1 })).await.0, 200);
    story.list().await;
    assert_eq!(story.list().await["errcode"], 45009);
    assert_eq!(story.sim_post("quota", json!({ "calls_per_day": null })).await.0, 200);
    let gone = json!({ "account": ACCOUNT, "answers_always": 61007 });
    assert_eq!(story.sim_post("account", gone).await.0, 200);
    assert_eq!(story.list().await["errcode"], 61007);
    assert_eq!(story.sim_post("account", json!({ "account": ACCOUNT })).await.0, 200);
    assert_eq!(story.list().await["errcode"], 0);

    let banned = json!({ "program": PROGRAM, "banned": true });
    assert_eq!(story.sim_post("program", banned).await.0, 200);
    assert_eq!(story.link().await["errcode"], 89013);
    let twice = json!({ "rates": { "slow": 2.0 } });
    assert_eq!(story.sim_post("faults", twice).await.0, 400);
    let next = json!({ "kind": "too_fast", "api": "wxamplinkget" });
    assert_eq!(story.sim_post("faults/next", next).await.0, 200);
    assert_eq!(story.list().await["errcode"], 45011);
    assert_eq!(story.sim_post("token/expire", json!({})).await.0, 200);
    assert_eq!(story.list().await["errcode"], 42001);
}

#[tokio::test]
async fn the_list_has_the_documented_shape() {
    let story = Story::begin(Faults::none()).await;
    for (program, phase) in [("wxa", Phase::Linked), ("wxb", Phase::Rejected)] {
        story.sim.world().place(ACCOUNT, program, phase, START).unwrap();
    }
    let response = story.send("wxamplinkget", &json!({})).await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(content_type, "application/json; encoding=utf-8");
    let list = read(response).await;

    assert_eq!(keys(&list), ["errcode", "errmsg", "wxopens"]);
    assert_eq!(keys(&list["wxopens"]), ["items"]);
    let [linked, rejected] = list["wxopens"]["items"].as_array().unwrap().as_slice() else {
        panic!("two items: {list}");
    };
    let full = "appid copy_verify_status email func_infos headimg_url nearby_display_status \
                nickname released selected source status username";
    assert_eq!(keys(linked), full.split_whitespace().collect::<Vec<_>>());
    let short = "func_infos headimg_url nickname source status username";
    assert_eq!(keys(rejected), short.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&linked["appid"], &linked["status"]), (&json!("wxa"), &json!(1)));
    assert_eq!(keys(&linked["func_infos"][0]), ["id", "name", "status"]);
    assert_eq!(linked["func_infos"][1]["name"], "微信支付");
    assert!(linked["username"].as_str().unwrap().starts_with("gh_"));
    assert_eq!(rejected["func_infos"], json!([]));
}

#[tokio::test]
async fn switches_change_the_spelling() {
    let story = Story::begin(Faults::none()).await;
    for (empty_items, wxopens) in [
        (EmptyItems::Array, json!({ "items": [] })),
        (EmptyItems::Null, json!({ "items": null })),
        (EmptyItems::Absent, json!({})),
        (EmptyItems::WxopensArray, json!([])),
        (EmptyItems::WxopensNull, Value::Null),
        (EmptyItems::NoWxopens, Value::Null),
    ] {
        story.sim.world().switches.empty_items = empty_items;
        let list = story.list().await;
        assert_eq!((&list["wxopens"], &list["errcode"]), (&wxopens, &json!(0)));
        assert_eq!(list.get("wxopens").is_none(), empty_items == EmptyItems::NoWxopens);
    }
    story.link().await;
    {
        let switches = &mut story.sim.world().switches;
        switches.numbers_as_strings = true;
        switches.items_have_appid = false;
        switches.func_info_key = FuncInfoKey::FuncInfo;
        switches.success_has_errcode = false;
        switches.escaped_slashes = true;
        switches.rid = RidSpelling::Absent;
        switches.lists_the_account_itself = true;
    }
    let text = story.send("wxamplinkget", &json!({})).await.unwrap().text().await.unwrap();
    assert!(text.contains(r"http:\/\/sim.invalid\/head"), "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(keys(&list), ["wxopens"]);
    let items = list["wxopens"]["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["status"]), (2, &json!("12")));
    assert!(items[0].get("appid").is_none() && items[0]["func_info"].is_array());
    assert_eq!(story.link().await["errmsg"], "link message has sent");
}

#[tokio::test]
async fn a_careless_client_is_told_what_wechat_tells_it() {
    let mut story = Story::begin(Faults::none()).await;
    let base = story.sim.url();
    let url = |token: &str| format!("{base}/cgi-bin/wxopen/wxamplinkget?access_token={token}");
    let (good, none) = (url(&story.token), url(""));
    let code =
        async |request: reqwest::RequestBuilder| read(request.send().await.unwrap()).await["errcode"].as_i64().unwrap();
    let post = |url: &str| story.http.post(url);
    assert_eq!(code(post(&good)).await, 44002);
    assert_eq!(code(post(&none).body("{}")).await, 41001);
    assert_eq!(code(post(&url("made-up")).body("{}")).await, 40001);
    assert_eq!(code(post(&good).body("{")).await, 47001);
    assert_eq!(code(post(&good).body("appid=wx1")).await, -1);
    assert_eq!(code(story.http.get(&good)).await, 43002);
    story.sim.world().switches.empty_body_is_refused = false;
    assert_eq!(code(post(&good)).await, 0);
    assert_eq!(code(post(&good).body("{}")).await, 0);

    story.pass(Span::minutes(116)).await;
    assert_eq!(code(story.http.post(&good).body("{}")).await, 0, "the old one has its grace");
    story.time.fetch_add(Span::minutes(5).as_millis(), Ordering::SeqCst);
    assert_eq!(code(story.http.post(&good).body("{}")).await, 40001);
}
