//! Any bytes as the answer of any call, through the real client over a raw socket: nothing panics, and no request ends
//! by anything but what a second, simple reader finds in the body as well. It shares no code with the client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use amplinkd::{
    domain::listing::Listing,
    wechat::{CallError, Client, ClientConfig, LinkOptions as Flags, Token},
};
use proptest::prelude::*;
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::fuzz_corpus::promises::{
    ending::{self, PROGRAM},
    listing::listed,
};

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
            let listing = listing.and_then(|raw| listed(raw.body(), &raw));
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

/// The listing may move requests only as the second reader allows.
fn check_listing(wire: &Wire, read: &Result<Listing, CallError>) {
    let Ok(listing) = read else { return };
    let Wire::Body(200, body) = wire else { panic!("a listing out of {wire:?}") };
    ending::check_listing(body, listing);
}

/// An effect's answer, too.
fn check_answer(wire: &Wire, answer: &Result<(), CallError>) {
    let body = if let Wire::Body(_, body) = wire { &body[..] } else { &[] };
    ending::check_answer(body, answer);
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
            assert!(effects.iter().all(|answer| matches!(answer, Err(CallError::Unreadable(_)))), "{wire:?}");
        }
    }
}
