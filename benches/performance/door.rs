//! `cargo bench -- door`: fifty clients of the API beside polls at half of the rate that the machine makes, on a million
//! requests; what event streams and idle connections take; reads beside an action on many. The daemon is the program itself.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};

use crate::{
    crowd::{self, OF_EACH},
    machine::{self, memory_of_mb},
    server::Server,
    world,
};

/// Requests when no number is named.
const REQUESTS: usize = 1_000_000;

/// Clients at once, and how long each waits between two requests: a crowd of dashboards and programs.
const CLIENTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// How long each part is measured.
const SPAN: Duration = Duration::from_secs(20);

const STREAMS: usize = 64;
const IDLE: usize = 1_000;

/// What is asked for, in turn. `{id}`, `{account}` and `{middle}` stand for a request, an account and a cursor.
const ASKED: [(&str, &str); 49] = [
    ("list", "/requests"),
    ("list", "/requests?limit=500"),
    ("list", "/requests?after={middle}"),
    ("list", "/requests?open=true"),
    ("list", "/requests?finished=true"),
    ("list", "/requests?state=awaiting_account_admin"),
    ("list", "/requests?state=failed"),
    ("list", "/requests?state=linked,failed&kind=link"),
    ("list", "/requests?kind=link"),
    ("list", "/requests?kind=unlink"),
    ("list", "/requests?kind=unlink&open=true"),
    ("list", "/requests?account={account}"),
    ("list", "/requests?account={account}&state=linked"),
    ("list", "/requests?program=wxp000000000000042"),
    ("list", "/requests?program=wxp000000000000042&state=failed"),
    ("list", "/requests?label=shop%3D0042"),
    ("list", "/requests?label=env%3Dprod"),
    ("list", "/requests?label=env%3Dprod&state=failed"),
    ("list", "/requests?label=env%3Dprod&label=shop%3D0042"),
    ("list", "/accounts"),
    ("list", "/accounts?state=suspended"),
    ("list", "/accounts?suspended_by=operator"),
    ("list", "/accounts?label=shop%3D0042"),
    ("list", "/accounts?label=env%3Dprod"),
    ("list", "/alerts?state=resolved"),
    ("list", "/alerts?state=resolved&account={account}"),
    ("list", "/alerts?state=resolved&rule=conflict"),
    ("list", "/conflicts?open=true"),
    ("list", "/conflicts?resolved=true"),
    ("list", "/programs?account={account}"),
    ("list", "/actions"),
    ("show", "/requests/{id}"),
    ("show", "/requests/{id}?include=history,conflicts,alerts,nudges"),
    ("show", "/requests/{id}/history"),
    ("show", "/accounts/{account}"),
    ("explain", "/requests/{id}/explanation"),
    ("count", "/requests/count"),
    ("count", "/requests/count?open=true"),
    ("count", "/requests/count?state=awaiting_account_admin"),
    ("count", "/requests/count?label=env%3Dprod"),
    ("count", "/requests/count?kind=link"),
    ("count", "/requests/count?label=env%3Dprod&state=failed"),
    ("page", "page:/"),
    ("page", "page:/requests?open=true"),
    ("page", "page:/requests/{id}"),
    ("page", "page:/accounts"),
    ("page", "page:/accounts/{account}"),
    ("page", "page:/alerts"),
    ("page", "page:/conflicts"),
];

/// How long answers took, by what was asked for.
type Took = BTreeMap<usize, Vec<Duration>>;

