//! A daemon's row in the database, for as long as it works there: made at its start, kept alive by its beats, taken away at
//! its end. A row that others have fenced is of no use any more: each transaction of its daemon begins with a look at it
//! ([`super::transaction`]).

use std::{
    fs::{File, TryLockError},
    io,
    sync::Arc,
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::{
    address::ServerAddress,
    beat,
    connect::connect,
    settings::{Lock, NodeSettings},
    transaction::within,
};
use crate::{
    domain::{
        id::{timed, uuid_v7},
        tenure::member::Incarnation,
        time::Time,
    },
    store::{OpenError, StoreError, ownership::Leased},
};

/// How often and how far apart a daemon that starts looks whether the one of its name is silent.
const LOOKS: u32 = 36;
const PAUSE: Duration = Duration::from_millis(500);

/// How long the first beat is waited for: without it nothing is owned yet, and all the rest can be done.
const JOIN_WITHIN: Duration = Duration::from_secs(3);

/// Whoever begins under a name looks for others of it alone.
const ALONE: &str = "LOCK TABLE node IN SHARE ROW EXCLUSIVE MODE";

const LIVING: &str = "
    SELECT EXISTS (SELECT 1 FROM node AS n JOIN beat AS b ON b.node = n.id
                   WHERE n.name = $1 AND NOT n.fenced AND b.until > clock_timestamp())";

/// Whether one lives.
pub(in crate::store) const IS_DRIVEN: &str = "
    SELECT EXISTS (SELECT 1 FROM node AS n JOIN beat AS b ON b.node = n.id
                   WHERE NOT n.fenced AND b.until > clock_timestamp())";

const FENCE: &str = "UPDATE node SET fenced = true WHERE name = $1 AND NOT fenced";

const FREE: &str = "
    UPDATE lease SET node = NULL, free_since = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    WHERE node IN (SELECT id FROM node WHERE name = $1 AND fenced)";

const FORGET: &str = "DELETE FROM node WHERE name = $1 AND fenced";

const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const BEGIN: &str = "INSERT INTO node (id, name, began_at, since, version) VALUES ($1, $2, $3, $3, $4)";

const FIRST: &str = "
    INSERT INTO beat (node, until, at) VALUES ($1, clock_timestamp() + $2 * interval '1 ms', clock_timestamp())";

const REREAD: &str = "UPDATE lease SET reload = reload + 1 WHERE name = 'house'";

const HAND_BACK: &str = "
    UPDATE lease SET node = NULL, free_since = (extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE node = $1";

const END: &str = "DELETE FROM node WHERE id = $1";

/// A daemon's row.
#[derive(Debug)]
pub(in crate::store) struct Node {
    id: Arc<str>,
    address: ServerAddress,
    leased: Arc<Leased>,
    beats: JoinHandle<()>,
    /// Held open.
    _lock: Option<File>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Node {
    /// Makes its row, unless another daemon of its name lives. It owns nothing before its first beat.
    pub(super) async fn begin(connection: &mut PgConnection, address: &ServerAddress) -> Result<Self, OpenError> {
        let failed = |source: StoreError| OpenError::Server { address: address.to_string(), source: source.into() };
        let settings = address.node();
        let lock = lock(settings)?;
        let mut looks = 0;
        let incarnation = loop {
            if let Some(incarnation) = within(enter(connection, settings, lock.is_some())).await.map_err(failed)? {
                break incarnation;
            }
            looks += 1;
            if looks > LOOKS {
                return Err(OpenError::Driven { address: address.to_string(), other: settings.name.clone() });
            }
            if looks == 1 {
                tracing::warn!(
                    event = "db.other_daemon",
                    node = settings.name,
                    "another daemon of this name works on the database, or died a moment ago: waiting"
                );
            }
            tokio::time::sleep(PAUSE).await;
        };
        let leased = Arc::new(Leased::new(settings.terms, incarnation));
        let beats = tokio::spawn(beat::run(address.clone(), incarnation, Arc::clone(&leased)));
        Ok(Self { id: incarnation.0.to_string().into(), address: address.clone(), leased, beats, _lock: lock })
    }

    /// Its incarnation.
    pub(super) fn id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub(in crate::store) fn leased(&self) -> Arc<Leased> {
        Arc::clone(&self.leased)
    }

    /// How often it has beaten.
    pub(in crate::store) fn beats(&self) -> u64 {
        *self.leased.beats().borrow()
    }

    /// Waits for the beat after those.
    pub(in crate::store) async fn join(&self, beaten: u64) {
        let mut beats = self.leased.beats();
        let _ = tokio::time::timeout(JOIN_WITHIN, beats.wait_for(|now| *now > beaten)).await;
    }

    /// Has every daemon read again which accounts are due.
    pub(in crate::store) async fn have_reread(&self) -> Result<(), StoreError> {
        let mut connection = connect(&self.address).await?;
        within(async { Ok(sqlx::query(REREAD).execute(&mut connection).await?) }).await.map(drop)
    }

    /// Ends in good order: whoever is next need not wait.
    pub(in crate::store) async fn end(&self) {
        self.beats.abort();
        let ended = async {
            let mut connection = connect(&self.address).await?;
            within(async {
                let mut transaction = connection.begin().await?;
                for statement in [HAND_BACK, END] {
                    sqlx::query(statement).bind(&*self.id).execute(&mut *transaction).await?;
                }
                Ok(transaction.commit().await?)
            })
            .await
        };
        if let Err(error) = ended.await {
            tracing::warn!(event = "db.node", error = %error, "what this daemon had is free only when it counts as silent");
        }
    }
}

/// The lock of the name, where there is a folder for it.
fn lock(settings: &NodeSettings) -> Result<Option<File>, OpenError> {
    let (folder, is_needed) = match &settings.lock {
        Lock::None => return Ok(None),
        Lock::IfPossible(folder) => (folder, false),
        Lock::In(folder) => (folder, true),
    };
    let path = folder.join(format!("{}.lock", settings.name));
    let failed = |source: io::Error| OpenError::NodeLock { path: path.clone(), source };
    let opened = std::fs::create_dir_all(folder)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
    let file = match opened {
        Ok(file) => file,
        Err(error) if is_needed => return Err(failed(error)),
        Err(error) => {
            tracing::info!(
                event = "db.no_node_lock",
                path = %path.display(),
                error = %error,
                "no lock of this daemon's name: after it died without a word its next start waits for the lease to end; \
                 [cluster] state names a folder for it"
            );
            return Ok(None);
        }
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::SameNode { name: settings.name.clone(), path }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Its incarnation, once its row is there; nothing while another one of its name lives. Who holds the lock of the name knows
/// that none does.
async fn enter(
    connection: &mut PgConnection,
    settings: &NodeSettings,
    is_alone: bool,
) -> Result<Option<Incarnation>, StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query(ALONE).execute(&mut *transaction).await?;
    let name = &settings.name;
    if !is_alone && sqlx::query_scalar(LIVING).bind(name).fetch_one(&mut *transaction).await? {
        return Ok(None);
    }
    for statement in [FENCE, FREE, FORGET] {
        sqlx::query(statement).bind(name).execute(&mut *transaction).await?;
    }
    let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *transaction).await?;
    let incarnation = Incarnation(uuid_v7(timed(Time::from_ms(now), rand::random())));
    let (id, version) = (incarnation.0.to_string(), env!("CARGO_PKG_VERSION"));
    sqlx::query(BEGIN).bind(&id).bind(name).bind(now).bind(version).execute(&mut *transaction).await?;
    let lease = i64::try_from(settings.terms.lease().as_millis()).unwrap_or(i64::MAX);
    sqlx::query(FIRST).bind(&id).bind(lease).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(incarnation))
}
