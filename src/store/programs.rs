//! Rows of `program` and `program_name`: the latest listing of every account, and which `gh_` id is which program. It must
//! never be asked what a request's state is.

mod difference;

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use sqlx::{FromRow, Row, SqliteConnection, sqlite::SqliteRow};

pub use self::difference::{Difference, difference, item_names};
use super::{
    Store, StoreError, bulk,
    decode::{self, Table},
};
use crate::domain::{
    id::{AccountId, ProgramId, Username},
    time::Time,
};

/// Items remembered of one account. An account may hold a few dozen links; whoever lists more costs no more than this.
pub const ITEMS_REMEMBERED_MAX: usize = 2_000;

/// How long items that are gone, and names that nobody uses, are remembered: a person who looks once a quarter still
/// finds them.
const KEPT: Duration = Duration::from_hours(24 * 90);

/// One mirrored item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct ItemRow {
    /// The account.
    pub account: String,
    /// Its name in the list: the `gh_` id, else the appid, else its place; `#2` behind a second one.
    pub item: String,
    /// The program's appid, listed or known.
    pub program: Option<String>,
    /// The `gh_` id.
    pub username: Option<String>,
    /// The listed status.
    pub status: i64,
    /// Field of the listing.
    pub nickname: Option<String>,
    /// Field of the listing.
    pub headimg_url: Option<String>,
    /// Field of the listing.
    pub email: Option<String>,
    /// Field of the listing.
    pub source: Option<String>,
    /// Field of the listing.
    pub selected: Option<i64>,
    /// Field of the listing.
    pub nearby_display_status: Option<i64>,
    /// Field of the listing.
    pub released: Option<i64>,
    /// Field of the listing.
    pub copy_verify_status: Option<i64>,
    /// Field of the listing, as JSON.
    pub func_infos: Option<String>,
    /// Since when it has this status, milliseconds UTC.
    pub status_since: i64,
    /// When it was first listed, milliseconds UTC.
    pub first_seen_at: i64,
    /// When it was no longer listed, milliseconds UTC.
    pub gone_at: Option<i64>,
}

/// The tables.
const PROGRAM: Table = Table { name: "program", key: &["account", "item"] };
const PROGRAM_NAME: Table = Table { name: "program_name", key: &["username"] };

const MIRROR: &str = "
    INSERT INTO program (account, item, program, username, status, nickname, headimg_url, email, source, selected,
                         nearby_display_status, released, copy_verify_status, func_infos, status_since, first_seen_at)
    SELECT j.value ->> 'account', j.value ->> 'item', j.value ->> 'program', j.value ->> 'username',
           j.value ->> 'status', j.value ->> 'nickname', j.value ->> 'headimg_url', j.value ->> 'email',
           j.value ->> 'source', j.value ->> 'selected', j.value ->> 'nearby_display_status',
           j.value ->> 'released', j.value ->> 'copy_verify_status', j.value ->> 'func_infos',
           j.value ->> 'status_since', j.value ->> 'first_seen_at'
    FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (account, item) DO UPDATE
    SET program = coalesce(excluded.program, program.program), username = excluded.username,
        status = excluded.status, nickname = excluded.nickname, headimg_url = excluded.headimg_url,
        email = excluded.email, source = excluded.source, selected = excluded.selected,
        nearby_display_status = excluded.nearby_display_status, released = excluded.released,
        copy_verify_status = excluded.copy_verify_status, func_infos = excluded.func_infos,
        status_since = excluded.status_since, first_seen_at = excluded.first_seen_at, gone_at = NULL";

const GONE: &str = "
    UPDATE program SET gone_at = j.value ->> 2 FROM jsonb_each($1) AS j
    WHERE program.account = j.value ->> 0 AND program.item = j.value ->> 1";

const LEARN: &str = "
    INSERT INTO program_name (username, program, at)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2 FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (username) DO UPDATE SET program = excluded.program, at = excluded.at";

