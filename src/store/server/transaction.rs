//! What a transaction that writes begins and ends with. It is told apart by its number, so that where the answer to its end
//! is lost, the server can be asked what became of it.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::connect::{ANSWER_WITHIN, Way, connect};
use crate::store::StoreError;

/// A daemon writes only while nobody has taken its place, and nobody takes it while it writes.
const BEGIN_AS_NODE: &str = "SELECT pg_current_xact_id()::text FROM node WHERE id = $1 AND NOT fenced FOR SHARE";

const BEGIN_AS_TOOL: &str = "SELECT pg_current_xact_id()::text";

/// What is looked at is held: nobody marks the database as moved while a command writes.
const IS_MOVED: &str = "SELECT m.other FROM move AS m WHERE m.way = 'out' OR m.done_at IS NULL";

/// A transaction in which something was refused is ended by COMMIT without an error, and without anything written: the
/// question before it is refused then.
const COMMIT: &str = "SELECT 1; COMMIT";

const BECAME: &str = "SELECT pg_xact_status($1::xid8)";

/// How often and how far apart the server is asked about a transaction that it still works on.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// The number of a transaction.
#[derive(Debug, Clone)]
pub(in crate::store) struct Number(String);

/// How the end of a transaction became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Confirmed {
    /// By its own connection, which goes on.
    Here,
    /// By another: its own is of no use any more.
    Elsewhere,
}

/// Begins one.
pub(in crate::store) async fn begin(connection: &mut PgConnection, way: &Way) -> Result<Number, StoreError> {
    within(async {
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        let number: Option<String> = match &way.node {
            Some(node) => sqlx::query_scalar(BEGIN_AS_NODE).bind(&**node).fetch_optional(&mut *connection).await?,
            None => begin_as_tool(connection).await?,
        };
        number.map(Number).ok_or(StoreError::Fenced)
    })
    .await
}

async fn begin_as_tool(connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
    if let Some(other) = sqlx::query_scalar::<_, String>(IS_MOVED).fetch_optional(&mut *connection).await? {
        return Err(StoreError::Moved(other.into()));
    }
    Ok(sqlx::query_scalar(BEGIN_AS_TOOL).fetch_optional(connection).await?)
}

/// Ends it. Where the answer is lost, `connection` is of no use any more, and the server says what became of it.
///
/// # Errors
/// Nothing of it is written; or, where no server can be reached to ask, nobody knows.
pub(in crate::store) async fn commit(
    connection: &mut PgConnection,
    way: &Way,
    number: &Number,
) -> Result<Confirmed, StoreError> {
    let ended = within(async { Ok(sqlx::raw_sql(COMMIT).execute(&mut *connection).await?) }).await;
    match ended {
        Ok(_) => Ok(Confirmed::Here),
        Err(StoreError::Broken(_)) if became(way, number).await? => Ok(Confirmed::Elsewhere),
        Err(error) => Err(error),
    }
}

/// Whether it was committed.
async fn became(way: &Way, Number(number): &Number) -> Result<bool, StoreError> {
    let mut connection = connect(&way.address).await?;
    for _ in 0..LOOKS {
        let status: Option<String> =
            within(async { Ok(sqlx::query_scalar(BECAME).bind(number).fetch_one(&mut connection).await?) }).await?;
        match status.as_deref() {
            Some("committed") => return Ok(true),
            Some("in progress") => tokio::time::sleep(PAUSE).await,
            // Too old to be known, or ended by nothing.
            Some(_) | None => return Ok(false),
        }
    }
    let _ = connection.close().await;
    Err(StoreError::broken("the server still works on the transaction whose end it did not confirm"))
}

/// Takes back what was done since it began. Where even that fails, the connection is of no use.
pub(in crate::store) async fn roll_back(connection: &mut PgConnection) -> Result<(), StoreError> {
    within(async { Ok(sqlx::query("ROLLBACK").execute(connection).await.map(drop)?) }).await
}

/// Waits for an answer as long as a living connection may take.
pub(in crate::store) async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::broken("the server did not answer within 30 s")),
    }
}
