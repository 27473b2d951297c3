//! Where tests keep their databases: in files, or, with `AMPLINKD_TEST_DATABASE=postgres`, each in a database of the tests'
//! own server that stands for the file of that name.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
};

use amplinkd::store::{Location, Store, read::verify::Damage, server::address::ServerAddress};
use secrecy::SecretString;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::postgres::Database;

/// Whether databases are at a server.
pub(crate) fn is_at_server() -> bool {
    std::env::var_os("AMPLINKD_TEST_DATABASE").is_some_and(|name| name == "postgres")
}

/// Where the database of this name is.
pub(crate) fn location(path: impl AsRef<Path>, mode: u32) -> Location {
    match url(path.as_ref()) {
        Some(url) => Location::Server(ServerAddress::of(&[SecretString::from(url)]).unwrap()),
        None => Location::file(path.as_ref(), mode),
    }
}

/// The URL of the database that stands for a file; none where files are files.
fn url(path: &Path) -> Option<String> {
    static MADE: Mutex<Option<HashMap<PathBuf, Database>>> = Mutex::new(None);
    if !is_at_server() {
        return None;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made.get_or_insert_default();
    // It has a runtime of its own for a moment, which cannot be within another.
    let new = || std::thread::spawn(Database::new).join().unwrap().expect("PostgreSQL is asked for");
    let database = made.entry(path.to_owned()).or_insert_with(new);
    Some(database.url())
}

/// Runs SQL on the database behind everybody's back.
pub(crate) async fn run(path: &Path, statements: &str) {
    let mut connection = connection(path).await;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A connection of somebody else.
pub(crate) async fn connection(path: &Path) -> AnyConnection {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let url = url(path).unwrap_or_else(|| format!("sqlite://{}", path.display()));
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    if !is_at_server() {
        sqlx::raw_sql("PRAGMA busy_timeout = 5000").execute(&mut connection).await.unwrap();
    }
    connection
}

/// What is wrong with the database, its histories most of all.
pub(crate) async fn verify(path: &Path, store: &Store) -> Vec<Damage> {
    if is_at_server() { store.verify_histories(100).await } else { Store::verify(path, 100).await }.unwrap()
}
