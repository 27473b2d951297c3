//! Traces of the real binary at a collector of the test's own, which takes OTLP over HTTP. Spans are looked for by their
//! bytes: in the protocol's encoding every text stands as it is.

use std::{
    net::TcpListener,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use amplinkd::sim::{Faults, Sim, SimConfig};
use axum::{Router, body::Bytes, extract::State, http::Uri};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{Log, Process, wait_for},
    notify::egress::{
        authority::Authority,
        proxy::{CorporateProxy, Manner, PASSWORD, USER},
    },
};

const PATIENCE: Duration = Duration::from_mins(1);
const ACCOUNT: &str = "wx00000000000000aa";
const PROGRAM: &str = "wx00000000000000bb";

/// What the collector was sent: the path, and the body.
type Sent = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

#[expect(clippy::disallowed_methods, reason = "the real binary goes by the machine's clock, and so does its world")]
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A port that nobody listens at, below those that the system gives to connections.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 4 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + u16::try_from(number % 10_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

async fn collector() -> (u16, Sent) {
    let sent = Sent::default();
    let take = async |State(sent): State<Sent>, uri: Uri, body: Bytes| {
        sent.lock().unwrap().push((uri.path().to_owned(), body.to_vec()));
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(take).with_state(Arc::clone(&sent));
    drop(tokio::spawn(async move { axum::serve(listener, app).await }));
    (port, sent)
}

fn holds(sent: &Sent, text: &str) -> bool {
    let sent = sent.lock().unwrap();
    sent.iter().any(|(_, body)| body.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// A daemon that traces into a collector, and what that gets of one request to the API, one message and many polls.
async fn traced(ratio: &str) -> (Sent, String, Log) {
    let (port, sent) = collector().await;
    let (token, log) =
        traced_to(&sent, port, &format!("otlp_endpoint = \"http://127.0.0.1:{port}\"\nsample_ratio = {ratio}"), &[])
            .await;
    (sent, token, log)
}

/// The same with this `[telemetry]`, and files beside the configuration; messages go to the port of whoever is sent to.
async fn traced_to(sent: &Sent, port: u16, telemetry: &str, files: &[(&str, &str)]) -> (String, Log) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start(SimConfig { seed: 5, now: Arc::new(now_ms), faults: Faults::none() }).await.unwrap();
    let http = free_port();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let config = format!(
        "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{}\"\n[tokens]\nurl = \"{}?appid={{account}}\"\n
         [polling]\nsteps = [ {{ every = \"1s\" }} ]\n[http]\nlisten = \"127.0.0.1:{http}\"\n
         [[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nevents = [\"transition\"]\n
         url = \"http://127.0.0.1:{port}/hush/address\"\nsecret = \"whsec_aHVzaC1odXNoLWh1c2gtaHVzaC1odXNoLWh1c2gtaHVzaA==\"\n
         [log]\nformat = \"json\"\n[telemetry]\n{telemetry}\n",
        sim.url(),
        sim.token_url()
    );
    std::fs::write(folder.path().join("amplinkd.toml"), config).unwrap();
    let command = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        command.current_dir(folder.path()).args(arguments.split_whitespace());
        command
    };
    let made = command("api-token new reader --role operator -o json").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = serde_json::from_slice::<Value>(&made.stdout).unwrap()["token"].as_str().unwrap().to_owned();
    let log = Log::default();
    let mut daemon = Process::start(command("run"), &log).await;

    let body =
        format!(r#"{{"kind":"link","account":"{ACCOUNT}","program":"{PROGRAM}","labels":{{"whose":"hush-label"}}}}"#);
    let asked = reqwest::Client::new().post(format!("http://127.0.0.1:{http}/api/v1/requests")).bearer_auth(&token);
    let answered = asked.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answered.status(), 201);
    let is_told = async || sent.lock().unwrap().iter().any(|(path, _)| path == "/hush/address");
    assert!(wait_for(PATIENCE, is_told).await, "{}", log.tail());
    // The message's span ends after its answer, and polls go on meanwhile.
    tokio::time::sleep(Duration::from_secs(2)).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success(), "{}", log.tail());
    // What is looked at is what was traced, not the message itself.
    sent.lock().unwrap().retain(|(path, _)| path != "/hush/address");
    (token, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_messages_and_a_share_of_polls_arrive_at_the_collector() {
    let (sent, token, log) = traced("1.0").await;
    assert!(sent.lock().unwrap().iter().all(|(path, _)| path == "/v1/traces"));
    for text in [
        "service.name",
        "api.request",
        "http.request.method",
        "/api/v1/requests",
        "http.response.status_code",
        "alerting.deliver",
        "hook",
        "taken",
        "engine.poll",
        "wechat.listing",
        "wechat.link",
        ACCOUNT,
    ] {
        assert!(holds(&sent, text), "{text}: {}", log.tail());
    }
    for secret in [token.as_str(), "hush", "access_token", "Bearer"] {
        assert!(!holds(&sent, secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_poll_is_traced_unless_a_share_is_asked_for() {
    let (sent, _, log) = traced("0.0").await;
    assert!(holds(&sent, "api.request") && holds(&sent, "alerting.deliver"), "{}", log.tail());
    for text in ["engine.poll", "wechat.listing", "wechat.link"] {
        assert!(!holds(&sent, text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_the_intranet_is_reached_by_its_proxy_and_its_authority() {
    let (port, sent) = collector().await;
    let authority = Authority::new("intranet");
    let tls = authority.issue(&["traces.intranet.example"]).wrap(([127, 0, 0, 1], port).into()).await;
    let proxy = CorporateProxy::start(Manner::Friendly, tls).await;
    let password = PASSWORD.replace('/', "%2F").replace('@', "%40").replace(':', "%3A");
    let way = format!("http://{USER}:{password}@{}", proxy.address);
    let telemetry =
        "otlp_endpoint = \"https://traces.intranet.example/otlp\"\nproxy_file = \"proxy\"\nca_file = \"ca.pem\"";
    let (_, log) = traced_to(&sent, port, telemetry, &[("proxy", &way), ("ca.pem", &authority.pem)]).await;
    assert!(holds(&sent, "api.request"), "{}", log.tail());
    assert!(sent.lock().unwrap().iter().all(|(path, _)| path == "/otlp/v1/traces"));
    let asked = proxy.log();
    assert!(asked.iter().all(|line| line.starts_with("CONNECT traces.intranet.example:443 ")), "{asked:?}");
    // Without the authority nothing arrives, which is said once, without the password.
    sent.lock().unwrap().clear();
    let telemetry = telemetry.replace("\nca_file = \"ca.pem\"", "");
    let (_, log) = traced_to(&sent, port, &telemetry, &[("proxy", &way)]).await;
    assert!(!holds(&sent, "api.request"), "{}", log.tail());
    assert_eq!(log.count("telemetry.not_sent"), 1, "{}", log.tail());
    let told = log.lines().join("");
    assert!(
        told.contains("nobody trusted issued the server's certificate") && !told.contains(PASSWORD),
        "{}",
        log.tail()
    );
}
