//! Databases that are missing, foreign, newer, damaged or locked, and the commands that look after the file.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    process::{Command, Stdio},
    time::Duration,
};

use amplinkd::store::{Role, Store};
use serde_json::json;

use super::{ACCOUNT, Desk, NOBODY, OTHER, PROGRAM, SOMEBODY, Said};
use crate::skip::skipped;

#[test]
fn only_asking_makes_a_database() {
    let desk = Desk::new();
    let reading =
        ["request list", "account list", "program list", "conflict list", "audit", "db verify", "db backup b.db"];
    for command in reading {
        desk.run(command).refused(1, "there is no database at");
        desk.run(&format!("request show {NOBODY}")).refused(1, "there is no database at");
    }
    assert!(!desk.path("a.db").exists() && !desk.path("b.db").exists());
    desk.link(ACCOUNT, PROGRAM);
    let mode = fs::metadata(desk.path("a.db")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_folder_that_cannot_hold_a_file_is_said() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:missing/a.db\"\n");
    desk.run(&format!("request link {ACCOUNT} {PROGRAM}")).refused(1, "missing/a.db: No such file or directory");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:amplinkd.toml/a.db\"\n");
    desk.run(&format!("request link {ACCOUNT} {PROGRAM}")).refused(1, "Not a directory");
    desk.run("request list").refused(1, "Not a directory");
}

#[test]
fn a_folder_or_file_that_may_not_be_written_is_said() {
    let desk = Desk::new();
    fs::create_dir(desk.path("sealed")).expect("a folder");
    let seal =
        |path: &str, mode| fs::set_permissions(desk.path(path), fs::Permissions::from_mode(mode)).expect("a mode");
    seal("sealed", 0o555);
    // Modes hold back nobody who is root: then somebody else runs it.
    let is_root = fs::write(desk.path("sealed/probe"), "").is_ok();
    let run = |arguments: &str| {
        let mut command = desk.process(arguments);
        if is_root {
            command.uid(SOMEBODY).gid(SOMEBODY);
        }
        command.output().map(Said::from)
    };
    let give = |name: &str| {
        if is_root {
            chown(desk.path(name), Some(SOMEBODY), Some(SOMEBODY)).expect("root gives away");
        }
    };
    give(".");
    if run("--version").is_err() {
        return skipped("nobody but root may run the binary where it is");
    }
    let run = |arguments: &str| run(arguments).expect("the binary runs");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:sealed/a.db\"\n");
    run(&format!("request link {ACCOUNT} {PROGRAM}")).refused(1, "Permission denied");
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
    run(&format!("request link {ACCOUNT} {PROGRAM}")).well();
    seal("a.db", 0o444);
    let said = run(&format!("request link {ACCOUNT} {OTHER}"));
    assert!(said.code == 1 && said.err.starts_with("amplinkd: "), "{}", said.err);
    assert!(run("request list").well().out.contains(PROGRAM));
}

#[test]
fn a_start_that_fails_for_a_mode_leaves_nothing_that_fails_the_next() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n");
    let is_root = chown(desk.path("."), Some(SOMEBODY), Some(SOMEBODY)).is_ok();
    let run = |arguments: &str| {
        let mut command = desk.process(arguments);
        if is_root {
            command.uid(SOMEBODY).gid(SOMEBODY);
        }
        command.output().map(Said::from)
    };
    if run("--version").is_err() {
        return skipped("nobody but root may run the binary where it is");
    }
    let run = |arguments: &str| run(arguments).expect("the binary runs");
    let seal =
        |name: &str, mode| fs::set_permissions(desk.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    run(&format!("request link {ACCOUNT} {PROGRAM}")).well();
    seal("a.db", 0o444);
    for command in ["run", &format!("request link {ACCOUNT} {OTHER}")] {
        run(command).refused(1, "chmod u+rw");
        assert!(!desk.path("a.db-shm").exists(), "{command}");
    }
    seal("a.db", 0o600);
    run(&format!("request link {ACCOUNT} {OTHER}")).well();

    // As an older version has left it.
    fs::write(desk.path("a.db-shm"), "").expect("a file");
    if is_root {
        chown(desk.path("a.db-shm"), Some(SOMEBODY), Some(SOMEBODY)).expect("root gives away");
    }
    seal("a.db-shm", 0o444);
    run("run").refused(1, "a.db-shm`");
    seal("a.db-shm", 0o600);
    run(&format!("request link {ACCOUNT} {OTHER}")).well();
}

