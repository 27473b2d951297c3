//! The database thread: what polls read and write, in groups. A poll asks several questions at once and writes its
//! decisions; over sqlx's channels every statement is two hand-overs between threads, which cost more than the
//! statement (docs/performance.md). Here a job is a closure that runs on the thread that holds the connection: all
//! queued jobs read from one snapshot, then write in one transaction. If that fails each job is tried alone, so that
//! one poisoned job delays only itself.
//!
//! Less frequent writes go through [`super::write::writer`]; only one of the two writes at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::{CachedStatement, Connection, OpenFlags, TransactionBehavior, config::DbConfig};
use serde::Serialize;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{
    StoreError, bulk, health,
    health::Health,
    meters::CommitMeters,
    sql::{Arg, Args, CellError, RowRef},
};

/// Pieces in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP: usize = 512;

/// Statements kept ready: all that any piece of work runs.
const STATEMENTS: usize = 128;

/// Taken by whoever writes: the database thread or the writer beside it. (`SQLite` would let one of them sleep and try again.)
pub(super) type Turn = Arc<Mutex<()>>;

/// How the thread opens the database.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) path: PathBuf,
    pub(super) busy_timeout: Duration,
    /// As `PRAGMA cache_size` takes it.
    pub(super) cache: &'static str,
    pub(super) log_pages: &'static str,
    pub(super) log_limit: u64,
    pub(super) flags: OpenFlags,
}

impl Way {
    /// Of a database that is opened for reading alone, by the name that is given to `SQLite`: a path, or a URI.
    pub(super) fn to_read(name: PathBuf, busy_timeout: Duration) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Self { path: name, busy_timeout, cache: "-2000", log_pages: "1000", log_limit: 0, flags }
    }
}

/// The connection, as pieces of work see it. Every statement is kept ready after its first use; its parameters are `?1`,
/// `?2`, …: to `SQLite` a `$2` is a name, and the first one that it meets is the first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Db<'c> {
    Sqlite(&'c Connection),
}

impl<'c> Db<'c> {
    /// Runs a statement; the number of rows it changed.
    pub(super) fn execute<'q>(self, sql: &'static str, args: impl Args<'q>) -> Result<usize, StoreError> {
        match self {
            Self::Sqlite(connection) => Ok(bound(connection, sql, args.values().as_ref())?.raw_execute()?),
        }
    }

    /// Runs a statement once for many rows, which it reads as JSON from `?1`; not at all where there is none.
    pub(super) fn bulk<T: Serialize>(self, sql: &'static str, rows: &[T]) -> Result<usize, StoreError> {
        if rows.is_empty() { Ok(0) } else { self.execute(sql, [bulk::json(rows)]) }
    }

    /// The first row, when there is one.
    pub(super) fn first<'q, T>(
        self,
        sql: &'static str,
        args: impl Args<'q>,
        read: impl FnOnce(RowRef<'_>) -> Result<T, CellError>,
    ) -> Result<Option<T>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, args.values().as_ref())?;
                let mut rows = statement.raw_query();
                Ok(rows.next()?.map(|row| read(RowRef::Sqlite(row))).transpose()?)
            }
        }
    }

    /// Every row.
    pub(super) fn all<'q, T>(
        self,
        sql: &'static str,
        args: impl Args<'q>,
        mut read: impl FnMut(RowRef<'_>) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, args.values().as_ref())?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next()? {
                    found.push(read(RowRef::Sqlite(row)));
                }
            }
        }
        Ok(found)
    }
}

/// A statement that is ready to run with these values.
fn bound<'c>(
    connection: &'c Connection,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<CachedStatement<'c>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    debug_assert!(
        (1..=statement.parameter_count())
            .all(|place| statement.parameter_name(place).is_none_or(|name| name.starts_with('?'))),
        "its parameters are names, and bound by the order in which they first appear: {sql}"
    );
    // A value that is forgotten would be NULL.
    if args.len() != statement.parameter_count() {
        return Err(rusqlite::Error::InvalidParameterCount(args.len(), statement.parameter_count()).into());
    }
    for (place, arg) in args.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, arg)?;
    }
    Ok(statement)
}

