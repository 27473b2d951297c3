//! Moves lines of an accepted import to rows of `request`, with everything that belongs to them, one page per
//! transaction: the views show each request once, before and after.

use sqlx::{Connection as _, FromRow, SqliteConnection};

use crate::{
    domain::{request::Request, time::Time},
    store::{
        Store, StoreError, bulk,
        request_row::RequestRow,
        sql::{self, Tx},
        write::{
            requests::{self, Ask},
            urgency::Urgency,
            writer::WriteCommand,
        },
    },
};

/// Lines of one page where nobody else waits for the file.
const ALONE_PAGE: u32 = 5_000;

/// A line as the request that it becomes, beside `$rest` of the statement.
macro_rules! lines {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.kind, l.account, l.program, l.username, l.notify_users, l.show_profile,
                    'requested' AS state, CAST(0 AS BIGINT) AS outcome_unknown, NULL AS deferred_until, NULL AS failure,
                    l.requested_at AS since, l.requested_at, NULL AS finished_at, CAST(0 AS BIGINT) AS attempt, NULL AS called_at,
                    NULL AS seen_status, CAST(0 AS BIGINT) AS baseline_rejected, NULL AS doubt, NULL AS doubt_at, NULL AS errcode,
                    NULL AS errmsg, NULL AS retry_of, l.key, l.labels, CAST(0 AS BIGINT) AS version, l.twin, l.import",
            $rest
        )
    };
}

const PAGE: &str = lines!(
    "
    FROM import_line AS l
    WHERE l.import = $1 AND l.stuck = 0
    ORDER BY l.id LIMIT $2"
);

// Those that hold one of these wishes, or one of these keys.
const TWINS: &str = lines!(
    "
    FROM (SELECT p.import, p.id
          FROM jsonb_each($1) AS j
          CROSS JOIN import_line AS p INDEXED BY import_line_by_pair
              ON p.account = j.value ->> 1 AND p.program = j.value ->> 2 AND p.kind = j.value ->> 0
          UNION
          SELECT k.import, k.id
          FROM jsonb_each($1) AS j
          CROSS JOIN import_line AS k INDEXED BY import_line_by_key ON k.key = j.value ->> 3) AS w
    CROSS JOIN import AS i ON i.id = w.import AND i.state = 'accepted'
    CROSS JOIN import_line AS l ON l.import = w.import AND l.id = w.id AND l.stuck = 0"
);

pub(super) const BY_ID: &str = lines!(
    "
    FROM import AS i CROSS JOIN import_line AS l ON l.import = i.id AND l.id = $1 AND l.twin IS NULL AND l.stuck = 0
    WHERE i.state = 'accepted'"
);

const IS_ACCEPTED: &str = "SELECT EXISTS (SELECT 1 FROM import WHERE state = 'accepted')";

const TAKEN: &str = "
    DELETE FROM import_line WHERE import = $1 AND id IN (SELECT j.value FROM json_each($2) AS j)";

const STUCK: &str = "
    UPDATE import_line SET stuck = 1 WHERE import = $1 AND id IN (SELECT j.value FROM json_each($2) AS j)";

const STICK: &str = "
    UPDATE import_line SET stuck = 1
    WHERE import = $1
      AND id = (SELECT l.id FROM import_line AS l WHERE l.import = $1 AND l.stuck = 0 ORDER BY l.id LIMIT 1)
    RETURNING id";

const WORKED: &str = "UPDATE import SET beat_at = $2 WHERE id = $1";

const MOVED: &str = "
    DELETE FROM import
    WHERE id = $1 AND state = 'accepted' AND NOT EXISTS (SELECT 1 FROM import_line AS l WHERE l.import = import.id)";

const LEFT: &str = "UPDATE import SET state = 'stuck' WHERE id = $1 AND state = 'accepted'";

const ACCEPTED: &str = "SELECT id FROM import WHERE state = 'accepted'";

const TRY_AGAIN: &str = "
    UPDATE import SET state = 'accepted'
    WHERE id = (SELECT min(i.id) FROM import AS i WHERE i.state = 'stuck')
      AND NOT EXISTS (SELECT 1 FROM import AS o WHERE o.state = 'accepted')";

const UNSTICK: &str = "
    UPDATE import_line SET stuck = 0
    WHERE stuck = 1 AND import IN (SELECT i.id FROM import AS i WHERE i.state = 'accepted')";

const FORGET_LINES: &str = "
    DELETE FROM import_line
    WHERE import IN (SELECT i.id FROM import AS i WHERE i.state IN ('staged', 'abandoned'))";

const FORGET: &str = "DELETE FROM import WHERE state IN ('staged', 'abandoned')";

/// A line as the request that it becomes.
#[derive(Debug, FromRow)]
pub(super) struct Line {
    #[sqlx(flatten)]
    pub(super) request: RequestRow,
    twin: Option<String>,
    import: i64,
}

impl Store {
    /// Moves the next lines of an accepted import to where the daemon finds them; how many, 0 when none is left.
    ///
    /// # Errors
    /// [`StoreError`]: none of these was moved.
    pub async fn move_lines(&self, import: i64, limit: u32, now: Time) -> Result<u64, StoreError> {
        self.writer.write(Move { import, limit, now }).await
    }

    /// Moves the line of one request, if it waits as one; whether it did.
    ///
    /// # Errors
    /// [`StoreError`]: it was not moved.
    pub async fn move_line(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.writer.write(MoveOne { id: id.to_owned(), now }).await
    }