#[test]
fn a_path_that_is_not_utf_8_works_or_is_refused_with_its_bytes() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let folder = desk.folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    let file = |name: &str| folder.join(name);
    if fs::create_dir(&folder).is_err() {
        return skipped("this file system takes no such names");
    }
    let run = |arguments: &[&OsStr], variables: &[(&str, &OsStr)]| {
        let mut command = desk.process("");
        command.args(arguments).envs(variables.iter().copied());
        Said::from(command.output().expect("the binary runs"))
    };
    let database = format!("[database]\nurl = \"sqlite:{}\"\n", desk.path("a.db").display());
    fs::write(file("elsewhere.toml"), database).expect("a file");
    fs::write(file("here.toml"), "").expect("a file");
    fs::write(file("more.csv"), format!("account,program\n{ACCOUNT},{OTHER}\n")).expect("a file");
    let (elsewhere, here) = (file("elsewhere.toml"), file("here.toml"));
    let list = ["request".as_ref(), "list".as_ref()];

    // A configuration and an import are read whatever they are called.
    let named = run(&["-c".as_ref(), elsewhere.as_ref(), "request".as_ref(), "list".as_ref()], &[]).well();
    let by_variable = run(&list, &[("AMPLINKD_CONFIG", elsewhere.as_ref())]).well();
    assert!(named.out.contains(PROGRAM) && by_variable.out == named.out, "{}", by_variable.out);
    run(&["request".as_ref(), "import".as_ref(), file("more.csv").as_ref()], &[]).well();

    // A database is not.
    let link: Vec<&OsStr> = ["-c".as_ref(), here.as_ref()]
        .into_iter()
        .chain(["request", "link", ACCOUNT, PROGRAM].map(OsStr::new))
        .collect();
    let words = "caf\\xE9/amplinkd.db\": its path holds bytes that are not UTF-8";
    run(&link, &[]).refused(1, words);
    run(&["-c".as_ref(), here.as_ref(), "run".as_ref()], &[]).refused(1, words);
    let copy = file("copy.db");
    for verb in ["backup", "restore"] {
        run(&["db".as_ref(), verb.as_ref(), copy.as_ref()], &[]).refused(1, "caf\\xE9/copy.db\": its path holds bytes");
    }
    let lossy = [("AMPLINKD__DATABASE__URL", copy.as_ref()), ("AMPLINKD__TOKENS__HEADERS", here.as_ref())];
    for (variable, value) in lossy {
        run(&list, &[(variable, value)]).refused(1, &format!("{variable}: its value is not UTF-8"));
    }
    let mut made: Vec<_> =
        fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
    made.sort_unstable();
    assert_eq!(made, ["elsewhere.toml", "here.toml", "more.csv"], "nothing is made there");

    // A link of any name to a database whose path is a text.
    symlink(desk.path("a.db"), file("amplinkd.db")).expect("a link");
    assert!(run(&["-c".as_ref(), here.as_ref(), list[0], list[1]], &[]).well().out.contains(PROGRAM));
}

#[test]
fn a_folder_a_pipe_or_a_device_is_no_database() {
    let desk = Desk::new();
    fs::create_dir(desk.path("folder")).expect("a folder");
    let made = Command::new("mkfifo").arg(desk.path("pipe")).status();
    assert!(made.expect("mkfifo runs").success());
    for (path, what) in [("folder", "a folder"), ("pipe", "a named pipe"), ("/dev/null", "a device or a socket")] {
        desk.write("amplinkd.toml", &format!("[database]\nurl = \"sqlite:{path}\"\n"));
        for command in ["status", "request list", "db verify", "db backup b.db", "run", "request link wx0 wx1"] {
            let command = command.replace("wx0", ACCOUNT).replace("wx1", PROGRAM);
            desk.run(&command).refused(1, &format!("it is {what}, not a file: correct [database] url"));
        }
    }
}

#[test]
fn what_is_no_database_is_left_alone() {
    let desk = Desk::new();
    let garbage = "this is a shopping list, not a database. ".repeat(100);
    desk.write("a.db", &garbage);
    desk.run("request list").refused(1, "is damaged");
    desk.run(&format!("request link {ACCOUNT} {PROGRAM}")).refused(1, "file is not a database");
    let verified = desk.run("db verify -o json");
    assert_eq!(verified.code, 3, "{}", verified.err);
    desk.run("db backup b.db").refused(1, "is damaged");
    assert_eq!(fs::read_to_string(desk.path("a.db")).expect("it is there"), garbage);
    assert!(!desk.path("b.db").exists());
}

