//! The component's row as it is read.

use crate::{
    domain::{authorizer::Life, errcode::Refusal, time::Time},
    store::{
        BadRow,
        decode::{self, Cells},
        sql::{Cell, RowRef},
        tables::COMPONENT,
    },
};

/// The component as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRow {
    /// Its appid.
    pub appid: String,
    /// A known word, sealed.
    pub key_check: Vec<u8>,
    /// The ticket, sealed, and when `WeChat` made it.
    pub ticket: Option<(Vec<u8>, Time)>,
    /// When the ticket came.
    pub ticket_at: Option<Time>,
    /// Since when there is none that works.
    pub ticketless_since: Option<Time>,
    /// The ticket that was refused, by the time at which it was made.
    pub ticket_refused: Option<Time>,
    /// The token, sealed, and how long it lives.
    pub token: Option<(Vec<u8>, Life)>,
    /// Counts the tokens.
    pub generation: i64,
    /// The last refusal that holds something back.
    pub refusal: Option<Refusal>,
    /// Since when.
    pub refused_since: Option<Time>,
    /// Until when; `None` beside a refusal: until a person has acted.
    pub held_until: Option<Time>,
    /// When the list of authorizers was last swept, and how far that has come; no offset: it is done.
    pub swept_at: Option<Time>,
    /// See `swept_at`.
    pub sweep_offset: Option<i64>,
    /// The Beijing day that is counted, and its calls for tokens and lists, and for single accounts.
    pub calls: (i64, i64, i64),
    /// Ids of the keys that the daemon of the last start opens values with, separated by blanks.
    pub open_keys: Option<String>,
}

/// Nothing works without this row: what is not valid in it counts as absent where it comes again by itself, and is told.
pub(super) fn read(row: RowRef<'_>) -> Result<ComponentRow, BadRow> {
    let time = |place| or_absent::<i64>(row, place).map(Time::from_ms);
    let number = |place| or_absent::<i64>(row, place).unwrap_or(0);
    let refusal = |errcode| Refusal { errcode, errmsg: or_absent(row, 12).unwrap_or_default() };
    let needed = |cells: &mut Cells<'_>| {
        let (appid, key_check) = (cells.next()?, cells.next()?);
        cells.skip(8);
        Ok((appid, key_check, cells.next()?))
    };
    let (appid, key_check, generation) = decode::cells(row, COMPONENT, needed)?;
    Ok(ComponentRow {
        appid,
        key_check,
        ticket: or_absent::<Vec<u8>>(row, 2).zip(time(3)),
        ticket_at: time(4),
        ticketless_since: time(5),
        ticket_refused: time(6),
        token: or_absent::<Vec<u8>>(row, 7).zip(life(time(8), time(9))),
        generation,
        refusal: or_absent(row, 11).map(refusal),
        refused_since: time(13),
        held_until: time(14),
        swept_at: time(15),
        sweep_offset: or_absent(row, 16),
        calls: (number(17), number(18), number(19)),
        open_keys: or_absent(row, 20),
    })
}

fn or_absent<T: Cell>(row: RowRef<'_>, place: usize) -> Option<T> {
    let cell = |cells: &mut Cells<'_>| {
        cells.skip(place);
        cells.next::<Option<T>>()
    };
    decode::cells(row, COMPONENT, cell).inspect_err(decode::tell).ok().flatten()
}

/// A life of two columns; one whose renewal is not known is renewed at its end.
pub(super) fn life(renew_at: Option<Time>, until: Option<Time>) -> Option<Life> {
    until.map(|until| Life { renew_at: renew_at.unwrap_or(until), until })
}
