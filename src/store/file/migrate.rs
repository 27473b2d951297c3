//! Migrates a database: the migrations, and between two of them the move of its rows ([`super::move_to_log`]). A file
//! that is newer than this program is refused, and so is another program's: writing would corrupt it.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{
    SqliteConnection,
    migrate::{MigrateError, Migrator},
};

use super::{
    error::OpenError,
    lock::lock_to_migrate,
    move_to_log::{self, Moved, Tell},
    schema::{SCHEMA, schema, unmigrated},
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The migration after which rows are moved page by page.
const BEFORE_MOVE: i64 = 13;

/// Rows that take several seconds to move.
const LONG_MOVE: u64 = 100_000;

/// Brings the file up to date for a command: not under a daemon that knows only the schema it found.
pub(super) async fn migrate_alone(
    connection: &mut SqliteConnection,
    path: &Path,
    tell: Tell<'_>,
) -> Result<(), OpenError> {
    let lock = match schema(connection, path).await? {
        SCHEMA.. => None,
        _ => lock_to_migrate(path, async || schema(connection, path).await).await?,
    };
    let migrated = migrate(connection, path, tell).await;
    drop(lock);
    migrated
}

pub(super) async fn migrate(connection: &mut SqliteConnection, path: &Path, tell: Tell<'_>) -> Result<(), OpenError> {
    let version = schema(connection, path).await?;
    if version > SCHEMA {
        return Err(OpenError::Newer { path: path.to_owned(), version });
    }
    if version == 0 {
        refuse_foreign(connection, path).await?;
    }
    for last_try in [false, true] {
        match upgrade(connection, version, tell).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::VersionMissing(version)) => {
                return Err(OpenError::Newer { path: path.to_owned(), version });
            }
            Err(error) if last_try => return Err(unmigrated(error, path)),
            // Another process may be at the same work: what it finished need not be done.
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
    Ok(())
}

async fn upgrade(connection: &mut SqliteConnection, version: i64, tell: Tell<'_>) -> Result<(), MigrateError> {
    if version >= SCHEMA {
        return MIGRATIONS.run(connection).await;
    }
    // Tables take the names of others, and rows are moved as they are.
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut *connection).await?;
    MIGRATIONS.run_to(BEFORE_MOVE, &mut *connection).await?;
    sqlx::raw_sql("PRAGMA ignore_check_constraints = ON").execute(&mut *connection).await?;
    if move_to_log::is_begun(connection).await? {
        let log = logged();
        let tell_and_log = |moved| {
            log(moved);
            tell(moved);
        };
        move_to_log::run(connection, &tell_and_log).await?;
    }
    MIGRATIONS.run(&mut *connection).await?;
    shrink(connection).await;
    sqlx::raw_sql("PRAGMA ignore_check_constraints = OFF; PRAGMA foreign_keys = ON").execute(&mut *connection).await?;
    Ok(())
}

/// Says in the log how far a long move has come, at every tenth of it.
fn logged() -> impl Fn(Moved) + Sync {
    let told = AtomicU64::new(0);
    move |Moved { done, total }| {
        let tenths = done * 10 / total.max(1);
        if total >= LONG_MOVE && told.fetch_max(tenths, Ordering::Relaxed) < tenths {
            let percent = tenths * 10;
            tracing::warn!(percent, "migrating the database; it can be interrupted and will continue later");
        }
    }
}

/// Gives the room of the old tables back, where that is much of the file. Where it cannot be done now the file keeps its size,
/// and the next daemon tries again. Whoever calls holds the lock.
pub(super) async fn shrink(connection: &mut SqliteConnection) {
    if let Err(error) = try_to_shrink(connection).await {
        tracing::warn!(error = %error, "the database keeps the space of its old tables for now");
    }
}

async fn try_to_shrink(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    const IS_DUE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'moved')";
    const PAGES: &str = "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count";
    if !sqlx::query_scalar(IS_DUE).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let (free, pages): (i64, i64) = sqlx::query_as(PAGES).fetch_one(&mut *connection).await?;
    if free > pages / 4 {
        sqlx::raw_sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await?;
    }
    sqlx::raw_sql("DROP TABLE moved").execute(connection).await.map(drop)
}

/// A database that somebody else fills is never made ours.
async fn refuse_foreign(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    const FOREIGN: &str = "
        SELECT name FROM sqlite_master
        WHERE type = 'table' AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations') LIMIT 1";
    let found: Result<Option<String>, _> = sqlx::query_scalar(FOREIGN).fetch_optional(connection).await;
    match found.map_err(|source| unmigrated(MigrateError::Execute(source), path))? {
        None => Ok(()),
        Some(table) => {
            Err(OpenError::Foreign { path: path.to_owned(), reason: format!("it holds the table {table:?}") })
        }
    }
}
