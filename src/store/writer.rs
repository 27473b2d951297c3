//! The one writer. It commits whatever queued while the last commit was syncing, in one transaction; when that fails it
//! tries each piece alone, so that one poisoned piece delays only itself. It must never be cancelled in mid-statement:
//! callers wait on a channel, the task runs to the end of its transaction.

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    Record, Recorded, StoreError,
    accounts::{self, Reservation, Standing},
    record,
    requests::{self, Accepted},
    upkeep, wakeups,
};
use crate::domain::{id::AccountId, request::Request, time::Time};

/// Pieces that wait for the writer before their makers do: a backlog longer than this only costs memory.
const QUEUE: usize = 1_024;

/// Pieces in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP: usize = 512;

/// One piece of work: data, so that it can be done again after a group failed.
#[derive(Debug)]
pub(super) enum Work {
    Record(Box<Record>),
    Reserve(Vec<Reservation>),
    Accept(Vec<Request>, Time),
    Standing(AccountId, Standing, Time),
    TakeWakeups(i64, Vec<String>, Time),
    Wake(AccountId),
    Drift { after: i64, limit: u32, now: Time, spread_ms: i64 },
    Prune { before: Time, now: Time },
    JobRan { name: &'static str, now: Time, due: Option<Time> },
    Close,
}

/// What a piece of work answers.
#[derive(Debug)]
pub(super) enum Reply {
    Recorded(Recorded),
    Accepted(Vec<Accepted>),
    Done(u64),
}

type Answer = oneshot::Sender<Result<Reply, StoreError>>;

/// The writer's door.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<(Work, Answer)>,
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(connection, waiting));
        Self { queue }
    }

    pub(super) async fn ask(&self, work: Work) -> Result<Reply, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((work, answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the writer when everything before is written.
    pub(super) async fn close(self) {
        // Already closed is closed.
        let _ = self.ask(Work::Close).await;
    }
}

async fn run(mut connection: SqliteConnection, mut waiting: mpsc::Receiver<(Work, Answer)>) {
    let mut group: Vec<(Work, Answer)> = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let closing = group.iter().position(|(work, _)| matches!(work, Work::Close));
        let rest = closing.map(|at| group.split_off(at));
        let (works, answers): (Vec<Work>, Vec<Answer>) = group.drain(..).unzip();
        let replies = write(&mut connection, &works).await;
        for (answer, reply) in answers.into_iter().zip(replies) {
            // Whoever asked may have gone; what was written stays written.
            let _ = answer.send(reply);
        }
        if let Some(rest) = rest {
            waiting.close();
            if let Err(error) = connection.close().await {
                tracing::warn!(error = %error, "db.close");
            }
            for (_, answer) in rest {
                let _ = answer.send(Ok(Reply::Done(0)));
            }
            return;
        }
    }
}

async fn write(connection: &mut SqliteConnection, works: &[Work]) -> Vec<Result<Reply, StoreError>> {
    if works.is_empty() {
        return Vec::new();
    }
    match transact(connection, works).await {
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        Err(error) if works.len() == 1 => vec![Err(error)],
        Err(_) => {
            let mut replies = Vec::with_capacity(works.len());
            for work in works {
                let alone = transact(connection, std::slice::from_ref(work)).await;
                replies.push(alone.and_then(|mut replies| replies.pop().ok_or(StoreError::Closed)));
            }
            replies
        }
    }
}

/// One explicit transaction: sqlx can report success for a failed commit outside of one.
async fn transact(connection: &mut SqliteConnection, works: &[Work]) -> Result<Vec<Reply>, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let records: Vec<&Record> = works.iter().filter_map(as_record).collect();
    let mut recorded = record::write(&mut transaction, &records).await?.into_iter();
    let mut replies = Vec::with_capacity(works.len());
    for work in works {
        replies.push(match work {
            Work::Record(_) => Reply::Recorded(recorded.next().ok_or(StoreError::Closed)?),
            other => one(&mut transaction, other).await?,
        });
    }
    transaction.commit().await?;
    Ok(replies)
}

fn as_record(work: &Work) -> Option<&Record> {
    match work {
        Work::Record(record) => Some(record),
        _ => None,
    }
}

async fn one(tx: &mut SqliteConnection, work: &Work) -> Result<Reply, StoreError> {
    match work {
        Work::Record(_) | Work::Close => Ok(Reply::Done(0)),
        Work::Reserve(reservations) => accounts::reserve(tx, reservations).await.map(Reply::Done),
        Work::Accept(new, now) => requests::accept(tx, new, *now).await.map(Reply::Accepted),
        Work::Standing(account, standing, now) => {
            accounts::set_standing(tx, account, standing, *now).await.map(Reply::Done)
        }
        Work::TakeWakeups(seq, accounts, now) => wakeups::take(tx, *seq, accounts, *now).await.map(Reply::Done),
        Work::Wake(account) => wakeups::wake(tx, account).await.map(Reply::Done),
        Work::Drift { after, limit, now, spread_ms } => {
            accounts::begin_drift(tx, *after, *limit, *now, *spread_ms).await.map(Reply::Done)
        }
        Work::Prune { before, now } => upkeep::prune(tx, *before, *now).await.map(Reply::Done),
        Work::JobRan { name, now, due } => upkeep::job_ran(tx, name, *now, *due).await.map(Reply::Done),
    }
}
