//! A nasty service: it keeps a ledger of everything that it was sent, and answers as its mood says. It shares no code
//! with the channel that it tests.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use amplinkd::clock::{Clock, ManualClock};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use hmac::Mac as _;

/// The key of every channel.
const KEY: &[u8; 24] = b"four and twenty letters.";

/// What it does with a message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    /// The status; 0 stands for 200.
    pub(super) status: u16,
    /// Seconds of `Retry-After`.
    pub(super) after: Option<u64>,
    /// Machine time before it answers.
    pub(super) wait: Duration,
}

impl Answer {
    pub(super) const TAKEN: Self = Self { status: 200, after: None, wait: Duration::ZERO };
    pub(super) const AWAY: Self = Self { status: 503, ..Self::TAKEN };
}

/// What came under one key.
#[derive(Debug, Default)]
struct Key {
    /// The last one that was taken.
    newest: i64,
    /// How often those failed that were not taken, and how often in a row by a refusal.
    failing: BTreeMap<i64, (usize, usize)>,
}

/// One arrival.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) channel: String,
    pub(super) id: String,
    pub(super) key: String,
    pub(super) sequence: i64,
    /// On the stopwatch.
    pub(super) at: Duration,
    /// Whether the signature is right.
    pub(super) signed: bool,
    pub(super) status: u16,
}

impl Arrival {
    pub(super) fn was_taken(&self) -> bool {
        self.status == 200
    }
}

type Severity = Box<dyn FnMut(&Arrival) -> Answer + Send>;

struct Desk {
    clock: Arc<ManualClock>,
    ledger: Mutex<Vec<Arrival>>,
    mood: Mutex<Severity>,
}

/// The service.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) url: String,
    desk: Arc<Desk>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Receiver {
    /// One that takes everything.
    pub(super) async fn start(clock: Arc<ManualClock>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let desk = Desk { clock, ledger: Mutex::default(), mood: Mutex::new(Box::new(|_| Answer::TAKEN)) };
        let desk = Arc::new(desk);
        let app = axum::Router::new().route("/{channel}", axum::routing::post(take)).with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, desk }
    }

    /// The secret of every channel, as it is configured.
    pub(super) fn secret() -> String {
        format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(KEY))
    }

    /// What it does from now on.
    pub(super) fn mood(&self, mood: impl FnMut(&Arrival) -> Answer + Send + 'static) {
        *self.desk.mood.lock().unwrap() = Box::new(mood);
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.desk.ledger.lock().unwrap()
    }

    /// How often it was called for a channel.
    pub(super) fn calls(&self, channel: &str) -> usize {
        self.ledger().iter().filter(|arrival| arrival.channel == channel).count()
    }

    /// What it took of a channel: how often each event.
    pub(super) fn taken(&self, channel: &str) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for arrival in self.ledger().iter().filter(|arrival| arrival.channel == channel && arrival.was_taken()) {
            *taken.entry(arrival.id.clone()).or_default() += 1;
        }
        taken
    }

    /// Every message was signed, and those of a key came in order: none before an earlier one was taken, or had failed so
    /// often that it must not hold back the others.
    pub(super) fn assert_in_order(&self, case: &str) {
        let ledger = self.ledger();
        let mut keys: BTreeMap<(String, String), Key> = BTreeMap::new();
        for arrival in ledger.iter() {
            assert!(arrival.signed, "{case}: {arrival:?}");
            let key = keys.entry((arrival.channel.clone(), arrival.key.clone())).or_default();
            let is_passed = |failures: &(usize, usize)| failures.0 >= 5 || failures.1 >= 3;
            let before = key.failing.range(..arrival.sequence).find(|(_, failures)| !is_passed(failures));
            assert_eq!(before, None, "{case}: {arrival:?} came before the one before it was taken");
            let is_late = arrival.sequence < key.newest && !key.failing.get(&arrival.sequence).is_some_and(is_passed);
            assert!(!is_late, "{case}: {arrival:?} came again after a later one");
            if arrival.was_taken() {
                key.failing.remove(&arrival.sequence);
                key.newest = key.newest.max(arrival.sequence);
            } else {
                let failures = key.failing.entry(arrival.sequence).or_default();
                *failures = (failures.0 + 1, if arrival.status < 408 { failures.1 + 1 } else { 0 });
            }
        }
    }
}

async fn take(
    State(desk): State<Arc<Desk>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, signature) = (header("webhook-id"), header("webhook-signature"));
    let event: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    assert_eq!(text("id"), id);
    assert!(text("type").starts_with("amplinkd."), "{event}");
    let mut arrival = Arrival {
        channel,
        key: text("partitionkey"),
        sequence: text("sequence").parse().unwrap(),
        at: desk.clock.monotonic(),
        signed: signature == sign(&format!("{id}.{}.{body}", header("webhook-timestamp"))),
        id,
        status: 200,
    };
    let answer = (desk.mood.lock().unwrap())(&arrival);
    arrival.status = if answer.status == 0 { 200 } else { answer.status };
    let status = StatusCode::from_u16(arrival.status).unwrap();
    desk.ledger.lock().unwrap().push(arrival);
    if !answer.wait.is_zero() {
        tokio::time::sleep(answer.wait).await;
    }
    match answer.after {
        Some(after) => (status, [("retry-after", after.to_string())], "later").into_response(),
        None => (status, "as I like").into_response(),
    }
}

fn sign(text: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
    mac.update(text.as_bytes());
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}
