//! Any bytes as the answer of any call, through the real client over a raw socket: nothing panics, and no request ends by
//! anything but what a second, simple reader finds in the body as well. It must never share code with the client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::{
    domain::{
        decide::decide,
        errcode::{Class, classify},
        id::{ProgramId, RequestId, Username},
        identify::{Known, identify},
        listing::{Listing, Status},
        observation::Observation,
        policy::Policy,
        request::{Kind, LinkOptions, Outcome, Request, State},
        time::Time,
    },
    wechat::{CallError, Client, ClientConfig, LinkOptions as Flags, Token},
};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const ACCOUNT: &str = "wxaaaa000000000001";
const PROGRAM: &str = "wxbbbb000000000001";
const START: Time = Time::from_ms(1_773_100_800_000);

/// Bodies that are right, to be spoilt.
const RIGHT: [&str; 9] = [
    r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[{"status":12,"username":"gh_000000000001","appid":"wxbbbb000000000001","nickname":"小程序","selected":1,"func_infos":[{"status":1,"id":1,"name":"微信认证"}]}]}}"#,
    r#"{"wxopens":{"items":[{"status":"2","username":"gh_000000000001","appid":"wxbbbb000000000001"},{"status":3,"username":"gh_000000000002"}]}}"#,
    r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[]}}"#,
    r#"{"errcode":0,"errmsg":"ok","wxopens":{"items":[{"status":1,"username":"gh_000000000001","appid":"wxbbbb000000000001"}]}}"#,
    r#"{"errcode":0,"errmsg":"ok","wxopens":{}}"#,
    r#"{"errcode":0,"wxopens":{"items":[{"status":null,"appid":"wxbbbb000000000001"},{"status":3,"appid":"wxbbbb000000000002"}]}}"#,
    r#"{"errcode":0,"errmsg":"ok"}"#,
    r#"{"errcode":89010,"errmsg":"link message has sent rid: 6650-1"}"#,
    r#"{"errcode":-1,"errmsg":"system error"}"#,
];

/// What the server writes.
#[derive(Debug, Clone)]
enum Wire {
    /// A whole HTTP answer with this status and body.
    Body(u16, Vec<u8>),
    /// These bytes in the place of an HTTP answer, and the end of the connection.
    Raw(Vec<u8>),
}

/// A server that answers everything with what it is told, and a client of it.
struct Bench {
    runtime: Runtime,
    client: Client,
    token: Token,
    next: Arc<Mutex<Wire>>,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let next = Arc::new(Mutex::new(Wire::Body(200, Vec::new())));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&next);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let config = ClientConfig { base_url, timeout: Duration::from_secs(5), ..ClientConfig::default() };
        let token = Token::new(SecretString::from("a-token-of-the-account")).unwrap();
        Self { runtime, client: Client::new(&config).unwrap(), token, next }
    }

    /// What the client makes of this answer to each of the three calls.
    fn answers(&self, wire: &Wire) -> (Result<Listing, CallError>, [Result<(), CallError>; 2]) {
        *self.next.lock().unwrap() = wire.clone();
        let program = PROGRAM.parse().unwrap();
        self.runtime.block_on(async {
            let listing = self.client.listing(&self.token).await;
            let listing = listing.and_then(|raw| raw.read().map_err(CallError::from));
            let link = self.client.link(&self.token, &program, Flags::default()).await;
            (listing, [link, self.client.unlink(&self.token, &program).await])
        })
    }
}

async fn serve(mut stream: TcpStream, next: Arc<Mutex<Wire>>) {
    let mut seen = Vec::new();
    let mut piece = [0; 4_096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        seen.extend_from_slice(&piece[..count]);
        // Every call ends in its JSON body.
        if !seen.ends_with(b"}") {
            continue;
        }
        seen.clear();
        let wire = next.lock().unwrap().clone();
        let (bytes, stays) = match wire {
            Wire::Body(status, body) => {
                let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len());
                ([head.as_bytes(), &body].concat(), true)
            }
            Wire::Raw(bytes) => (bytes, false),
        };
        if stream.write_all(&bytes).await.is_err() || !stays {
            return;
        }
    }
}

