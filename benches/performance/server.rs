//! The server that stands for `WeChat`: a process of its own that answers every POST with the same listing. It must never
//! cost more than it must, because both loops share the machine with it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A process that answers every POST with the same listing.
pub(crate) struct Server {
    child: Child,
    /// Its address.
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn spawn() -> Self {
        let exe: PathBuf = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe).arg("serve").stdout(Stdio::piped()).spawn().expect("a server");
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

/// One listing, as `WeChat` writes it, with five programs of which one waits for the account's administrator.
fn listing() -> String {
    let item = |status: u32, appid: &str, gh: u32| {
        format!(
            r#"{{"status":{status},"username":"gh_bench{gh:07}","appid":"{appid}","source":"SOURCE_NORMAL","nickname":"示例小程序","selected":1,"nearby_display_status":0,"released":1,"headimg_url":"http://wx.example/{gh}.png","func_infos":[{{"status":1,"id":1,"name":"微信认证"}},{{"status":0,"id":2,"name":"微信支付"}}],"email":"a@b.example"}}"#
        )
    };
    let items = [
        item(12, "wxbench00000000001", 1),
        item(1, "wxbench00000000002", 2),
        item(1, "wxbench00000000003", 3),
        item(1, "wxbench00000000004", 4),
        item(1, "wxbench00000000005", 5),
    ];
    format!(r#"{{"errcode":0,"errmsg":"ok","wxopens":{{"items":[{}]}}}}"#, items.join(","))
}

/// Answers as cheaply as can be: both loops share the machine with it.
pub(crate) async fn serve() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let body = listing();
    let answer: Arc<[u8]> =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
            .into();
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let (mut buffer, mut held) = ([0_u8; 8_192], 0);
            // A request here is a head and the two bytes `{}`, and comes in one piece.
            while let Ok(read) = stream.read(&mut buffer[held..]).await {
                if read == 0 {
                    return;
                }
                held += read;
                if buffer[..held].ends_with(b"{}") {
                    held = 0;
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}
