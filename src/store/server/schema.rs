//! The schema in a database of a server.

use sqlx::{
    PgConnection,
    migrate::{MigrateError, Migrator},
};

use crate::store::{OpenError, SCHEMA, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// The version that each migration leads to, as a file has it.
const VERSION: &str = "SELECT version FROM schema";

const IS_OURS: &str = "SELECT to_regclass('schema') IS NOT NULL";

const IS_EMPTY: &str = "
    SELECT NOT EXISTS (
        SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations')";

/// The version; 0 in an empty database.
pub(super) async fn version(connection: &mut PgConnection) -> Result<i64, StoreError> {
    if !sqlx::query_scalar::<_, bool>(IS_OURS).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    Ok(sqlx::query_scalar(VERSION).fetch_one(connection).await?)
}

/// Brings it up to date.
pub(super) async fn migrate(connection: &mut PgConnection, address: &str) -> Result<(), OpenError> {
    let failed = |source: StoreError| OpenError::Server { address: address.to_owned(), source: source.into() };
    let foreign = |reason: String| OpenError::ForeignServer { address: address.to_owned(), reason };
    let version = version(connection).await.map_err(failed)?;
    if version > SCHEMA {
        return Err(OpenError::NewerServer { address: address.to_owned(), version });
    }
    let is_empty: bool =
        sqlx::query_scalar(IS_EMPTY).fetch_one(&mut *connection).await.map_err(|error| failed(error.into()))?;
    if version == 0 && !is_empty {
        return Err(foreign("it holds tables of something else".to_owned()));
    }
    // Whoever is second waits for whoever is first, and finds nothing to do.
    MIGRATIONS.run(connection).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => failed(source.into()),
        other => foreign(other.to_string()),
    })
}
