//! Events as streams and as pages: none is missing and none comes out of order, whatever dies in between.

use std::time::Duration;

use reqwest::Method;
use tokio::time::timeout;

use super::*;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(2);

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    id: i64,
    kind: String,
    data: String,
}

/// A stream that is read.
struct Stream {
    response: Response,
    unread: String,
    /// What a client would come back with.
    last_id: String,
    head: String,
}

impl Stream {
    async fn open(house: &House, token: &str, last_id: Option<&str>) -> Option<Self> {
        let asked = house.ask(Method::GET, "/api/v1/events").bearer_auth(token).header("Accept", "text/event-stream");
        let asked = if let Some(id) = last_id { asked.header("Last-Event-ID", id) } else { asked };
        let response = asked.send().await.ok()?;
        assert_eq!(response.status(), StatusCode::OK);
        let mut stream = Self { response, unread: String::new(), last_id: String::new(), head: String::new() };
        stream.head = stream.block().await?;
        assert!(stream.head.starts_with("retry: 3000\nid: "), "{}", stream.head);
        stream.last_id = stream.head.split_once("id: ")?.1.to_owned();
        Some(stream)
    }

    /// What stands before the next empty line; `None` once the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(block);
            }
            let piece = timeout(PATIENCE, self.response.chunk()).await.expect("a comment in time");
            self.unread += std::str::from_utf8(&piece.ok()??).unwrap();
        }
    }

    /// The next event, whatever comments stand before it.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            if let Some(data) = field("data") {
                field("id").unwrap().clone_into(&mut self.last_id);
                let id = self.last_id.parse().unwrap();
                return Some(Heard { id, kind: field("event").unwrap().to_owned(), data: data.to_owned() });
            }
        }
    }
}

impl House {
    async fn events_token(&self) -> String {
        self.token(Role::Viewer, &[Scope::Events]).await
    }

    /// Every event that the database has, as pages of the API.
    async fn all_events(&self, token: &str) -> Vec<Value> {
        let (mut after, mut events) = ("0".to_owned(), Vec::new());
        loop {
            let page = self.get(&format!("/api/v1/events?after={after}&limit=500"), token).await.json();
            let items = page["items"].as_array().unwrap().clone();
            page["next"].as_str().unwrap().clone_into(&mut after);
            if items.is_empty() {
                return events;
            }
            events.extend(items);
        }
    }
}

fn program(number: usize) -> String {
    format!("wx{number:016x}")
}