/// The second reader: simple, and never stricter than the client may be.
fn second_reading(wire: &Wire) -> Option<Value> {
    let Wire::Body(_, body) = wire else { return None };
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let text: String = String::from_utf8_lossy(body).chars().map(|c| if c < ' ' { ' ' } else { c }).collect();
    serde_json::from_str(&text).ok().filter(Value::is_object)
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

struct Nothing;

impl Known for Nothing {
    fn program(&self, _: &Username) -> Option<ProgramId> {
        None
    }

    fn standing_since(&self, _: &str, _: Status) -> Option<Time> {
        None
    }
}

/// A request in every open state, and the linked one.
fn requests() -> Vec<Request> {
    let id: RequestId = "01a203a7-85dd-75d1-9d36-e65c7a0d93b2".parse().unwrap();
    let kinds = [Kind::Link(LinkOptions::default()), Kind::Unlink];
    let fresh =
        kinds.map(|kind| Request::new(id.clone(), kind, ACCOUNT.parse().unwrap(), PROGRAM.parse().unwrap(), START));
    let states = [
        State::Requested,
        State::Initiating(Outcome::Unknown),
        State::Initiated,
        State::AwaitingAccountAdmin,
        State::AwaitingProgramAdmin,
        State::Deferred(START + Duration::from_hours(9)),
        State::Linked,
    ];
    let mut all = Vec::new();
    for (request, count) in fresh.iter().zip([states.len(), 3]) {
        for state in &states[..count] {
            let called = !matches!(state, State::Requested | State::Deferred(_));
            let (attempt, called_at) = if called { (1, Some(START)) } else { (0, None) };
            all.push(Request { state: *state, attempt, called_at, ..request.clone() });
        }
    }
    all
}

/// Whether a listing may have shown the program, or an item that could be it.
fn shows(reading: &Value, statuses: &[f64]) -> bool {
    let items = reading["wxopens"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().any(|item| {
        let appid = item.get("appid").and_then(Value::as_str).map(str::trim).unwrap_or_default();
        (appid.is_empty() || appid == PROGRAM)
            && number(item.get("status")).is_some_and(|status| statuses.contains(&status))
    })
}

/// Whether an item names the program and says nothing of its link.
fn shows_without_a_status(reading: &Value) -> bool {
    let items = reading["wxopens"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().any(|item| {
        let appid = item.get("appid").and_then(Value::as_str).map(str::trim);
        appid == Some(PROGRAM) && number(item.get("status")).is_none()
    })
}

fn names_the_program(reading: &Value) -> bool {
    let items = reading["wxopens"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().any(|item| item.get("appid").and_then(Value::as_str).map(str::trim) == Some(PROGRAM))
}

/// Reads the listing twice, for every request, and lets it move only as the second reader allows.
fn check_listing(wire: &Wire, read: &Result<Listing, CallError>) {
    let Ok(listing) = read else { return };
    let reading = second_reading(wire).unwrap_or_else(|| panic!("a listing out of {wire:?}"));
    assert!(matches!(wire, Wire::Body(200, _)), "{wire:?}");
    assert!(reading.get("wxopens").is_some_and(Value::is_object), "{wire:?}");
    assert!(!listing.items.is_empty() || number(reading.get("errcode")) == Some(0.0), "empty without a 0: {wire:?}");
    assert!(number(reading.get("errcode")).is_none_or(|code| code == 0.0), "{wire:?}");
    for before in requests() {
        let mut after = before.clone();
        for minutes in [20, 40] {
            let seen = identify(listing, std::slice::from_ref(&after), &Nothing).observations.remove(0);
            after = decide(&after, &seen, &Policy::default(), START + Duration::from_mins(minutes)).next;
        }
        let allowed = match after.state {
            State::Linked => before.state == State::Linked || shows(&reading, &[1.0]),
            State::Rejected => shows(&reading, &[3.0]),
            State::Lapsed => !names_the_program(&reading),
            State::Unlinked => !shows(&reading, &[1.0]) && !shows_without_a_status(&reading),
            _ => !after.state.is_finished(),
        };
        assert!(allowed, "{:?} became {:?} by {wire:?}", before.state, after.state);
    }
}

/// An effect's answer moves a request only by a code that the second reader finds.
fn check_answer(wire: &Wire, answer: &Result<(), CallError>) {
    let code = second_reading(wire).and_then(|reading| number(reading.get("errcode")));
    let seen = match answer {
        Ok(()) => {
            assert_eq!(code, Some(0.0), "a success out of {wire:?}");
            return;
        }
        Err(CallError::Refused(refusal)) => Observation::CallRefused(refusal.clone()),
        Err(CallError::Lost(_)) => Observation::CallLost,
        Err(CallError::NotSent(_) | CallError::NoToken(_)) => panic!("it was sent: {wire:?}"),
    };
    for before in requests().into_iter().filter(Request::is_open) {
        let after = decide(&before, &seen, &Policy::default(), START + Duration::from_mins(1)).next;
        if after.state.is_finished() {
            let Observation::CallRefused(refusal) = &seen else { panic!("ended by silence: {wire:?}") };
            #[expect(clippy::cast_precision_loss, reason = "codes that end a request are small")]
            let said = refusal.errcode as f64;
            assert_eq!(code, Some(said), "{wire:?}");
            let ends = matches!(classify(refusal.errcode), Class::Final | Class::OurBug | Class::AlreadyLinked);
            assert!(ends, "{wire:?}");
        }
    }
}

/// One way to spoil a body.
#[derive(Debug, Clone)]
enum Spoil {
    Cut(prop::sample::Index),
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
    Double,
    Swap(prop::sample::Index, prop::sample::Index),
}

fn spoil(mut body: Vec<u8>, how: &Spoil) -> Vec<u8> {
    if body.is_empty() {
        return body;
    }
    let length = body.len();
    match how {
        Spoil::Cut(at) => body.truncate(at.index(length)),
        Spoil::Set(at, byte) => body[at.index(length)] = *byte,
        Spoil::Insert(at, bytes) => {
            body.splice(at.index(length)..at.index(length), bytes.iter().copied()).for_each(drop);
        }
        Spoil::Remove(at) => drop(body.remove(at.index(length))),
        Spoil::Double => body.extend(body.clone()),
        Spoil::Swap(a, b) => body.swap(a.index(length), b.index(length)),
    }
    body
}

fn spoils() -> impl Strategy<Value = Spoil> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Spoil::Cut),
        (at(), prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:0123456789-e \\".to_vec())])
            .prop_map(|(at, byte)| Spoil::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Spoil::Insert(at, bytes)),
        at().prop_map(Spoil::Remove),
        Just(Spoil::Double),
        (at(), at()).prop_map(|(a, b)| Spoil::Swap(a, b)),
    ]
}

fn wires() -> impl Strategy<Value = Wire> {
    let spoilt = (prop::sample::select(RIGHT.to_vec()), prop::collection::vec(spoils(), 0..4))
        .prop_map(|(right, how)| how.iter().fold(right.as_bytes().to_vec(), spoil_one));
    let body = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => "\\PC{0,80}".prop_map(String::into_bytes),
        6 => spoilt,
    ];
    let status =
        prop_oneof![8 => Just(200_u16), 1 => Just(502_u16), 1 => prop::sample::select(vec![201_u16, 302, 404, 500])];
    prop_oneof![
        12 => (status, body).prop_map(|(status, body)| Wire::Body(status, body)),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Wire::Raw),
    ]
}

