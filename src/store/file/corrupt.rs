//! Does harm on purpose, for the selftest's simulations: makes an account's row invalid, and repairs it; keeps everybody
//! from writing. On a real database the account would stand still until its row is repaired.

use std::{path::Path, time::Duration};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::store::StoreError;

/// How long it waits for the file.
const BUSY: Duration = Duration::from_secs(20);

const UNCHECKED: &str = "PRAGMA ignore_check_constraints = 1";

const SPOIL: &str = "UPDATE account SET failures = CASE WHEN failures < 0 THEN 0 ELSE -5 END WHERE account = $1";

const LOCK: &str = "BEGIN IMMEDIATE";

const MEND: &str = "UPDATE account SET failures = 0 WHERE failures < 0";

/// Makes the row of this account one that is not legal, or legal again.
pub async fn spoil(database: &Path, account: &str) -> Result<(), StoreError> {
    past_us(database, sqlx::query(SPOIL).bind(account)).await
}

/// Makes every account's row legal.
pub async fn mend(database: &Path) -> Result<(), StoreError> {
    past_us(database, sqlx::query(MEND)).await
}

/// While this is held, nobody else can write into the file.
pub struct WriteLock(sqlx::SqliteConnection);

impl WriteLock {
    /// Takes it, as another program would that writes for long.
    pub async fn take(database: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY);
        let mut connection = options.disable_statement_logging().connect().await?;
        sqlx::raw_sql(LOCK).execute(&mut connection).await?;
        Ok(Self(connection))
    }

    /// Lets everybody write again.
    pub async fn release(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }
}

async fn past_us(
    database: &Path,
    statement: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY);
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::raw_sql(UNCHECKED).execute(&mut connection).await?;
    statement.execute(&mut connection).await?;
    Ok(connection.close().await?)
}
