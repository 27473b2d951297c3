//! The daemon and its supervisor: a terminal that is closed, a container's first process, the journal, root, the environment
//! alone. It needs no service manager.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::store::{Role, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{ACCOUNT, Desk, OTHER, PROGRAM, SOMEBODY, Said, block_on, process};
use crate::{
    harness::{Log, Process, until},
    skip::{can, skipped},
};

/// Accounts whose tokens a program prints.
const ACCOUNTS: usize = 40;

/// Long enough for whoever spins to be seen.
const A_WHILE: Duration = Duration::from_secs(2);

/// Fields of `/proc/PID/stat` after the name: state first.
fn stat(pid: &str) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect());
    fields.unwrap_or_default()
}

/// Seconds of processor time, as the system counts them: a hundredth each.
fn worked(pid: &str) -> f64 {
    let fields = stat(pid);
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[test]
fn a_daemon_outlives_its_terminal() {
    if !can("script", &["--version"]) {
        return skipped("there is no script(1) for a terminal");
    }
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n[log]\nfilter = \"trace\"\n");
    let run = format!("exec {} run", env!("CARGO_BIN_EXE_amplinkd"));
    let mut terminal = Command::new("script")
        .args(["-qec", &run, "/dev/null"])
        .current_dir(desk.folder.path())
        .env_remove("AMPLINKD_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a terminal");
    let pid = || {
        let said = desk.run("status -o json");
        let status: Value = serde_json::from_str(&said.out).ok()?;
        (status["daemon"]["running"] == true).then(|| status["daemon"]["pid"].to_string())
    };
    until("it runs", || pid().is_some_and(|pid| pid != "null"));
    let pid_of_daemon = pid().expect("it runs");
    terminal.kill().expect("it lives");
    terminal.wait().expect("it ends");
    std::thread::sleep(A_WHILE);
    assert_eq!(pid().as_deref(), Some(&*pid_of_daemon), "it lives on");
    let before = worked(&pid_of_daemon);
    desk.link(ACCOUNT, PROGRAM);
    until("it works on", || desk.number("SELECT count(*) FROM v_account WHERE next_check_at IS NOT NULL") == 1);
    std::thread::sleep(A_WHILE);
    assert!(worked(&pid_of_daemon) - before < 1.0, "it spins");
    let pid_number = Pid::from_raw(pid_of_daemon.parse().expect("a number")).expect("a process");
    kill_process(pid_number, Signal::TERM).expect("it lives");
    until("it ends in order", || pid().is_none());
}

#[test]
fn what_watches_a_terminal_ends_with_it_and_not_under_nohup() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let log = Log::default();
    for command in ["request watch -o json", "simulate --listen 127.0.0.1:0", "demo --plain"] {
        let mut watching = Process::spawn(desk.process(command), &log);
        // It listens once it is at work.
        let is_listening = || caught(watching.id()) & 1 != 0;
        until("it listens", is_listening);
        watching.signal(Signal::HUP);
        assert!(watching.end().success(), "{command}: {}", log.lines().join("\n"));
    }
    let mut nohup = Command::new("sh");
    nohup.current_dir(desk.folder.path());
    nohup.args(["-c", &format!("trap '' HUP; exec {} simulate --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_amplinkd"))]);
    let mut kept = Process::spawn(nohup, &log);
    until("it listens", || caught(kept.id()) & 2 != 0);
    kept.signal(Signal::HUP);
    std::thread::sleep(A_WHILE / 4);
    assert!(kept.lives(), "it was to outlive its terminal");
    kept.signal(Signal::TERM);
    assert!(kept.end().success());
}

/// The signals that a process has handlers for, as bits counted from SIGHUP.
fn caught(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or_default()
}

