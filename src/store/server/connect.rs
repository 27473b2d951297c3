//! How connections are made: to the server that takes writes, within a time of ours, with what each must hold to.

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::address::ServerAddress;
use crate::store::{StoreError, sql::Pool};

/// How long one server may take to answer: the driver itself would wait for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a statement may take: one that is not answered by then is on a connection that is dead. It is not ended at the
/// server: what is cancelled there while it waits for a standby is committed all the same.
pub(in crate::store) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Statements kept ready on a connection.
const STATEMENTS: usize = 512;

/// How a process reaches the database.
#[derive(Clone)]
pub(in crate::store) struct Way {
    pub(in crate::store) address: ServerAddress,
    /// The daemon that writes, by its incarnation; none for a command.
    pub(in crate::store) node: Option<Arc<str>>,
}

impl fmt::Debug for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.address)
    }
}

/// What holds for every connection, whatever the server's defaults.
fn options(place: &PgConnectOptions) -> PgConnectOptions {
    place
        .clone()
        .application_name("amplinkd")
        .statement_cache_capacity(STATEMENTS)
        .options([
            ("timezone", "UTC"),
            ("default_transaction_isolation", "read committed"),
            ("statement_timeout", "0"),
            // Whoever is stopped in the middle of a transaction holds up the others no longer than that; who waits for it, waits
            // longer.
            ("lock_timeout", "8s"),
            ("idle_in_transaction_session_timeout", "3s"),
            ("tcp_user_timeout", "5s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "3"),
            // What is asked is short; to compile it takes longer.
            ("jit", "off"),
        ])
        .disable_statement_logging()
}

/// A connection to the server that takes writes.
pub(in crate::store) async fn connect(address: &ServerAddress) -> Result<PgConnection, StoreError> {
    Ok(connect_and_tell(address).await?.0)
}

/// The same, and which of the servers that is.
pub(in crate::store) async fn connect_and_tell(
    address: &ServerAddress,
) -> Result<(PgConnection, &PgConnectOptions), StoreError> {
    let mut last = StoreError::Closed;
    for place in address.each() {
        match connect_to(place).await {
            Ok(connection) => return Ok((connection, place)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(place: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let reached = async {
        let mut connection = options(place).connect().await?;
        let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await?;
        Ok::<_, sqlx::Error>((connection, is_standby))
    };
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(Ok((connection, false))) => Ok(connection),
        Ok(Ok((connection, true))) => {
            let _ = connection.close_hard().await;
            Err(StoreError::broken("the server is a standby and takes no writes"))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(StoreError::broken("the server did not answer within 5 s")),
    }
}

/// Connections for reading, made as they are needed, to the server that takes writes now. Where another does later, what writes
/// finds it, and what reads does after a restart.
pub(in crate::store) fn pool(place: &PgConnectOptions, most: u32) -> Pool {
    let pool = PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ANSWER_WITHIN)
        .idle_timeout(Some(Duration::from_mins(5)))
        .connect_lazy_with(options(place));
    Pool::Postgres(pool)
}
