//! What an operator meets at the command line: the real binary on a real file, without a network.

mod accounts;
mod alert;
mod audit;
mod beside;
mod channel;
mod demo;
mod egress;
mod endings;
mod files;
mod gate;
mod health;
mod history;
mod identity;
mod import;
mod import_kills;
mod many;
mod moving;
mod nudge;
mod open_files;
mod process;
mod prune;
mod read_only;
mod report;
mod requests;
mod restore;
mod status;
mod supervised;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output};

use amplinkd::store::Location;
use assert_cmd::Command;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

const ACCOUNT: &str = "wx0123456789abcdef";
const PROGRAM: &str = "wxfedcba9876543210";
const OTHER: &str = "wx00000000000000aa";
const NOBODY: &str = "0197c2d4-8e1f-7a63-9b52-4f0d6c1e2a3b";

/// The columns of `v_request` that are promised, in their order.
const V_REQUEST: [&str; 17] = [
    "id",
    "kind",
    "account",
    "program",
    "username",
    "state",
    "waiting_on",
    "since",
    "requested_at",
    "finished_at",
    "attempt",
    "outcome_unknown",
    "errcode",
    "errmsg",
    "next_check_at",
    "retry_of",
    "labels",
];

/// A folder with a configuration, gone after the test.
struct Desk {
    folder: tempfile::TempDir,
}

/// Somebody else of this machine: `nobody`, on most systems.
const SOMEBODY: u32 = 65_534;

/// What a command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("amplinkd.toml"), "[database]\nurl = \"sqlite:a.db\"\n").expect("a file in it");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the folder");
    }

    /// Changes the mode of a file of the folder, or with `.` its own.
    fn seal(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// The binary in the folder, with nothing of our own environment that concerns it.
    fn command(&self, arguments: &str) -> Command {
        Command::from_std(self.process(arguments))
    }

    /// The same, for who decides more of it.
    fn process(&self, arguments: &str) -> std::process::Command {
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_amplinkd"));
        process.current_dir(self.folder.path()).env_remove("AMPLINKD_CONFIG").args(arguments.split_whitespace());
        process
    }

    /// Runs arguments that have no spaces of their own.
    fn run(&self, arguments: &str) -> Said {
        Said::from(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs what must go well, and reads its JSON.
    fn json(&self, arguments: &str) -> Value {
        let said = self.run(&format!("{arguments} -o json"));
        assert_eq!(said.code, 0, "{arguments}: {}", said.err);
        serde_json::from_str(&said.out).unwrap_or_else(|wrong| panic!("{arguments}: {wrong}: {}", said.out))
    }

    /// Asks for a link and answers the request's id.
    fn link(&self, account: &str, program: &str) -> String {
        let request = self.json(&format!("request link {account} {program}"));
        request["id"].as_str().expect("an id").to_owned()
    }

    /// Whether any file of the folder but those that were written for the test holds these bytes.
    fn holds(&self, text: &str) -> bool {
        let files = fs::read_dir(self.folder.path()).expect("the folder").flatten();
        let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with("a.db"));
        let bytes = ours.map(|file| fs::read(file.path()).unwrap_or_default());
        bytes.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    fn location(&self) -> Location {
        crate::place::location(self.path("a.db"), 0o640)
    }

    /// Runs statements on the file behind the program's back.
    fn sql(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.path("a.db"));
        block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
            let statements = sqlx::AssertSqlSafe(crate::past::in_words(sql));
            sqlx::raw_sql(statements).execute(&mut connection).await.expect(sql);
            connection.close().await.expect("it closes");
        });
    }

    /// One number out of the file.
    fn number(&self, sql: &'static str) -> i64 {
        let options = SqliteConnectOptions::new().filename(self.path("a.db"));
        block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
        })
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let code = output.status.code().unwrap_or(-1);
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Said {
    /// It failed with this code and said so in one sentence that holds these words.
    #[track_caller]
    fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert_eq!(self.out, "", "nothing belongs on stdout");
        let sentences: Vec<&str> = self.err.lines().filter(|line| line.starts_with("amplinkd: ")).collect();
        assert_eq!(sentences.len(), 1, "one sentence: {}", self.err);
        assert!(sentences[0].contains(words), "{words:?} is not in: {}", self.err);
        for noise in ["panicked", "Backtrace", "RUST_BACKTRACE"] {
            assert!(!self.err.contains(noise), "{}", self.err);
        }
    }

    #[track_caller]
    fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn wrong_usage_is_code_two() {
    let desk = Desk::new();
    for wrong in ["", "nonsense", "request", "request link", "request link wx wx", "request show 12", "audit -o xml"] {
        let said = desk.run(wrong);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{wrong}: {}", said.err);
    }
    let said = desk.run(&format!("request link {ACCOUNT} nonsense"));
    assert!(said.err.contains("\"wx\" followed by 16 letters or digits"), "{}", said.err);
    desk.run(&format!("request link {ACCOUNT} {ACCOUNT}")).refused(2, "is both the account and the program");
}

