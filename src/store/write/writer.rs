//! What is written less often than polls write (they do on the database thread, [`crate::store::executor`]). It commits whatever
//! queued while the last commit was syncing, in one transaction; when that fails it tries each piece alone, so that one
//! poisoned piece delays only itself. It must never be cancelled in mid-statement: callers wait on a channel, the task runs
//! to the end of its transaction.

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    account_actions::{self, AccountAction},
    accounts::{self, Standing},
    alert_actions::{self, AlertAction},
    alerts,
    clock_correction::{self, Correction},
    deliveries::{self, DeliveryResult},
    gates,
    housekeeping::{self, Retention},
    import::{self, Step},
    nudges::{self, NewNudge, Nudged, Occasion},
    pace::{self, PaceRow},
    prune,
    requests::{self, Accepted, Urgency},
    wakeups,
};
use crate::{
    domain::{id::AccountId, request::Request, time::Time},
    store::{
        StoreError,
        executor::Turn,
        read::status::{self, DaemonMark},
    },
};

/// Pieces that wait for the writer before their makers do: a backlog longer than this only costs memory.
const QUEUE: usize = 1_024;

/// Pieces in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP: usize = 512;

/// One piece of work: data, so that it can be done again after a group failed.
#[derive(Debug)]
pub(in crate::store) enum Work {
    Accept(Vec<Request>, Urgency, Time),
    Import(Step),
    Standing(AccountId, Standing, Time),
    Wake(AccountId),
    HeedOpenings(i64),
    Drift { after: i64, limit: u32, now: Time, spread_ms: i64 },
    BeginWatch { seq: i64, policy: String, now: i64 },
    Prune { keep: Retention, now: Time },
    PruneRequests { ids: Vec<String>, before: Time },
    Delivered(Vec<DeliveryResult>),
    CloseChannels(Vec<String>),
    Hasten(String, Time),
    Nudge(Vec<NewNudge>, Occasion),
    Job { name: &'static str, ran: Option<Time>, due: Option<Time> },
    AlertAction(AlertAction),
    Pace(PaceRow),
    Accounts(AccountAction),
    Mark(DaemonMark),
    Correct(Correction),
    Close,
}

/// What a piece of work answers.
#[derive(Debug)]
pub(in crate::store) enum Reply {
    Accepted(Vec<Accepted>),
    Nudged(Vec<Nudged>),
    Done(u64),
    /// The ids of what was changed.
    Changed(Vec<String>),
}

/// How writing goes.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Writes refused because of the file or its disk, since the start.
    pub refused: u64,
    /// Why the last write was refused; `None` when it was not.
    pub wrong: Option<StoreError>,
}

type Answer = oneshot::Sender<Result<Reply, StoreError>>;

/// The writer's door.
#[derive(Debug, Clone)]
pub(in crate::store) struct Writer {
    queue: mpsc::Sender<(Work, Answer)>,
    health: watch::Receiver<Health>,
}

impl Writer {
    /// Starts it on an open connection; `options` make the next one when that one breaks.
    pub(in crate::store) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        turn: Turn,
        told: watch::Sender<Health>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let health = told.subscribe();
        tokio::spawn(run(Line { connection: Some(connection), options, turn }, waiting, told));
        Self { queue, health }
    }

    /// How writing goes, now and whenever it changes.
    pub(in crate::store) fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    pub(in crate::store) async fn ask(&self, work: Work) -> Result<Reply, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((work, answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Ends the writer when everything before is written.
    pub(in crate::store) async fn close(self) {
        // Already closed is closed.
        let _ = self.ask(Work::Close).await;
    }
}

/// The way to the file: a connection, or how to make one.
struct Line {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    turn: Turn,
}

impl Line {
    /// Writes these pieces, all or none.
    async fn transact(&mut self, works: &[Work]) -> Result<Vec<Reply>, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => self.connection.insert(self.options.connect().await?),
        };
        let mine = self.turn.lock().await;
        let done = transact(connection, works).await;
        drop(mine);
        if let Err(error) = &done {
            self.mend(error).await;
        }
        done
    }

    /// Gives up a connection that cannot be trusted after an error. When a disk fails, `SQLite` may roll back by itself,
    /// and sqlx, which counts transactions on its own, would begin none on that connection ever again.
    async fn mend(&mut self, error: &StoreError) {
        let Some(mut connection) = self.connection.take() else { return };
        let is_of_disk =
            matches!(error, StoreError::Full(_) | StoreError::Broken(_) | StoreError::Corrupt(_) | StoreError::Closed);
        // The answer comes after the rollback that was sent before it.
        if !is_of_disk && connection.ping().await.is_ok() && !connection.is_in_transaction() {
            self.connection = Some(connection);
        } else if let Err(error) = connection.close_hard().await {
            tracing::warn!(error = %error, "db.close");
        }
    }
}

async fn run(mut line: Line, mut waiting: mpsc::Receiver<(Work, Answer)>, health: watch::Sender<Health>) {
    let mut group: Vec<(Work, Answer)> = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let closing = group.iter().position(|(work, _)| matches!(work, Work::Close));
        let rest = closing.map(|at| group.split_off(at));
        let (works, answers): (Vec<Work>, Vec<Answer>) = group.drain(..).unzip();
        let replies = write(&mut line, &works).await;
        tell(&health, &replies);
        for (answer, reply) in answers.into_iter().zip(replies) {
            // Whoever asked may have gone; what was written stays written.
            let _ = answer.send(reply);
        }
        if let Some(rest) = rest {
            waiting.close();
            if let Some(connection) = line.connection
                && let Err(error) = connection.close().await
            {
                tracing::warn!(error = %error, "db.close");
            }
            for (_, answer) in rest {
                let _ = answer.send(Ok(Reply::Done(0)));
            }
            return;
        }
    }
}

