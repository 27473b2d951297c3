//! A small mail server that keeps what it was told and answers as its script says, and the reading of the mails that it
//! took. It shares no code with the channel it tests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the server does when it has read something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Say {
    /// These lines; without a line break at the end.
    Lines(&'static str),
    /// Nothing, for ever.
    Silence,
    /// It hangs up.
    Bye,
    /// What was read, after this code.
    Echo(&'static str),
}

/// The first thing a script is asked: what to greet with.
pub(super) const GREETING: &str = "(greeting)";

/// What a script is asked at the end of a mail.
pub(super) const END_OF_MAIL: &str = "(end of mail)";

/// Everything that was said to the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The commands of all connections, in their order.
    pub(crate) commands: Vec<String>,
    /// The mails that were taken, as they arrived, their dots unstuffed.
    pub(crate) mails: Vec<String>,
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl SmtpServer {
    /// A server that says what `script` wants, and what a friendly one says where it wants nothing.
    pub(crate) async fn start(script: impl Fn(&str) -> Option<Say> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), heard: Arc::default() };
        let (heard, script) = (Arc::clone(&server.heard), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, script) = (Arc::clone(&heard), Arc::clone(&script));
                tokio::spawn(async move { converse(stream, &*script, &heard).await });
            }
        });
        server
    }

    /// A friendly server.
    pub(super) async fn friendly() -> Self {
        Self::start(|_| None).await
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }

    /// The only mail so far.
    pub(super) fn only_mail(&self) -> Mail {
        let mails = self.heard().mails;
        assert_eq!(mails.len(), 1, "{mails:#?}");
        Mail::read(&mails[0])
    }
}

/// What a friendly server says.
fn friendly(command: &str) -> Say {
    Say::Lines(match command.split([' ', ':']).next().unwrap_or("") {
        GREETING => "220 mail.example ready",
        "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 2.0.0 ok",
    })
}

async fn converse(stream: TcpStream, script: &(dyn Fn(&str) -> Option<Say> + Send + Sync), heard: &Mutex<Heard>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).split(b'\n');
    let mut command = GREETING.to_owned();
    loop {
        let say = script(&command)
            .unwrap_or_else(|| if command == END_OF_MAIL { Say::Lines("250 2.0.0 taken") } else { friendly(&command) });
        let said = match say {
            Say::Lines(said) => said.to_owned(),
            Say::Echo(code) => format!("{code} {command}"),
            Say::Silence => return std::future::pending().await,
            Say::Bye => return,
        };
        if write.write_all(format!("{said}\r\n").as_bytes()).await.is_err() || said.starts_with("221") {
            return;
        }
        if command == "DATA" && said.starts_with("354") {
            let Some(mail) = read_mail(&mut lines).await else { return };
            heard.lock().unwrap().mails.push(mail);
            END_OF_MAIL.clone_into(&mut command);
            continue;
        }
        let Ok(Some(line)) = lines.next_segment().await else { return };
        String::from_utf8_lossy(&line).trim_end().clone_into(&mut command);
        heard.lock().unwrap().commands.push(command.clone());
    }
}

async fn read_mail(lines: &mut tokio::io::Split<BufReader<tokio::net::tcp::OwnedReadHalf>>) -> Option<String> {
    let mut mail = String::new();
    loop {
        let line = String::from_utf8(lines.next_segment().await.ok()??).expect("a mail in ASCII");
        let line = line.strip_suffix('\r').expect("lines end in CR LF");
        assert!(line.is_ascii() && line.len() <= 998, "RFC 5322, section 2.1.1: {line}");
        if line == "." {
            return Some(mail);
        }
        mail.push_str(line.strip_prefix('.').unwrap_or(line));
        mail.push_str("\r\n");
    }
}

/// A mail as a person's program reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// Each header once, unfolded and decoded.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) text: String,
    pub(super) html: String,
}

impl Mail {
    fn read(mail: &str) -> Self {
        let (headers, body) = entity(mail);
        let boundary = headers["Content-Type"].split_once("boundary=\"").unwrap().1.split('"').next().unwrap();
        assert!(headers["Content-Type"].starts_with("multipart/alternative"), "{headers:?}");
        let mark = format!("--{boundary}");
        let inner = body.split(&mark).skip(1).take_while(|part| !part.starts_with("--"));
        let parts: Vec<(String, String)> = inner.map(|part| decoded_part(part.trim_start())).collect();
        let [(plain, text), (html_type, html)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!([plain.as_str(), html_type], ["text/plain; charset=utf-8", "text/html; charset=utf-8"]);
        let headers = headers.into_iter().map(|(name, value)| (name, decoded_words(&value))).collect();
        Self { headers, text: text.clone(), html: html.clone() }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Headers, unfolded, and what follows them.
fn entity(text: &str) -> (BTreeMap<String, String>, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut headers = BTreeMap::new();
    for line in head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(headers.insert(name.to_owned(), value.to_owned()), None, "{name} twice");
    }
    (headers, body)
}

fn decoded_part(part: &str) -> (String, String) {
    let (headers, body) = entity(part);
    let bytes = match headers["Content-Transfer-Encoding"].as_str() {
        "base64" => BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap(),
        "quoted-printable" => quoted_printable(body),
        "7bit" => body.as_bytes().to_vec(),
        other => panic!("{other}"),
    };
    (headers["Content-Type"].clone(), String::from_utf8(bytes).unwrap().replace("\r\n", "\n"))
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let text = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'=' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    bytes
}

/// A header's words (RFC 2047), in base64 only.
fn decoded_words(value: &str) -> String {
    let mut decoded = String::new();
    for piece in value.replace("?= =?", "?==?").split("=?utf-8?b?") {
        if let Some((word, rest)) = piece.split_once("?=") {
            decoded += &String::from_utf8(BASE64_STANDARD.decode(word).unwrap()).unwrap();
            decoded += rest;
        } else {
            decoded += piece;
        }
    }
    decoded
}
