//! `cargo bench`: what a poll, a transition and a start cost, beside the bare calls in the same run; `cargo bench --
//! growth` the same and more at growing sizes; `cargo bench -- door` what clients of the API wait for.
//!
//! The server that stands for `WeChat` is a process of its own, so that CPU time is the daemon's side alone.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the machine's stopwatch")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod machine;

mod house;

mod server;

mod ceilings;

mod world;

mod work;

mod queries;

mod growth;

mod crowd;

mod door;

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use amplinkd::{
    domain::{action, listing::Status, observation::Observation, request::Request},
    shutdown::Shutdown,
    store::Record,
};

use self::{
    ceilings::{SPAN, bare_loop, client_loop},
    house::{IN_FLIGHT, Measured, OFTEN, Source, Watch, daemon, drive, wish},
    machine::peak_memory_mb,
    server::{Server, serve},
};

/// Accounts with one open request each, for polls.
const ACCOUNTS: usize = 10_000;

/// Open requests for memory and start-up.
const MANY: usize = 100_000;

/// Requests for transitions.
const MOVES: usize = 20_000;

/// Transitions wanted at once: what a full agenda hands to the writer.
const WRITERS: usize = 256;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let text = |at: usize| args.get(at).map_or("", String::as_str);
    let (path, number) = (Path::new(text(2)), text(3).parse().unwrap_or(0));
    match text(1) {
        "serve" => runtime.block_on(serve(false)),
        "serve-changing" => runtime.block_on(serve(true)),
        "start" => runtime.block_on(start_up(path)),
        "import" => runtime.block_on(work::import(path, number)),
        "spread" => {
            let (from_ms, every) = (text(4).parse().expect("a time"), text(5).parse().map(Duration::from_micros));
            runtime.block_on(world::spread_dues(path, number, from_ms, every.expect("a wait"), text(6) == "true"));
        }
        "polls" if number > 0 => runtime.block_on(work::polls(path, number, text(4), text(5) == "by-chance")),
        "lateness" => runtime.block_on(work::lateness(path, number, text(4), text(5).parse().expect("a rate"))),
        "tokens" => runtime.block_on(work::tokens(path, number, text(4))),
        "changed" => runtime.block_on(work::changed(path, number, text(4))),
        "accept" => runtime.block_on(work::accept(path, number)),
        "queries" => runtime.block_on(queries::ask_all(path, number)),
        _ => runtime.block_on(report(&args)),
    }
}

/// Everything, or what is named: `cargo bench -- polls`.
async fn report(args: &[String]) {
    let named = |name: &str| args.iter().any(|arg| arg == name);
    let all = !["polls", "transitions", "start-up"].into_iter().any(named);
    let folder = std::env::temp_dir().join(format!("amplinkd-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the databases");
    if named("growth") {
        growth::report(args, &folder).await;
    } else if named("door") {
        door::report(args, &folder).await;
    } else {
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

async fn engine_loop(url: &str, path: &Path) -> Measured {
    let (engine, driver) = daemon(url, path, ACCOUNTS).await;
    let (measured, _) = work::at_work(&engine, driver, async |watched| {
        // Everything is read once before it can be unchanged.
        while watched.readings().unchanged < ACCOUNTS as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (before, watch) = (watched.readings(), Watch::start());
        tokio::time::sleep(SPAN).await;
        watch.stop(watched.readings().unchanged - before.unchanged)
    })
    .await;
    measured
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
    let watch = Watch::start();
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
    let measured = watch.stop(engine.readings().transitions);
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
    let (engine, driver) = drive("http://127.0.0.1:9", &path, OFTEN, Source::Configured).await;
    drop(driver);
    let began = Instant::now();
    engine.recorder().by(action::By::simulated()).accept((0..MANY).map(wish).collect()).await.expect("requests");
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
    let (engine, driver) = drive("http://127.0.0.1:9", path, OFTEN, Source::Configured).await;
    let ready = began.elapsed();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        // The wake-ups of the import are worked off, and the agenda is complete.
        tokio::time::sleep(Duration::from_secs(8)).await;
        stop.ask();
    });
    let driver = driver.spawn(shutdown).await.expect("no panic");
    println!("| start with {MANY} open requests until ready | {:.0} ms |", ready.as_secs_f64() * 1e3);
    println!("| accounts on the agenda then | {} |", driver.accounts());
    println!("| peak memory of that process, polls failing | {:.0} MB |", peak_memory_mb());
    engine.store().clone().close().await;
}
