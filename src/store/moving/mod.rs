//! `db move`: everything of a database goes to another one, file or server, and is driven there from then on.
//!
//! Both sides have a row of the table `move`, of one id. In this order, each step on disk before the next:
//!
//! 1. The source is marked as leaving: no daemon starts on it, no command writes to it.
//! 2. The target is marked as arriving: nobody opens it.
//! 3. Rows go over, page by page; where that stands is what the target holds.
//! 4. Both are compared, every history is replayed on the target.
//! 5. The source is marked as moved, for good.
//! 6. The target is marked as complete: from now on daemons start on it.
//!
//! Whenever this is interrupted, at most one of the two can be driven, and the same move goes on from there.

mod counters;
mod end;
mod error;
mod proof;
mod rows;
mod tables;

use self::end::End;
pub use self::{error::MoveError, rows::Progress};
use super::{
    Location, OpenError, Store, StoreError,
    moved::{self, Elsewhere, Mark, Marks, Way},
    place::Place,
    row_id,
};
use crate::domain::time::Time;

/// A move that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// What was moved; none where it was done before.
    pub rows: Option<Rows>,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Rows of all tables.
    pub all: u64,
    /// Requests among them.
    pub requests: u64,
    /// A hash over the end of every history, the same on both sides.
    pub hash: u64,
}

/// What is left to do.
enum Left {
    /// Everything, or what an earlier try left.
    Rows {
        id: String,
    },
    /// The target is complete and not marked as such.
    Mark {
        id: String,
    },
    Nothing,
}