/// Work, its result and whoever waits for it.
trait Piece: Send {
    fn run(&mut self, db: Db<'_>) -> Result<(), StoreError>;
    /// Tells what became of it: what it came to, or why nothing of it is written.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<F, T> {
    work: F,
    result: Option<T>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Piece for Task<F, T>
where
    F: FnMut(Db<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, db: Db<'_>) -> Result<(), StoreError> {
        // A defect in one piece must not take the thread, and everybody behind it, down.
        match catch_unwind(AssertUnwindSafe(|| (self.work)(db))) {
            Ok(result) => self.result = Some(result?),
            Err(_) => return Err(StoreError::defect("a piece of work panicked")),
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, waiting, .. } = *self;
        let answer = outcome.and_then(|()| result.ok_or_else(|| StoreError::defect("a piece was done but not run")));
        // Whoever asked may have gone; what was written stays written.
        let _ = waiting.send(answer);
    }
}

/// Pieces of work that are done, with what became of each.
type Done = Vec<(Box<dyn Piece>, Result<(), StoreError>)>;

enum Job {
    Read(Box<dyn Piece>),
    Write(Box<dyn Piece>),
    Close(oneshot::Sender<()>),
}

/// The thread's door. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    queue: mpsc::Sender<Job>,
}

impl Executor {
    /// Starts the thread; it opens the database with the first piece of work.
    pub(super) fn start(
        way: Way,
        turn: Turn,
        health: watch::Sender<Health>,
        meters: Arc<CommitMeters>,
    ) -> Result<Self, std::io::Error> {
        let (queue, waiting) = mpsc::channel();
        let (done, answers) = unbounded_channel();
        let slot = Slot { connection: None, way, turn, meters, done };
        std::thread::Builder::new().name("database".to_owned()).spawn(move || run(slot, &waiting, &health))?;
        tokio::spawn(answer(answers));
        Ok(Self { queue })
    }

    /// Asks something. Whatever else waits is answered from the same snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(Db<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(work, Job::Read).await
    }

    /// Writes something, all or nothing; on disk when this returns. The work may run more than once.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(Db<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(work, Job::Write).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnMut(Db<'_>) -> Result<T, StoreError> + Send + 'static,
        kind: fn(Box<dyn Piece>) -> Job,
    ) -> Result<T, StoreError> {
        let (waiting, answered) = oneshot::channel();
        self.queue.send(kind(Box::new(Task { work, result: None, waiting }))).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the thread when everything before is done.
    pub(super) async fn close(self) {
        let (closed, waiting) = oneshot::channel();
        if self.queue.send(Job::Close(closed)).is_ok() {
            // Already closed is closed.
            let _ = waiting.await;
        }
    }
}

/// Tells those who asked, beside them: this thread wakes one task for a group, where each who is woken from here costs a
/// system call.
async fn answer(mut answers: UnboundedReceiver<Done>) {
    while let Some(done) = answers.recv().await {
        for (piece, outcome) in done {
            piece.answer(outcome);
        }
    }
}

/// The way to the file: a connection, or how to make one.
struct Slot {
    connection: Option<Connection>,
    way: Way,
    turn: Turn,
    meters: Arc<CommitMeters>,
    /// To whoever tells those who asked.
    done: UnboundedSender<Done>,
}

fn run(mut slot: Slot, waiting: &mpsc::Receiver<Job>, health: &watch::Sender<Health>) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    while let Ok(first) = waiting.recv() {
        let mut closing = None;
        for job in std::iter::once(first).chain(waiting.try_iter().take(GROUP)) {
            match job {
                Job::Read(piece) => reads.push(piece),
                Job::Write(piece) => writes.push(piece),
                Job::Close(closed) => {
                    closing = Some(closed);
                    break;
                }
            }
        }
        slot.read(std::mem::take(&mut reads));
        if !writes.is_empty() {
            slot.write(std::mem::take(&mut writes), health);
        }
        if let Some(closed) = closing {
            drop(slot);
            let _ = closed.send(());
            return;
        }
    }
}