fn spoil_one(body: Vec<u8>, how: &Spoil) -> Vec<u8> {
    spoil(body, how)
}

#[test]
fn no_bytes_panic_or_end_a_request() {
    let bench = Bench::new();
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    let met: Mutex<HashMap<&str, u32>> = Mutex::default();
    let result = proptest::test_runner::TestRunner::new(config).run(&wires(), |wire| {
        let (listing, effects) = bench.answers(&wire);
        check_listing(&wire, &listing);
        for answer in &effects {
            check_answer(&wire, answer);
        }
        let kind = if listing.is_ok() { "listing" } else { "none" };
        *met.lock().unwrap().entry(kind).or_default() += 1;
        Ok(())
    });
    result.unwrap();
    let met = met.into_inner().unwrap();
    assert!(met["listing"] > 100 && met["none"] > 1_000, "both were met: {met:?}");
}

#[test]
fn half_a_listing_is_no_listing() {
    let bench = Bench::new();
    for right in RIGHT {
        for length in 0..right.len() {
            let wire = Wire::Body(200, right.as_bytes()[..length].to_vec());
            let (listing, effects) = bench.answers(&wire);
            assert!(listing.is_err(), "{wire:?}");
            assert!(effects.iter().all(|answer| matches!(answer, Err(CallError::Lost(_)))), "{wire:?}");
        }
    }
}