/// Moves everything from `source` to `target`, or goes on with that; `tell` hears of each page.
///
/// # Errors
/// [`MoveError`]: at most one of the two can be driven.
pub async fn move_all(
    source: &Location,
    target: &Location,
    now: Time,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Moved, MoveError> {
    if is_same(source, target) {
        return Err(MoveError::Refused(format!("{source} cannot be moved to itself")));
    }
    let mut from = End::open(source).await?;
    let mut to = End::open(target).await?;
    let mut result = Moved { from: from.place.clone(), to: to.place.clone(), rows: None };
    let id = match left(&mut from, &mut to).await? {
        Left::Rows { id } => {
            result.rows = Some(rows(&mut from, (&mut to, target), &id, (now, tell)).await?);
            moved::end(&mut from.link.tx(), Way::Out, &id, now).await.map_err(|error| from.failed(error))?;
            Some(id)
        }
        Left::Mark { id } => Some(id),
        Left::Nothing => None,
    };
    if let Some(id) = id {
        moved::end(&mut to.link.tx(), Way::In, &id, now).await.map_err(|error| to.failed(error))?;
    }
    from.close().await;
    to.close().await;
    Ok(result)
}

/// Whether both are one database, as far as its names tell.
fn is_same(source: &Location, target: &Location) -> bool {
    match (source.path().map(std::fs::canonicalize), target.path().map(std::fs::canonicalize)) {
        (Some(Ok(source)), Some(Ok(target))) => source == target,
        _ => source.to_string() == target.to_string(),
    }
}

/// Gives a move up that is not done: the source is driven again, and nobody can use what the target holds. Answers where it
/// would have gone; nothing when none was under way.
///
/// # Errors
/// [`MoveError`]: nothing has changed.
pub async fn abandon(source: &Location) -> Result<Option<String>, MoveError> {
    let mut from = End::open(source).await?;
    let marks = Marks::read(&mut from.link.tx()).await.map_err(|error| from.failed(error))?;
    let other = match marks.out {
        Some(mark) if mark.is_done => return Err(OpenError::Moved(moved::elsewhere(&from.place, mark)).into()),
        Some(mark) => Some(mark.other),
        None => None,
    };
    moved::forget(&mut from.link.tx()).await.map_err(|error| from.failed(error))?;
    from.close().await;
    Ok(other)
}

/// Where everything of a database is, when it was moved, or goes.
///
/// # Errors
/// [`StoreError`]: it cannot be read.
pub async fn moved_to(path: &std::path::Path) -> Result<Option<String>, StoreError> {
    let mut connection = super::file::location::lone_reader(path).await?;
    Ok(Marks::read(&mut super::sql::Tx::Sqlite(&mut connection)).await?.out.map(|mark| mark.other))
}

impl Store {
    /// That what is written here does not stay behind: for commands, which are told before they do anything.
    ///
    /// # Errors
    /// [`OpenError::Moved`]; or the database cannot be read.
    pub async fn check_not_moved(&self) -> Result<(), OpenError> {
        let failed = |source: StoreError| match &self.place {
            Place::File(file) => OpenError::Store { path: file.path().to_owned(), source },
            Place::Server(address) => OpenError::Server { address: address.to_string(), source: source.into() },
        };
        let mut connection = self.readers().acquire().await.map_err(|error| failed(error.into()))?;
        Ok(moved::check_in_use(&mut connection.tx(), &self.place).await.map_err(failed)??)
    }
}

/// What is left of a move between the two, or why there can be none.
async fn left(from: &mut End, to: &mut End) -> Result<Left, MoveError> {
    let here = Marks::read(&mut from.link.tx()).await.map_err(|error| from.failed(error))?;
    let there = Marks::read(&mut to.link.tx()).await.map_err(|error| to.failed(error))?;
    if let Some(Mark { other, .. }) = here.into.filter(|mark| !mark.is_done) {
        let place = from.place.clone();
        return Err(OpenError::Moved(Elsewhere::Arriving { place, other }).into());
    }
    let is_of = |out: &Mark| there.into.as_ref().is_some_and(|into| into.id == out.id);
    let is_complete = there.into.as_ref().is_some_and(|mark| mark.is_done);
    match here.out {
        Some(out) if out.is_done && is_of(&out) && is_complete => Ok(Left::Nothing),
        Some(out) if out.is_done && is_of(&out) => Ok(Left::Mark { id: out.id }),
        Some(out) if !out.is_done && is_of(&out) => Ok(Left::Rows { id: out.id }),
        // Killed between the marks.
        Some(out) if !out.is_done && out.other == to.place => {
            check_empty(to, &there).await?;
            Ok(Left::Rows { id: out.id })
        }
        Some(out) => Err(OpenError::Moved(moved::elsewhere(&from.place, out)).into()),
        None => {
            check_empty(to, &there).await?;
            Ok(Left::Rows { id: row_id::random_id() })
        }
    }
}

/// That nothing is at the target that somebody could miss.
async fn check_empty(to: &mut End, marks: &Marks) -> Result<(), MoveError> {
    let place = &to.place;
    let why = match (&marks.into, &marks.out) {
        (Some(Mark { other, is_done: false, .. }), _) => format!(
            "{place} holds an unfinished move of {other}, which is not this one or was given up: empty it, or name an empty database"
        ),
        (_, Some(Mark { other, .. })) => format!(
            "{place} was moved to {other}, and what is there is what it was then: empty it, or name an empty database"
        ),
        (_, None) => {
            let place = place.clone();
            if rows::is_empty(to).await? {
                return Ok(());
            }
            format!("{place} is not empty: name an empty database, or a file that is not there yet")
        }
    };
    Err(MoveError::Refused(why))
}

/// Marks both sides, moves the rows, and compares.
async fn rows(
    from: &mut End,
    (to, target): (&mut End, &Location),
    id: &str,
    (now, tell): (Time, &(dyn Fn(Progress) + Sync)),
) -> Result<Rows, MoveError> {
    let columns = tables::columns(from).await?;
    if columns != tables::columns(to).await? {
        return Err(MoveError::Refused(
            "the two databases have not the same columns: see `amplinkd db verify`".to_owned(),
        ));
    }
    let (here, there) = (from.place.clone(), to.place.clone());
    from.mark(Way::Out, id, &there, now).await?;
    to.mark(Way::In, id, &here, now).await?;
    rows::copy((&mut *from, &mut *to), &columns, tell).await?;
    let last = counters::read(from).await?;
    counters::write(to, &last).await?;
    let counted = proof::prove(from, (to, target)).await?;
    Ok(Rows { all: counted.rows, requests: counted.requests, hash: counted.hash })
}
