//! No room: a limit on the size of files, met by the plain binary, and a small disk that is really full.

use std::{path::Path, process::Command, time::Duration};

use rustix::process::{Resource, Rlimit, prlimit};

use super::ground::{Asked, Ground, QUICK, UNWRITABLE, assert_told, import_file, text, wait_for};
use crate::{harness::Process, skip::skipped};

/// From the moment there is room again to the first call: the rest of a pause.
const RECOVERY: Duration = Duration::from_secs(20);

/// How long there is none.
const WITHOUT: Duration = Duration::from_secs(8);

/// Lets files of the daemon grow to this many bytes.
fn limit(daemon: &Process, bytes: Option<u64>) {
    prlimit(Some(daemon.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

fn length(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_files_is_a_full_disk_and_no_reason_to_die() {
    let ground = Ground::lay().await;
    let mut daemon = ground.start().await;
    let recorder = ground.recorder().await;
    ground.ask(&recorder, 0..10).await;
    assert!(wait_for(RECOVERY, async || ground.calls() > 4).await, "calls are under way");

    // In the middle of the next frames, then below what the log has already.
    let log = ground.path("amplinkd.db-wal");
    limit(&daemon, Some(length(&log) + 10_000));
    ground.ask(&recorder, 10..20).await;
    let told = wait_for(RECOVERY, async || daemon.log.count(UNWRITABLE) > 0);
    assert!(told.await, "{}", daemon.log.tail());
    limit(&daemon, Some(4_096));
    let calls = ground.calls();
    ground.ask(&recorder, 20..30).await;
    tokio::time::sleep(WITHOUT).await;
    assert!(daemon.lives(), "SIGXFSZ ends nobody who listens");
    assert_eq!(ground.calls(), calls, "nothing is sent that could not be recorded first");

    limit(&daemon, None);
    assert!(wait_for(RECOVERY, async || ground.calls() > calls).await, "it did not go on; {}", daemon.log.tail());
    ground.conclude(&recorder, &mut daemon).await;
    assert_told(&daemon.log);
}

/// A daemon on a disk of its own of eight megabytes, in a mount namespace of its own; `None` where that is not allowed.
async fn on_small_disk(ground: &Ground) -> Option<Process> {
    const MOUNT: &str = "mount -t tmpfs -o size=8m tmpfs disk && exec \"$@\"";
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        command.current_dir(ground.folder.path()).args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        command
    };
    std::fs::create_dir(ground.path("disk")).unwrap();
    let may = alone(MOUNT).arg("true").output().is_ok_and(|done| done.status.success());
    if !may {
        return None;
    }
    let mut command = alone(MOUNT);
    command.arg(env!("CARGO_BIN_EXE_amplinkd"));
    ground.give(&mut command, "run");
    Some(ground.start_as(command).await)
}

/// A command of ours on that disk.
fn inside(ground: &Ground, daemon: &Process, arguments: &str) -> std::process::Output {
    let mut command = Command::new("nsenter");
    command.args([
        "--user",
        "--mount",
        "--preserve-credentials",
        "--target",
        &daemon.pid().as_raw_nonzero().to_string(),
    ]);
    command.arg(env!("CARGO_BIN_EXE_amplinkd"));
    ground.give(&mut command, arguments);
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_really_full_and_then_is_not() {
    let ground = Ground::lay_with(QUICK, "disk/amplinkd.db").await;
    let Some(mut daemon) = on_small_disk(&ground).await else {
        return skipped("no disk may be mounted here: the limit on files alone was tried");
    };
    let ask = |numbers: std::ops::Range<usize>| {
        let file = import_file(ground.folder.path(), numbers.clone());
        let said = inside(&ground, &daemon, &format!("request import {}", ground.path(&file).display()));
        if said.status.success() {
            ground.acknowledge(numbers);
        }
        said
    };
    let said = ask(0..10);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(wait_for(RECOVERY, async || ground.calls() > 4).await, "calls are under way");

    let root = Path::new("/proc").join(daemon.pid().as_raw_nonzero().to_string()).join("root");
    let ballast = root.join(ground.path("disk/ballast").strip_prefix("/").unwrap());
    let filled = std::fs::write(&ballast, vec![7; 9_000_000]);
    assert!(filled.is_err(), "it has eight megabytes");
    let told = wait_for(RECOVERY, async || daemon.log.count(UNWRITABLE) > 0);
    assert!(told.await, "{}", daemon.log.tail());
    let calls = ground.calls();
    let refused = ask(10..20);
    assert!(!refused.status.success() && text(&refused.stderr).contains("full"), "{}", text(&refused.stderr));
    tokio::time::sleep(WITHOUT).await;
    assert_eq!(ground.calls(), calls, "nothing is sent that could not be recorded first");

    std::fs::remove_file(ballast).unwrap();
    assert!(wait_for(RECOVERY, async || ask(20..30).status.success()).await);
    let open = async || text(&inside(&ground, &daemon, "request list --open -o csv").stdout).lines().count();
    assert!(wait_for(RECOVERY, async || open().await <= 1).await, "{}", daemon.log.tail());
    for check in ["audit", "db verify"] {
        let said = inside(&ground, &daemon, check);
        assert!(said.status.success(), "{check}: {}{}", text(&said.stdout), text(&said.stderr));
    }
    assert!(daemon.lives());
    assert_told(&daemon.log);
    let listed = inside(&ground, &daemon, "request list -o json");
    ground.assert_ledger_agrees(&serde_json::from_slice::<Vec<Asked>>(&listed.stdout).unwrap());
}