// What stands in the list and what the listing names: never every item that there ever was.
const MIRRORED: &str = "
    SELECT a.emptied_at, a.overfull_since,
           (SELECT count(*) FROM program AS c WHERE c.account = $1) AS remembered,
           p.account, p.item, p.program, p.username, p.status, p.nickname, p.headimg_url, p.email, p.source, p.selected,
           p.nearby_display_status, p.released, p.copy_verify_status, p.func_infos, p.status_since, p.first_seen_at,
           p.gone_at
    FROM account AS a
    LEFT JOIN program AS p
      ON p.account = a.account AND (p.gone_at IS NULL OR p.item IN (SELECT j.value FROM json_each($2) AS j))
    WHERE a.account = $1";

const HAS_LISTED: &str = "SELECT EXISTS (SELECT 1 FROM program WHERE account = $1)";

const STATE: &str = "
    UPDATE account SET emptied_at = j.value ->> 'emptied_at', overfull_since = j.value ->> 'overfull_since'
    FROM jsonb_each($1) AS j
    WHERE account.account = j.value ->> 'account'";

const EMPTIED: &str = "
    SELECT account, emptied_at FROM account INDEXED BY account_emptied
    WHERE emptied_at IS NOT NULL
    ORDER BY emptied_at LIMIT $1";

const COUNT_EMPTIED: &str = "SELECT count(*) FROM account INDEXED BY account_emptied WHERE emptied_at IS NOT NULL";

const PRUNE_GONE: &str = "
    DELETE FROM program WHERE (account, item) IN (
        SELECT p.account, p.item FROM program AS p INDEXED BY program_gone
        WHERE p.gone_at < $1
        ORDER BY p.gone_at LIMIT $2)";

// In use: some list shows the program or did not long ago, or somebody asked for it.
const AGED_NAMES: &str = "
    SELECT n.username,
           EXISTS (SELECT 1 FROM program AS p INDEXED BY program_by_program WHERE p.program = n.program)
           OR EXISTS (SELECT 1 FROM request AS r INDEXED BY request_by_program WHERE r.program = n.program) AS is_used
    FROM program_name AS n INDEXED BY program_name_by_age
    WHERE n.at < $1
    ORDER BY n.at LIMIT $2";

const KEEP_NAMES: &str = "
    UPDATE program_name SET at = j.value ->> 1 FROM jsonb_each($1) AS j WHERE program_name.username = j.value ->> 0";

const FORGET_NAMES: &str = "DELETE FROM program_name WHERE username IN (SELECT j.value FROM json_each($1) AS j)";

const NAMES: &str = "
    SELECT n.username, n.program FROM jsonb_each($1) AS j JOIN program_name AS n ON n.username = j.value";

/// What is remembered of one account's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirror {
    /// Items that stood in the list when it was last read, and those that are asked for by name.
    pub rows: Vec<ItemRow>,
    /// How many items are remembered, those that are gone and not asked for among them.
    pub remembered: usize,
    /// Since when the list shows nothing of what stood in it; `None` while it is believed.
    pub emptied_at: Option<Time>,
    /// Since when the list holds more than is remembered.
    pub overfull_since: Option<Time>,
}

/// How an account's list is as a whole, when that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListState {
    /// The account.
    pub account: AccountId,
    /// Since when the list shows nothing of what stood in it, and is not believed.
    pub emptied_at: Option<Time>,
    /// Since when the list holds more than is remembered.
    pub overfull_since: Option<Time>,
}

/// Accounts whose lists lost everything at once and are not believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Emptied {
    /// How many there are.
    pub count: u64,
    /// The first of them, with the time from which on each list was empty; the longest come first.
    pub accounts: Vec<(String, Time)>,
}