impl Slot {
    fn read(&mut self, mut pieces: Vec<Box<dyn Piece>>) {
        if pieces.len() == 1 {
            // One statement or a few: each is a snapshot, and what is decided from them is checked when it is written.
            let mut piece = pieces.remove(0);
            let outcome = self.with(|db| piece.run(db));
            self.answer(vec![(piece, outcome)]);
        } else if !pieces.is_empty() {
            let begun = self.with(|db| db.execute("BEGIN", ()).map(drop));
            let read = |mut piece: Box<dyn Piece>| {
                let outcome = begun.clone().and_then(|()| self.with(|db| piece.run(db)));
                (piece, outcome)
            };
            let done = pieces.into_iter().map(read).collect();
            self.answer(done);
            if self.connection.as_ref().is_some_and(|connection| !connection.is_autocommit()) {
                // A read that could not be ended is ended with its connection.
                let _ = self.with(|db| db.execute("COMMIT", ()).map(drop)).inspect_err(|_| self.connection = None);
            }
        }
    }

    fn write(&mut self, mut pieces: Vec<Box<dyn Piece>>, health: &watch::Sender<Health>) {
        let turn = Arc::clone(&self.turn);
        let written = {
            let _mine = turn.blocking_lock();
            self.transact(&mut pieces)
        };
        let outcomes: Vec<Result<(), StoreError>> = match written {
            Ok(()) => vec![Ok(()); pieces.len()],
            // Alone, each would wait as long again for whoever holds the file.
            Err(error @ StoreError::Busy(_)) => vec![Err(error); pieces.len()],
            Err(error) if pieces.len() == 1 => vec![Err(error)],
            Err(_) => pieces
                .iter_mut()
                .map(|piece| {
                    let _mine = turn.blocking_lock();
                    self.transact(std::slice::from_mut(piece))
                })
                .collect(),
        };
        health::tell(health, &outcomes);
        self.answer(pieces.into_iter().zip(outcomes).collect());
    }

    fn answer(&self, done: Done) {
        // Those who asked are gone when the runtime is.
        let _ = self.done.send(done);
    }

    /// Writes these pieces, all or none.
    fn transact(&mut self, pieces: &mut [Box<dyn Piece>]) -> Result<(), StoreError> {
        let (begun, meters) = (self.meters.begun(), Arc::clone(&self.meters));
        let connection = self.connect()?;
        let written = transact(connection, pieces);
        if written.is_ok() {
            meters.committed(pieces.len(), begun);
        }
        if let Err(error) = &written
            && (error.is_of_disk() || matches!(error, StoreError::Closed) || !connection.is_autocommit())
        {
            // It cannot be trusted after that: the next piece makes another.
            self.connection = None;
        }
        written
    }

    fn with<T>(&mut self, work: impl FnOnce(Db<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let done = self.connect().and_then(|connection| work(Db::Sqlite(connection)));
        if done.as_ref().is_err_and(StoreError::is_of_disk) {
            self.connection = None;
        }
        done
    }

    fn connect(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.way)?,
        };
        Ok(self.connection.insert(connection))
    }
}

fn transact(connection: &mut Connection, pieces: &mut [Box<dyn Piece>]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for piece in pieces {
        piece.run(Db::Sqlite(&transaction))?;
    }
    Ok(transaction.commit()?)
}

fn open(way: &Way) -> Result<Connection, StoreError> {
    let Way { path, busy_timeout, cache, log_pages, log_limit, flags } = way;
    let connection = Connection::open_with_flags(path, *flags)?;
    connection.busy_timeout(*busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement whose plan a value might better is prepared anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = {cache};
         PRAGMA wal_autocheckpoint = {log_pages}; PRAGMA journal_size_limit = {log_limit};"
    ))?;
    Ok(connection)
}
