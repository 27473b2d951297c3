//! The processes beside the command line: a daemon on the desk's database, and a small WeChat for it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use super::Desk;
use crate::harness::{Log, Process};

/// Where nobody listens.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// A small WeChat of the desk's, which ends with its test, however that ends.
pub(super) struct Wechat {
    child: Child,
    /// Held open, for whoever writes to nobody may die of it.
    _words: BufReader<ChildStdout>,
}

impl Drop for Wechat {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon on the desk's database, whose calls and tokens are this WeChat's.
pub(super) fn daemon(desk: &Desk, wechat: &str) -> Process {
    let config = format!(
        "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{wechat}\"\n
         [tokens]\nurl = \"{wechat}/token?appid={{account}}\"\n"
    );
    desk.write("amplinkd.toml", &config);
    Process::spawn(desk.process("run"), &Log::default())
}

/// A small WeChat; answers its address.
pub(super) fn wechat(desk: &Desk) -> (Wechat, String) {
    let mut command = desk.process("simulate --listen 127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a WeChat");
    let mut words = BufReader::new(child.stdout.take().expect("its words"));
    let mut line = String::new();
    while !line.contains("/token?appid=") {
        line.clear();
        assert!(words.read_line(&mut line).is_ok_and(|read| read > 0), "it ended before it gave its address");
    }
    let (_, address) = line.split_once("http://").expect("an address");
    let address = format!("http://{}", address.split('/').next().unwrap_or_default());
    (Wechat { child, _words: words }, address)
}
