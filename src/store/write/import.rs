//! Imports: lines that wait until the last of them is written, the one moment in which all become requests, and the
//! pages in which they are moved to where the daemon finds them. Before that moment nobody sees them and nothing
//! happens for them; after it none can vanish.
//!
//! A wish is never held by two open requests. Whoever creates a request asks here whether an accepted line already
//! holds the wish (`take_up_duplicates`), and replaces lines for the same wish that are not accepted yet (`claim`). So
//! at the accepting moment nothing is left to compare: it is one small write.

mod moving;

use serde::Serialize;
use sqlx::FromRow;

pub(in crate::store) use self::moving::{settle, take_up_duplicates};
use super::{
    action::{self, Action},
    requests::{self, Accepted, Ask, Sorted},
    writer::WriteCommand,
};
use crate::{
    domain::{request::Request, time::Time},
    store::{
        Store, StoreError, bulk,
        request_row::RequestRow,
        sql::{self, Tx},
    },
};

/// Claimed lines in one read.
const CLAIMS_PAGE: u32 = 5_000;

const BEGIN: &str = "INSERT INTO import (state, begun_at, beat_at) VALUES ('staged', $1, $1) RETURNING id";

const BEAT: &str = "UPDATE import SET beat_at = $2 WHERE id = $1 AND state = 'staged'";

const STAGE: &str = "
    INSERT INTO import_line (import, id, kind, account, program, username, notify_users, show_profile, requested_at, key,
                             labels, chain, twin)
    SELECT j.value ->> 'import', j.value ->> 'id', j.value ->> 'kind', j.value ->> 'account', j.value ->> 'program',
           j.value ->> 'username', j.value ->> 'notify_users', j.value ->> 'show_profile', j.value ->> 'requested_at',
           j.value ->> 'key', j.value ->> 'labels', unhex(j.value ->> 'chain'), j.value ->> 'twin'
    FROM jsonb_each($1) AS j";

const CLAIMS: &str = "SELECT claims FROM import WHERE id = $1 AND state = 'staged'";

const CLAIMED: &str = "
    SELECT l.id AS line, l.key, l.kind, l.account, l.program, r.id AS twin, r.key AS twin_key, r.kind AS twin_kind,
           r.account AS twin_account, r.program AS twin_program
    FROM import_line AS l INDEXED BY import_line_claimed JOIN request AS r ON r.id = l.twin
    WHERE l.import = $1 AND l.claimed = 1 AND l.id > $2
    ORDER BY l.id LIMIT $3";

// The moment. Not while claims wait to be looked at, nor while another import is being moved: its lines still claim some.
const ACCEPT: &str = "
    UPDATE import SET state = 'accepted', accepted_at = $3, beat_at = $3
    WHERE id = $1 AND state = 'staged' AND claims = $2
      AND NOT EXISTS (SELECT 1 FROM import AS o WHERE o.state = 'accepted')";

const STATE: &str = "SELECT state FROM import WHERE id = $1";

const ABANDON: &str =
    "UPDATE import SET state = 'abandoned' WHERE id = $1 AND state = 'staged' AND beat_at = coalesce($2, beat_at)";

const SWEEP: &str = "
    DELETE FROM import_line
    WHERE import = $1 AND id IN (SELECT l.id FROM import_line AS l WHERE l.import = $1 ORDER BY l.id LIMIT $2)";

const SWEPT: &str = "
    DELETE FROM import
    WHERE id = $1 AND state = 'abandoned' AND NOT EXISTS (SELECT 1 FROM import_line AS l WHERE l.import = import.id)";

const ALL: &str = "SELECT id, state, beat_at FROM import ORDER BY id";

/// An import that is under way, or that somebody left.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ImportRow {
    /// The row's number.
    pub id: i64,
    /// `staged`, `accepted`, `stuck` or `abandoned`.
    pub state: String,
    /// When somebody last worked at it, milliseconds UTC.
    pub beat_at: i64,
}

/// A line whose wish a request of somebody else holds.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Claimed {
    /// What the line's request would have been called.
    pub line: String,
    /// The request that holds its wish.
    pub twin: String,
    key: Option<String>,
    kind: String,
    account: String,
    program: String,
    twin_key: Option<String>,
    twin_kind: String,
    twin_account: String,
    twin_program: String,
}

impl ImportRow {
    /// Its lines are requests, and are being moved.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.state == "accepted"
    }
}

impl Claimed {
    /// The line's key stands for a request of another pair.
    fn taken(&self) -> Option<StoreError> {
        let ours = (&self.kind, &self.account, &self.program);
        let is_other = ours != (&self.twin_kind, &self.twin_account, &self.twin_program);
        let key = self.key.clone().filter(|key| is_other && self.twin_key.as_ref() == Some(key))?;
        let (id, account, program) = (self.twin.clone(), self.twin_account.clone(), self.twin_program.clone());
        Some(StoreError::KeyTaken { key, id, account, program })
    }
}

/// A line as it is written.
#[derive(Debug, Serialize)]
struct LineRow<'r> {
    import: i64,
    twin: Option<&'r str>,
    #[serde(flatten)]
    request: RequestRow,
}

