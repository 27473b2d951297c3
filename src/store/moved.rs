//! What a database knows of its move ([`super::moving`]): its marks (migration 0022), and who is refused because of them.

use std::fmt::Display;

use super::{
    StoreError,
    sql::{self, Tx},
};
use crate::domain::time::Time;

/// Where what is in a database has its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Elsewhere {
    /// Its daemon would drive what another database drives.
    #[error(
        "{place} was moved to {other}: set [database] url to that one; what is here is what it was then, and can still be read"
    )]
    Moved {
        /// Where it is.
        place: String,
        /// Where all of it went.
        other: String,
    },
    /// What is written now might not come along.
    #[error(
        "{place} is being moved to {other}: run the same `amplinkd db move` again to finish that, or `amplinkd db move --abandon` \
         to stay here"
    )]
    Leaving {
        /// Where it is.
        place: String,
        /// Where it goes.
        other: String,
    },
    /// It does not hold everything yet.
    #[error(
        "{place} holds an unfinished move of {other}: run the same `amplinkd db move` again with that one's configuration"
    )]
    Arriving {
        /// Where it is.
        place: String,
        /// Where its rows come from.
        other: String,
    },
}

/// Where everything is, or goes, of a database to which nothing is written any more.
pub(super) const MOVED: &str = "SELECT other FROM move WHERE way = 'out' OR done_at IS NULL LIMIT 1";

const MARKS: &str = "SELECT way, id, other, done_at FROM move";

const BEGIN: &str = "
    INSERT INTO move (way, id, other, begun_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (way) DO UPDATE SET id = excluded.id, other = excluded.other, begun_at = excluded.begun_at, done_at = NULL";

const END: &str = "UPDATE move SET done_at = $1 WHERE way = $2 AND id = $3";

const FORGET: &str = "DELETE FROM move WHERE way = 'out' AND done_at IS NULL";

/// Which way the rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

/// One move, as one side knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The same on both sides.
    pub(super) id: String,
    /// Where the other side is.
    pub(super) other: String,
    pub(super) is_done: bool,
}

/// What a database knows of moves.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) out: Option<Mark>,
    pub(super) into: Option<Mark>,
}

impl Marks {
    pub(super) async fn read(tx: &mut Tx<'_>) -> Result<Self, StoreError> {
        let rows: Vec<(String, String, String, Option<i64>)> = sql::query_as(MARKS).fetch_all(tx).await?;
        let mut marks = Self::default();
        for (way, id, other, done_at) in rows {
            let mark = Mark { id, other, is_done: done_at.is_some() };
            let place = if way == Way::Out.as_str() { &mut marks.out } else { &mut marks.into };
            *place = Some(mark);
        }
        Ok(marks)
    }

    fn whole(&self, place: &impl Display) -> Result<(), Elsewhere> {
        match self.into.as_ref().filter(|mark| !mark.is_done) {
            Some(Mark { other, .. }) => Err(Elsewhere::Arriving { place: place.to_string(), other: other.clone() }),
            None => Ok(()),
        }
    }
}

pub(super) async fn begin(tx: &mut Tx<'_>, way: Way, (id, other): (&str, &str), now: Time) -> Result<(), StoreError> {
    sql::query(BEGIN).bind(way.as_str()).bind(id).bind(other).bind(now.ms()).execute(tx).await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx<'_>, way: Way, id: &str, now: Time) -> Result<(), StoreError> {
    sql::query(END).bind(now.ms()).bind(way.as_str()).bind(id).execute(tx).await?;
    Ok(())
}

/// Whether a move out that was not done is forgotten now.
pub(super) async fn forget(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(sql::query(FORGET).execute(tx).await? > 0)
}

/// That all of a database is there: nobody looks at half of one.
pub(super) async fn check_whole(
    tx: &mut Tx<'_>,
    place: &(impl Display + Sync),
) -> Result<Result<(), Elsewhere>, StoreError> {
    Ok(Marks::read(tx).await?.whole(place))
}

/// The same, and that it is still the one to work with.
pub(super) async fn check_in_use(
    tx: &mut Tx<'_>,
    place: &(impl Display + Sync),
) -> Result<Result<(), Elsewhere>, StoreError> {
    let marks = Marks::read(tx).await?;
    Ok(marks.whole(place).and_then(|()| marks.out.map_or(Ok(()), |mark| Err(elsewhere(place, mark)))))
}

/// Of a database whose rows go elsewhere.
pub(super) fn elsewhere(place: &impl Display, Mark { other, is_done, .. }: Mark) -> Elsewhere {
    let place = place.to_string();
    if is_done { Elsewhere::Moved { place, other } } else { Elsewhere::Leaving { place, other } }
}
