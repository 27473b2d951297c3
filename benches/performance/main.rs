//! `cargo bench`: what a poll, a transition and a start cost, beside the bare calls in the same run. It must never assert a
//! time: machines differ, ratios tell.
//!
//! The server that stands for `WeChat` is a process of its own, so that CPU time is the daemon's side alone.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the machine's stopwatch")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod machine;

mod server;

use std::{
    num::NonZeroU32,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use amplinkd::{
    clock::{SharedClock, SystemClock},
    domain::{
        listing::Status,
        observation::Observation,
        policy::{Policy, Steps},
        request::{Kind, LinkOptions, Request},
    },
    engine::{Engine, Settings, accept::Wish, drive::Driver},
    shutdown::Shutdown,
    store::{Location, Record, Role, Store},
    wechat::{Client, ClientConfig, TokenSource, Tokens, Wechat},
};

use self::{
    machine::{cpu_time, peak_memory_mb},
    server::{Server, serve},
};

/// Accounts with one open request each, for polls.
const ACCOUNTS: usize = 10_000;

/// Open requests for memory and start-up.
const MANY: usize = 100_000;

/// Requests for transitions.
const MOVES: usize = 20_000;

/// Calls under way at once, in both loops.
const IN_FLIGHT: usize = 64;

/// How long each loop of calls is measured.
const SPAN: Duration = Duration::from_secs(6);

/// Transitions wanted at once: what a full agenda hands to the writer.
const WRITERS: usize = 256;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match args.get(1).map(String::as_str) {
        Some("serve") => runtime.block_on(serve()),
        Some("start") => runtime.block_on(start_up(Path::new(&args[2]))),
        _ => runtime.block_on(report(&args)),
    }
}

/// Everything, or what is named: `cargo bench -- polls`.
async fn report(args: &[String]) {
    let named = |name: &str| args.iter().any(|arg| arg == name);
    let all = !["polls", "transitions", "start-up"].into_iter().any(named);
    let folder = std::env::temp_dir().join(format!("amplinkd-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the databases");
    println!("| what | figure |");
    println!("|---|---|");
    if all || named("polls") {
        polls(&Server::spawn(), &folder).await;
    }
    if all || named("transitions") {
        transitions(&folder).await;
    }
    if all || named("start-up") {
        start(&folder).await;
    }
    let _ = std::fs::remove_dir_all(&folder);
}

// ---- polls ----

async fn polls(server: &Server, folder: &Path) {
    let bare = bare_loop(&server.url).await;
    let ours = engine_loop(&server.url, &folder.join("polls.db")).await;
    let again = bare_loop(&server.url).await;
    let client = client_loop(&server.url).await;
    let bare_cpu = f64::midpoint(bare.cpu_us(), again.cpu_us());
    println!("| bare reqwest loop, {IN_FLIGHT} in flight | {:.0} calls/s, {bare_cpu:.1} µs CPU a call |", bare.rate());
    println!(
        "| the daemon's own client in the same loop | {:.0} calls/s, {:.1} µs CPU a call |",
        client.rate(),
        client.cpu_us()
    );
    println!(
        "| unchanged polls of {ACCOUNTS} accounts | {:.0} polls/s, {:.1} µs CPU a poll |",
        ours.rate(),
        ours.cpu_us()
    );
    println!("| CPU of an unchanged poll over the bare call | {:.2} |", ours.cpu_us() / bare_cpu);
}

/// Calls, the time they took and the CPU time of this process.
struct Measured {
    calls: u64,
    wall: Duration,
    cpu: Duration,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.calls as f64 / self.wall.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls.max(1) as f64
    }
}

