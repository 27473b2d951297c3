//! `amplinkd simulate` with a platform, as a person starts it: what it prints is enough to read what it pushes.

use std::{process::Stdio, time::Duration};

use amplinkd::sim::PushKeys;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::callback::Callback;

/// Pushes come on their own within this; a loaded machine is slow to start a process.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn what_it_prints_is_enough_for_a_callback() {
    let callback = Callback::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    command.args(["simulate", "--listen", "127.0.0.1:0", "--component", "wx00000000000000cc"]);
    command.args(["--push-to", &callback.url]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = String::new();
    while !printed.contains("/_sim/pushes") {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        printed.push_str(&line.expect("more words"));
        printed.push('\n');
    }
    let after = |label: &str| {
        let line =
            printed.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_else(|| panic!("{label}"));
        line.trim().to_owned()
    };
    assert_eq!((after("appid"), after("pushes go to")), ("wx00000000000000cc".to_owned(), callback.url.clone()));
    let keys = PushKeys { token: after("callback token"), encoding_aes_key: after("EncodingAESKey") };

    let pushed = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(push) = callback.take().into_iter().next() {
                return push;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let push = pushed.await.expect("a ticket");
    assert!(push.field(&keys, "wx00000000000000cc", "ComponentVerifyTicket").starts_with("ticket@@@"));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    let refused =
        command.args(["simulate", "--listen", "127.0.0.1:0", "--push-to", "localhost/x"]).output().await.unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && told.contains("http:// or https://"), "{told}");
}
