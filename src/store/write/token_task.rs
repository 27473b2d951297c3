//! Rows of `token_task`: what a command asks the running daemon to ask `WeChat`, and what came of it.

use crate::{
    domain::time::Time,
    store::{
        Store, StoreError,
        decode::{self, Cells},
        tables::TOKEN_TASK,
    },
};

/// Tasks looked at for one that can be read.
const LOOKED_AT: u32 = 100;

/// What the daemon is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenTask {
    /// Read the list of authorizers to its end.
    Sync,
    /// Fetch this account's next token.
    Refresh(String),
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDone {
    /// Whether it went well.
    pub is_well: bool,
    /// In words.
    pub said: String,
}

const ADD: &str = "INSERT INTO token_task (kind, appid, at) VALUES (?1, ?2, ?3) RETURNING id";

const NEXT: &str = "SELECT id, kind, appid FROM token_task WHERE done_at IS NULL ORDER BY id LIMIT ?1";

const AWAITED: &str = "
    SELECT EXISTS (SELECT 1 FROM push WHERE done_at IS NULL)
        OR EXISTS (SELECT 1 FROM token_task WHERE done_at IS NULL)
        OR EXISTS (SELECT 1 FROM component WHERE sweep_offset IS NOT NULL)
        OR EXISTS (SELECT 1 FROM authorizer INDEXED BY authorizer_lacking
                   WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023)";

const DONE: &str = "UPDATE token_task SET done_at = ?2, is_well = ?3, said = ?4 WHERE id = ?1";

const RESULT: &str = "SELECT is_well, said FROM token_task WHERE id = ?1 AND done_at IS NOT NULL";

const PRUNE: &str = "DELETE FROM token_task WHERE at < ?1";

impl Store {
    /// Asks the daemon for something; the number by which its result is asked for.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn ask_for_tokens(&self, task: TokenTask, now: Time) -> Result<i64, StoreError> {
        self.executor
            .write(move |db| {
                let (kind, appid) = match &task {
                    TokenTask::Sync => ("sync", None),
                    TokenTask::Refresh(appid) => ("refresh", Some(appid)),
                };
                let id = db.first(ADD, (kind, appid, now.ms()), |row| row.get(0))?;
                id.ok_or_else(|| StoreError::defect("a task that was written has no number"))
            })
            .await
    }

    /// What came of a task; `None` while nothing has.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn token_task_result(&self, id: i64) -> Result<Option<TaskDone>, StoreError> {
        self.executor
            .read(move |db| {
                db.first(RESULT, [id], |row| {
                    Ok(TaskDone { is_well: row.get(0)?, said: row.get::<Option<String>>(1)?.unwrap_or_default() })
                })
            })
            .await
    }

    /// Whether anything is left to be done about pushes, the list of authorizers or tasks: one question for all of them.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn awaits_token_work(&self) -> Result<bool, StoreError> {
        self.executor.read(move |db| Ok(db.first(AWAITED, (), |row| row.get(0))?.unwrap_or(true))).await
    }

    /// The task that waits for longest.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn next_token_task(&self) -> Result<Option<(i64, TokenTask)>, StoreError> {
        self.executor
            .read(move |db| {
                let read = |cells: &mut Cells<'_>| {
                    let (id, kind): (i64, String) = (cells.next()?, cells.next()?);
                    let appid: Option<String> = cells.next()?;
                    let task =
                        if kind == "sync" { TokenTask::Sync } else { TokenTask::Refresh(appid.unwrap_or_default()) };
                    Ok((id, task))
                };
                let rows = db.all(NEXT, [LOOKED_AT], |row| decode::cells(row, TOKEN_TASK, read))?;
                Ok(decode::legible_cells(rows).into_iter().next())
            })
            .await
    }

    /// Writes what came of a task, and takes those away that are older than `prune`.
    ///
    /// # Errors
    /// [`StoreError`]: it is done again.
    pub async fn token_task_done(&self, id: i64, done: TaskDone, now: Time, prune: Time) -> Result<(), StoreError> {
        self.executor
            .write(move |db| {
                db.execute(DONE, (id, now.ms(), done.is_well, &done.said))?;
                db.execute(PRUNE, [prune.ms()]).map(drop)
            })
            .await
    }
}
