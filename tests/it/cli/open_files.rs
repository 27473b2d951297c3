//! The daemon where few files may be open at once.

use std::process::Command;

use super::{Desk, process::wechat};
use crate::harness::{Log, Process, until};

/// Accounts with a request each: more than the descriptors that there are.
const ACCOUNTS: usize = 100;

#[test]
fn a_low_limit_of_open_files_is_raised_and_where_that_is_not_permitted_calls_fit_into_it() {
    let desk = Desk::new();
    let (_wechat, address) = wechat(&desk);
    desk.write(
        "amplinkd.toml",
        &format!(
            "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{address}\"\n\
             [tokens]\nurl = \"{address}/token?appid={{account}}\"\n[log]\nformat = \"json\"\n"
        ),
    );
    for (round, (limit, warnings)) in [("ulimit -S -n 64", 0), ("ulimit -n 64", 1)].into_iter().enumerate() {
        let line = |number| format!("wx{round}{number:015},wxp{number:015}\n");
        desk.write("a.csv", &format!("account,program\n{}", (0..ACCOUNTS).map(line).collect::<String>()));
        desk.run("request import a.csv").well();
        let mut command = Command::new("sh");
        command.current_dir(desk.folder.path()).env_remove("AMPLINKD_CONFIG");
        command.args(["-c", &format!("{limit}; exec \"$0\" run"), env!("CARGO_BIN_EXE_amplinkd")]);
        let log = Log::default();
        let process = Process::start_blocking(command, &log);
        until("every account was polled and called", || {
            desk.number("SELECT count(*) FROM v_request WHERE state IN ('requested', 'initiating')") == 0
        });
        assert_eq!(log.count("daemon.few_files"), warnings, "{limit}");
        let starved = log.lines().into_iter().filter(|line| line.contains("Too many open files")).count();
        assert_eq!(starved, 0, "{limit}: {}", log.tail());
        process.stop();
    }
}
