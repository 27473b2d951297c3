//! The server that stands for `WeChat`: a process of its own that answers every POST with a listing and every GET with
//! a token.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::house::token;

/// A process that answers.
pub(crate) struct Server {
    child: Child,
    /// Its address.
    pub(crate) url: String,
}

impl Server {
    /// Every listing is the same.
    pub(crate) fn spawn() -> Self {
        Self::spawn_as("serve")
    }

    /// Every listing differs from the one before, and the program waits for the one administrator or the other.
    pub(crate) fn spawn_changing() -> Self {
        Self::spawn_as("serve-changing")
    }

    fn spawn_as(role: &str) -> Self {
        let exe: PathBuf = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe).arg(role).stdout(Stdio::piped()).spawn().expect("a server");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        Self { child, url: format!("http://{}", line.trim()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn item(status: u32, gh: u32, nickname: &str) -> String {
    format!(
        r#"{{"status":{status},"username":"gh_bench{gh:07}","appid":"wxbench{gh:011}","source":"SOURCE_NORMAL","nickname":"{nickname}","selected":1,"nearby_display_status":0,"released":1,"headimg_url":"http://wx.example/{gh}.png","func_infos":[{{"status":1,"id":1,"name":"微信认证"}},{{"status":0,"id":2,"name":"微信支付"}}],"email":"a@b.example"}}"#
    )
}

fn listing_of(items: &[String]) -> String {
    format!(r#"{{"errcode":0,"errmsg":"ok","wxopens":{{"items":[{}]}}}}"#, items.join(","))
}

/// One listing, as `WeChat` writes it, with five programs of which one waits for the account's administrator.
pub(crate) fn listing() -> String {
    listing_of(&[1, 2, 3, 4, 5].map(|gh| item(if gh == 1 { 12 } else { 1 }, gh, "示例小程序")))
}

/// The same program alone, under another name each time, half of the time waiting for its own administrator.
fn changing(number: u64) -> String {
    let status = if number.is_multiple_of(2) { 12 } else { 2 };
    listing_of(&[item(status, 1, &format!("示例小程序 {number:020}"))])
}

fn framed(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// What is answered, put together once.
struct Answers {
    listing: Option<Vec<u8>>,
    token: Vec<u8>,
    listed: AtomicU64,
}

impl Answers {
    /// The answer to what has come in, once it is whole: a head alone, or a head and the two bytes `{}`.
    fn to<'a>(&'a self, came: &[u8], made: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match &self.listing {
            _ if came.starts_with(b"GET ") => came.ends_with(b"\r\n\r\n").then_some(&self.token),
            _ if !came.ends_with(b"{}") => None,
            Some(listing) => Some(listing),
            None => {
                *made = framed(&changing(self.listed.fetch_add(1, Ordering::Relaxed)));
                Some(made)
            }
        }
    }
}

/// Answers as cheaply as can be: all loops share the machine with it.
pub(crate) async fn serve(is_changing: bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let granted = format!(r#"{{"access_token":"{}","expires_in":7200}}"#, token());
    let answers = Arc::new(Answers {
        listing: (!is_changing).then(|| framed(&listing())),
        token: framed(&granted),
        listed: AtomicU64::new(0),
    });
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&answers)));
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Answers>) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut held, mut made) = ([0_u8; 8_192], 0, Vec::new());
    while let Ok(read) = stream.read(&mut buffer[held..]).await {
        if read == 0 {
            return;
        }
        held += read;
        if let Some(bytes) = answers.to(&buffer[..held], &mut made) {
            held = 0;
            if stream.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}
