//! What is written less often than polls write (they do on the database thread, [`crate::store::executor`]), as commands of
//! the nouns beside this file. It commits whatever queued while the last commit was syncing, in one transaction; when that
//! fails it tries each piece alone, so that one poisoned piece delays only itself. A statement that is cancelled
//! half way leaves its connection in nobody knows what state: so callers wait on a channel, and the task runs to the end of
//! its transaction.

mod link;

use std::{fmt::Debug, pin::Pin, slice, sync::Arc};

use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{
    StoreError,
    executor::Turn,
    health::{Health, tell},
    meters::{CommitMeters, Queue},
    sql::Tx,
};

pub(in crate::store) use self::link::{Link, Way};

/// Pieces that wait for the writer before their makers do: a backlog longer than this only costs memory.
const QUEUE: usize = 1_024;

/// Pieces in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP: usize = 512;

/// One piece of work, as data: when its group fails it is done again alone.
pub(in crate::store) trait WriteCommand: Debug + Send + Sync + 'static {
    /// What whoever asked is answered.
    type Answer: Send + 'static;

    /// Writes it within the transaction of its group.
    fn write(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// A command of any kind, its answer and whoever waits for it.
trait Piece: Send {
    /// Writes it, and keeps what it answers until that is on disk.
    fn run<'p>(&'p mut self, tx: Tx<'p>) -> Running<'p>;

    /// Tells what became of it: what it came to, or why nothing of it is written.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

type Running<'p> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'p>>;

struct Task<C: WriteCommand> {
    command: C,
    answer: Option<C::Answer>,
    waiting: oneshot::Sender<Result<C::Answer, StoreError>>,
}

impl<C: WriteCommand> Piece for Task<C> {
    fn run<'p>(&'p mut self, mut tx: Tx<'p>) -> Running<'p> {
        Box::pin(async move {
            self.answer = Some(self.command.write(&mut tx).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { answer, waiting, .. } = *self;
        let answer =
            outcome.and_then(|()| answer.ok_or_else(|| StoreError::defect("a piece was committed but not run")));
        // Whoever asked may have gone; what was written stays written.
        let _ = waiting.send(answer);
    }
}

enum Job {
    Write(Box<dyn Piece>),
    Close(oneshot::Sender<()>),
}

/// The writer's door.
#[derive(Debug, Clone)]
pub(in crate::store) struct Writer {
    queue: mpsc::Sender<Job>,
    health: watch::Receiver<Health>,
}

impl Writer {
    /// Starts it on an open connection; by `way` the next one is made when that one breaks.
    pub(in crate::store) fn start(
        link: Link,
        way: Way,
        turn: Turn,
        told: watch::Sender<Health>,
        meters: Arc<CommitMeters>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let health = told.subscribe();
        tokio::spawn(run(ConnectionSlot { link: Some(link), way, turn, meters }, waiting, told));
        Self { queue, health }
    }

    /// What waits for it.
    pub(in crate::store) fn queue(&self) -> Queue {
        let limit = self.queue.max_capacity();
        Queue { pieces: limit - self.queue.capacity(), limit }
    }

    /// How writing goes, now and whenever it changes.
    pub(in crate::store) fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Does a command, all of it or nothing; on disk when this returns.
    pub(in crate::store) async fn write<C: WriteCommand>(&self, command: C) -> Result<C::Answer, StoreError> {
        let (waiting, answered) = oneshot::channel();
        let piece = Box::new(Task { command, answer: None, waiting });
        self.queue.send(Job::Write(piece)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the writer when everything before is written.
    pub(in crate::store) async fn close(self) {
        let (closed, waiting) = oneshot::channel();
        if self.queue.send(Job::Close(closed)).await.is_ok() {
            // Already closed is closed.
            let _ = waiting.await;
        }
    }
}

/// The way to the database: a connection, or how to make one.
struct ConnectionSlot {
    link: Option<Link>,
    way: Way,
    turn: Turn,
    meters: Arc<CommitMeters>,
}

async fn run(mut slot: ConnectionSlot, mut waiting: mpsc::Receiver<Job>, health: watch::Sender<Health>) {
    let mut jobs = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut jobs, GROUP).await > 0 {
        let mut closing = None;
        let mut pieces = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Write(piece) => pieces.push(piece),
                Job::Close(closed) => {
                    closing = Some(closed);
                    // What comes after it finds the writer closed.
                    break;
                }
            }
        }
        let outcomes = slot.write(&mut pieces).await;
        tell(&health, &outcomes);
        for (piece, outcome) in pieces.into_iter().zip(outcomes) {
            piece.answer(outcome);
        }
        if let Some(closed) = closing {
            waiting.close();
            slot.close().await;
            let _ = closed.send(());
            return;
        }
    }
}

impl ConnectionSlot {
    /// Writes these pieces together or, when that fails, each alone; what became of each.
    async fn write(&mut self, pieces: &mut [Box<dyn Piece>]) -> Vec<Result<(), StoreError>> {
        if pieces.is_empty() {
            return Vec::new();
        }
        match self.transact(pieces).await {
            Ok(()) => vec![Ok(()); pieces.len()],
            // Alone, each would wait as long again for whoever holds the file.
            Err(error @ StoreError::Busy(_)) => vec![Err(error); pieces.len()],
            Err(error) if pieces.len() == 1 => vec![Err(error)],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(pieces.len());
                for piece in pieces {
                    outcomes.push(self.transact(slice::from_mut(piece)).await);
                }
                outcomes
            }
        }
    }

    /// Writes these pieces, all or none.
    async fn transact(&mut self, pieces: &mut [Box<dyn Piece>]) -> Result<(), StoreError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.way).await?,
        };
        let mine = self.turn.lock().await;
        let begun = self.meters.begun();
        let (written, is_usable) = link.transact(&self.way, pieces).await;
        drop(mine);
        if written.is_ok() {
            self.meters.committed(pieces.len(), begun);
        }
        if is_usable {
            self.link = Some(link);
        } else {
            link.abandon().await;
        }
        written
    }

    async fn close(self) {
        if let Some(link) = self.link {
            link.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::store::{Location, Role, Store, sql};

    async fn made(path: &std::path::Path) -> SqliteConnectOptions {
        let location = Location::file(path.to_owned(), 0o600);
        Store::open(&location, Role::Tool).await.unwrap().close().await;
        SqliteConnectOptions::new().filename(path)
    }

    /// A writer on a file that may not grow; a new connection may.
    async fn cramped(path: &std::path::Path) -> (Writer, SqliteConnectOptions) {
        let options = made(path).await;
        // Less than it has is as much as it has.
        let connection = options.clone().pragma("max_page_count", "1").connect().await.unwrap();
        let told = watch::Sender::new(Health::default());
        (
            Writer::start(
                Link::File(connection),
                Way::File(options.clone().into()),
                Turn::default(),
                told,
                Arc::default(),
            ),
            options,
        )
    }

    const WAKE: &str = "INSERT INTO wakeup (account, at, asked) VALUES ('wx0000000000000001', 1, 0) RETURNING account";

    /// A statement that answers a text.
    #[derive(Debug)]
    struct Run {
        sql: &'static str,
    }

    impl WriteCommand for Run {
        type Answer = String;

        async fn write(&self, tx: &mut Tx<'_>) -> Result<String, StoreError> {
            Ok(sql::query_scalar(self.sql).fetch_one(tx).await?)
        }
    }

    /// A row; answers the last number.
    #[derive(Debug)]
    struct Add;

    impl WriteCommand for Add {
        type Answer = i64;

        async fn write(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
            sql::query(WAKE).execute(&mut *tx).await?;
            Ok(sql::query_scalar("SELECT max(seq) FROM wakeup").fetch_one(tx).await?)
        }
    }

    /// [`Add`] without anybody who waits.
    fn add() -> [Box<dyn Piece>; 1] {
        [Box::new(Task { command: Add, answer: None, waiting: oneshot::channel().0 })]
    }

    async fn rows(options: &SqliteConnectOptions) -> usize {
        let mut connection = options.connect().await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM wakeup").fetch_one(&mut connection).await.unwrap();
        rows.try_into().unwrap()
    }

    #[tokio::test]
    async fn writes_succeed_again_when_there_is_room_again_and_nothing_acknowledged_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, options) = cramped(&folder.path().join("a.db")).await;
        let mut acknowledged = 0;
        let mut refused = 0;
        for _ in 0..400 {
            match writer.write(Add).await {
                Ok(_) => acknowledged += 1,
                Err(StoreError::Full(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(refused, 1, "the new connection has room");
        assert_eq!(rows(&options).await, acknowledged);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_connection_whose_transaction_ended_without_sqlx_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (writer, options) = cramped(&path).await;
        writer.close().await;
        let mut slot = ConnectionSlot {
            link: Some(Link::File(options.connect().await.unwrap())),
            way: Way::File(options.into()),
            turn: Turn::default(),
            meters: Arc::default(),
        };
        let Some(Link::File(connection)) = &mut slot.link else { unreachable!("it was opened") };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        // As SQLite does by itself when a disk fails.
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        assert!(transaction.commit().await.is_err());
        assert!(slot.transact(&mut add()).await.is_err());
        assert!(slot.transact(&mut add()).await.is_ok());
    }

    #[tokio::test]
    async fn while_no_connection_can_be_made_every_work_is_refused_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (writer, options) = cramped(&path).await;
        writer.close().await;
        let away = folder.path().join("away.db");
        std::fs::rename(&path, &away).unwrap();
        let mut slot = ConnectionSlot {
            link: None,
            way: Way::File(options.clone().into()),
            turn: Turn::default(),
            meters: Arc::default(),
        };
        assert!(matches!(slot.transact(&mut add()).await, Err(StoreError::Broken(_))));
        std::fs::rename(&away, &path).unwrap();
        assert!(slot.transact(&mut add()).await.is_ok());
        assert_eq!(rows(&options).await, 1);
    }

    #[tokio::test]
    async fn each_piece_is_given_its_own_answer_also_when_one_of_its_group_fails() {
        let folder = tempfile::tempdir().unwrap();
        let options = made(&folder.path().join("a.db")).await;
        let (connection, told) = (options.connect().await.unwrap(), watch::Sender::new(Health::default()));
        let writer = Writer::start(
            Link::File(connection),
            Way::File(options.clone().into()),
            Turn::default(),
            told,
            Arc::default(),
        );
        // All are sent before the writer takes the first of them, so that they are one group.
        let (number, text) = tokio::join!(writer.write(Add), writer.write(Run { sql: WAKE }));
        assert_eq!((number.unwrap(), text.unwrap().as_str()), (1, "wx0000000000000001"));
        let (first, refused, text, last) = tokio::join!(
            writer.write(Add),
            writer.write(Run { sql: "INSERT INTO wakeup (account) VALUES (NULL) RETURNING account" }),
            writer.write(Run { sql: WAKE }),
            writer.write(Add),
        );
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!((first.unwrap(), text.unwrap().as_str(), last.unwrap()), (3, "wx0000000000000001", 5));
        assert_eq!(rows(&options).await, 5, "nothing of the failed group stayed, and each of the others is there once");
        writer.close().await;
    }
}