#[test]
fn the_first_process_of_a_container_leaves_no_zombies() {
    if !can("unshare", &["--pid", "--fork", "--mount-proc", "true"]) {
        return skipped("no process namespaces may be made here");
    }
    let desk = Desk::new();
    let (_wechat, address) = process::wechat(&desk);
    let rows: Vec<String> = (0..ACCOUNTS).map(|number| format!("wxacc{number:013},{PROGRAM}\n")).collect();
    desk.write("many.csv", &format!("account,program\n{}", rows.concat()));
    // Each leaves a process behind that ends a moment later, when nobody of its family is left.
    desk.write(
        "token.sh",
        "sleep 0.3 >/dev/null 2>&1 &\necho asked >> asked\necho '{\"access_token\": \"t\", \"expires_in\": 7200}'\n",
    );
    let config = format!(
        "[database]\nurl = \"sqlite:a.db\"\n[wechat]\nbase_url = \"{address}\"\n
         [tokens]\nsource = \"command\"\ncommand = [\"sh\", \"token.sh\"]\n[log]\nformat = \"json\"\nfilter = \"debug\"\n"
    );
    desk.write("amplinkd.toml", &config);
    desk.run("request import many.csv").well();
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork", "--kill-child", "--mount-proc", env!("CARGO_BIN_EXE_amplinkd"), "run"]);
    container.current_dir(desk.folder.path()).env_remove("AMPLINKD_CONFIG");
    let log = Log::default();
    let daemon = Process::start_blocking(container, &log);
    let asked = || fs::read_to_string(desk.path("asked")).unwrap_or_default().lines().count();
    until("every account's token was asked for", || asked() >= ACCOUNTS);
    let first = children_of(&daemon.id().to_string());
    assert_eq!(first.len(), 1, "unshare has one child");
    let left = || children_of(&first[0]);
    until("all that was left behind is gone", || left().is_empty());
    std::thread::sleep(A_WHILE);
    assert!(left().is_empty(), "{:?}", left());
    let stolen = log.lines().into_iter().filter(|line| line.contains("No child processes")).count();
    assert_eq!(stolen, 0, "somebody was waited for by somebody else");
}

/// Children of a process, zombies too.
fn children_of(parent: &str) -> Vec<String> {
    let all =
        fs::read_dir("/proc").expect("processes").flatten().filter_map(|entry| entry.file_name().into_string().ok());
    all.filter(|pid| stat(pid).get(1).is_some_and(|of| of == parent)).collect()
}

#[test]
fn the_journal_gets_priorities_also_of_a_start_that_fails() {
    let desk = Desk::new();
    let journal = File::create(desk.path("journal")).expect("a file");
    let about = journal.metadata().expect("it is there");
    let stream = format!("{}:{}", about.dev(), about.ino());
    let say = |arguments: &str, stream: &str| {
        let mut command = desk.process(arguments);
        command.env("JOURNAL_STREAM", stream).stdout(Stdio::null()).stderr(journal.try_clone().expect("a file"));
        command
    };
    let said = || {
        let text = fs::read_to_string(desk.path("journal")).expect("it is there");
        journal.set_len(0).expect("it may be cut");
        text.trim_start_matches('\0').to_owned()
    };
    desk.write("wrong.toml", "[wechat]\ntimeout = \"soon\"\n");
    for (arguments, words) in [("run -c wrong.toml", "[wechat] timeout"), ("run --no-such", "unexpected argument")] {
        assert!(!say(arguments, &stream).status().expect("it runs").success());
        let said = said();
        assert!(said.contains(words) && said.lines().all(|line| line.starts_with("<3>")), "{said}");
    }
    assert!(!say("run -c wrong.toml", "1:1").status().expect("it runs").success());
    assert!(said().starts_with("amplinkd: "), "it is another stream");
    let mut daemon = say("run", &stream).spawn().expect("it runs");
    until("it is ready", || fs::read_to_string(desk.path("journal")).is_ok_and(|said| said.contains("daemon.ready")));
    kill_process(Pid::from_child(&daemon), Signal::TERM).expect("it lives");
    assert!(daemon.wait().expect("it ends").success());
    let said = said();
    assert!(said.lines().all(|line| line.starts_with("<6> INFO amplinkd")), "{said}");
}

