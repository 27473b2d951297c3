//! Opens a database of a server: reached, checked, brought up to date, taken by its daemon.

use std::sync::Arc;

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::watch;

use super::{
    address::ServerAddress,
    connect::{Way, connect_and_tell, pool},
    node::Node,
    schema,
};
use crate::store::{
    OpenError, Role, SCHEMA, Store, StoreError,
    executor::{Executor, Turn, Way as ExecutorWay},
    file::wal::Log,
    health::Health,
    meters::CommitMeters,
    moved,
    place::{Hold, Place},
    read::illegal_rows::Scan,
    skipped_accounts::SkippedAccounts,
    sql::Tx,
    write::writer::{self, Link, Writer},
};

/// Connections for reading: of the daemon, and of whoever asks at its door.
const READERS: u32 = 4;

/// The oldest server that can say what became of a transaction (`pg_xact_status` with a number of 64 bits).
const OLDEST: i64 = 130_000;

const VERSION: &str = "SELECT current_setting('server_version_num')::bigint, version()";

const COMMITS: &str = "SELECT current_setting('synchronous_commit')";

impl Store {
    /// Opens the database at `address`; where it is empty, it is filled with our tables.
    ///
    /// # Errors
    /// [`OpenError`]: it is as it was.
    pub(in crate::store) async fn open_server(address: &ServerAddress, role: Role) -> Result<Self, OpenError> {
        let failed = |source: StoreError| OpenError::Server { address: address.to_string(), source: source.into() };
        let (mut connection, place) = connect_and_tell(address).await.map_err(failed)?;
        check_server(&mut connection, address).await?;
        schema::migrate(&mut connection, &address.to_string()).await?;
        let node = match role {
            Role::Daemon => Some(Node::begin(&mut connection, address).await?),
            Role::Tool => None,
        };
        // After it is there: whoever moves the database looks for daemons and marks it in one step.
        let tx = &mut Tx::Postgres(&mut connection);
        let elsewhere = match role {
            Role::Daemon => moved::check_in_use(tx, address).await,
            Role::Tool => moved::check_whole(tx, address).await,
        };
        if let (Err(_) | Ok(Err(_)), Some(node)) = (&elsewhere, &node) {
            node.end().await;
        }
        elsewhere.map_err(failed)??;
        Self::at_server(address, (connection, place), node).map_err(failed)
    }

    /// Opens it for reading alone: nothing is made or brought up to date.
    pub(in crate::store) async fn open_server_to_read(address: &ServerAddress) -> Result<Self, OpenError> {
        let failed = |source: StoreError| OpenError::Server { address: address.to_string(), source: source.into() };
        let (mut connection, place) = connect_and_tell(address).await.map_err(failed)?;
        check_server(&mut connection, address).await?;
        let address_shown = address.to_string();
        match schema::version(&mut connection).await.map_err(failed)? {
            SCHEMA => {
                moved::check_whole(&mut Tx::Postgres(&mut connection), address).await.map_err(failed)??;
                Self::at_server(address, (connection, place), None).map_err(failed)
            }
            0 => Err(OpenError::ForeignServer {
                address: address_shown,
                reason: "it has no tables of ours: `amplinkd run` makes them".to_owned(),
            }),
            version if version > SCHEMA => Err(OpenError::NewerServer { address: address_shown, version }),
            version => Err(OpenError::OutdatedServer { address: address_shown, version }),
        }
    }

    fn at_server(
        address: &ServerAddress,
        (connection, place): (PgConnection, &PgConnectOptions),
        node: Option<Node>,
    ) -> Result<Self, StoreError> {
        let way = Way { address: address.clone(), node: node.as_ref().map(Node::id) };
        let (turn, health) = (Turn::default(), watch::Sender::new(Health::default()));
        let meters = Arc::<CommitMeters>::default();
        let executor =
            Executor::start(ExecutorWay::Server(way.clone()), Arc::clone(&turn), health.clone(), Arc::clone(&meters))
                .map_err(|error| StoreError::Broken(Arc::new(error)))?;
        Ok(Self {
            readers: pool(place, READERS),
            door: pool(place, READERS),
            executor,
            writer: Writer::start(
                Link::Server(connection),
                writer::Way::Server(way),
                turn,
                health,
                Arc::clone(&meters),
            ),
            meters,
            place: Place::Server(address.clone()),
            hold: node.map(|node| Hold::Node(Arc::new(node))),
            is_unchecked: false,
            frozen: None,
            log: Log::default(),
            left_out: SkippedAccounts::default(),
            scan: Scan::default(),
        })
    }
}

/// A connection to a database that is ready to be worked with.
pub(in crate::store) async fn opened(address: &ServerAddress) -> Result<PgConnection, OpenError> {
    let failed = |source: StoreError| OpenError::Server { address: address.to_string(), source: source.into() };
    let (mut connection, _) = connect_and_tell(address).await.map_err(failed)?;
    check_server(&mut connection, address).await?;
    schema::migrate(&mut connection, &address.to_string()).await?;
    Ok(connection)
}

/// That the server is one that we know how to work with, and that what it confirms stays.
async fn check_server(connection: &mut PgConnection, address: &ServerAddress) -> Result<(), OpenError> {
    let failed =
        |source: sqlx::Error| OpenError::Server { address: address.to_string(), source: Box::new(source.into()) };
    let refused = |reason: String| Err(OpenError::UnfitServer { address: address.to_string(), reason });
    let (number, version): (i64, String) = sqlx::query_as(VERSION).fetch_one(&mut *connection).await.map_err(failed)?;
    if ["CockroachDB", "YB-"].iter().any(|other| version.contains(other)) {
        return refused(format!("it is not PostgreSQL itself, but {}", version.split(" (").next().unwrap_or_default()));
    }
    if number < OLDEST {
        return refused(format!("it is PostgreSQL {}: 13 is the oldest that can be used", number / 10_000));
    }
    let commits: String = sqlx::query_scalar(COMMITS).fetch_one(connection).await.map_err(failed)?;
    match commits.as_str() {
        "off" | "local" => refused(format!(
            "synchronous_commit is {commits:?}, so that what it confirms may be lost: set it to on for this database \
             (ALTER DATABASE … SET synchronous_commit = on)"
        )),
        _ => Ok(()),
    }
}
