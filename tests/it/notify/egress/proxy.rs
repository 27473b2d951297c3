//! A proxy as a company has one: the only way out, which alone can find names, knows its users and keeps a log.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use amplinkd::net::{egress::Egress, proxy::Proxy, trust::Authorities};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
};

use super::authority::serve;

/// Its one user.
pub(crate) const USER: &str = "link-user";
pub(crate) const PASSWORD: &str = "hunter2/@:";

/// How it treats its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Lets those through whom it knows.
    Friendly,
    /// Answers CONNECT with this status.
    Answers(&'static str),
    /// Takes the connection and says nothing.
    Silent,
}

/// The proxy: where it listens, and the first line of each request.
pub(crate) struct CorporateProxy {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl CorporateProxy {
    /// Every host and port is the service at `behind`.
    pub(crate) async fn start(manner: Manner, behind: SocketAddr) -> Self {
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let shared = Arc::clone(&log);
        let address = serve(move |stream| pass(stream, manner, behind, Arc::clone(&shared))).await;
        Self { address, log }
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The way through it, trusting the authorities of this PEM.
    pub(super) fn egress(&self, pem: &str) -> Egress {
        self.egress_as(
            &format!("{USER}:{}@", PASSWORD.replace('/', "%2F").replace('@', "%40").replace(':', "%3A")),
            pem,
        )
    }

    /// The same as somebody else: `user:password@`.
    pub(super) fn egress_as(&self, login: &str, pem: &str) -> Egress {
        let proxy = Proxy::parse(&format!("http://{login}{}", self.address).into()).unwrap();
        let authorities =
            if pem.is_empty() { Authorities::default() } else { Authorities::from_pem(pem.as_bytes()).unwrap() };
        Egress { proxy: Some(proxy), authorities }
    }
}

async fn pass(mut stream: TcpStream, manner: Manner, behind: SocketAddr, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap().to_owned();
    log.lock().unwrap().push(line.clone());
    let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_known = head.lines().any(|line| {
        line.split_once(": ")
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == login)
    });
    let refusal = match manner {
        Manner::Silent => return std::future::pending().await,
        Manner::Answers(status) => Some(status),
        Manner::Friendly if !is_known => Some("407 Proxy Authentication Required"),
        Manner::Friendly => None,
    };
    if let Some(status) = refusal {
        let page = format!("who is {login}?");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let mut plain = TcpStream::connect(behind).await.unwrap();
    if line.starts_with("CONNECT ") {
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    } else {
        // The password is for us alone.
        let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
        let passed = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\r\n");
        let _ = plain.write_all(format!("{passed}\r\n\r\n").as_bytes()).await;
    }
    let _ = copy_bidirectional(&mut stream, &mut plain).await;
}