#[test]
fn what_root_makes_belongs_to_the_service() {
    let desk = Desk::new();
    if chown(desk.folder.path(), Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        return skipped("only root can make what is not its own");
    }
    let owner = |name: &str| fs::metadata(desk.path(name)).map(|found| (found.uid(), found.gid())).ok();
    desk.link(ACCOUNT, PROGRAM);
    desk.run("db backup b.db").well();
    block_on(async {
        // The log stands beside the database while somebody has it open.
        let store = Store::open(&desk.location(), Role::Daemon).await.expect("it opens");
        for name in ["a.db", "a.db-wal", "a.db-shm", "a.db.lock", "b.db"] {
            assert_eq!(owner(name), Some((SOMEBODY, SOMEBODY)), "{name}");
        }
        store.close().await;
    });
    fs::remove_file(desk.path("a.db")).expect("it was there");
    desk.run("db restore b.db --yes").well();
    assert_eq!(owner("a.db"), Some((SOMEBODY, SOMEBODY)), "put where nothing was");
}

#[test]
fn an_error_says_whose_the_file_is() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    if chown(desk.folder.path(), Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        return skipped("only root can make what is not its own");
    }
    let as_somebody = |arguments: &str| {
        let mut command = desk.process(arguments);
        std::os::unix::process::CommandExt::uid(&mut command, SOMEBODY);
        command.output().map(Said::from)
    };
    let Ok(said) = as_somebody("run") else { return skipped("nobody but root may run the binary where it is") };
    said.refused(1, "belongs to root (mode 0");
    said.refused(1, "`sudo chown nobody: ");
    chown(desk.path("a.db"), Some(SOMEBODY + 1), None).expect("root gives away");
    fs::set_permissions(desk.path("a.db"), fs::Permissions::from_mode(0o600)).expect("it is there");
    let said = as_somebody("request list").expect("it runs");
    said.refused(1, &format!("a.db belongs to {} (mode 0600), and this is nobody: ", SOMEBODY + 1));
    said.refused(1, "run it as its owner with `sudo -u ");
}

#[test]
fn the_environment_alone_configures() {
    let desk = Desk::new();
    fs::remove_file(desk.path("amplinkd.toml")).expect("it was there");
    let run = |arguments: &str, variables: &[(&str, &str)]| {
        let mut command = desk.process(arguments);
        command.envs(variables.iter().copied());
        Said::from(command.output().expect("it runs"))
    };
    let link = format!("request link {ACCOUNT} {PROGRAM}");
    run(&link, &[]).refused(1, "or set variables such as AMPLINKD__DATABASE__URL");
    let database = ("AMPLINKD__DATABASE__URL", "sqlite:b.db");
    run(&link, &[database]).well();
    assert!(desk.path("b.db").exists(), "relative to the working folder");
    run(&format!("request link {OTHER} {PROGRAM}"), &[("AMPLINKD__LOG__FILTER", "warn")]).well();
    assert!(desk.path("amplinkd.db").exists(), "the rest has its default");
    let shown = run("config check -o csv", &[database]).well();
    assert!(shown.out.contains("/b.db,AMPLINKD__DATABASE__URL\n") && shown.out.contains("policy.attempts,3,default\n"));
    run("config check", &[("AMPLINKD__TOKENS__SOURCE", "command")])
        .refused(1, "AMPLINKD__TOKENS__COMMAND: source = \"command\" needs a program");
    run("config check", &[("AMPLINKD__TOKENS__HEADERS_FILE", "{ A = \"no\" }")])
        .refused(1, "AMPLINKD__TOKENS__HEADERS_FILE: ");

    let mut command = desk.process("run");
    command.envs([database, ("AMPLINKD__LOG__FORMAT", "json"), ("AMPLINKD__WECHAT__BASE_URL", process::NOWHERE)]);
    let log = Log::default();
    let daemon = Process::start_blocking(command, &log);
    // A file that appears beside it later is not what it was started with.
    desk.write("amplinkd.toml", "[wechat]\nper_second = 7\n");
    daemon.signal(Signal::HUP);
    until("it reads its configuration again", || log.count("config.reloaded") == 1);
    assert_eq!(log.such(|line| line["event"] == "config.reloaded")[0]["changed"], "");
    daemon.stop();
    // From now on it is: a file wins.
    run("config check -o csv", &[database]).well();
}