/// Counts what was refused; tells only what is news, for most groups succeed after others that did.
pub(in crate::store) fn tell<T>(health: &watch::Sender<Health>, replies: &[Result<T, StoreError>]) {
    let Some(last) = replies.last() else { return };
    let refused = replies.iter().filter_map(|reply| reply.as_ref().err()).filter(|error| error.is_of_disk()).count();
    let wrong = last.as_ref().err().filter(|error| error.is_of_disk());
    health.send_if_modified(|told| {
        let is_news = refused > 0 || wrong.is_some() != told.wrong.is_some();
        told.refused += refused as u64;
        told.wrong = wrong.cloned();
        is_news
    });
}

async fn write(line: &mut Line, works: &[Work]) -> Vec<Result<Reply, StoreError>> {
    if works.is_empty() {
        return Vec::new();
    }
    match line.transact(works).await {
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        // Alone, each would wait as long again for whoever holds the file.
        Err(error @ StoreError::Busy(_)) => works.iter().map(|_| Err(error.clone())).collect(),
        Err(error) if works.len() == 1 => vec![Err(error)],
        Err(_) => {
            let mut replies = Vec::with_capacity(works.len());
            for work in works {
                let alone = line.transact(std::slice::from_ref(work)).await;
                replies.push(alone.and_then(|mut replies| replies.pop().ok_or(StoreError::Closed)));
            }
            replies
        }
    }
}

/// One explicit transaction: sqlx can report success for a failed commit outside of one.
async fn transact(connection: &mut SqliteConnection, works: &[Work]) -> Result<Vec<Reply>, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut replies = Vec::with_capacity(works.len());
    for work in works {
        replies.push(one(&mut transaction, work).await?);
    }
    transaction.commit().await?;
    Ok(replies)
}

async fn one(tx: &mut SqliteConnection, work: &Work) -> Result<Reply, StoreError> {
    match work {
        Work::Close => Ok(Reply::Done(0)),
        Work::Accept(new, urgency, now) => requests::accept(tx, new, *urgency, *now).await.map(Reply::Accepted),
        Work::Import(step) => import::work(tx, step).await,
        Work::Standing(account, standing, now) => {
            accounts::set_standing(tx, account, *standing, *now).await.map(Reply::Done)
        }
        Work::Wake(account) => wakeups::wake(tx, account).await.map(Reply::Done),
        Work::HeedOpenings(seq) => gates::heed(tx, *seq).await.map(Reply::Done),
        Work::Drift { after, limit, now, spread_ms } => {
            accounts::begin_drift(tx, *after, *limit, *now, *spread_ms).await.map(Reply::Done)
        }
        Work::BeginWatch { seq, policy, now } => alerts::begin(tx, (*seq, policy), *now).await.map(Reply::Done),
        Work::Prune { keep, now } => housekeeping::prune(tx, *keep, *now).await.map(Reply::Done),
        Work::PruneRequests { ids, before } => prune::take_away(tx, ids, *before).await.map(Reply::Done),
        Work::Delivered(results) => deliveries::write(tx, results).await.map(Reply::Done),
        Work::CloseChannels(configured) => deliveries::close(tx, configured).await.map(Reply::Done),
        Work::Hasten(channel, now) => deliveries::pull_forward(tx, channel, *now).await.map(Reply::Done),
        Work::Nudge(new, occasion) => nudges::write(tx, new, *occasion).await.map(Reply::Nudged),
        Work::Job { name, ran, due } => housekeeping::mark_job(tx, name, *ran, *due).await.map(Reply::Done),
        Work::Pace(row) => pace::set(tx, *row).await.map(Reply::Done),
        Work::AlertAction(hand) => alert_actions::work(tx, hand).await,
        Work::Accounts(hand) => account_actions::work(tx, hand).await,
        Work::Mark(mark) => status::mark(tx, mark).await.map(Reply::Done),
        Work::Correct(correction) => clock_correction::write(tx, correction).await.map(Reply::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Role, Store};

    /// A writer on a file that may not grow; a new connection may.
    async fn cramped(path: &std::path::Path) -> (Writer, SqliteConnectOptions) {
        let options = SqliteConnectOptions::new().filename(path);
        let location = Location { path: path.to_owned(), mode: 0o600 };
        Store::open(&location, Role::Tool).await.unwrap().close().await;
        // Less than it has is as much as it has.
        let connection = options.clone().pragma("max_page_count", "1").connect().await.unwrap();
        let told = watch::Sender::new(Health::default());
        (Writer::start(connection, options.clone(), Turn::default(), told), options)
    }

    fn wake(number: usize) -> Work {
        Work::Wake(format!("wx{number:016}").parse().unwrap())
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
        for number in 0..400 {
            match writer.ask(wake(number)).await {
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
        let mut line = Line { connection: Some(options.connect().await.unwrap()), options, turn: Turn::default() };
        let connection = line.connection.as_mut().unwrap();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        // As SQLite does by itself when a disk fails.
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        assert!(transaction.commit().await.is_err());
        assert!(line.transact(&[wake(1)]).await.is_err());
        assert!(line.transact(&[wake(2)]).await.is_ok());
    }

    #[tokio::test]
    async fn while_no_connection_can_be_made_every_work_is_refused_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (writer, options) = cramped(&path).await;
        writer.close().await;
        let away = folder.path().join("away.db");
        std::fs::rename(&path, &away).unwrap();
        let mut line = Line { connection: None, options, turn: Turn::default() };
        assert!(matches!(line.transact(&[wake(1)]).await, Err(StoreError::Broken(_))));
        std::fs::rename(&away, &path).unwrap();
        assert!(line.transact(&[wake(2)]).await.is_ok());
        assert_eq!(rows(&line.options).await, 1);
    }
}
