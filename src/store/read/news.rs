//! New events, as alerting reads them from the log, once and in order.

use std::time::Duration;

use crate::{
    domain::{action::Via, event::EventType, history::hex, observation::Cause, request::StateKind, time::Time},
    store::{
        Store, StoreError, codes,
        decode::{self, Cells},
        executor::Db,
        sql::CellError,
    },
};

/// An event that the watch has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Its place.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// Its type; none of one that this version does not know.
    pub kind: Option<EventType>,
    /// The request's or the account's id.
    pub subject: String,
    /// Its key of order; of alerts, their reason.
    pub partition_key: String,
    /// Of alerts: the age from which the channels are told that it is for.
    pub reach: Option<i64>,
    /// When it came to be.
    pub at: Time,
    /// Of a step: what it was.
    pub step: Option<StepNews>,
}

/// A step that the watch has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepNews {
    /// The word of the request's kind.
    pub kind: String,
    /// The state before; none at the first step.
    pub from: Option<StateKind>,
    /// The state after.
    pub to: StateKind,
    /// Where it came from.
    pub cause: Cause,
    /// Of the first step: the door that the request came in by. Imports come in by a command.
    pub via: Option<Via>,
    /// How long the request stood in the state before, where that is one in which people are waited for.
    pub waited: Option<Duration>,
}

impl StepNews {
    /// Nothing of a message, and of a row with words that this version does not know.
    fn read(cells: &mut Cells<'_>, to: Option<i64>, at: Time) -> Result<Option<Self>, CellError> {
        let (kind, from, cause): (Option<String>, Option<i64>, Option<i64>) =
            (cells.next()?, cells.next()?, cells.next()?);
        let (entered, via): (Option<i64>, Option<String>) = (cells.next()?, cells.next()?);
        let (Some(kind), Some(to), Some(cause)) = (kind, to.and_then(codes::of_state), cause.and_then(codes::of_cause))
        else {
            return Ok(None);
        };
        let waited = entered.map(|entered| at.since(Time::from_ms(entered)));
        let is_first = cause == Cause::Accepted;
        let via = is_first.then(|| via.and_then(|word| Via::from_word(&word)).unwrap_or(Via::Cli));
        Ok(Some(Self { kind, from: from.and_then(codes::of_state), to, cause, via, waited }))
    }
}

/// The table of events.
const EVENT: decode::Table = decode::Table { name: "log", key: &["seq"] };

impl News {
    fn read(cells: &mut Cells<'_>) -> Result<Self, CellError> {
        let (seq, at) = (cells.next()?, Time::from_ms(cells.next()?));
        let (state, hash): (Option<i64>, Option<Vec<u8>>) = (cells.next()?, cells.next()?);
        let (id, kind): (Option<String>, Option<String>) = (cells.next()?, cells.next()?);
        let of_step = || state.and_then(codes::of_state).map(EventType::Request);
        Ok(Self {
            seq,
            id: id.or_else(|| Some(event_id(at, &hash?))).unwrap_or_default(),
            kind: kind.map_or_else(of_step, |word| EventType::from_word(&word)),
            subject: cells.next()?,
            partition_key: cells.next()?,
            reach: cells.next()?,
            at,
            step: StepNews::read(cells, state, at)?,
        })
    }
}

/// The id of a step's event, as the view `outbox` makes it: a `UUIDv7` of its time and its hash.
fn event_id(at: Time, hash: &[u8]) -> String {
    let (ms, digits) = (at.ms(), hex(hash));
    format!("{:08x}-{:04x}-7{}-8{}-{}", ms >> 16, ms & 0xffff, &digits[..3], &digits[3..6], &digits[6..18])
}

const NEWS: &str = "
    SELECT l.seq, l.at, l.to_state, l.hash, l.id, l.type, coalesce(l.subject, r.id), coalesce(l.partition_key, r.id),
           l.reach, r.kind, l.from_state, l.cause,
           -- From `initiated` and the two `awaiting`.
           CASE WHEN l.from_state IN (2, 3, 4)
                THEN (SELECT b.at FROM log AS b WHERE b.request = l.request AND b.step = l.step - 1) END,
           -- What is done first to a request is that it is made.
           CASE WHEN l.step = 1
                THEN (SELECT c.via FROM action AS c INDEXED BY action_of_subject
                      WHERE c.subject = r.id ORDER BY c.id LIMIT 1) END
    FROM log AS l LEFT JOIN request AS r ON r.row = l.request
    WHERE l.seq > ?1 ORDER BY l.seq LIMIT ?2";

impl Store {
    /// Events after `seq`, in their order.
    pub async fn news(&self, seq: i64, limit: u32) -> Result<Vec<News>, StoreError> {
        let read = move |db: Db<'_>| {
            db.all(NEWS, (seq, limit), |row| decode::cells(row, EVENT, News::read))?
                .into_iter()
                .map(|row| Ok(row?))
                .collect()
        };
        self.executor.read(read).await
    }
}
