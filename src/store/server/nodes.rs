//! The daemons of a database as people see and order them.

use serde::Serialize;
use sqlx::{FromRow, PgPool};

use crate::store::{Store, StoreError, sql::Pool};

const LIST: &str = "SELECT name, state, since, shards, version, config_hash, beat_at FROM v_node ORDER BY name, since";

const ORDER: &str = "
    UPDATE node SET draining = $2, since = CASE WHEN draining = $2 THEN since ELSE (extract(epoch FROM clock_timestamp()) * 1000)::bigint END
    WHERE name = $1 AND NOT fenced";

const FORGET: &str = "
    WITH gone AS (
        DELETE FROM node AS n USING beat AS b
        WHERE b.node = n.id AND n.name = $1 AND (n.fenced OR b.until < clock_timestamp()) RETURNING n.id)
    SELECT count(*) FROM gone";

const LEFT: &str = "
    UPDATE lease SET free_since = (extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE node IS NULL AND free_since IS NULL";

/// A row of `v_node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct NodeView {
    /// What it is called.
    pub name: String,
    /// `active`, `draining`, `idle`, `silent` or `fenced`.
    pub state: String,
    /// Since when, in UTC.
    pub since: String,
    /// How many of the 64 parts of the accounts it has.
    pub shards: i64,
    /// The version of its program.
    pub version: String,
    /// What its configuration comes to.
    pub config_hash: String,
    /// When it last said that it lives, in UTC.
    pub beat_at: String,
}

impl Store {
    /// The daemons of the database; `None` of a file, which has one at most.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn nodes(&self) -> Result<Option<Vec<NodeView>>, StoreError> {
        let Some(pool) = self.server() else { return Ok(None) };
        Ok(Some(sqlx::query_as(LIST).fetch_all(pool).await?))
    }

    /// Has a daemon hand over what it has, or take part again. Answers whether there is one of this name.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn order_node(&self, name: &str, is_to_drain: bool) -> Result<bool, StoreError> {
        let Some(pool) = self.server() else { return Ok(false) };
        Ok(sqlx::query(ORDER).bind(name).bind(is_to_drain).execute(pool).await?.rows_affected() > 0)
    }

    /// Takes away a daemon that is silent and will not come back. Answers whether there was one of this name.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn forget_node(&self, name: &str) -> Result<bool, StoreError> {
        let Some(pool) = self.server() else { return Ok(false) };
        let mut transaction = pool.begin().await?;
        let gone: i64 = sqlx::query_scalar(FORGET).bind(name).fetch_one(&mut *transaction).await?;
        sqlx::query(LEFT).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone > 0)
    }

    const fn server(&self) -> Option<&PgPool> {
        match self.readers() {
            Pool::Postgres(pool) => Some(pool),
            Pool::Sqlite(_) => None,
        }
    }
}
