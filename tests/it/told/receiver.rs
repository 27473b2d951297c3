//! Somebody who is told: takes POSTs on a port of this machine, keeps a ledger of all of them, and answers as its mood
//! says, or does not. It writes HTTP itself, so that it can break it. It shares no code with the channel it tests.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::Engine as _;
use hmac::Mac as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The key of every channel that signs.
const KEY: &[u8; 32] = b"two and thirty letters make keys";

/// Connections that wait to be taken.
const BACKLOG: u32 = 128;

/// What it does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Takes it.
    Taken,
    /// Takes it, and says so after a while.
    Slowly(Duration),
    /// Takes it, and closes the connection instead of saying so.
    Lost,
    /// Another status than 200, and not taken.
    Status(u16),
    /// 503, and asks for so many seconds.
    Later(u32),
    /// Nothing, until the other side has had enough.
    Silence,
}

impl Answer {
    const fn takes(self) -> bool {
        matches!(self, Self::Taken | Self::Slowly(_) | Self::Lost)
    }
}

/// One POST.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// Whether it was taken, also when that could not be said.
    pub(crate) was_taken: bool,
}

/// A POST of an event, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) key: String,
    pub(crate) sequence: i64,
    /// As it stands in the body, byte for byte.
    pub(crate) data: String,
    pub(crate) body: String,
    pub(crate) was_taken: bool,
}

impl Event {
    /// The alerts that it tells of.
    pub(crate) fn alerts(&self) -> Vec<String> {
        let data: serde_json::Value = serde_json::from_str(&self.data).unwrap();
        data["alerts"].as_array().unwrap().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect()
    }
}

#[derive(serde::Deserialize)]
struct Envelope<'b> {
    specversion: &'b str,
    id: String,
    r#type: String,
    subject: String,
    partitionkey: String,
    sequence: String,
    #[serde(borrow)]
    data: &'b serde_json::value::RawValue,
}

impl Arrival {
    /// The event in it.
    pub(crate) fn event(&self) -> Event {
        let (id, timestamp) = (&self.headers["webhook-id"], &self.headers["webhook-timestamp"]);
        let signature = sign(&format!("{id}.{timestamp}.{}", self.body));
        assert_eq!(self.headers["webhook-signature"], signature, "{}", self.body);
        let envelope: Envelope<'_> = serde_json::from_str(&self.body).unwrap();
        assert_eq!((envelope.specversion, &envelope.id), ("1.0", id));
        Event {
            id: envelope.id,
            kind: envelope.r#type,
            subject: envelope.subject,
            key: envelope.partitionkey,
            sequence: envelope.sequence.parse().unwrap(),
            data: envelope.data.get().to_owned(),
            body: self.body.clone(),
            was_taken: self.was_taken,
        }
    }
}

type Severity = Box<dyn FnMut(&Arrival) -> Answer + Send>;

struct Desk {
    ledger: Mutex<Vec<Arrival>>,
    mood: Mutex<Severity>,
    /// Says nothing to anybody.
    is_mute: AtomicBool,
    /// Closes connections without reading from them.
    is_deaf: AtomicBool,
    arrived: watch::Sender<usize>,
    answered: watch::Sender<usize>,
}

