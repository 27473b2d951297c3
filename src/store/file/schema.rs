//! The number of the schema, as the program and as a file has it.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection, migrate::MigrateError};

use super::location::lone_reader;
use crate::store::{OpenError, StoreError};

/// The `user_version` that the last migration leaves behind.
pub const SCHEMA: i64 = 22;

pub(super) async fn schema(connection: &mut SqliteConnection, path: &Path) -> Result<i64, OpenError> {
    let failed = |source: sqlx::Error| unmigrated(MigrateError::Execute(source), path);
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await.map_err(failed)
}

/// The schema's version of a file; 0 when nothing of ours is in it.
pub(super) async fn schema_of(path: &Path) -> Result<i64, StoreError> {
    let mut connection = lone_reader(path).await?;
    let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}

pub(super) fn unmigrated(error: MigrateError, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => match StoreError::from(source) {
            StoreError::Refused(source) => OpenError::Foreign { path, reason: source.to_string() },
            StoreError::Corrupt(source) => OpenError::Damaged { path, report: source.to_string() },
            source => OpenError::Store { path, source },
        },
        other => OpenError::Foreign { path, reason: other.to_string() },
    }
}