#[test]
fn help_is_no_error_and_holds_examples() {
    let desk = Desk::new();
    for command in ["--help", "request import --help", "request retry --help", "db backup --help", "--version"] {
        let said = desk.run(command).well();
        assert!(command == "--version" || said.out.contains("Example"), "{}", said.out);
    }
}

#[test]
fn completions_name_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.run(&format!("completions {shell}")).well().out.contains("explain"), "{shell}");
    }
}

#[test]
fn the_configuration_is_named_before_or_after_the_command_or_by_a_variable() {
    let desk = Desk::new();
    desk.link(ACCOUNT, PROGRAM);
    fs::rename(desk.path("amplinkd.toml"), desk.path("other.toml")).expect("renamed");
    desk.run("request list").refused(1, "no configuration: give a file with -c FILE or AMPLINKD_CONFIG");
    for command in ["-c other.toml request list -o json", "request list -o json --config other.toml"] {
        assert!(desk.run(command).well().out.contains(PROGRAM), "{command}");
    }
    let by_variable = desk.command("request list").env("AMPLINKD_CONFIG", "other.toml").output().expect("it runs");
    assert!(Said::from(by_variable).well().out.contains(PROGRAM));
    desk.run("-c missing.toml request list").refused(1, "cannot read the configuration");
    assert!(desk.run("config check -c other.toml").well().out.contains("other.toml:2"));
}

#[test]
fn a_command_never_reads_the_secrets_of_the_daemon() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\n[tokens.headers_file]\nAuthorization = \"none\"\n");
    desk.link(ACCOUNT, PROGRAM);
    desk.run("config check").refused(1, "[tokens] headers_file.Authorization");
}

#[test]
fn what_looks_like_a_mistake_is_a_warning_beside_the_result() {
    let desk = Desk::new();
    let two = ["ops", "team"].map(|name| {
        format!("[[alerts.channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"https://h.cn/${{HOOK_KEY}}\"\n")
    });
    desk.write("amplinkd.toml", &format!("[database]\nurl = \"sqlite:a.db\"\n{}", two.concat()));
    let said = desk.run("config check -o json").well();
    let warnings: Vec<&str> = said.err.lines().filter(|line| line.starts_with("warning: alerts.channel.")).collect();
    assert_eq!(warnings.len(), 3, "{}", said.err);
    assert!(warnings.iter().any(|line| line.contains("has the same address")), "{warnings:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&said.out).is_ok() && !said.err.contains("HOOK_KEY"));
}

#[test]
fn a_mistake_in_the_configuration_names_its_line() {
    let desk = Desk::new();
    desk.write("amplinkd.toml", "[database]\nurl = \"sqlite:a.db\"\nmood = \"0640\"\n");
    desk.run("request list").refused(1, "amplinkd.toml:3:1: [database] mood: unknown key");
}