    /// Lets the next line of an accepted import wait for a person, because it cannot be moved.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn stick_line(&self, import: i64) -> Result<(), StoreError> {
        self.writer.write(Stick { import }).await
    }

    /// Takes up lines again that waited for a person; how many.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn retry_stuck_lines(&self) -> Result<u64, StoreError> {
        self.writer.write(TryAgain).await
    }
}

#[derive(Debug)]
struct Move {
    import: i64,
    limit: u32,
    now: Time,
}

impl WriteCommand for Move {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        page(tx, self.import, self.limit, self.now).await
    }
}

#[derive(Debug)]
struct MoveOne {
    id: String,
    now: Time,
}

impl WriteCommand for MoveOne {
    type Answer = bool;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let line: Option<Line> = sql::query_as(BY_ID).bind(&self.id).fetch_optional(&mut *tx).await?;
        let Some(line) = line else { return Ok(false) };
        move_lines(tx, line.import, vec![line], self.now).await?;
        Ok(true)
    }
}

#[derive(Debug)]
struct Stick {
    import: i64,
}

impl WriteCommand for Stick {
    type Answer = ();

    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        stick(tx, self.import).await
    }
}

/// Somebody may have mended the lines that could not be moved.
#[derive(Debug)]
struct TryAgain;

impl WriteCommand for TryAgain {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        sql::query(TRY_AGAIN).execute(&mut *tx).await?;
        Ok(sql::query(UNSTICK).execute(tx).await?)
    }
}

/// Moves the next lines; the number of lines, 0 when all are moved that can be.
async fn page(tx: &mut Tx<'_>, import: i64, limit: u32, now: Time) -> Result<u64, StoreError> {
    let lines: Vec<Line> = sql::query_as(PAGE).bind(import).bind(limit).fetch_all(&mut *tx).await?;
    if lines.is_empty() {
        let moved = sql::query(MOVED).bind(import).execute(&mut *tx).await?;
        if moved == 0 {
            sql::query(LEFT).bind(import).execute(tx).await?;
        }
        return Ok(0);
    }
    let count = lines.len() as u64;
    move_lines(&mut *tx, import, lines, now).await?;
    sql::query(WORKED).bind(import).bind(now.ms()).execute(tx).await?;
    Ok(count)
}

/// Moves the lines that hold these wishes already: each is then found where requests are.
pub(in crate::store) async fn take_up_duplicates(
    tx: &mut Tx<'_>,
    asks: &[Ask<'_>],
    now: Time,
) -> Result<(), StoreError> {
    if !sql::query_scalar::<bool>(IS_ACCEPTED).fetch_one(&mut *tx).await? {
        return Ok(());
    }
    let lines: Vec<Line> = sql::query_as(TWINS).bind(bulk::json(asks)).fetch_all(&mut *tx).await?;
    match lines.first().map(|line| line.import) {
        // Only one import is accepted at a time.
        Some(import) => move_lines(tx, import, lines, now).await,
        None => Ok(()),
    }
}

async fn move_lines(tx: &mut Tx<'_>, import: i64, lines: Vec<Line>, now: Time) -> Result<(), StoreError> {
    let (mut taken, mut stuck) = (Vec::with_capacity(lines.len()), Vec::new());
    let (mut fresh, mut keys): (Vec<Request>, Vec<(String, String)>) = (Vec::new(), Vec::new());
    for Line { request, twin, .. } in lines {
        let id = request.id().to_owned();
        match twin {
            Some(twin) => keys.extend(request.key().map(|key| (twin, key.to_owned()))),
            None => match Request::try_from(request) {
                Ok(request) => fresh.push(request),
                Err(error) => {
                    tracing::error!(
                        event = "db.bad_row",
                        import,
                        request.id = id,
                        error = %error,
                        "an import line is on hold"
                    );
                    stuck.push(id);
                    continue;
                }
            },
        }
        taken.push(id);
    }
    if !stuck.is_empty() {
        sql::query(STUCK).bind(import).bind(bulk::json(&stuck)).execute(&mut *tx).await?;
    }
    sql::query(TAKEN).bind(import).bind(bulk::json(&taken)).execute(&mut *tx).await?;
    requests::insert(tx, &fresh.iter().collect::<Vec<_>>(), Urgency::InTurn, now).await?;
    requests::name(tx, &keys).await
}

/// Lets the next line wait, because no statement takes it.
async fn stick(tx: &mut Tx<'_>, import: i64) -> Result<(), StoreError> {
    let id: Option<String> = sql::query_scalar(STICK).bind(import).fetch_optional(tx).await?;
    tracing::error!(event = "db.bad_row", import, request.id = id, "an import line is on hold");
    Ok(())
}

/// Moves everything that was accepted in a file that nobody else writes, and takes away what was not: a copy goes on
/// from one moment, with nobody left to finish what was under way.
pub(in crate::store) async fn settle(file: &mut SqliteConnection, now: Time) -> Result<(), StoreError> {
    while let Some(import) = sql::query_scalar(ACCEPTED).fetch_optional(&mut *file).await? {
        let mut limit = ALONE_PAGE;
        loop {
            let mut tx = file.begin().await?;
            match page(&mut Tx::Sqlite(&mut tx), import, limit, now).await {
                Ok(moved) => {
                    tx.commit().await?;
                    if moved == 0 {
                        break;
                    }
                }
                Err(error) if error.is_of_one_row() => {
                    tx.rollback().await?;
                    if limit == 1 {
                        stick(&mut Tx::Sqlite(file), import).await?;
                    }
                    limit = if limit == 1 { ALONE_PAGE } else { 1 };
                }
                Err(error) => return Err(error),
            }
        }
    }
    sql::query(FORGET_LINES).execute(&mut *file).await?;
    sql::query(FORGET).execute(file).await?;
    Ok(())
}
