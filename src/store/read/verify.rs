//! Whole-file checks: the file's structure, and every history replayed against its request, one page in memory at a
//! time and no snapshot longer than that, so that the log can be checkpointed meanwhile.

use std::path::Path;

use sqlx::{Connection, FromRow, SqliteConnection};

use crate::{
    domain::{
        history::{Identity, Replay, Step, hex},
        time::Time,
    },
    store::{
        Store, StoreError,
        file::location::lone_reader,
        sql::{self, Tx},
    },
};

/// Requests replayed in one read: a few milliseconds in which the log cannot be folded into the file.
const PAGE: u32 = 1_000;

const REQUESTS: &str = "
    SELECT id, kind, account, program, notify_users, show_profile, requested_at, retry_of, state, since, finished_at,
           attempt, called_at, last_seq, chain
    FROM request WHERE id > $1 ORDER BY id LIMIT $2";

const STEPS: &str = "
    SELECT request_id, seq, from_state, to_state, at, cause, status, errcode, detail, hash
    FROM transition WHERE request_id > $1 AND request_id <= $2 ORDER BY request_id, seq";

/// Something a whole-file check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// The request, or the place in the file.
    pub id: String,
    /// What is wrong with it.
    pub finding: String,
}

/// A request, as far as its history tells of it.
#[derive(Debug, FromRow)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) account: String,
    pub(super) program: String,
    pub(super) notify_users: i64,
    pub(super) show_profile: i64,
    pub(super) requested_at: i64,
    pub(super) retry_of: Option<String>,
    pub(super) state: String,
    pub(super) since: i64,
    pub(super) finished_at: Option<i64>,
    pub(super) attempt: i64,
    pub(super) called_at: Option<i64>,
    pub(super) last_seq: i64,
    pub(super) chain: Vec<u8>,
}

#[derive(Debug, FromRow)]
pub(super) struct StepRow {
    pub(super) request_id: String,
    pub(super) seq: i64,
    pub(super) from_state: Option<String>,
    pub(super) to_state: String,
    pub(super) at: i64,
    pub(super) cause: String,
    pub(super) status: Option<i64>,
    pub(super) errcode: Option<i64>,
    pub(super) detail: Option<String>,
    pub(super) hash: Vec<u8>,
}

impl Store {
    /// Checks the file's structure and replays the history of every request against its state; at most `limit`
    /// findings.
    pub async fn verify(path: &Path, limit: u32) -> Result<Vec<Damage>, StoreError> {
        let mut connection = lone_reader(path).await?;
        let limit = limit as usize;
        let mut found = structure(&mut connection).await?;
        let mut after = String::new();
        while found.len() < limit {
            let mut moment = connection.begin().await?;
            let page = replay_page(&mut Tx::Sqlite(&mut moment), &after, &mut found).await?;
            moment.commit().await?;
            let Some(last) = page else { break };
            after = last;
        }
        found.truncate(limit);
        connection.close().await?;
        Ok(found)
    }
}

