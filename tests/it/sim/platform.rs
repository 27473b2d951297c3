//! A third-party platform in front of the simulator, over real HTTP: what its client meets, and what it is pushed.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use amplinkd::sim::{AuthorizerKind, ComponentSetup, Faults, PushAsk, PushKeys, Sim, SimConfig, Span};
use serde_json::{Value, json};

use super::callback::{Callback, Received};

pub(super) const ACCOUNT: &str = "wx00000000000000aa";
pub(super) const PROGRAM: &str = "wx00000000000000bb";

/// 2026-03-01T00:00:00Z.
pub(super) const START: i64 = 1_772_323_200_000;

/// A platform, its callback and its clock.
pub(super) struct Platform {
    pub(super) sim: Sim,
    pub(super) callback: Callback,
    pub(super) appid: String,
    time: Arc<AtomicI64>,
    http: reqwest::Client,
}

impl Platform {
    /// Its pushes go out when it asks for them, so that a test never waits.
    pub(super) async fn begin() -> Self {
        // Another test may have installed it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let time = Arc::new(AtomicI64::new(START));
        let clock = Arc::clone(&time);
        let now = Arc::new(move || clock.load(Ordering::SeqCst));
        let sim = Sim::start(SimConfig { seed: 7, now, faults: Faults::none() }).await.unwrap();
        let callback = Callback::start().await;
        let setup =
            ComponentSetup { push_to: Some(callback.url.clone()), by_hand: Some(true), ..ComponentSetup::default() };
        sim.world().set_component(&setup, START).unwrap();
        let appid = sim.world().component().unwrap().appid().to_owned();
        Self { sim, callback, appid, time, http: reqwest::Client::new() }
    }

    pub(super) fn pass(&self, span: Span) {
        self.time.fetch_add(span.as_millis(), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> i64 {
        self.time.load(Ordering::SeqCst)
    }

    pub(super) fn keys(&self) -> PushKeys {
        self.sim.world().component().unwrap().keys().clone()
    }

    pub(super) fn secret(&self) -> String {
        self.sim.world().component().unwrap().secret().to_owned()
    }

    /// Everything that is due comes in, and what came is handed over.
    pub(super) async fn pushed(&self) -> Vec<Received> {
        self.sim.deliver_pushes().await;
        self.callback.take()
    }

    /// The ticket of the last push that comes in now.
    pub(super) async fn ticket(&self) -> String {
        let pushed = self.pushed().await;
        self.field(pushed.last().unwrap(), "ComponentVerifyTicket")
    }

    pub(super) fn field(&self, push: &Received, name: &str) -> String {
        push.field(&self.keys(), &self.appid, name)
    }

    /// A call of the platform's own; its appid goes in with the body.
    pub(super) async fn call(&self, name: &str, token: &str, mut body: Value) -> Value {
        body["component_appid"] = json!(self.appid);
        let query = if token.is_empty() { String::new() } else { format!("?component_access_token={token}") };
        self.post(&format!("/cgi-bin/component/{name}{query}"), &body).await.1
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let sent = self.http.post(format!("{}{path}", self.sim.url())).body(body.to_string()).send().await.unwrap();
        (sent.status().as_u16(), super::read(sent).await)
    }

    pub(super) async fn component_token(&self, ticket: &str) -> Value {
        let body = json!({ "component_appsecret": self.secret(), "component_verify_ticket": ticket });
        self.call("api_component_token", "", body).await
    }

    /// A component token that works.
    pub(super) async fn token(&self) -> String {
        self.sim.world().push(&PushAsk::default(), self.now()).unwrap();
        let ticket = self.ticket().await;
        text(&self.component_token(&ticket).await["component_access_token"])
    }

    pub(super) async fn trade(&self, token: &str, code: &str) -> Value {
        self.call("api_query_auth", token, json!({ "authorization_code": code })).await
    }

    pub(super) async fn refresh(&self, token: &str, refresh_token: &str) -> Value {
        let body = json!({ "authorizer_appid": ACCOUNT, "authorizer_refresh_token": refresh_token });
        self.call("api_authorizer_token", token, body).await
    }

    /// The account's list, or what is said instead of it.
    pub(super) async fn list(&self, access_token: &str) -> Value {
        self.post(&format!("/cgi-bin/wxopen/wxamplinkget?access_token={access_token}"), &json!({})).await.1
    }

    /// An account authorizes, and the platform trades the code: the access token and the refresh token.
    pub(super) async fn authorized(&self, token: &str) -> (String, String) {
        let now = self.now();
        let code = self.sim.world().authorize(ACCOUNT, AuthorizerKind::Account, None, now).unwrap();
        tokens(&self.trade(token, &code).await)
    }
}

/// What a code or a refresh gave.
pub(super) fn tokens(answer: &Value) -> (String, String) {
    let info = answer.get("authorization_info").unwrap_or(answer);
    (text(&info["authorizer_access_token"]), text(&info["authorizer_refresh_token"]))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}