/// A daemon, and how it is spoken to. It ends with this value.
struct Daemon {
    child: Child,
    base: String,
    client: Client,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    command.current_dir(folder).args(arguments.split_whitespace());
    command
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

fn configure(folder: &Path, url: &str, port: u16, every: Duration) {
    let every = every.as_millis().max(10);
    let config = format!(
        "[database]\nurl = \"sqlite:door.db\"\n[wechat]\nbase_url = \"{url}\"\nper_second = 1000000\n[tokens]\n\
         source = \"http\"\nurl = \"{url}/token/{{account}}\"\n[polling]\nsteps = [{{ every = \"{every}ms\" }}]\n\
         daily_budget = 8640000\n[http]\nlisten = \"127.0.0.1:{port}\"\n[metrics]\nopen = true\n"
    );
    std::fs::write(folder.join("amplinkd.toml"), config).expect("a configuration");
}

impl Daemon {
    async fn start(folder: &Path, url: &str, every: Duration) -> Self {
        let port = free_port();
        configure(folder, url, port, every);
        let log = std::fs::File::create(folder.join("daemon.log")).expect("a log");
        let child = command(folder, "run").stdout(Stdio::null()).stderr(log).spawn().expect("a daemon");
        let client = Client::builder().no_proxy().pool_max_idle_per_host(CLIENTS).build().expect("a client");
        let daemon = Self { child, base: format!("http://127.0.0.1:{port}"), client };
        let began = Instant::now();
        while daemon.status("/readyz").await != Some(StatusCode::OK) {
            assert!(
                began.elapsed() < Duration::from_mins(2),
                "the daemon is not ready: see {}/daemon.log",
                folder.display()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        daemon
    }

    async fn status(&self, path: &str) -> Option<StatusCode> {
        Some(self.client.get(format!("{}{path}", self.base)).send().await.ok()?.status())
    }

    async fn metrics(&self) -> Metrics {
        let page = self.client.get(format!("{}/metrics", self.base)).send().await.expect("metrics");
        Metrics(page.text().await.expect("metrics"))
    }

    fn memory_mb(&self) -> f64 {
        memory_of_mb(self.child.id())
    }
}

/// A page of metrics.
struct Metrics(String);

impl Metrics {
    /// The sum of a metric's series, and of a histogram the bounds of its buckets with what lies below each.
    fn sum(&self, name: &str) -> f64 {
        let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        self.0.lines().filter(of_it).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
        };
        self.0.lines().filter_map(bucket).collect()
    }

    /// The bound, in milliseconds, below which 99 of 100 polls began since `before`.
    fn lateness_ms(&self, before: &Self) -> f64 {
        let [then, now] = [before, self].map(|page| page.buckets("amplinkd_poll_lateness_seconds"));
        let grown: Vec<(f64, f64)> =
            now.iter().zip(&then).map(|((bound, now), (_, then))| (*bound, now - then)).collect();
        let all = grown.last().map_or(0.0, |(_, all)| *all);
        grown.iter().find(|(_, count)| *count >= all * 0.99).map_or(0.0, |(bound, _)| bound * 1e3)
    }
}

/// What clients ask with.
#[derive(Clone)]
struct Asker {
    client: Client,
    base: String,
    token: String,
    requests: u64,
}

impl Asker {
    /// A path with a request, an account and a place of chance.
    fn path(&self, path: &str, number: u64) -> String {
        let row = number.wrapping_mul(2_654_435_761) % self.requests;
        let id = format!(
            "{:08x}-{:04x}-7000-8000-{:012x}",
            27_389_526 + row / 65_536,
            row % 65_536,
            row.wrapping_mul(2_654_435_761) & 281_474_976_710_655
        );
        let middle = id.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let account = format!("wxa{:015}", row / OF_EACH as u64);
        path.replace("{id}", &id).replace("{account}", &account).replace("{middle}", &middle)
    }

    async fn ask(&self, path: &str) -> Value {
        let place = path.strip_prefix("page:").map_or_else(|| format!("/api/v1{path}"), str::to_owned);
        let asked = self.client.get(format!("{}{place}", self.base)).header(AUTHORIZATION, &self.token);
        let answer = asked.send().await.expect("an answer");
        let (status, body) = (answer.status(), answer.bytes().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn act(&self, body: &Value) -> Value {
        let asked = self.client.post(format!("{}/api/v1/actions", self.base)).header(AUTHORIZATION, &self.token);
        let asked = asked.header("content-type", "application/json").body(body.to_string());
        let answer = asked.send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&answer).expect("JSON")
    }
}

/// Lets the clients ask until `end`, each `pause` after its last answer.
async fn ask_all(asker: &Asker, pause: Duration, end: impl Future<Output = ()>) -> Took {
    let (is_over, turn) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (asker, is_over, turn) = (asker.clone(), Arc::clone(&is_over), Arc::clone(&turn));
        clients.spawn(async move {
            let mut took = Took::new();
            tokio::time::sleep(pause * u32::try_from(client).unwrap_or(0) / 50).await;
            while !is_over.load(Ordering::Relaxed) {
                let number = turn.fetch_add(1, Ordering::Relaxed);
                let which = usize::try_from(number).unwrap_or(0) % ASKED.len();
                let path = asker.path(ASKED[which].1, number);
                let began = Instant::now();
                asker.ask(&path).await;
                took.entry(which).or_default().push(began.elapsed());
                tokio::time::sleep(pause).await;
            }
            took
        });
    }
    end.await;
    is_over.store(true, Ordering::Relaxed);
    clients.join_all().await.into_iter().flatten().fold(Took::new(), |mut all, (which, took)| {
        all.entry(which).or_default().extend(took);
        all
    })
}

/// p50, p99 and the longest, in milliseconds.
fn figures<'t>(took: impl Iterator<Item = &'t Duration>) -> String {
    let mut took: Vec<Duration> = took.copied().collect();
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1)));
    let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1e3);
    format!("{} | {:.1} | {:.1} | {:.1}", took.len(), ms(at(50)), ms(at(99)), ms(took.last()))
}

fn print_by_kind(took: &Took) {
    for kind in ["list", "show", "explain", "count", "page"] {
        let of_kind = took.iter().filter(|(which, _)| ASKED[**which].0 == kind).flat_map(|(_, took)| took);
        println!("| {kind} | {} |", figures(of_kind));
    }
}

const HEAD: &str = "asked | p50 ms | p99 ms | most ms |\n|---|---:|---:|---:|---:|";

