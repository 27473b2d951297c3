//! The writer's connection, and how one is made.

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::Piece;
use crate::store::{
    StoreError,
    moved::MOVED,
    server::{
        connect::{Way as ServerWay, connect},
        transaction::{self, Confirmed},
    },
    sql::Tx,
};

/// How the writer reaches the database.
#[derive(Debug, Clone)]
pub(in crate::store) enum Way {
    File(Box<SqliteConnectOptions>),
    Server(ServerWay),
}

/// A connection.
pub(in crate::store) enum Link {
    File(SqliteConnection),
    Server(PgConnection),
}

impl Link {
    pub(super) async fn open(way: &Way) -> Result<Self, StoreError> {
        Ok(match way {
            Way::File(options) => Self::File(options.connect().await?),
            Way::Server(way) => Self::Server(connect(&way.address).await?),
        })
    }

    /// Writes these pieces, all or none. Answers whether the connection may be used again.
    pub(super) async fn transact(
        &mut self,
        way: &Way,
        pieces: &mut [Box<dyn Piece>],
    ) -> (Result<(), StoreError>, bool) {
        match (self, way) {
            (Self::File(connection), _) => {
                let written = in_file(connection, pieces).await;
                let is_usable = match &written {
                    Ok(()) => true,
                    Err(error) => is_usable(connection, error).await,
                };
                (written, is_usable)
            }
            (Self::Server(connection), Way::Server(way)) => match at_server(connection, way, pieces).await {
                Ok(confirmed) => (Ok(()), confirmed == Confirmed::Here),
                Err(error) => {
                    let is_usable = !error.is_of_disk() && transaction::roll_back(connection).await.is_ok();
                    (Err(error), is_usable)
                }
            },
            (Self::Server(_), Way::File(_)) => (Err(StoreError::defect("a connection of another database")), false),
        }
    }

    /// Gives it up, in whatever state it is.
    pub(super) async fn abandon(self) {
        told(match self {
            Self::File(connection) => connection.close_hard().await,
            Self::Server(connection) => connection.close_hard().await,
        });
    }

    pub(super) async fn close(self) {
        told(match self {
            Self::File(connection) => connection.close().await,
            Self::Server(connection) => connection.close().await,
        });
    }
}

fn told(closed: Result<(), sqlx::Error>) {
    if let Err(error) = closed {
        tracing::warn!(event = "db.close", error = %error, "could not close a database connection");
    }
}

/// One explicit transaction: sqlx can report success for a failed commit outside of one.
async fn in_file(connection: &mut SqliteConnection, pieces: &mut [Box<dyn Piece>]) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(other) = sqlx::query_scalar::<_, String>(MOVED).fetch_optional(&mut *transaction).await? {
        return Err(StoreError::Moved(other.into()));
    }
    for piece in pieces {
        piece.run(Tx::Sqlite(&mut transaction)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Whether a connection can be trusted after an error. When a disk fails, `SQLite` may roll back by itself, and sqlx, which
/// counts transactions on its own, would begin none on that connection ever again.
async fn is_usable(connection: &mut SqliteConnection, error: &StoreError) -> bool {
    let is_of_disk =
        matches!(error, StoreError::Full(_) | StoreError::Broken(_) | StoreError::Corrupt(_) | StoreError::Closed);
    // The answer comes after the rollback that was sent before it.
    !is_of_disk && connection.ping().await.is_ok() && !connection.is_in_transaction()
}

async fn at_server(
    connection: &mut PgConnection,
    way: &ServerWay,
    pieces: &mut [Box<dyn Piece>],
) -> Result<Confirmed, StoreError> {
    let number = transaction::begin(connection, way).await?;
    for piece in pieces {
        transaction::within(piece.run(Tx::Postgres(&mut *connection))).await?;
    }
    transaction::commit(connection, way, &number).await
}