impl Store {
    /// What is remembered of an account's list, as far as a listing with items of these names ([`item_names`]) needs it.
    /// A row that is not legal is left out: it is written anew when its item is listed.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn mirrored(&self, account: &AccountId, names: &[String]) -> Result<Mirror, StoreError> {
        let rows =
            sqlx::query(MIRRORED).bind(account.as_str()).bind(bulk::json(names)).fetch_all(self.readers()).await?;
        let mut mirror = Mirror::default();
        for row in &rows {
            // One number and two times of the account, the same beside each item.
            mirror.remembered =
                row.try_get::<i64, _>("remembered").map_or(0, |count| usize::try_from(count).unwrap_or(0));
            mirror.emptied_at = row.try_get::<Option<i64>, _>("emptied_at").ok().flatten().map(Time::from_ms);
            mirror.overfull_since = row.try_get::<Option<i64>, _>("overfull_since").ok().flatten().map(Time::from_ms);
            mirror.rows.extend(item_row(row));
        }
        Ok(mirror)
    }

    /// Whether the account's list has ever shown anything that is remembered.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn has_listed(&self, account: &AccountId) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(HAS_LISTED).bind(account.as_str()).fetch_one(self.readers()).await?)
    }

    /// The programs with these `gh_` ids, as far as any listing taught them.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn programs_named(&self, names: &[&str]) -> Result<HashMap<String, ProgramId>, StoreError> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query(NAMES).bind(bulk::json(names)).fetch_all(self.readers()).await?;
        let rows = decode::legible::<(String, String)>(&rows, PROGRAM_NAME).into_iter();
        Ok(rows.filter_map(|(username, program)| Some((username, program.parse().ok()?))).collect())
    }

    /// Accounts whose lists lost everything at once: how many, and the `limit` that are so for longest.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn emptied(&self, limit: u32) -> Result<Emptied, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(EMPTIED).bind(limit).fetch_all(self.readers()).await?;
        let count: i64 = sqlx::query_scalar(COUNT_EMPTIED).fetch_one(self.readers()).await?;
        let accounts = rows.into_iter().map(|(account, at)| (account, Time::from_ms(at))).collect();
        Ok(Emptied { count: u64::try_from(count).unwrap_or(0), accounts })
    }
}

/// The item of one row; nothing where the account has none, or where it is not legal.
fn item_row(row: &SqliteRow) -> Option<ItemRow> {
    decode::column::<String>(row, "item")?;
    decode::one(row, PROGRAM).inspect_err(decode::tell).ok()
}

pub(super) async fn mirror(
    tx: &mut SqliteConnection,
    items: &[&ItemRow],
    gone: &[&(String, String, i64)],
) -> Result<(), StoreError> {
    bulk::execute_apart(tx, MIRROR, items).await?;
    bulk::execute_apart(tx, GONE, gone).await.map(drop)
}

pub(super) async fn learn(tx: &mut SqliteConnection, names: &[&(Username, ProgramId, i64)]) -> Result<(), StoreError> {
    bulk::execute_apart(tx, LEARN, names).await.map(drop)
}

pub(super) async fn state(tx: &mut SqliteConnection, states: &[&ListState]) -> Result<(), StoreError> {
    bulk::execute(tx, STATE, states).await.map(drop)
}

/// Takes away items that have been gone for long and names that nobody has used for as long, at most `limit` of each;
/// the number taken. A name in use is as good as learned now, so that each is asked about once in that time.
pub(super) async fn prune(tx: &mut SqliteConnection, now: Time, limit: u32) -> Result<u64, StoreError> {
    let before = (now - KEPT).ms();
    let gone = sqlx::query(PRUNE_GONE).bind(before).bind(limit).execute(&mut *tx).await?.rows_affected();
    let aged: Vec<(String, bool)> = sqlx::query_as(AGED_NAMES).bind(before).bind(limit).fetch_all(&mut *tx).await?;
    let (used, unused): (Vec<_>, Vec<_>) = aged.into_iter().partition(|(_, is_used)| *is_used);
    let used: Vec<(String, i64)> = used.into_iter().map(|(name, _)| (name, now.ms())).collect();
    bulk::execute(tx, KEEP_NAMES, &used).await?;
    let unused: Vec<String> = unused.into_iter().map(|(name, _)| name).collect();
    Ok(gone + bulk::execute(tx, FORGET_NAMES, &unused).await?)
}