/// What is heard over so many kills of the daemon, while commands beside it go on making and cancelling requests.
async fn over_kills(kills: usize) {
    let mut house = House::open("").await;
    let token = house.events_token().await;
    let mut stream = Stream::open(&house, &token, Some("0")).await.unwrap();
    let mut heard: Vec<Heard> = Vec::new();
    let mut made = 0;
    for kill in 0..=kills {
        for _ in 0..3 {
            made += 1;
            let id =
                house.json(&format!("request link {ACCOUNT} {}", program(made)))["id"].as_str().unwrap().to_owned();
            if made % 2 == 0 {
                house.json(&format!("request cancel {id}"));
            }
        }
        if kill == kills {
            break;
        }
        // Some kills come while events are on their way, some after all of them were taken.
        for _ in 0..kill % 5 {
            heard.extend(stream.next().await);
        }
        house.again().await;
        // What was on its way still comes, or does not.
        while let Some(event) = stream.next().await {
            heard.push(event);
        }
        let last_id = stream.last_id.clone();
        stream = Stream::open(&house, &token, Some(&last_id)).await.unwrap();
    }
    let all = house.all_events(&token).await;
    while heard.len() < all.len() {
        heard.push(stream.next().await.unwrap());
    }
    assert!(heard.windows(2).all(|pair| pair[0].id < pair[1].id), "out of order");
    let told: Vec<Value> = heard.iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect();
    assert_eq!(told, all, "none is missing, and none is another");
    let cancelled = heard.iter().filter(|event| event.kind == "amplinkd.request.cancelled").count();
    assert_eq!(cancelled, made / 2, "steps of commands are told");
    println!("{kills} kills, {} events", heard.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_misses_nothing_over_a_few_kills() {
    over_kills(4).await;
}

/// `cargo test --test it http::events -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute: run it by name"]
async fn a_stream_misses_nothing_over_thirty_kills() {
    over_kills(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_where_it_is_asked_to() {
    let house = House::open("").await;
    let token = house.events_token().await;
    for number in 0..3 {
        house.json(&format!("request link {ACCOUNT} {}", program(number)));
    }
    let mut old = Stream::open(&house, &token, Some("0")).await.unwrap();
    for name in [("content-type", "text/event-stream"), ("x-accel-buffering", "no"), ("cache-control", "no-store")] {
        assert_eq!(old.response.headers()[name.0], name.1);
    }
    let (first, second) = (old.next().await.unwrap(), old.next().await.unwrap());
    let page = house.get("/api/v1/events?after=0&limit=1", &token).await;
    let (body, next) = (page.text.clone(), page.json()["next"].as_str().unwrap().to_owned());
    assert!(body.contains(&format!("[{}]", first.data)), "byte for byte: {body}");
    let second_page = house.get(&format!("/api/v1/events?after={next}&limit=1"), &token).await;
    assert!(second_page.text.contains(&second.data), "{second_page:?}");
    // From now on: what was before is not told.
    let mut new = Stream::open(&house, &token, None).await.unwrap();
    let now = house.get("/api/v1/events", &token).await.json();
    assert_eq!((&now["items"], &now["reset"]), (&serde_json::json!([]), &false.into()));
    assert_eq!(now["next"].as_str().unwrap(), new.last_id);
    let id = house.json(&format!("request link {ACCOUNT} {PROGRAM}"))["id"].as_str().unwrap().to_owned();
    let heard = new.next().await.unwrap();
    let data: Value = serde_json::from_str(&heard.data).unwrap();
    assert_eq!((&data["subject"], heard.kind.as_str()), (&id.as_str().into(), "amplinkd.request.requested"));
    assert_eq!(data["sequence"], format!("{:019}", heard.id));
    for wrong in ["-1", "x", "1.5", ""] {
        let said = house.get(&format!("/api/v1/events?after={wrong}"), &token).await;
        assert_eq!(said.problem(), (422, "invalid".to_owned()), "{wrong}");
    }
    let html = house.ask(Method::GET, "/api/v1/events").bearer_auth(&token).header("Accept", "text/html");
    assert_eq!(Said::of(html.send().await.unwrap()).await.problem(), (406, "not_acceptable".to_owned()));
    let reader = house.token(Role::Viewer, &[Scope::Read]).await;
    assert_eq!(house.get("/api/v1/events", &reader).await.problem(), (403, "forbidden".to_owned()));
}

/// Changes the database as nobody but an old calendar, a clean-up or a restored copy does.
async fn sql(house: &House, statement: &'static str) {
    use sqlx::{ConnectOptions as _, Executor as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.path("a.db"));
    options.connect().await.unwrap().execute(statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_no_longer_is_told_by_a_reset() {
    let house = House::open("").await;
    let token = house.events_token().await;
    for number in 0..6 {
        house.json(&format!("request link {ACCOUNT} {}", program(number)));
    }
    // The first three are older than anything that is kept for sure.
    sql(&house, "UPDATE log SET at = at - 86400000 * 31 WHERE seq <= 3").await;
    let page = async |after: i64| house.get(&format!("/api/v1/events?after={after}"), &token).await.json();
    let of = |page: &Value| (page["reset"].as_bool().unwrap(), page["items"].as_array().unwrap().len());
    assert_eq!(of(&page(0).await), (false, 3), "0 is the oldest that is kept");
    assert_eq!(of(&page(3).await), (false, 3));
    let gone = page(1).await;
    assert_eq!((of(&gone), &gone["next"]), ((true, 0), &"6".into()));
    let mut stream = Stream::open(&house, &token, Some("1")).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Heard { id: 6, kind: "reset".to_owned(), data: "{}".to_owned() });
    house.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    assert_eq!(stream.next().await.unwrap().id, 7, "it goes on after it");
    // An older copy of the database knows less than its followers.
    assert!(of(&page(999).await).0);
    // What was taken away right behind is missed, too.
    sql(&house, "UPDATE log SET at = at + 86400000 * 31 WHERE seq <= 3; DELETE FROM log WHERE seq = 5").await;
    assert_eq!((of(&page(4).await).0, of(&page(5).await).0), (true, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_so_many_are_counted_and_end_with_the_daemon_at_once() {
    let mut house = House::open("[metrics]\nopen = true").await;
    let token = house.events_token().await;
    let is_counted = async |count: usize| {
        let page = Said::of(house.ask(Method::GET, "/metrics").send().await.unwrap()).await;
        page.text.lines().any(|line| line == format!("amplinkd_http_event_streams {count}.0"))
    };
    assert!(is_counted(0).await);
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Stream::open(&house, &token, None).await.unwrap());
    }
    assert!(is_counted(64).await);
    let ask = || house.ask(Method::GET, "/api/v1/events").bearer_auth(&token).header("Accept", "text/event-stream");
    let one_more = Said::of(ask().send().await.unwrap()).await;
    assert_eq!((one_more.problem(), one_more.header("retry-after")), ((503, "busy".to_owned()), "1"));
    let pages = house.get("/api/v1/events", &token).await;
    assert_eq!(pages.status, StatusCode::OK, "pages have no bound");
    house.json(&format!("request link {ACCOUNT} {PROGRAM}"));
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().kind, "amplinkd.request.requested");
    }
    // A place is free again soon after its stream has ended.
    drop(streams.pop());
    let is_free = async || ask().send().await.unwrap().status() == StatusCode::OK;
    assert!(crate::harness::wait_for(PATIENCE, is_free).await);
    assert!(crate::harness::wait_for(PATIENCE, async || is_counted(63).await).await);
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut daemon = house.daemon.take().unwrap();
    daemon.signal(rustix::process::Signal::TERM);
    for stream in &mut streams {
        while stream.next().await.is_some() {}
    }
    assert!(daemon.end().success());
    // Waiting for who is still there would take five seconds.
    let took = clock.monotonic().saturating_sub(begun);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(house.log.errors(), 0, "{}", house.log.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_soon_after_its_token_and_is_not_silent_before() {
    let house = House::open("").await;
    let token = house.events_token().await;
    let mut stream = Stream::open(&house, &token, None).await.unwrap();
    let mut kept = Stream::open(&house, &house.events_token().await, None).await.unwrap();
    let name = format!("t-{}", credential::token_id(&token).unwrap());
    let store = house.store().await;
    assert!(store.revoke_api_token(name.clone(), None, by(ActionKind::RevokeApiToken, &name), now()).await.unwrap());
    store.close().await;
    assert!(timeout(Duration::from_mins(1), stream.next()).await.expect("it ends").is_none());
    assert_eq!(timeout(PATIENCE, kept.block()).await.unwrap().as_deref(), Some(":"), "others go on, with a comment");
}

/// Clients that take nothing.
const SLOW: usize = 40;

/// What the daemon may hold for all of them, in MB: with all that they were not yet sent it would be several hundred.
const HELD_MB_MAX: u64 = 100;

/// Nobody who takes nothing holds up the others, or costs more than a few pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_holds_up_nobody_and_finds_everything_later() {
    let house = House::open("").await;
    let token = house.events_token().await;
    let mut quick = Stream::open(&house, &token, None).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(Stream::open(&house, &token, None).await.unwrap());
    }
    let process = house.daemon.as_ref().unwrap().id();
    let before = resident_mb(process);
    let line = |number: usize| format!("wx{:016x},{}\n", number / 50, program(0xb000_0000 + number));
    let lines: String = (0..12_000).map(line).collect();
    std::fs::write(house.path("many.csv"), format!("account,program\n{lines}")).unwrap();
    house.json("request import many.csv");
    let mut last = 0;
    for stream in [&mut quick, &mut slow[0]] {
        for number in 1..=12_000 {
            let heard = stream.next().await.unwrap();
            assert!(number == 1 || heard.id == last + 1, "{} after {last}", heard.id);
            last = heard.id;
        }
        let held = resident_mb(process).saturating_sub(before);
        assert!(held < HELD_MB_MAX, "{held} MB more for {SLOW} clients");
    }
}

/// The memory that a process has (proc(5)), in MB.
fn resident_mb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}
