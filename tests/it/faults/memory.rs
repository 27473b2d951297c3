//! A process that crashes leaves no copy of its memory, which holds every token.

use std::{os::unix::process::ExitStatusExt, process::Command};

use rustix::process::Signal;

use super::ground::Ground;
use crate::skip::skipped;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_aborted_leaves_no_core_dump() {
    let ground = Ground::lay().await;
    // As a machine that keeps every core dump; the daemon takes the place of the shell.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_amplinkd"));
    ground.give(&mut command, "run");
    let mut daemon = ground.start_as(command).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid().as_raw_nonzero())).unwrap();
    let core: Vec<&str> = limits.lines().filter(|line| line.starts_with("Max core file size")).collect();
    assert_eq!(core.len(), 1, "{limits}");
    assert!(core[0].split_whitespace().filter(|word| *word == "0").count() == 2, "{}", core[0]);
    daemon.signal(Signal::ABORT);
    let ended = daemon.end();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));

    let mut other = Command::new("sh");
    other.current_dir(ground.folder.path()).args(["-c", "ulimit -c unlimited && kill -ABRT $$"]);
    let status = other.status().unwrap();
    if !status.core_dumped() {
        skipped("this machine dumps no core for anybody, so the limit alone was tested");
    }
}
