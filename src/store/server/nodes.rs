//! The daemons of a database as people see and order them.

use serde::Serialize;
use sqlx::{FromRow, PgPool};

use crate::{
    domain::time::Time,
    store::{Store, StoreError, sql::Pool},
};

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

/// Leases that nobody has who could work, for longer than a hand-over takes, while somebody lives.
const FREE: &str = "
    SELECT count(*), min(l.name), min(coalesce(l.free_since, n.since))
    FROM lease AS l LEFT JOIN node AS n ON n.id = l.node
    WHERE (l.node IS NULL OR n.fenced)
      AND coalesce(l.free_since, n.since) < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1";

/// Every daemon, and whether one of its name lives.
const STANDING: &str = "
    SELECT n.name, (extract(epoch FROM b.until) * 1000)::bigint, b.ahead_ms, b.config_hash,
           NOT n.fenced AND b.until >= clock_timestamp(), n.draining
    FROM node AS n JOIN beat AS b ON b.node = n.id ORDER BY n.name";

/// How long a lease may have no daemon: longer than a hand-over and a takeover.
const FREE_FOR_MS: i64 = 30_000;

/// How the daemons of a database do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many leases have had no daemon for a while, one of them, and since when.
    pub free: Option<(u64, String, Time)>,
    /// Daemons that are silent and have not come back, and since when.
    pub silent: Vec<(String, Time)>,
    /// Those that live: name, by how many milliseconds the calendar is ahead of the database's, what the configuration comes
    /// to.
    pub living: Vec<(String, i64, String)>,
}

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

    /// How the daemons of the database do; `None` of a file.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn standing(&self) -> Result<Option<Standing>, StoreError> {
        let Some(pool) = self.server() else { return Ok(None) };
        let (count, name, since): (i64, Option<String>, Option<i64>) =
            sqlx::query_as(FREE).bind(FREE_FOR_MS).fetch_one(pool).await?;
        let free = name.zip(since).map(|(name, since)| (count.unsigned_abs(), name, Time::from_ms(since)));
        let rows: Vec<(String, i64, i64, String, bool, bool)> = sqlx::query_as(STANDING).fetch_all(pool).await?;
        let mut standing = Standing { free, ..Standing::default() };
        for (name, until, ahead_ms, config_hash, lives, is_drained) in &rows {
            let is_back = || rows.iter().any(|(other, _, _, _, lives, _)| other == name && *lives);
            if *lives {
                standing.living.push((name.clone(), *ahead_ms, config_hash.clone()));
            } else if !is_drained && !is_back() {
                standing.silent.push((name.clone(), Time::from_ms(*until)));
            }
        }
        Ok(Some(standing))
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