/// One who is told, at an address of its own.
pub(crate) struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    listening: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the port ours while nobody listens.
    _held: TcpSocket,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) fn start() -> Self {
        let held = socket("127.0.0.1:0".parse().unwrap());
        let desk = Desk {
            ledger: Mutex::default(),
            mood: Mutex::new(Box::new(|_| Answer::Taken)),
            is_mute: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            arrived: watch::Sender::new(0),
            answered: watch::Sender::new(0),
        };
        let address = held.local_addr().unwrap();
        let receiver = Self { address, desk: Arc::new(desk), listening: Mutex::default(), _held: held };
        receiver.open();
        receiver
    }

    /// Scheme and host, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secret of a channel that signs, as it is configured.
    pub(crate) fn secret() -> String {
        format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(KEY))
    }

    /// What it does from now on.
    pub(crate) fn mood(&self, mood: impl FnMut(&Arrival) -> Answer + Send + 'static) {
        *self.desk.mood.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(mood);
    }

    /// Reads and says nothing from now on, whatever its mood.
    pub(crate) fn fall_silent(&self) {
        self.desk.is_mute.store(true, Ordering::Relaxed);
    }

    /// Speaks again; who waited waits in vain.
    pub(crate) fn speak(&self) {
        self.desk.is_mute.store(false, Ordering::Relaxed);
    }

    /// Closes every connection at once, until told otherwise.
    pub(crate) fn deafen(&self) {
        self.desk.is_deaf.store(true, Ordering::Relaxed);
    }

    /// Reads again.
    pub(crate) fn listen(&self) {
        self.desk.is_deaf.store(false, Ordering::Relaxed);
    }

    /// Closes its port and every connection.
    pub(crate) fn close(&self) {
        if let Some(listening) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listening.abort();
        }
    }

    /// Opens the same port again.
    pub(crate) fn open(&self) {
        let listener = socket(self.address).listen(BACKLOG).unwrap();
        let task = tokio::spawn(take_in(Arc::clone(&self.desk), listener));
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Every POST so far.
    pub(crate) fn ledger(&self) -> Vec<Arrival> {
        self.desk.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every event so far, in the order of arrival.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.ledger().iter().map(Arrival::event).collect()
    }

    /// How many POSTs there were.
    pub(crate) fn calls(&self) -> usize {
        *self.desk.arrived.borrow()
    }

    /// Whether another POST comes in time.
    pub(crate) async fn next_arrival(&self, patience: Duration) -> bool {
        next(self.desk.arrived.subscribe(), patience).await
    }

    /// Whether another POST is answered in time.
    pub(crate) async fn next_answer(&self, patience: Duration) -> bool {
        next(self.desk.answered.subscribe(), patience).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

async fn next(mut count: watch::Receiver<usize>, patience: Duration) -> bool {
    tokio::time::timeout(patience, count.changed()).await.is_ok()
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // One that listens and one that holds the port.
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn take_in(desk: Arc<Desk>, listener: TcpListener) {
    // They end with the port.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if !desk.is_deaf.load(Ordering::Relaxed) {
            connections.spawn(converse(Arc::clone(&desk), stream));
        }
    }
}

async fn converse(desk: Arc<Desk>, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some(arrival) = read(&mut stream).await {
        if desk.is_deaf.load(Ordering::Relaxed) {
            return;
        }
        let (answer, text) = desk.judge(arrival);
        match answer {
            Answer::Silence => {
                // Nothing more comes over this connection but its end.
                let _ = stream.read_u8().await;
                return;
            }
            Answer::Lost => return,
            Answer::Slowly(wait) => tokio::time::sleep(wait).await,
            Answer::Taken | Answer::Status(_) | Answer::Later(_) => {}
        }
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
        desk.answered.send_modify(|count| *count += 1);
    }
}

impl Desk {
    /// Writes an arrival down and says what becomes of it, and the bytes for that.
    fn judge(&self, mut arrival: Arrival) -> (Answer, String) {
        let answer = if self.is_mute.load(Ordering::Relaxed) {
            Answer::Silence
        } else {
            (self.mood.lock().unwrap_or_else(PoisonError::into_inner))(&arrival)
        };
        let (status, header) = match answer {
            Answer::Status(status) => (status, String::new()),
            Answer::Later(wait) => (503, format!("Retry-After: {wait}\r\n")),
            Answer::Taken | Answer::Slowly(_) | Answer::Lost | Answer::Silence => (200, String::new()),
        };
        let body = match status {
            200 => r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
            // One that quotes whatever it knows.
            _ => format!("no: {} {:?} {}", arrival.path, arrival.headers, Receiver::secret()),
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status} As I like\r\n{header}Content-Length: {length}\r\n\r\n{body}");
        arrival.was_taken = answer.takes();
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        self.arrived.send_modify(|count| *count += 1);
        (answer, text)
    }
}

/// One POST; `None` when the connection ends before its end.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Arrival> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Arrival { path, headers, body: String::from_utf8(body).unwrap(), was_taken: false })
}

fn sign(text: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
    mac.update(text.as_bytes());
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}