#[test]
fn commands_say_that_nobody_does_the_work_and_end_as_ever() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let asking = [
        format!("request link {ACCOUNT} {OTHER}"),
        format!("request explain {id}"),
        format!("account check {ACCOUNT}"),
        format!("account suspend {ACCOUNT}"),
        format!("account resume {ACCOUNT}"),
        format!("request cancel {id}"),
        format!("request retry {id}"),
    ];
    let noted = |said: &Said| said.err.lines().filter(|line| line.starts_with("note: no daemon is running: ")).count();
    for command in &asking[..] {
        let said = desk.run(&format!("{command} -o json")).well();
        let is_cancel = command.contains("cancel");
        assert_eq!(noted(&said), usize::from(!is_cancel), "{command}: {}", said.err);
        serde_json::from_str::<Value>(&said.out).expect("JSON alone is on stdout");
    }
    let daemon = process::daemon(&desk, process::NOWHERE);
    until("it runs", || Store::is_driven(&desk.path("a.db")).unwrap_or(false));
    for command in ["request link wxaaaaaaaaaaaaaaaa wxbbbbbbbbbbbbbbbb".to_owned(), format!("request explain {id}")] {
        assert_eq!(noted(&desk.run(&command).well()), 0, "{command}");
    }
    daemon.stop();
}

#[test]
fn systemd_reads_the_unit_without_a_complaint() {
    if !can("systemd-analyze", &["--version"]) {
        return skipped("there is no systemd-analyze");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let unit = include_str!("../../../config/amplinkd.service")
        .replace("/usr/local/bin/amplinkd", env!("CARGO_BIN_EXE_amplinkd"));
    let path = folder.path().join("amplinkd.service");
    fs::write(&path, &unit).expect("a file");
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().expect("it runs");
    let said = String::from_utf8_lossy(&verified.stderr);
    // Keys that are younger than this systemd are ignored by it, as the unit says.
    let is_meant = |line: &&str| {
        let is_younger = ["RestartSteps", "RestartMaxDelaySec"].iter().any(|key| line.contains(key));
        line.contains("amplinkd.service") && !is_younger && !line.contains("User")
    };
    let complaints: Vec<&str> = said.lines().filter(is_meant).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    for line in [
        "StartLimitIntervalSec=0",
        "RequiresMountsFor=/var/lib/amplinkd",
        "RestartSteps=",
        "ExecReload=/bin/sh -c \"kill -HUP ${MAINPID}\"",
    ] {
        assert!(unit.lines().any(|found| found.starts_with(line)), "{line}");
    }
}

#[test]
fn signals_that_other_daemons_know_end_nothing() {
    let desk = Desk::new();
    let log = Log::default();
    let mut daemon = Process::start_blocking(desk.process("run"), &log);
    for signal in [Signal::USR1, Signal::USR2, Signal::USR1] {
        daemon.signal(signal);
        std::thread::sleep(A_WHILE / 4);
        assert!(daemon.lives(), "{signal:?} ended it");
    }
    let told = || log.lines().iter().filter(|line| line.contains("SIGHUP reloads the configuration")).count();
    until("it says what these signals do not do", || told() >= 2);
    daemon.signal(Signal::TERM);
    assert!(daemon.end().success());
}
