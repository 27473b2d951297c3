//! Imports of the real binary beside a real daemon, killed at any moment: all of a file is seen or nothing of it, nobody who
//! writes beside it waits for long, and what was left halfway is finished or gone.

use std::{
    collections::BTreeSet,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use amplinkd::clock::{Clock, SystemClock};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{ACCOUNT, Desk, PROGRAM, block_on};
use crate::harness::{Log, Process, until};

/// Lines of a file: enough for several pages of both kinds.
const LINES: usize = 2_600;

/// Programs of one account.
const EACH: usize = 100;

/// Moments at which a command is killed.
const KILLS: u32 = 10;

/// How long anybody may wait for the file.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How long the daemon waits for it before it says that nothing can be written.
const DAEMON_WAITS: Duration = Duration::from_secs(4);

/// Lines that one transaction takes many seconds for.
const LARGE: usize = 25_000;

/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_mins(2);

/// Nobody listens there: every list is unreadable, and nothing but the imports moves.
const CONFIG: &str = "
[database]
url = \"sqlite:a.db\"
[wechat]
base_url = \"http://127.0.0.1:9\"
[tokens]
source = \"command\"
command = [\"false\"]
[log]
format = \"json\"
";

/// A file's name and what its accounts begin with.
fn file(number: u32) -> (String, String) {
    (format!("links-{number}.csv"), format!("wxa{number:02}"))
}

fn desk_with_files() -> Desk {
    let desk = Desk::new();
    desk.write("amplinkd.toml", CONFIG);
    for number in 0..=KILLS + 1 {
        let (name, accounts) = file(number);
        let mut lines = String::from("account,program,key,labels\n");
        for line in 0..LINES {
            // In no order of accounts.
            let line = line * 7 % LINES;
            let (account, program) = (line / EACH, line % EACH);
            writeln!(lines, "{accounts}{account:013},wxp{program:015},{number}-{line},shop={program}").expect("a text");
        }
        desk.write(&name, &lines);
    }
    desk
}

fn spawn(desk: &Desk, arguments: &str) -> Process {
    Process::spawn(desk.process(arguments), &Log::default())
}

fn daemon(desk: &Desk, log: &Log) -> Process {
    Process::start_blocking(desk.process("run"), log)
}

async fn connect(desk: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(desk).busy_timeout(PATIENCE);
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

fn count(desk: &Desk, sql: &str) -> i64 {
    block_on(async {
        let mut connection = connect(&desk.path("a.db")).await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.expect("a number")
    })
}

/// Requests of a file as whoever reads the view counts them.
fn of_file(number: u32) -> String {
    let (_, accounts) = file(number);
    format!("SELECT count(*) FROM v_request WHERE account BETWEEN '{accounts}' AND '{accounts}g'")
}

/// Somebody who writes a little all the time, and how long it waited for the longest time.
struct Writer(Arc<AtomicBool>, JoinHandle<Duration>);

impl Writer {
    fn begin(desk: &Desk) -> Self {
        let (path, stop) = (desk.path("a.db"), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let work = async move {
            let (clock, mut longest, mut connection) = (SystemClock::new(), Duration::ZERO, connect(&path).await);
            while !stopped.load(Ordering::Relaxed) {
                let begun = clock.monotonic();
                let mut write = connection.begin_with("BEGIN IMMEDIATE").await.expect("the file");
                sqlx::query("UPDATE job SET due_at = due_at").execute(&mut *write).await.expect("a write");
                write.commit().await.expect("a commit");
                longest = longest.max(clock.monotonic().saturating_sub(begun));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            longest
        };
        Self(stop, thread::spawn(move || block_on(work)))
    }

    fn end(self) -> Duration {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().expect("it writes")
    }
}

/// Somebody who reads, and how many requests of a file were ever seen, in this order.
struct Reader(Arc<AtomicBool>, JoinHandle<Vec<i64>>);

impl Reader {
    fn begin(desk: &Desk, number: u32) -> Self {
        let (path, stop, sql) = (desk.path("a.db"), Arc::new(AtomicBool::new(false)), of_file(number));
        let stopped = Arc::clone(&stop);
        let work = async move {
            let (mut seen, mut connection) = (Vec::new(), connect(&path).await);
            while !stopped.load(Ordering::Relaxed) {
                let query = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
                seen.push(query.fetch_one(&mut connection).await.expect("a number"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            seen.dedup();
            seen
        };
        Self(stop, thread::spawn(move || block_on(work)))
    }

    fn end(self) -> Vec<i64> {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().expect("it reads")
    }
}

/// What one import cost the others.
#[derive(Debug)]
struct Cost {
    took: Duration,
    longest: Duration,
    log: u64,
}

fn cost_of(lines: usize) -> Cost {
    let (desk, clock) = (Desk::new(), SystemClock::new());
    let text: Vec<String> = (0..lines).map(|line| format!("wxa{:015},wxp{line:015}\n", line * 7 % lines)).collect();
    desk.write("large.csv", &format!("account,program\n{}", text.concat()));
    desk.link(ACCOUNT, PROGRAM);
    let writer = Writer::begin(&desk);
    let begun = clock.monotonic();
    let mut import = spawn(&desk, "request import large.csv");
    let mut log = 0;
    while import.lives() {
        log = log.max(std::fs::metadata(desk.path("a.db-wal")).map_or(0, |log| log.len()));
        thread::sleep(Duration::from_millis(10));
    }
    let cost = Cost { took: clock.monotonic().saturating_sub(begun), longest: writer.end(), log };
    assert_eq!(count(&desk, "SELECT count(*) FROM v_request"), 1 + i64::try_from(lines).expect("a number"));
    cost
}

/// Before imports had pages, everybody else waited from its first line to its last.
#[test]
fn whoever_writes_beside_a_large_import_hardly_waits() {
    let Cost { took, longest, .. } = cost_of(LARGE);
    // Where the machine is so busy that a page takes longer than it should, the whole takes many times that.
    assert!(longest < WAIT_MAX.max(took / 8), "somebody waited {longest:?} of {took:?}");
}

/// `cargo test --release --test it import_kills -- --ignored --nocapture`
#[test]
#[ignore = "it takes minutes and writes gigabytes: run it by name"]
fn an_import_of_a_million_lines_holds_up_nobody() {
    let cost = cost_of(1_000_000);
    println!("{cost:?}");
    assert!(cost.longest < WAIT_MAX && cost.log < 256 << 20, "{cost:?}");
}

#[test]
fn killed_at_any_moment_a_file_is_taken_whole_or_not_at_all() {
    let (desk, clock, log) = (desk_with_files(), SystemClock::new(), Log::default());
    let daemon = daemon(&desk, &log);
    let writer = Writer::begin(&desk);
    let whole = i64::try_from(LINES).expect("a number");
    let begun = clock.monotonic();
    let reader = Reader::begin(&desk, 0);
    assert_eq!(desk.json("request import links-0.csv"), json!({"lines": LINES, "accepted": LINES, "existing": 0}));
    let took = clock.monotonic().saturating_sub(begun);
    assert_eq!(reader.end(), [0, whole], "all of it at one moment");

    let mut outcomes = BTreeSet::new();
    for number in 1..=KILLS {
        let (name, _) = file(number);
        let reader = Reader::begin(&desk, number);
        let import = spawn(&desk, &format!("request import {name}"));
        thread::sleep(took * number / (KILLS + 1));
        import.kill();
        let there = count(&desk, &of_file(number));
        let seen = reader.end();
        assert!(seen == [0] || seen == [0, whole], "{number}: {seen:?}");
        assert_eq!(seen.last(), Some(&there), "{number}: what was seen stays");
        outcomes.insert(there);
        let accepted = LINES - usize::try_from(there).expect("a number");
        let summary = json!({"lines": LINES, "accepted": accepted, "existing": LINES - accepted});
        assert_eq!(desk.json(&format!("request import {name}")), summary, "{number}");
    }
    assert_eq!(outcomes, BTreeSet::from([0, whole]), "some kills came before the moment and some after it");

    let _daemon = both_killed_after_the_moment(&desk, daemon, &log, KILLS + 1);
    let longest = writer.end();
    assert!(longest < DAEMON_WAITS, "somebody waited {longest:?}");
    // Those that were killed before the moment count as dead once nobody has been at work for long.
    desk.sql("UPDATE import SET beat_at = 1");
    until("what was left is gone", || count(&desk, "SELECT count(*) FROM import") == 0);
    assert_eq!(count(&desk, "SELECT count(*) FROM import_line"), 0);
    let all = i64::from(KILLS + 2) * whole;
    assert_eq!(count(&desk, "SELECT count(*) FROM request"), all);
    assert_eq!(count(&desk, "SELECT count(DISTINCT account || program) FROM request"), all);
    let told = "SELECT count(*) FROM outbox WHERE type = 'amplinkd.request.requested'";
    assert_eq!(count(&desk, told), all, "each is told of once");
    assert_eq!(log.count("db.unwritable"), 0, "nobody is paged");
    desk.run("db verify").well();
    desk.run("audit --all").well();
}

/// The command and the daemon die while lines are moved: everything is there for whoever asks, and the next daemon goes on.
fn both_killed_after_the_moment(desk: &Desk, daemon: Process, log: &Log, number: u32) -> Process {
    let (name, accounts) = file(number);
    let whole = i64::try_from(LINES).expect("a number");
    let import = spawn(desk, &format!("request import {name}"));
    until("the moment", || count(desk, "SELECT count(*) FROM import WHERE state = 'accepted'") > 0);
    import.kill();
    daemon.kill();
    assert!(count(desk, "SELECT count(*) FROM import_line") > 0, "it was killed too late to see anything");
    assert_eq!(count(desk, &of_file(number)), whole);
    let listed = desk.json(&format!("request list --limit 0 --account {accounts}{:013}", LINES / EACH - 1));
    assert_eq!(listed.as_array().map(Vec::len), Some(EACH));
    let id = listed[0]["id"].as_str().expect("an id");
    assert_eq!(desk.json(&format!("request explain {id}"))["state"], "requested");
    let program = listed[0]["program"].as_str().expect("a program");
    let again = desk.link(listed[0]["account"].as_str().expect("an account"), program);
    assert_eq!(again, id, "it is asked for already");
    assert_eq!(count(desk, &of_file(number)), whole);
    let daemon = self::daemon(desk, log);
    until("the daemon goes on", || count(desk, "SELECT count(*) FROM import WHERE state = 'accepted'") == 0);
    assert_eq!(count(desk, &of_file(number)), whole);
    daemon
}
