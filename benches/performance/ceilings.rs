//! What the machine gives without the daemon: bare calls and bare commits.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use amplinkd::clock::{SharedClock, SystemClock};
use sqlx::{
    ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::house::{IN_FLIGHT, Measured, Source, Watch, token, wechat, wish};

/// How long each loop of calls is measured.
pub(crate) const SPAN: Duration = Duration::from_secs(6);

/// How long commits are made one after the other.
const COMMITS_SPAN: Duration = Duration::from_secs(2);

/// The same POSTs over the same HTTP client, and nothing else: each answer is read to its end.
pub(crate) async fn bare_loop(url: &str) -> Measured {
    amplinkd::wechat::install_tls();
    let http = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(IN_FLIGHT)
        .build()
        .expect("a client");
    let address = format!("{url}/cgi-bin/wxopen/wxamplinkget?access_token={}", token());
    in_a_loop(move |_| {
        let (http, address) = (http.clone(), address.clone());
        async move {
            let answer = http.post(&address).header("content-type", "application/json").body("{}").send().await;
            answer.expect("an answer").bytes().await.expect("a body");
        }
    })
    .await
}

/// The same loop with our client: token, address, bounds, fingerprint.
pub(crate) async fn client_loop(url: &str) -> Measured {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let wechat = wechat(url, &clock, Source::Configured);
    in_a_loop(move |number| {
        let (wechat, account) = (wechat.clone(), wish(number).account);
        async move {
            let _ = wechat.listing(&account).await.expect("an answer").fingerprint();
        }
    })
    .await
}

async fn in_a_loop<F: Future<Output = ()> + Send>(call: impl Fn(usize) -> F + Clone + Send + 'static) -> Measured {
    let done = Arc::new(AtomicU64::new(0));
    let watch = Watch::start();
    let over = std::time::Instant::now() + SPAN;
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|number| {
            let (call, done) = (call.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while std::time::Instant::now() < over {
                    call(number).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    watch.stop(done.load(Ordering::Relaxed))
}

/// Rows inserted by one writer, so many in a transaction, each its own statement; as durable as the daemon's.
pub(crate) async fn bare_commits(path: &Path, rows: u64) -> Measured {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await.expect("a database");
    let table = "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, text TEXT NOT NULL)";
    sqlx::query(table).execute(&mut connection).await.expect("a table");
    let (watch, over) = (Watch::start(), std::time::Instant::now() + COMMITS_SPAN);
    let mut written = 0;
    while std::time::Instant::now() < over {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.expect("a transaction");
        for _ in 0..rows {
            let insert =
                sqlx::query("INSERT INTO bare (text) VALUES ($1)").bind("a row of about forty bytes, as it is");
            insert.execute(&mut *transaction).await.expect("a row");
        }
        transaction.commit().await.expect("a commit");
        written += rows;
    }
    let measured = watch.stop(written);
    connection.close().await.expect("an end");
    measured
}