/// The same POSTs over the same HTTP client, and nothing else: each answer is read to its end.
async fn bare_loop(url: &str) -> Measured {
    amplinkd::wechat::install_tls();
    let http = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(IN_FLIGHT)
        .build()
        .expect("a client");
    let token = token();
    let address = format!("{url}/cgi-bin/wxopen/wxamplinkget?access_token={token}");
    let done = Arc::new(AtomicU64::new(0));
    let (wall, cpu) = (Instant::now(), cpu_time());
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (http, address, done) = (http.clone(), address.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while wall.elapsed() < SPAN {
                    let answer = http.post(&address).header("content-type", "application/json").body("{}").send().await;
                    answer.expect("an answer").bytes().await.expect("a body");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    Measured { calls: done.load(Ordering::Relaxed), wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

/// The same loop with our client: token, address, bounds, fingerprint.
async fn client_loop(url: &str) -> Measured {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let wechat = wechat(url, &clock);
    let done = Arc::new(AtomicU64::new(0));
    let (wall, cpu) = (Instant::now(), cpu_time());
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|number| {
            let (wechat, done, account) = (wechat.clone(), Arc::clone(&done), wish(number).account);
            tokio::spawn(async move {
                while wall.elapsed() < SPAN {
                    let _ = wechat.listing(&account).await.expect("an answer").fingerprint();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    Measured { calls: done.load(Ordering::Relaxed), wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

fn wechat(url: &str, clock: &SharedClock) -> Wechat {
    let client = Client::new(&ClientConfig {
        base_url: url.to_owned(),
        idle_per_host: IN_FLIGHT,
        timeout: Duration::from_secs(10),
        ..ClientConfig::default()
    });
    let any = [("*".to_owned(), token().into())];
    let tokens = Tokens::new(TokenSource::Static(any.into_iter().collect()), Arc::clone(clock)).expect("tokens");
    Wechat::new(client.expect("a client"), tokens)
}

async fn engine_loop(url: &str, path: &Path) -> Measured {
    let (engine, driver) = daemon(url, path, ACCOUNTS).await;
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let watched = Arc::clone(&engine);
    let watch = tokio::spawn(async move {
        // Everything is read once before it can be unchanged.
        while watched.readings().unchanged < ACCOUNTS as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (before, wall, cpu) = (watched.readings(), Instant::now(), cpu_time());
        tokio::time::sleep(SPAN).await;
        let calls = watched.readings().unchanged - before.unchanged;
        let measured = Measured { calls, wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) };
        stop.ask();
        measured
    });
    driver.spawn(shutdown).await.expect("no panic");
    let measured = watch.await.expect("no panic");
    engine.store().clone().close().await;
    measured
}

async fn daemon(url: &str, path: &Path, accounts: usize) -> (Arc<Engine>, Driver) {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let store = Store::open(&Location { path: path.to_owned(), mode: 0o600 }, Role::Daemon).await.expect("a store");
    let wechat = wechat(url, &clock);
    let settings = Settings {
        // Everything is always due: the loop runs as fast as it can.
        policy: Policy { steps: Steps::new(vec![], Duration::from_millis(10)).expect("steps"), ..Policy::default() },
        in_flight: IN_FLIGHT,
        per_second: NonZeroU32::MAX,
        daily_budget: u32::MAX,
    };
    let engine = Engine::new(store, wechat, clock, settings);
    engine.recorder().accept((0..accounts).map(wish).collect()).await.expect("requests");
    let driver = Driver::start(Arc::clone(&engine)).await.expect("a driver");
    (engine, driver)
}

fn wish(number: usize) -> Wish {
    Wish {
        kind: Kind::Link(LinkOptions::default()),
        account: format!("wx{number:016}").parse().expect("an appid"),
        program: "wxbench00000000001".parse().expect("an appid"),
        username: None,
        key: None,
        labels: std::collections::BTreeMap::new(),
    }
}

/// As long as a real one.
fn token() -> String {
    "t".repeat(157)
}

// ---- transitions ----

async fn transitions(folder: &Path) {
    let (engine, driver) = daemon("http://127.0.0.1:9", &folder.join("moves.db"), MOVES).await;
    drop(driver);
    let mut requests: Vec<Request> = Vec::with_capacity(MOVES);
    for number in 0..MOVES {
        let account = wish(number).account;
        let rows = engine.store().watched_requests(&account).await.expect("rows");
        requests.extend(rows.into_iter().map(|row| row.expect("a legal row")));
    }
    let steps = [
        Observation::CallStarted,
        Observation::CallAccepted,
        Observation::Listed(Status::AwaitingAccountAdmin),
        Observation::Listed(Status::AwaitingProgramAdmin),
        Observation::Listed(Status::Linked),
    ];
    let (wall, cpu) = (Instant::now(), cpu_time());
    let shares: Vec<Vec<Request>> = requests.chunks(MOVES.div_ceil(WRITERS)).map(<[Request]>::to_vec).collect();
    let tasks: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (engine, steps) = (Arc::clone(&engine), steps.clone());
            tokio::spawn(async move {
                for mut request in share {
                    for seen in &steps {
                        request = engine.recorder().observe(&request, seen, Record::default()).await.expect("written");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let calls = engine.readings().transitions;
    let measured = Measured { calls, wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) };
    println!(
        "| durable transitions with history and event, {WRITERS} at once | {:.0}/s, {:.0} µs CPU each |",
        measured.rate(),
        measured.cpu_us()
    );
    engine.store().clone().close().await;
}

// ---- start ----

async fn start(folder: &Path) {
    let path = folder.join("start.db");
    let (engine, driver) = daemon("http://127.0.0.1:9", &path, 0).await;
    drop(driver);
    let began = Instant::now();
    engine.recorder().accept((0..MANY).map(wish).collect()).await.expect("requests");
    println!("| {MANY} requests accepted in one transaction | {:.1} s |", began.elapsed().as_secs_f64());
    engine.store().clone().close().await;
    // The lock goes with the last of the store.
    drop(engine);
    let exe = std::env::current_exe().expect("this program");
    let child = Command::new(exe).arg("start").arg(&path).output().expect("a start");
    print!("{}", String::from_utf8_lossy(&child.stdout));
}

/// A start of its own process, so that nothing else is in its memory.
async fn start_up(path: &Path) {
    let began = Instant::now();
    let (engine, driver) = daemon("http://127.0.0.1:9", path, 0).await;
    let ready = began.elapsed();
    let shutdown = Shutdown::new();
    let (stop, watched) = (shutdown.clone(), Arc::clone(&engine));
    tokio::spawn(async move {
        // The wake-ups of the import are worked off, and the agenda is complete.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let _ = watched.readings();
        stop.ask();
    });
    let driver = driver.spawn(shutdown).await.expect("no panic");
    println!("| start with {MANY} open requests until ready | {:.0} ms |", ready.as_secs_f64() * 1e3);
    println!("| accounts on the agenda then | {} |", driver.accounts());
    println!("| peak memory of that process, polls failing | {:.0} MB |", peak_memory_mb());
    engine.store().clone().close().await;
}