impl Store {
    /// Replays the history of every request against its state; at most `limit` findings. The structure of a server's
    /// database is its own to check.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn verify_histories(&self, limit: u32) -> Result<Vec<Damage>, StoreError> {
        let (limit, mut found, mut after) = (limit as usize, Vec::new(), String::new());
        while found.len() < limit {
            let mut moment = self.readers().snapshot().await?;
            let page = replay_page(&mut moment.tx(), &after, &mut found).await?;
            moment.end().await?;
            let Some(last) = page else { break };
            after = last;
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// Replays the history of every request against its state, where nobody writes meanwhile; at most `limit` findings.
pub(in crate::store) async fn replay_all(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Damage>, StoreError> {
    let (mut found, mut after) = (Vec::new(), String::new());
    while found.len() < limit {
        let Some(last) = replay_page(tx, &after, &mut found).await? else { break };
        after = last;
    }
    found.truncate(limit);
    Ok(found)
}

async fn structure(connection: &mut SqliteConnection) -> Result<Vec<Damage>, StoreError> {
    let report: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *connection).await?;
    let broken = report.into_iter().filter(|line| line != "ok");
    let mut found: Vec<Damage> = broken.map(|finding| Damage { id: "file".to_owned(), finding }).collect();
    let orphans: Vec<(String, Option<i64>)> =
        sqlx::query_as("SELECT \"table\", rowid FROM pragma_foreign_key_check").fetch_all(connection).await?;
    found.extend(orphans.into_iter().map(|(table, row)| Damage {
        id: format!("{table} {}", row.map_or_else(String::new, |row| row.to_string())),
        finding: "refers to a row that is not there".to_owned(),
    }));
    Ok(found)
}

/// Replays the requests after `after`, all as of one moment; answers the last of them, none at the end.
async fn replay_page(tx: &mut Tx<'_>, after: &str, found: &mut Vec<Damage>) -> Result<Option<String>, StoreError> {
    let requests: Vec<Told> = sql::query_as(REQUESTS).bind(after).bind(PAGE).fetch_all(&mut *tx).await?;
    let Some(last) = requests.last().map(|request| request.id.clone()) else { return Ok(None) };
    let steps: Vec<StepRow> = sql::query_as(STEPS).bind(after).bind(&last).fetch_all(&mut *tx).await?;
    let mut steps = steps.iter().peekable();
    for request in &requests {
        let identity = request.identity();
        let mut replay = Replay::of(&identity);
        let before = found.len();
        while let Some(row) = steps.next_if(|row| row.request_id <= request.id) {
            if row.request_id == request.id {
                found.extend(replay.take(&row.step(), &row.hash).map(|finding| request.damage(finding)));
            }
        }
        // A history that is not whole leads anywhere: one finding tells enough.
        if found.len() == before {
            found.extend(request.differs(&replay).map(|finding| request.damage(finding)));
        }
    }
    Ok(Some(last))
}

impl StepRow {
    pub(super) fn step(&self) -> Step<'_> {
        Step {
            request_id: &self.request_id,
            seq: self.seq,
            from: self.from_state.as_deref(),
            to: &self.to_state,
            at: Time::from_ms(self.at),
            cause: &self.cause,
            status: self.status,
            errcode: self.errcode,
            detail: self.detail.as_deref(),
        }
    }
}

impl Told {
    pub(super) fn identity(&self) -> Identity<'_> {
        Identity {
            id: &self.id,
            kind: &self.kind,
            account: &self.account,
            program: &self.program,
            notify_users: self.notify_users,
            show_profile: self.show_profile,
            requested_at: Time::from_ms(self.requested_at),
            retry_of: self.retry_of.as_deref(),
        }
    }

    fn damage(&self, finding: String) -> Damage {
        Damage { id: self.id.clone(), finding }
    }

    /// How the request differs from what its history leads to.
    pub(super) fn differs(&self, replay: &Replay<'_>) -> Option<String> {
        let (state, since) = (&self.state, Time::from_ms(self.since));
        if replay.seq == 0 {
            Some("it has no history".to_owned())
        } else if *state != replay.state {
            Some(format!("its state is {state}, its history ends in {}", replay.state))
        } else if self.last_seq != replay.seq || self.chain != replay.head {
            let (chain, head) = (hex(&self.chain), hex(&replay.head));
            Some(format!(
                "it ends at step {} ({chain}), its history at step {} ({head}): steps were added or taken away",
                self.last_seq, replay.seq
            ))
        } else if since != replay.since || self.finished_at.is_some_and(|at| at != self.since) {
            Some(format!("it is {state} since {since}, its history says {}", replay.since))
        } else if self.attempt < replay.least || self.attempt > replay.most {
            Some(format!("it counts {} calls, its history {}", self.attempt, replay.most))
        } else if self.called_at.is_some() != replay.called {
            Some("when it was called and its history contradict each other".to_owned())
        } else {
            None
        }
    }
}
