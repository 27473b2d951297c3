//! The processes beside the command line: a daemon on the desk's database, and a small WeChat for it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::Desk;

/// Where nobody listens.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// A process that ends with its test, however that ends.
pub(super) struct Running {
    child: Child,
    /// Held open, for whoever writes to nobody may die of it.
    _words: Option<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in good order.
    pub(super) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is there");
        self.child.wait().expect("it ends");
    }
}

/// A daemon on the desk's database, whose calls and tokens are this WeChat's.
pub(super) fn daemon(desk: &Desk, wechat: &str) -> Running {
    let config = format!(
        "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{wechat}\"\n
         [tokens]\nurl = \"{wechat}/token?appid={{account}}\"\n"
    );
    desk.write("amplinkd.toml", &config);
    let mut command = command(desk);
    let child = command.arg("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon starts");
    Running { child, _words: None }
}

/// A small WeChat; answers its address.
pub(super) fn wechat(desk: &Desk) -> (Running, String) {
    let mut command = command(desk);
    let mut child =
        command.args(["simulate", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().expect("a WeChat");
    let mut words = BufReader::new(child.stdout.take().expect("its words"));
    let mut line = String::new();
    while !line.contains("/token?appid=") {
        line.clear();
        assert!(words.read_line(&mut line).is_ok_and(|read| read > 0), "it ended before it gave its address");
    }
    let (_, address) = line.split_once("http://").expect("an address");
    let address = format!("http://{}", address.split('/').next().unwrap_or_default());
    (Running { child, _words: Some(words) }, address)
}

fn command(desk: &Desk) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    command.current_dir(desk.folder.path()).env_remove("AMPLINKD_CONFIG");
    command
}