/// All of it.
pub(crate) async fn report(args: &[String], folder: &Path) {
    let named = args.iter().find_map(|arg| arg.replace(['_', ','], "").parse().ok());
    let requests: usize = named.unwrap_or(REQUESTS);
    amplinkd::wechat::install_tls();
    println!("Machine: {}. {requests} requests.\n", machine::description());
    let (server, path) = (Server::spawn(), folder.join("door.db"));
    // What it writes down of its thresholds must be there, or it looks at every request anew.
    drop(Daemon::start(folder, &server.url, Duration::from_hours(1)).await);
    crowd::fill(&path, requests).await;
    let token = token(folder);
    let accounts = requests / OF_EACH;
    let fastest = fastest(folder, &server.url).await;
    let every = Duration::from_secs_f64((accounts as f64 / (fastest / 2.0)).max(0.01));
    world::spread_dues(&path, accounts, world::now_ms() + 5_000, every, false).await;
    let daemon = Daemon::start(folder, &server.url, every).await;
    let asker = Asker { client: daemon.client.clone(), base: daemon.base.clone(), token, requests: requests as u64 };
    tokio::time::sleep(Duration::from_secs(15)).await;
    let quiet = alone(&daemon).await;
    let before = daemon.metrics().await;
    let took = ask_all(&asker, PAUSE, tokio::time::sleep(SPAN)).await;
    let after = daemon.metrics().await;
    println!("\n{CLIENTS} clients, each {} ms after its last answer | {HEAD}", PAUSE.as_millis());
    for (which, took) in &took {
        println!("| {} | {} |", ASKED[*which].1, figures(took.iter()));
    }
    print_by_kind(&took);
    let polls = |page: &Metrics| page.sum("amplinkd_polls_total");
    println!("\n| polls | a second | lateness p99, at most ms |\n|---|---:|---:|");
    println!("| as fast as they go | {fastest:.0} | |\n| half, alone | {:.0} | {} |", quiet.0, quiet.1);
    let rate = (polls(&after) - polls(&before)) / SPAN.as_secs_f64();
    println!("| half, beside the clients | {rate:.0} | {} |", after.lateness_ms(&before));
    let took = ask_all(&asker, Duration::ZERO, tokio::time::sleep(SPAN / 2)).await;
    let all: usize = took.values().map(Vec::len).sum();
    println!("\nas fast as they go, {:.0} a second | {HEAD}", all as f64 / (SPAN / 2).as_secs_f64());
    print_by_kind(&took);
    memory(&daemon, &asker).await;
    beside_an_action(&asker).await;
}

fn token(folder: &Path) -> String {
    let made = command(folder, "api-token new bench --role admin -o json").output().expect("a token");
    let made: Value = serde_json::from_slice(&made.stdout).expect("a token");
    format!("Bearer {}", made["token"].as_str().expect("a token"))
}

/// Polls a second when everything is always due.
async fn fastest(folder: &Path, url: &str) -> f64 {
    let daemon = Daemon::start(folder, url, Duration::from_millis(10)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    alone(&daemon).await.0
}

/// Polls a second, and how late the latest but one of a hundred begins.
async fn alone(daemon: &Daemon) -> (f64, f64) {
    let before = daemon.metrics().await;
    tokio::time::sleep(SPAN / 2).await;
    let after = daemon.metrics().await;
    let polls = after.sum("amplinkd_polls_total") - before.sum("amplinkd_polls_total");
    (polls / (SPAN / 2).as_secs_f64(), after.lateness_ms(&before))
}

/// What streams and idle connections take.
async fn memory(daemon: &Daemon, asker: &Asker) {
    let before = daemon.memory_mb();
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let stream = asker.client.get(format!("{}/api/v1/events", asker.base)).header(AUTHORIZATION, &asker.token);
        let answer = stream.header("accept", "text/event-stream").send().await.expect("a stream");
        assert_eq!(answer.status(), StatusCode::OK);
        streams.push(answer);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let streaming = daemon.memory_mb();
    let address = asker.base.trim_start_matches("http://");
    let idle: Vec<TcpStream> = (0..IDLE).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = daemon.memory_mb();
    println!("\n| memory of the daemon | MB |\n|---|---:|\n| before | {before:.1} |");
    println!("| with {STREAMS} event streams | {streaming:.1} |\n| and {} idle connections | {all:.1} |", idle.len());
}

/// Reads while an action on many is done.
async fn beside_an_action(asker: &Asker) {
    let filter = json!({ "label": "batch=7" });
    let shown = asker.act(&json!({ "action": "cancel", "filter": filter, "dry_run": true })).await;
    let body = json!({ "action": "cancel", "filter": filter, "cutoff": shown["cutoff"], "digest": shown["digest"] });
    let watch = Instant::now();
    let action = asker.act(&body).await;
    let (path, mut done) = (format!("/actions/{}", action["id"].as_str().expect("an id")), Value::Null);
    let took = ask_all(asker, PAUSE, async {
        while done["state"] != "finished" && watch.elapsed() < Duration::from_mins(5) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            done = asker.ask(&path).await;
        }
    })
    .await;
    let (count, seconds) = (&shown["count"], watch.elapsed().as_secs_f64());
    println!("\nbeside an action on {count} requests, {} done in {seconds:.1} s | {HEAD}", done["done"]);
    print_by_kind(&took);
}
