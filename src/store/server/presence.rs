//! Which daemon works on the database. A daemon is one row, made at its start; it says every few seconds that it lives,
//! by the database's clock. One that is silent for too long may be fenced by another: from then on it writes nothing, since
//! each of its transactions begins with a look at its row ([`super::transaction`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;
use tokio::task::JoinHandle;

use super::{address::ServerAddress, connect::connect, transaction::within};
use crate::store::{OpenError, StoreError, row_id};

/// How long a daemon may be silent before another may take its place.
const LEASE: &str = "15 seconds";

/// How often it says that it lives.
const BEAT: Duration = Duration::from_secs(3);

/// How often and how far apart a daemon that starts looks whether the one before it is silent: as one that died and is started
/// anew has to wait for itself.
const LOOKS: u32 = 36;
const PAUSE: Duration = Duration::from_millis(500);

/// Whoever looks for others and takes their place does so alone.
const ALONE: &str = "LOCK TABLE node IN EXCLUSIVE MODE";

const LIVING: &str = "
    SELECT n.name FROM node AS n JOIN beat AS b ON b.node = n.id
    WHERE NOT n.fenced AND b.until > clock_timestamp() LIMIT 1";

/// Whether one lives.
pub(in crate::store) const IS_DRIVEN: &str = "
    SELECT EXISTS (SELECT 1 FROM node AS n JOIN beat AS b ON b.node = n.id
                   WHERE NOT n.fenced AND b.until > clock_timestamp())";

const FENCE: &str = "UPDATE node SET fenced = true WHERE NOT fenced";

const FORGET: &str = "DELETE FROM node WHERE fenced";

const BEGIN: &str = "
    INSERT INTO node (id, name, fenced, began_at, version)
    VALUES ($1, $2, false, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, $3)";

const FIRST: &str = "INSERT INTO beat (node, until) VALUES ($1, clock_timestamp() + $2::interval)";

const NEXT: &str = "
    UPDATE beat SET until = clock_timestamp() + $2::interval
    WHERE node = $1 AND EXISTS (SELECT 1 FROM node WHERE id = $1 AND NOT fenced)";

const END: &str = "DELETE FROM node WHERE id = $1";

/// A daemon's row, for as long as it works.
#[derive(Debug)]
pub(in crate::store) struct Presence {
    node: Arc<str>,
    address: ServerAddress,
    is_fenced: Arc<AtomicBool>,
    beats: JoinHandle<()>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Presence {
    /// Takes the place of those that are silent, unless somebody lives.
    pub(super) async fn begin(
        connection: &mut PgConnection,
        address: &ServerAddress,
        name: &str,
    ) -> Result<Self, OpenError> {
        let failed = |source: StoreError| OpenError::Server { address: address.to_string(), source: source.into() };
        let node: Arc<str> = row_id::random_id().into();
        let mut looks = 0;
        while let Some(other) = within(take_place(connection, &node, name)).await.map_err(failed)? {
            looks += 1;
            if looks > LOOKS {
                return Err(OpenError::Driven { address: address.to_string(), other });
            }
            if looks == 1 {
                tracing::warn!(
                    event = "db.other_daemon",
                    other,
                    "another daemon works on this database, or died a moment ago: waiting"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        let is_fenced = Arc::<AtomicBool>::default();
        let beats = tokio::spawn(beat(address.clone(), Arc::clone(&node), Arc::clone(&is_fenced)));
        Ok(Self { node, address: address.clone(), is_fenced, beats })
    }

    /// Its incarnation.
    pub(super) fn node(&self) -> Arc<str> {
        Arc::clone(&self.node)
    }

    /// Whether another daemon has taken its place.
    pub(in crate::store) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Relaxed)
    }

    /// Ends in good order: the next daemon need not wait.
    pub(in crate::store) async fn end(&self) {
        self.beats.abort();
        let ended = async {
            let mut connection = connect(&self.address).await?;
            within(async { Ok(sqlx::query(END).bind(&*self.node).execute(&mut connection).await?) }).await
        };
        if let Err(error) = ended.await {
            tracing::warn!(event = "db.node", error = %error, "the next daemon will wait until this one counts as silent");
        }
    }
}

/// The name of a daemon that lives, or nothing: then this one is there.
async fn take_place(connection: &mut PgConnection, node: &str, name: &str) -> Result<Option<String>, StoreError> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    sqlx::query(ALONE).execute(&mut *transaction).await?;
    let other: Option<String> = sqlx::query_scalar(LIVING).fetch_optional(&mut *transaction).await?;
    if other.is_some() {
        return Ok(other);
    }
    for statement in [FENCE, FORGET] {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    let version = env!("CARGO_PKG_VERSION");
    sqlx::query(BEGIN).bind(node).bind(name).bind(version).execute(&mut *transaction).await?;
    sqlx::query(FIRST).bind(node).bind(LEASE).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(None)
}

/// Says that the daemon lives, until it ends or is found to be fenced.
async fn beat(address: ServerAddress, node: Arc<str>, is_fenced: Arc<AtomicBool>) {
    let mut connection = None;
    loop {
        tokio::time::sleep(BEAT).await;
        match once(&mut connection, &address, &node).await {
            Ok(true) => {}
            Ok(false) => {
                is_fenced.store(true, Ordering::Relaxed);
                tracing::error!(
                    event = "db.fenced",
                    "another daemon works in place of this one, which was silent for too long"
                );
                return;
            }
            Err(error) => {
                connection = None;
                tracing::warn!(event = "db.beat", error = %error, "could not tell the database that this daemon lives");
            }
        }
    }
}

async fn once(connection: &mut Option<PgConnection>, address: &ServerAddress, node: &str) -> Result<bool, StoreError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connect(address).await?),
    };
    within(async { Ok(sqlx::query(NEXT).bind(node).bind(LEASE).execute(connection).await?.rows_affected() > 0) }).await
}
