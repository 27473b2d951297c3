//! That what arrived is what was there.

use xxhash_rust::xxh3::Xxh3;

use super::{
    counters,
    end::{End, Link},
    error::MoveError,
    rows::counts,
    tables::TABLES,
};
use crate::store::{
    Location, Store, StoreError,
    read::verify::{Damage, replay_all},
    sql,
};

/// Requests in one read.
const PAGE: u32 = 5_000;

const ENDS: &str = "SELECT id, last_seq, chain FROM request WHERE id > $1 ORDER BY id LIMIT $2";

/// Compares both sides, and replays every history on the target; how many rows there are, and requests among them.
pub(super) async fn prove(source: &mut End, (target, location): (&mut End, &Location)) -> Result<Counted, MoveError> {
    let differs = |what: String| MoveError::Differs { place: target_place(location), what };
    let (here, there) = (counts(source).await?, counts(target).await?);
    for ((table, here), there) in TABLES.iter().zip(&here).zip(&there) {
        if here != there {
            return Err(differs(format!("{:?} has {there} rows there and {here} here", table.name)));
        }
    }
    if counters::read(source).await? > counters::read(target).await? {
        return Err(differs("the numbers of its rows would not go on where they were".to_owned()));
    }
    let (of_source, of_target) = (hash(source).await?, hash(target).await?);
    if of_source != of_target {
        return Err(differs(format!(
            "the ends of the histories differ ({of_target:016x} there, {of_source:016x} here)"
        )));
    }
    let damage = damage(target, location).await.map_err(|error| target.failed(error))?;
    if let Some(Damage { id, finding }) = damage.first() {
        return Err(differs(format!(
            "it does not hold together ({id}: {finding}); `amplinkd db verify` says whether it did before"
        )));
    }
    let requests = TABLES.iter().zip(&here).find(|(table, _)| table.name == "request").map_or(0, |(_, rows)| *rows);
    Ok(Counted { rows: here.iter().sum(), requests, hash: of_source })
}

/// What was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) rows: u64,
    pub(super) requests: u64,
    pub(super) hash: u64,
}

fn target_place(location: &Location) -> String {
    location.to_string()
}

/// Over the end of every history.
async fn hash(end: &mut End) -> Result<u64, MoveError> {
    let (mut hash, mut after) = (Xxh3::new(), String::new());
    loop {
        let asked = sql::query_as(ENDS).bind(&after).bind(PAGE);
        let page: Vec<(String, i64, Vec<u8>)> =
            asked.fetch_all(&mut end.link.tx()).await.map_err(|source| end.failed(source))?;
        for (id, last_seq, chain) in &page {
            hash.update(id.as_bytes());
            hash.update(&last_seq.to_be_bytes());
            hash.update(chain);
        }
        match page.into_iter().next_back() {
            Some((id, ..)) => after = id,
            None => return Ok(hash.digest()),
        }
    }
}

async fn damage(target: &mut End, location: &Location) -> Result<Vec<Damage>, StoreError> {
    match (&mut target.link, location.path()) {
        (Link::File(_), Some(path)) => Store::verify(path, 1).await,
        (link, _) => replay_all(&mut link.tx(), 1).await,
    }
}
