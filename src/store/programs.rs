//! Rows of `program` and `program_name`: the latest listing of every account, and which `gh_` id is which program. It must
//! never be asked what a request's state is.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use super::{
    Store, StoreError, bulk,
    decode::{self, Table},
};
use crate::domain::{
    id::{AccountId, ProgramId, Username},
    listing::{Item, Listing},
    time::Time,
};

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
        status_since = excluded.status_since, gone_at = NULL";

const GONE: &str = "
    UPDATE program SET gone_at = j.value ->> 2 FROM jsonb_each($1) AS j
    WHERE program.account = j.value ->> 0 AND program.item = j.value ->> 1";

const LEARN: &str = "
    INSERT INTO program_name (username, program, at)
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2 FROM jsonb_each($1) AS j WHERE true
    ON CONFLICT (username) DO UPDATE SET program = excluded.program, at = excluded.at";

const OF_ACCOUNT: &str = "
    SELECT account, item, program, username, status, nickname, headimg_url, email, source, selected,
           nearby_display_status, released, copy_verify_status, func_infos, status_since, first_seen_at, gone_at
    FROM program WHERE account = $1";

const NAMES: &str = "
    SELECT n.username, n.program FROM jsonb_each($1) AS j JOIN program_name AS n ON n.username = j.value";

impl Store {
    /// Every item an account ever listed.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    pub async fn mirrored(&self, account: &AccountId) -> Result<Vec<ItemRow>, StoreError> {
        let rows = sqlx::query(OF_ACCOUNT).bind(account.as_str()).fetch_all(self.readers()).await?;
        Ok(decode::legible(&rows, PROGRAM))
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
}

/// What differs between the mirror and a listing: items to write, and items that are gone.
#[must_use]
pub fn difference(
    account: &AccountId,
    listing: &Listing,
    mirror: &[ItemRow],
    now: Time,
) -> (Vec<ItemRow>, Vec<ItemRow>) {
    let mut before: HashMap<&str, &ItemRow> = mirror.iter().map(|row| (row.item.as_str(), row)).collect();
    let mut written = Vec::new();
    for (name, item) in named(listing) {
        let old = before.remove(name.as_str());
        let row = mirrored(account, name, item, old, now);
        if old != Some(&row) {
            written.push(row);
        }
    }
    let gone = before.into_values().filter(|row| row.gone_at.is_none()).cloned().collect();
    (written, gone)
}

/// Items by their name in the list. The most alive one of a name has the bare name, so that it keeps its row.
fn named(listing: &Listing) -> Vec<(String, &Item)> {
    let mut items: Vec<(usize, &Item)> = listing.items.iter().enumerate().collect();
    items.sort_by_key(|(_, item)| item.status.liveliness());
    let mut met: HashMap<&str, usize> = HashMap::new();
    items
        .into_iter()
        .map(|(place, item)| {
            let Some(name) = item.username.as_deref().or(item.appid.as_deref()) else {
                return (format!("#{place}"), item);
            };
            let count = met.entry(name).and_modify(|count| *count += 1).or_insert(1);
            (if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }, item)
        })
        .collect()
}

fn mirrored(account: &AccountId, name: String, item: &Item, old: Option<&ItemRow>, now: Time) -> ItemRow {
    let status = item.status.number();
    let standing = old.filter(|old| old.status == status && old.gone_at.is_none());
    let profile = item.profile.clone();
    ItemRow {
        account: account.to_string(),
        item: name,
        program: item.appid.clone().or_else(|| old.and_then(|old| old.program.clone())),
        username: item.username.clone(),
        status,
        nickname: profile.nickname,
        headimg_url: profile.headimg_url,
        email: profile.email,
        source: profile.source,
        selected: profile.selected,
        nearby_display_status: profile.nearby_display_status,
        released: profile.released,
        copy_verify_status: profile.copy_verify_status,
        func_infos: profile.func_infos,
        status_since: standing.map_or(now.ms(), |old| old.status_since),
        first_seen_at: old.map_or(now.ms(), |old| old.first_seen_at),
        gone_at: None,
    }
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
