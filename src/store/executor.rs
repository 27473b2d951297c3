//! The database thread: what polls read and write, in groups. A poll asks several questions at once and writes its
//! decisions; over sqlx's channels every statement is two hand-overs between threads, which cost more than the
//! statement (docs/performance.md). Here a job is a closure that runs on the thread that holds the connection: all
//! queued jobs read from one snapshot, then write in one transaction. If that fails each job is tried alone, so that
//! one poisoned job delays only itself.
//!
//! Less frequent writes go through [`super::write::writer`]; only one of the two writes at a time.

mod db;
mod link;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use self::link::Link;
pub(super) use self::{
    db::Db,
    link::{FileWay, Way},
};
use super::{StoreError, health, health::Health, meters::CommitMeters};

/// Pieces in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP: usize = 512;

/// Taken by whoever writes: the database thread or the writer beside it. (`SQLite` would let one of them sleep and try again.)
pub(super) type Turn = Arc<Mutex<()>>;

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
        let slot = Slot { link: None, way, turn, meters, done };
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
    link: Option<Link>,
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
        if !reads.is_empty() {
            slot.read(std::mem::take(&mut reads));
        }
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
    fn read(&mut self, pieces: Vec<Box<dyn Piece>>) {
        // One statement or a few: each is a snapshot, and what is decided from them is checked when it is written.
        if pieces.len() < 2 || self.connect().is_ok_and(|link| !link.has_snapshots()) {
            let alone = |mut piece: Box<dyn Piece>| {
                let outcome = self.with(|db| piece.run(db));
                (piece, outcome)
            };
            let done = pieces.into_iter().map(alone).collect();
            self.answer(done);
        } else {
            let begun = self.with(|db| db.execute("BEGIN", ()).map(drop));
            let read = |mut piece: Box<dyn Piece>| {
                let outcome = begun.clone().and_then(|()| self.with(|db| piece.run(db)));
                (piece, outcome)
            };
            let done = pieces.into_iter().map(read).collect();
            self.answer(done);
            if self.link.as_ref().is_some_and(|link| !link.is_idle()) {
                // A read that could not be ended is ended with its connection.
                let _ = self.with(|db| db.execute("COMMIT", ()).map(drop)).inspect_err(|_| self.link = None);
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
        let link = self.connect()?;
        let written = link.transact(pieces);
        if written.is_ok() {
            meters.committed(pieces.len(), begun);
        }
        let is_of_disk = |error: &StoreError| error.is_of_disk() || matches!(error, StoreError::Closed);
        if written.as_ref().is_err_and(is_of_disk) || !link.is_idle() {
            // It cannot be trusted after that: the next piece makes another.
            self.link = None;
        }
        written
    }

    fn with<T>(&mut self, work: impl FnOnce(Db<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let done = self.connect().and_then(|link| work(link.db()));
        if done.as_ref().is_err_and(StoreError::is_of_disk) {
            self.link = None;
        }
        done
    }

    fn connect(&mut self) -> Result<&mut Link, StoreError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.way)?,
        };
        Ok(self.link.insert(link))
    }
}
