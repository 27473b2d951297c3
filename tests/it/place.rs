//! Where tests keep their databases: in files, or, with `AMPLINKD_TEST_DATABASE=postgres`, each in a database of the tests'
//! own server that stands for the file of that name.

#![expect(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use amplinkd::store::{Location, server::address::ServerAddress};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

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

/// What stands in `[database] url` for the database of this name.
pub(crate) fn written(path: impl AsRef<Path>) -> String {
    url(path.as_ref()).unwrap_or_else(|| format!("sqlite:{}", path.as_ref().display()))
}

/// The URL of the database that stands for a file; none where files are files.
fn url(path: &Path) -> Option<String> {
    static MADE: Mutex<Option<HashMap<PathBuf, Database>>> = Mutex::new(None);
    if !is_at_server() {
        return None;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made.get_or_insert_default();
    let database = made.entry(path.to_owned()).or_insert_with(|| Database::new().expect("PostgreSQL is asked for"));
    Some(database.url())
}

/// Runs SQL on the database behind everybody's back.
pub(crate) async fn run(path: &Path, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    match url(path) {
        Some(url) => {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        None => {
            let options = SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(5));
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}
