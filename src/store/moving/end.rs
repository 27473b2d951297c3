//! One side of a move: opened, held against everybody else.

use std::{fmt, fs::File, time::Duration};

use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::error::MoveError;
use crate::{
    domain::time::Time,
    store::{
        Location, OpenError, StoreError,
        file::{lock::Purpose, open as files},
        moved::{self, Way},
        server::{connect::ANSWER_WITHIN, node::IS_DRIVEN, open as servers},
        sql::Tx,
    },
};

/// How long a daemon of a server that was killed counts as living, and a little more.
const LOOKS: u32 = 36;
const PAUSE: Duration = Duration::from_millis(500);

/// One move at a time works at a server's database; the server forgets it with the connection.
const HOLD: &str = "SELECT pg_try_advisory_lock(22, hashtext(current_schema()))";

/// Nobody becomes a daemon while this is held, and none writes.
const ALONE: &str = "LOCK TABLE node IN EXCLUSIVE MODE";

/// Commands look at it with each transaction: those that are under way end first.
const MARKING: &str = "LOCK TABLE move IN ACCESS EXCLUSIVE MODE";

/// The last of the daemons that count as living, and until when it does.
const LAST: &str = "
    SELECT n.name, b.until::text FROM node AS n JOIN beat AS b ON b.node = n.id
    WHERE NOT n.fenced ORDER BY b.until DESC LIMIT 1";

/// One that is silent must not come back.
const FENCE: &str = "UPDATE node SET fenced = true WHERE NOT fenced";

/// A database, with a connection to it.
pub(super) struct End {
    /// Where it is, as people are told.
    pub(super) place: String,
    pub(super) link: Link,
    /// Held open.
    _lock: Option<File>,
}

/// The connection.
pub(super) enum Link {
    File(SqliteConnection),
    Server(PgConnection),
}

impl fmt::Debug for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.place)
    }
}

impl Link {
    pub(super) fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::File(connection) => Tx::Sqlite(connection),
            Self::Server(connection) => Tx::Postgres(connection),
        }
    }
}

impl End {
    /// Opens it, brings it up to date, and keeps daemons and other moves away.
    pub(super) async fn open(location: &Location) -> Result<Self, MoveError> {
        match location {
            Location::File { path, mode } => {
                let opened = files::opened((path, *mode), Some(Purpose::Move), &|_| {}).await.map_err(driven)?;
                let link = Link::File(opened.connection);
                Ok(Self { place: opened.path.display().to_string(), link, _lock: opened.lock })
            }
            Location::Server(address) => {
                let mut connection = servers::opened(address).await?;
                let place = address.to_string();
                hold(&mut connection, &place).await?;
                Ok(Self { place, link: Link::Server(connection), _lock: None })
            }
        }
    }

    pub(super) fn failed(&self, source: impl Into<StoreError>) -> MoveError {
        MoveError::Store { place: self.place.clone(), source: source.into() }
    }

    /// Marks it, while no daemon works on it; from then on none does.
    pub(super) async fn mark(&mut self, way: Way, id: &str, other: &str, now: Time) -> Result<(), MoveError> {
        let (mut looks, mut seen) = (0, None);
        while let Some(living) = self.try_to_mark(way, (id, other), now).await.map_err(|source| self.failed(source))? {
            // One that was killed counts as living for a while, and says so no more.
            let has_beaten = seen.replace(living.clone()).is_some_and(|before| before != living);
            if has_beaten || looks >= LOOKS {
                return Err(MoveError::Driven { place: format!("{} ({})", self.place, living.0) });
            }
            looks += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The name of a daemon that lives, and until when it counts as living; or nothing: then it is marked.
    async fn try_to_mark(
        &mut self,
        way: Way,
        (id, other): (&str, &str),
        now: Time,
    ) -> Result<Option<(String, String)>, StoreError> {
        match &mut self.link {
            // Its lock is held.
            Link::File(connection) => {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                moved::begin(&mut Tx::Sqlite(&mut transaction), way, (id, other), now).await?;
                transaction.commit().await?;
            }
            Link::Server(connection) => {
                let mut transaction = connection.begin().await?;
                sqlx::query(ALONE).execute(&mut *transaction).await?;
                if sqlx::query_scalar::<_, bool>(IS_DRIVEN).fetch_one(&mut *transaction).await? {
                    return Ok(sqlx::query_as(LAST).fetch_optional(&mut *transaction).await?);
                }
                for statement in [FENCE, MARKING] {
                    sqlx::query(statement).execute(&mut *transaction).await?;
                }
                moved::begin(&mut Tx::Postgres(&mut transaction), way, (id, other), now).await?;
                transaction.commit().await?;
            }
        }
        Ok(None)
    }

    /// Ends in good order: what is in a file's log is in the file then.
    pub(super) async fn close(self) {
        let closed = match self.link {
            Link::File(connection) => connection.close().await,
            Link::Server(connection) => connection.close().await,
        };
        if let Err(error) = closed {
            tracing::warn!(event = "db.close", error = %error, "could not close a database connection");
        }
    }
}

/// A lock that somebody holds, in the words of a move.
fn driven(error: OpenError) -> MoveError {
    match error {
        OpenError::Locked(path) => MoveError::Driven { place: path.display().to_string() },
        other => other.into(),
    }
}

/// Keeps other moves away. One that was killed goes on at the server until its last statement is done.
async fn hold(connection: &mut PgConnection, place: &str) -> Result<(), MoveError> {
    let failed = |source: sqlx::Error| MoveError::Store { place: place.to_owned(), source: source.into() };
    for _ in 0..ANSWER_WITHIN.as_millis() / PAUSE.as_millis() {
        if sqlx::query_scalar::<_, bool>(HOLD).fetch_one(&mut *connection).await.map_err(failed)? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(MoveError::Refused(format!("another `amplinkd db move` works on {place}")))
}
