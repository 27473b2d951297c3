//! The server's process.

use std::{
    env, fs,
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The database that is there from the beginning: others are made from it.
pub(super) const HOUSE: &str = "postgres";

/// Nobody: the server refuses to run as root.
const NOBODY: u32 = 65_534;

/// A socket's path holds 107 bytes, its name in the folder and a slash 15 of them.
const FOLDER_MAX: usize = 92;

/// How often a new server is asked whether it is there, and what lies between: more than a minute.
const TRIES: u32 = 1_200;
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the server, and ends it once nobody holds its input any more: so it ends also when this process is killed.
const RUN: &str = r#"
    bin=$1 folder=$2
    "$bin/initdb" -N -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C >"$folder/log" 2>&1 || exit
    "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=200 \
        >>"$folder/log" 2>&1 &
    server=$!
    read _
    kill -INT $server
    wait $server
    cd / && rm -rf "$folder"
"#;

/// A server, as long as this is there.
pub(super) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    /// Its input is what keeps the server.
    shell: Child,
}

impl Server {
    pub(super) fn begin(programs: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in(place()).unwrap().keep();
        let mut shell = Command::new("sh");
        shell.args(["-c", RUN, "sh"]).arg(programs).arg(&folder).current_dir(&folder);
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
            shell.uid(NOBODY).gid(NOBODY);
        }
        // A group of its own: what interrupts the tests must not end the shell before it has cleaned up.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let shell = shell.spawn().unwrap();
        let log = folder.join("log");
        let mut server = Self { programs: programs.to_owned(), folder, shell };
        for _ in 0..TRIES {
            let Err(said) = server.psql(&server.url(HOUSE), "SELECT 1") else { return server };
            let has_ended = server.shell.try_wait().unwrap().is_some();
            assert!(!has_ended, "no server: {said}\n{}", fs::read_to_string(&log).unwrap_or_default());
            thread::sleep(PAUSE);
        }
        panic!("no server: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.display())
    }

    /// Runs statements up to the first that fails, and answers what they say or why it failed.
    pub(super) fn psql(&self, url: &str, sql: &str) -> Result<String, String> {
        let program = Some(self.programs.join("psql")).filter(|path| path.is_file()).unwrap_or_else(|| "psql".into());
        let mut psql = Command::new(program);
        psql.args(["-XqAt", "-F\t", "-v", "ON_ERROR_STOP=1", "-P", "null=∅", "-d", url]);
        psql.env("PGCLIENTENCODING", "UTF8").env_remove("PGOPTIONS").env_remove("PGSERVICE");
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            // One that has failed reads no further.
            scope.spawn(move || input.write_all(sql.as_bytes()).ok());
            psql.wait_with_output().unwrap()
        });
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The same of statements that do not fail.
    pub(super) fn said(&self, url: &str, sql: &str) -> String {
        self.psql(url, sql).unwrap_or_else(|said| panic!("{said}"))
    }
}

/// Where its folder is made: short enough for the socket in it.
fn place() -> PathBuf {
    let named = env::temp_dir();
    let is_short = named.as_os_str().len() + "/pgXXXXXX".len() <= FOLDER_MAX;
    if is_short { named } else { PathBuf::from("/tmp") }
}

#[test]
fn it_ends_when_nobody_holds_it() {
    let Some(programs) = super::programs() else { return crate::skip::skipped("no PostgreSQL here") };
    let Server { mut shell, folder, .. } = Server::begin(&programs);
    assert!(folder.join("data/postmaster.pid").is_file());
    drop(shell.stdin.take());
    let ended = shell.wait().unwrap();
    assert!(ended.success() && !folder.exists(), "{ended}");
}
