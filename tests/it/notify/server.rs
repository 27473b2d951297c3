//! A small local server that stands for a service: it keeps what it was sent and answers as its script says. It must
//! never share code with the channels it tests.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes of one request that are read: more than any service takes, so that the scripts see what is too long.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    /// The query's pairs, decoded.
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    /// A header's value; empty without it.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server answers.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status with a body.
    Status(u16, String),
    /// The same with headers.
    With(u16, Vec<(&'static str, String)>, String),
    /// Nothing, for ever.
    Silence,
}

/// The server: what it was sent, and where it listens.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Scheme and host, without a path.
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// A server that answers each request as `script` says.
    pub(super) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { url: format!("http://{}", listener.local_addr().unwrap()), received: Arc::default() };
        let (shared, script) = (Arc::clone(&server.received), Arc::new(script));
        let app = axum::Router::new().fallback(move |request: Request| {
            let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
            async move {
                let received = read(request).await;
                let reply = script(&received);
                shared.lock().unwrap().push(received);
                write(reply).await
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    /// A server that answers every request alike.
    pub(super) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Every request so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(super) fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.into_iter().next().unwrap()
    }
}

async fn read(request: Request) -> Received {
    let (head, body) = request.into_parts();
    let query = reqwest::Url::parse(&format!("http://here{}", head.uri)).unwrap();
    Received {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query.query_pairs().into_owned().collect(),
        headers: head.headers,
        body: axum::body::to_bytes(body, REQUEST_BYTES_MAX).await.unwrap(),
    }
}

async fn write(reply: Reply) -> Response {
    match reply {
        Reply::Status(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Reply::With(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Reply::Silence => std::future::pending().await,
    }
}

/// A port at which nobody listens, and which nobody else gets as long as it is held; its address.
pub(super) fn closed() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server that writes these bytes as soon as it has read something, and then nothing more; its address.
pub(super) async fn raw(bytes: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // Held, so that no connection ends.
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4_096];
            let _ = stream.read(&mut piece).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
            open.push(stream);
        }
    });
    url
}
