//! Rows of `program` and `program_name`: the latest listing of every account, and which `gh_` id is which program.

mod difference;

use std::{collections::HashMap, time::Duration};

pub use self::difference::{Difference, difference, item_names};
use crate::{
    domain::{
        id::{AccountId, ProgramId, Username},
        time::Time,
    },
    store::{
        BadRow, Store, StoreError, bulk,
        decode::{self, Cells, Table},
        executor::Db,
        sql::{self, CellError, Tx, Value, args},
    },
};

/// Items remembered of one account. An account may hold a few dozen links; whoever lists more costs no more than this.
pub const ITEMS_REMEMBERED_MAX: usize = 2_000;

/// How long items that are gone, and names that nobody uses, are remembered: a person who looks once a quarter still
/// finds them.
const KEPT: Duration = Duration::from_hours(24 * 90);

/// One mirrored item.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
    ON CONFLICT (account, item) DO UPDATE
    SET program = coalesce(excluded.program, program.program), username = excluded.username,
        status = excluded.status, nickname = excluded.nickname, headimg_url = excluded.headimg_url,
        email = excluded.email, source = excluded.source, selected = excluded.selected,
        nearby_display_status = excluded.nearby_display_status, released = excluded.released,
        copy_verify_status = excluded.copy_verify_status, func_infos = excluded.func_infos,
        status_since = excluded.status_since, first_seen_at = excluded.first_seen_at, gone_at = NULL";

const GONE: &str = "UPDATE program SET gone_at = ?3 WHERE account = ?1 AND item = ?2";

const LEARN: &str = "
    INSERT INTO program_name (username, program, at) VALUES (?1, ?2, ?3)
    ON CONFLICT (username) DO UPDATE SET program = excluded.program, at = excluded.at";

// What stands in the list and what the listing names: never every item that there ever was.
const MIRRORED: &str = "
    SELECT p.account, p.item, a.emptied_at, a.overfull_since,
           (SELECT count(*) FROM program AS c WHERE c.account = ?1) AS remembered, p.program, p.username, p.status, p.nickname, p.headimg_url, p.email, p.source, p.selected,
           p.nearby_display_status, p.released, p.copy_verify_status, p.func_infos, p.status_since, p.first_seen_at,
           p.gone_at
    FROM account AS a
    LEFT JOIN program AS p
      ON p.account = a.account AND (p.gone_at IS NULL OR p.item IN (SELECT j.value FROM json_each(?2) AS j))
    WHERE a.account = ?1";

const HAS_LISTED: &str = "SELECT EXISTS (SELECT 1 FROM program WHERE account = ?1)";

const STATE: &str = "UPDATE account SET emptied_at = ?2, overfull_since = ?3 WHERE account = ?1";

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
    FROM program_name AS n
    WHERE n.at < $1
    LIMIT $2";

const KEEP_NAMES: &str = "
    UPDATE program_name SET at = CAST(j.value ->> 1 AS BIGINT) FROM jsonb_each($1) AS j WHERE program_name.username = j.value ->> 0";

const FORGET_NAMES: &str = "DELETE FROM program_name WHERE username IN (SELECT j.value FROM json_each($1) AS j)";

const NAMES: &str = "
    SELECT n.username, n.program FROM jsonb_each(?1) AS j JOIN program_name AS n ON n.username = j.value";

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Accounts whose lists lost everything at once: how many, and the `limit` that are so for longest.
    pub async fn emptied(&self, limit: u32) -> Result<Emptied, StoreError> {
        let rows: Vec<(String, i64)> = sql::query_as(EMPTIED).bind(limit).fetch_all(self.readers()).await?;
        let count: i64 = sql::query_scalar(COUNT_EMPTIED).fetch_one(self.readers()).await?;
        let accounts = rows.into_iter().map(|(account, at)| (account, Time::from_ms(at))).collect();
        Ok(Emptied { count: u64::try_from(count).unwrap_or(0), accounts })
    }
}

/// What is remembered of an account's list, as far as a listing with items of these names ([`item_names`]) needs it. A row
/// that is not legal is left out: it is written anew when its item is listed.
pub(super) fn mirrored(db: Db<'_>, account: &AccountId, names: &[String]) -> Result<Mirror, StoreError> {
    let mut mirror = Mirror::default();
    let items = db.all(MIRRORED, (account.as_str(), bulk::json(names)), |row| {
        // Two times and a number of the account, the same beside each item.
        let time = |place| row.get::<Option<i64>>(place).ok().flatten().map(Time::from_ms);
        (mirror.emptied_at, mirror.overfull_since) = (time(2), time(3));
        mirror.remembered = row.get::<i64>(4).map_or(0, |count| usize::try_from(count).unwrap_or(0));
        // Where the account has none there is no item beside it.
        let has_item = row.value(1) != Value::Null;
        has_item.then(|| decode::cells(row, PROGRAM, item_row))
    })?;
    let legible = |item: Result<ItemRow, BadRow>| item.inspect_err(decode::tell).ok();
    mirror.rows = items.into_iter().flatten().filter_map(legible).collect();
    Ok(mirror)
}

