//! A raw TCP server that misbehaves to order. It shares no code with the client it tests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What happens after one request was read.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// HTTP 200 with this body, and the connection stays.
    Ok(String),
    /// This status with this body, and the connection stays.
    Status(u16, String),
    /// HTTP 200 with this body; then the connection is closed without notice.
    OkThenClose(String),
    /// HTTP 200 with this body after a while.
    Late(Duration, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// The end of the connection, without an answer.
    Close,
    /// Nothing, for ever.
    Silence,
}

/// The server: what it was sent, and where it listens.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// A server that answers the n-th request (from 0) with `script(n, request)`.
    pub(super) async fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, requests: Arc::default(), connections: Arc::default() };
        let (shared, script) = (server.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, shared.clone(), Arc::clone(&script)));
            }
        });
        server
    }

    /// A server that answers every request alike.
    pub(super) async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    /// Every request so far: head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(mut stream: TcpStream, server: Server, script: Arc<impl Fn(usize, &str) -> Reply>) {
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut requests = server.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let (bytes, stays) = match script(number, &request) {
            Reply::Ok(body) => (http(200, &body), true),
            Reply::Status(status, body) => (http(status, &body), true),
            Reply::OkThenClose(body) => (http(200, &body), false),
            Reply::Late(wait, body) => {
                tokio::time::sleep(wait).await;
                (http(200, &body), true)
            }
            Reply::Raw(bytes) => (bytes, false),
            Reply::Close => return,
            Reply::Silence => std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() || !stays {
            return;
        }
    }
}

/// The type is a lie, as WeChat's often is.
pub(super) fn http(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Said\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        seen.extend_from_slice(&piece[..count]);
    }
}