impl Store {
    /// Begins an import; its number.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn begin_import(&self, now: Time) -> Result<i64, StoreError> {
        self.writer.write(Begin { now }).await
    }

    /// Writes a page of an import's lines, all or none; nobody sees them. Each is answered as [`Store::accept`] would.
    /// Pages must come in the order of the requests' ids.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the page was written. [`StoreError::ImportGone`] when others took the import away.
    pub async fn stage(&self, import: i64, page: Vec<Request>, now: Time) -> Result<Vec<Accepted>, StoreError> {
        self.writer.write(Stage { import, page, now }).await
    }

    /// How often requests of others took the place of an import's lines, and all lines that are held so.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read; [`StoreError::KeyTaken`] when a key stands for another pair meanwhile.
    pub async fn claims(&self, import: i64) -> Result<(i64, Vec<Claimed>), StoreError> {
        let claims: Option<i64> = sql::query_scalar(CLAIMS).bind(import).fetch_optional(self.readers()).await?;
        let claims = claims.ok_or(StoreError::ImportGone)?;
        // What comes after the count was read makes it another one, and is read the next time.
        let claimed = if claims == 0 { Vec::new() } else { self.claimed(import).await? };
        match claimed.iter().find_map(Claimed::taken) {
            Some(taken) => Err(taken),
            None => Ok((claims, claimed)),
        }
    }

    async fn claimed(&self, import: i64) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed: Vec<Claimed> = Vec::new();
        loop {
            let after = claimed.last().map_or("", |last| last.line.as_str()).to_owned();
            let query = sql::query_as(CLAIMED).bind(import).bind(after).bind(CLAIMS_PAGE);
            let page: Vec<Claimed> = query.fetch_all(self.readers()).await?;
            let is_last = page.len() < CLAIMS_PAGE as usize;
            claimed.extend(page);
            if is_last {
                return Ok(claimed);
            }
        }
    }

    /// The moment: every line of the import becomes a request that everybody sees, if nobody claimed one since `claims`
    /// was read and no other import is being moved. Whether it did; it has no half.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn accept_import(&self, import: i64, claims: i64, action: Action, now: Time) -> Result<bool, StoreError> {
        self.writer.write(Accept { import, claims, action, now }).await
    }

    /// Gives an import up that is not accepted: nothing of it will ever be seen. With `beat`, only if nobody worked at it
    /// since then. Whether it is given up.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written.
    pub async fn abandon_import(&self, import: i64, beat: Option<Time>) -> Result<bool, StoreError> {
        self.writer.write(Abandon { import, beat }).await
    }

    /// Takes the next lines of an abandoned import away; how many, 0 when all of it is gone.
    ///
    /// # Errors
    /// [`StoreError`]: none of these was taken away.
    pub async fn sweep_import(&self, import: i64, limit: u32) -> Result<u64, StoreError> {
        self.writer.write(Sweep { import, limit }).await
    }

    /// Imports that are under way, or that somebody left.
    pub async fn imports(&self) -> Result<Vec<ImportRow>, StoreError> {
        Ok(sql::query_as(ALL).fetch_all(self.readers()).await?)
    }

    /// A request that is accepted and waits as a line to be moved.
    pub(super) async fn request_in_line(&self, id: &str) -> Result<Option<RequestRow>, StoreError> {
        let line: Option<moving::Line> = sql::query_as(moving::BY_ID).bind(id).fetch_optional(self.readers()).await?;
        Ok(line.map(|line| line.request))
    }
}

#[derive(Debug)]
struct Begin {
    now: Time,
}

impl WriteCommand for Begin {
    type Answer = i64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        Ok(sql::query_scalar(BEGIN).bind(self.now.ms()).fetch_one(tx).await?)
    }
}

#[derive(Debug)]
struct Stage {
    import: i64,
    page: Vec<Request>,
    now: Time,
}

impl WriteCommand for Stage {
    type Answer = Vec<Accepted>;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<Accepted>, StoreError> {
        let Self { import, page, now } = self;
        let is_ours = sql::query(BEAT).bind(import).bind(now.ms()).execute(&mut *tx).await?;
        if is_ours == 0 {
            return Err(StoreError::ImportGone);
        }
        let asks: Vec<Ask<'_>> = page.iter().map(Ask::from).collect();
        take_up_duplicates(tx, &asks, *now).await?;
        let Sorted { accepted, fresh, keyed, .. } = requests::sort_out(tx, page, &asks, Some(*import)).await?;
        let line = |request, twin| LineRow { import: *import, twin, request: requests::first_row(request) };
        let lines = fresh.iter().map(|request| line(request, None));
        let lines = lines.chain(keyed.iter().map(|(twin, wish)| line(wish, Some(twin.as_str()))));
        bulk::execute(tx, STAGE, &lines.collect::<Vec<_>>()).await?;
        Ok(accepted)
    }
}

#[derive(Debug)]
struct Accept {
    import: i64,
    claims: i64,
    action: Action,
    now: Time,
}

impl WriteCommand for Accept {
    type Answer = bool;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let Self { import, claims, action, now } = self;
        let accepted = sql::query(ACCEPT).bind(import).bind(claims).bind(now.ms()).execute(&mut *tx).await?;
        let state: Option<String> = sql::query_scalar(STATE).bind(import).fetch_optional(&mut *tx).await?;
        match state.as_deref() {
            Some("accepted" | "staged") if accepted == 1 => {
                action::add(tx, std::slice::from_ref(action)).await?;
                Ok(true)
            }
            Some("accepted" | "staged") => Ok(false),
            _ => Err(StoreError::ImportGone),
        }
    }
}

#[derive(Debug)]
struct Abandon {
    import: i64,
    beat: Option<Time>,
}

impl WriteCommand for Abandon {
    type Answer = bool;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let query = sql::query(ABANDON).bind(self.import).bind(self.beat.map(Time::ms));
        Ok(query.execute(tx).await? == 1)
    }
}

#[derive(Debug)]
struct Sweep {
    import: i64,
    limit: u32,
}

impl WriteCommand for Sweep {
    type Answer = u64;

    async fn write(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let swept = sql::query(SWEEP).bind(self.import).bind(self.limit).execute(&mut *tx).await?;
        sql::query(SWEPT).bind(self.import).execute(tx).await?;
        Ok(swept)
    }
}
