//! The rows that nodes share, as transactions leave them: a beat at a time, and nobody fenced who is writing.

use std::collections::BTreeMap;

use amplinkd::domain::{
    tenure::{
        lease::Lease,
        member::{Ahead, Calls, Incarnation, Member},
        moves::Moves,
        terms::{BEAT_IDLE_MAX, Terms},
    },
    time::Time,
};

use super::{START, ms};

/// A write of which nothing is heard for so long is ended by the server.
pub(super) const WRITE_IDLE_MAX: u64 = 3_000;

/// A node's row, and what is under way with it.
pub(super) struct Row {
    pub(super) member: Member,
    /// Whose process it is.
    pub(super) node: usize,
    /// Something of its own kept it from beating since its last beat.
    pub(super) at_fault: bool,
    /// A beat of another node is about to fence it: nobody can begin to write in its name.
    pub(super) is_being_fenced: bool,
    /// Write transactions: which, and when each was begun.
    pub(super) writes: BTreeMap<u32, u64>,
}

impl Row {
    pub(super) fn is_writing(&self, now: u64) -> bool {
        self.writes.values().any(|began| began + WRITE_IDLE_MAX > now)
    }
}

/// The one beat that is in its transaction.
pub(super) struct Beating {
    pub(super) id: Incarnation,
    pub(super) number: u32,
    pub(super) since: u64,
    pub(super) at: Time,
    pub(super) ahead: Ahead,
    pub(super) fences: Vec<Incarnation>,
    /// What is to be committed, once that is sent.
    pub(super) moves: Option<Moves>,
    pub(super) leaves: bool,
}

pub(super) struct Database {
    pub(super) is_up: bool,
    /// How far its clock is ahead of the truth.
    pub(super) ahead_ms: i64,
    pub(super) rows: Vec<Row>,
    pub(super) holders: BTreeMap<Lease, Incarnation>,
    pub(super) beating: Option<Beating>,
}

impl Database {
    pub(super) const fn new() -> Self {
        Self { is_up: true, ahead_ms: 0, rows: Vec::new(), holders: BTreeMap::new(), beating: None }
    }

    pub(super) fn clock(&self, now: u64) -> Time {
        Time::from_ms(START.ms() + i64::try_from(now).expect("a short life") + self.ahead_ms)
    }

    pub(super) fn row(&mut self, id: Incarnation) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.member.id == id)
    }

    pub(super) fn join(
        &mut self,
        id: Incarnation,
        node: usize,
        name: &str,
        limits: Calls,
        is_draining: bool,
        now: u64,
    ) {
        let member = Member {
            id,
            name: name.to_owned(),
            is_fenced: false,
            is_draining,
            until: self.clock(now) + Terms::default().lease(),
            ahead: Ahead(0),
            limits,
            share: Calls::default(),
        };
        self.rows.push(Row { member, node, at_fault: false, is_being_fenced: false, writes: BTreeMap::new() });
    }

    /// It goes away, and with it whatever was not committed.
    pub(super) fn go_down(&mut self) {
        self.is_up = false;
        self.roll_back();
        self.rows.iter_mut().for_each(|row| row.writes.clear());
    }

    /// The beat that is in its transaction ends without a trace.
    pub(super) fn roll_back(&mut self) {
        for id in self.beating.take().map(|beating| beating.fences).unwrap_or_default() {
            if let Some(row) = self.row(id) {
                row.is_being_fenced = false;
            }
        }
    }

    /// A beat whose node fell silent in the middle is ended; a sent commit is not.
    pub(super) fn end_idle(&mut self, now: u64) {
        if self
            .beating
            .as_ref()
            .is_some_and(|beating| beating.moves.is_none() && beating.since + ms(BEAT_IDLE_MAX) <= now)
        {
            self.roll_back();
        }
    }

    /// Everything of a beat at once.
    pub(super) fn commit(&mut self, beating: &Beating, moves: &Moves, limits: Calls, at_fault: bool) {
        for id in &beating.fences {
            let row = self.row(*id).expect("whoever is fenced has a row");
            (row.is_being_fenced, row.member.is_fenced) = (false, true);
            self.holders.retain(|_, holder| holder != id);
        }
        for lease in moves.hand_back.iter() {
            self.holders.remove(&lease);
        }
        for lease in moves.take.iter() {
            self.holders.insert(lease, beating.id);
        }
        if beating.leaves && moves.held.is_empty() {
            self.rows.retain(|row| row.member.id != beating.id);
        } else if let Some(row) = self.row(beating.id) {
            row.member.until = beating.at + Terms::default().lease();
            row.member.ahead = beating.ahead;
            row.member.limits = limits;
            row.member.share = moves.share;
            row.at_fault = at_fault;
        }
    }
}