#[test]
fn a_database_of_somebody_else_is_refused() {
    let desk = Desk::new();
    desk.sql_on_new("CREATE TABLE request (id TEXT)");
    desk.run("request list").refused(1, "is not a database of amplinkd");
}

#[test]
fn a_newer_schema_is_refused() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    desk.sql(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (9999, 'the future', '2099-01-01', 1, x'00', 0)",
    );
    for command in ["request list", "audit", "db verify", "db backup b.db", "account list"] {
        desk.run(command).refused(1, "was made by a newer amplinkd (schema 9999)");
    }
    desk.sql("DELETE FROM _sqlx_migrations WHERE version = 9999; PRAGMA user_version = 9999");
    desk.run(&format!("request link {ACCOUNT} {OTHER}")).refused(1, "was made by a newer amplinkd (schema 9999)");
    desk.sql("PRAGMA user_version = 2");
    assert_eq!(desk.json("request list").as_array().map(Vec::len), Some(1));
}

#[test]
fn commands_work_beside_a_daemon_that_holds_the_lock() {
    let desk = Desk::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let daemon = runtime.block_on(Store::open(&desk.location(), Role::Daemon)).expect("the daemon opens it");
    let id = desk.link(ACCOUNT, PROGRAM);
    desk.run(&format!("request cancel {id}")).well();
    desk.run("db backup b.db").well();
    let second = runtime.block_on(Store::open(&desk.location(), Role::Daemon)).expect_err("one daemon at a time");
    assert!(second.to_string().contains("another amplinkd is already running on"), "{second}");
    runtime.block_on(daemon.close());
}

#[test]
fn a_backup_is_whole_has_the_mode_and_overwrites_nothing() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let made = desk.json("db backup b.db");
    let size = fs::metadata(desk.path("b.db")).expect("it is there").len();
    assert_eq!((&made["file"], &made["bytes"]), (&json!("b.db"), &json!(size)));
    assert_eq!(fs::metadata(desk.path("b.db")).expect("it is there").permissions().mode() & 0o777, 0o640);
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:b.db\"\n");
    assert_eq!(desk.json("request list")[0]["program"], PROGRAM);
    desk.run("db backup a.db").refused(1, "a.db already exists and is not overwritten");
    desk.run("db backup missing/c.db").refused(1, "cannot write missing/c.db");
}

#[test]
fn a_check_finds_a_history_that_does_not_lead_to_the_state() {
    let desk = Desk::new();
    let id = desk.link(ACCOUNT, PROGRAM);
    let well = desk.run("db verify").well();
    assert!(well.err.contains("no problems found") && well.out.is_empty(), "{}", well.err);
    desk.sql("UPDATE request SET state = 'initiated'");
    let found = desk.run("db verify -o json");
    assert_eq!(found.code, 3, "{}", found.err);
    let found: serde_json::Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!(found[0]["id"], id.as_str());
}

#[test]
fn a_reader_who_goes_early_is_no_error() {
    let desk = Desk::new();
    let lines: Vec<String> = (0..3_000).map(|number| format!("{ACCOUNT},wxp{number:015}\n")).collect();
    desk.write("many.csv", &format!("account,program\n{}", lines.concat()));
    desk.run("request import many.csv").well();
    for output in ["table --limit 0", "json", "jsonl", "csv"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_amplinkd"))
            .current_dir(desk.folder.path())
            .args(format!("request list -o {output}").split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{output}");
    }
}

#[test]
fn whoever_waits_for_something_to_print_ends_when_nobody_reads() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    let quiet_demo = "demo --plain --speed 1 --requests 1";
    for arguments in ["request watch", "request watch -o json", "request watch -o csv", quiet_demo] {
        let mut command = desk.process(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let mut waited = Duration::ZERO;
        while child.try_wait().expect("it can be asked").is_none() {
            assert!(waited < PATIENCE, "{arguments} waits for nobody");
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.lines().all(|line| line.starts_with("note: ")), "{arguments}: {said}");
    }
}

#[test]
fn help_and_scripts_that_nobody_reads_are_no_failure() {
    let desk = Desk::new();
    for arguments in ["--help", "request link --help", "--version", "completions bash", "config check"] {
        let mut child =
            desk.process(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && !said.contains("panic"), "{arguments}: {said}");
    }
}

/// Well above the second within which it ends, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOK: Duration = Duration::from_millis(20);

impl Desk {
    /// A database that another program made.
    fn sql_on_new(&self, sql: &'static str) {
        fs::write(self.path("a.db"), "").expect("an empty file");
        self.sql(sql);
    }
}