/// Whether the account's list has ever shown anything that is remembered.
pub(super) fn has_listed(db: Db<'_>, account: &AccountId) -> Result<bool, StoreError> {
    Ok(db.first(HAS_LISTED, [account.as_str()], |row| row.get(0))?.unwrap_or(false))
}

/// The programs with these `gh_` ids, as far as any listing taught them.
pub(super) fn named(db: Db<'_>, names: &[&str]) -> Result<HashMap<String, ProgramId>, StoreError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let read = |cells: &mut Cells<'_>| Ok((cells.next::<String>()?, cells.next::<String>()?));
    let rows = db.all(NAMES, [bulk::json(names)], |row| decode::cells(row, PROGRAM_NAME, read))?;
    let legible = rows.into_iter().filter_map(|row| row.inspect_err(decode::tell).ok());
    Ok(legible.filter_map(|(username, program)| Some((username, program.parse().ok()?))).collect())
}

fn item_row(cells: &mut Cells<'_>) -> Result<ItemRow, CellError> {
    let (account, item) = (cells.next()?, cells.next()?);
    cells.skip(3);
    Ok(ItemRow {
        account,
        item,
        program: cells.next()?,
        username: cells.next()?,
        status: cells.next()?,
        nickname: cells.next()?,
        headimg_url: cells.next()?,
        email: cells.next()?,
        source: cells.next()?,
        selected: cells.next()?,
        nearby_display_status: cells.next()?,
        released: cells.next()?,
        copy_verify_status: cells.next()?,
        func_infos: cells.next()?,
        status_since: cells.next()?,
        first_seen_at: cells.next()?,
        gone_at: cells.next()?,
    })
}

/// Writes an item that is new or differs.
pub(super) fn mirror(db: Db<'_>, item: &ItemRow) -> Result<(), StoreError> {
    let written = db.execute(
        MIRROR,
        args![
            item.account,
            item.item,
            item.program,
            item.username,
            item.status,
            item.nickname,
            item.headimg_url,
            item.email,
            item.source,
            item.selected,
            item.nearby_display_status,
            item.released,
            item.copy_verify_status,
            item.func_infos,
            item.status_since,
            item.first_seen_at,
        ],
    );
    decode::apart(PROGRAM.name, format_args!("{}/{}", item.account, item.item), written).map(drop)
}

/// Writes since when an item is no longer listed.
pub(super) fn gone(db: Db<'_>, (account, item, at): &(String, String, i64)) -> Result<(), StoreError> {
    let written = db.execute(GONE, (account, item, at));
    decode::apart(PROGRAM.name, format_args!("{account}/{item}"), written).map(drop)
}

/// Writes which program a `gh_` id is.
pub(super) fn learn(db: Db<'_>, (username, program, at): &(Username, ProgramId, i64)) -> Result<(), StoreError> {
    let written = db.execute(LEARN, (username.as_str(), program.as_str(), at));
    decode::apart(PROGRAM_NAME.name, username, written).map(drop)
}

/// Writes how a list is as a whole.
pub(super) fn state(db: Db<'_>, state: &ListState) -> Result<(), StoreError> {
    let times = (state.emptied_at.map(Time::ms), state.overfull_since.map(Time::ms));
    db.execute(STATE, (state.account.as_str(), times.0, times.1)).map(drop)
}

/// Takes away items that have been gone for long and names that nobody has used for as long, at most `limit` of each;
/// the number taken. A name in use is as good as learned now, so that each is asked about once in that time.
pub(super) async fn prune(tx: &mut Tx<'_>, now: Time, limit: u32) -> Result<u64, StoreError> {
    let before = (now - KEPT).ms();
    let gone = sql::query(PRUNE_GONE).bind(before).bind(limit).execute(&mut *tx).await?;
    let aged: Vec<(String, bool)> = sql::query_as(AGED_NAMES).bind(before).bind(limit).fetch_all(&mut *tx).await?;
    let (used, unused): (Vec<_>, Vec<_>) = aged.into_iter().partition(|(_, is_used)| *is_used);
    let used: Vec<(String, i64)> = used.into_iter().map(|(name, _)| (name, now.ms())).collect();
    bulk::execute(tx, KEEP_NAMES, &used).await?;
    let unused: Vec<String> = unused.into_iter().map(|(name, _)| name).collect();
    Ok(gone + bulk::execute(tx, FORGET_NAMES, &unused).await?)
}
