//! A PostgreSQL of the tests' own: one server for the process, begun when it is first asked for, and a new database for each
//! test that wants one. It listens on a socket in its own folder alone, and ends with the process, however that ends.
//!
//! `AMPLINKD_TEST_POSTGRES` is the folder of its programs, or `must`: then a machine without it fails the tests, which
//! otherwise see nothing.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

mod functions;
mod schema;
mod server;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use server::{HOUSE, Server};
use sqlx::{Connection as _, PgConnection};

use crate::skip::skipped;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations/postgres");

/// What databases are made of: it holds the schema, as the store would find it.
const TEMPLATE: &str = "amplinkd_template";

/// In a language whose order of words is not that of their bytes; where the server has none, in its own.
const TEMPLATES: [&str; 2] = [
    "CREATE DATABASE amplinkd_template TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
    "CREATE DATABASE amplinkd_template TEMPLATE template0 ENCODING 'UTF8'",
];

/// A database of one test, with the schema and nothing else. It goes with this.
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

/// A new database; `None` where there is no PostgreSQL, which is said.
pub(crate) async fn database() -> Option<Database> {
    tokio::task::spawn_blocking(Database::new).await.unwrap()
}

impl Database {
    pub(crate) fn new() -> Option<Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(server) = SERVER.get_or_init(|| programs().map(|programs| begun(&programs))) else {
            skipped("no PostgreSQL here");
            return None;
        };
        let name = format!("t_{}", COUNT.fetch_add(1, Ordering::Relaxed) + 1);
        server.said(&server.url(HOUSE), &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
        Some(Self { server, name })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// What `psql` answers to some statements: a line for each row, cells divided by tabs, `∅` for NULL.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        self.server.said(&self.url(), sql).lines().map(str::to_owned).collect()
    }

    /// The same, where they may be refused: what the server says then.
    pub(crate) fn try_ask(&self, sql: &str) -> Result<String, String> {
        self.server.psql(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Where it cannot be, it goes with the server.
        let _ = self.server.psql(&self.server.url(HOUSE), &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn begun(programs: &Path) -> Server {
    let server = Server::begin(programs);
    let made: Vec<_> = TEMPLATES.iter().map_while(|sql| server.psql(&server.url(HOUSE), sql).err()).collect();
    assert!(made.len() < TEMPLATES.len(), "no template: {made:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut template = PgConnection::connect(&server.url(TEMPLATE)).await.unwrap();
        MIGRATIONS.run(&mut template).await.unwrap();
        // It is copied only while nobody is in it.
        template.close().await.unwrap();
    });
    server
}

/// The folder of the server's programs on this machine.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    chosen(env::var_os("AMPLINKD_TEST_POSTGRES").as_deref(), Path::new("/usr/lib/postgresql"), &path)
}

/// Of the folder that is named, the newest of Debian's, and those of a path, the first in which the programs are.
fn chosen(named: Option<&OsStr>, versions: &Path, path: &OsStr) -> Option<PathBuf> {
    let named = named.filter(|named| !named.is_empty());
    let must = named.is_some_and(|named| named == "must");
    if let Some(folder) = named.map(Path::new).filter(|_| !must) {
        assert!(is_theirs(folder), "AMPLINKD_TEST_POSTGRES is {}: there is no initdb", folder.display());
        return Some(folder.to_owned());
    }
    let found = newest(versions).or_else(|| env::split_paths(path).find(|folder| is_theirs(folder)));
    assert!(found.is_some() || !must, "AMPLINKD_TEST_POSTGRES is `must`: there is no initdb");
    found
}

fn is_theirs(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

/// Debian keeps each version's in a folder of its own.
fn newest(versions: &Path) -> Option<PathBuf> {
    let version = |path: &Path| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let all = fs::read_dir(versions).ok()?.flatten().map(|entry| entry.path().join("bin"));
    all.filter(|folder| is_theirs(folder)).max_by_key(|folder| version(folder))
}

#[test]
fn the_newest_programs_are_chosen_and_a_machine_without_them_fails_where_it_must_not() {
    let machine = tempfile::tempdir().unwrap();
    let folder = |name: &str| machine.path().join(name);
    for (name, programs) in [("9/bin", 2), ("13/bin", 2), ("17/bin", 1), ("else", 2)] {
        fs::create_dir_all(folder(name)).unwrap();
        for program in &["initdb", "postgres"][..programs] {
            fs::write(folder(name).join(program), "").unwrap();
        }
    }
    let (versions, none, elsewhere) = (machine.path(), &folder("none"), folder("else"));
    let path = env::join_paths([&folder("none"), &elsewhere]).unwrap();
    let must = Some(OsStr::new("must"));
    for named in [None, must, Some(OsStr::new(""))] {
        assert_eq!(chosen(named, versions, &path), Some(folder("13/bin")));
        assert_eq!(chosen(named, none, &path), Some(elsewhere.clone()));
    }
    assert_eq!(chosen(Some(elsewhere.as_os_str()), versions, OsStr::new("")), Some(elsewhere.clone()));
    assert_eq!(chosen(None, none, OsStr::new("")), None);
    for named in [must, Some(none.as_os_str())] {
        let ended = std::panic::catch_unwind(|| chosen(named, none, OsStr::new("")));
        assert!(ended.is_err(), "{named:?}");
    }
}
