//! A machine with its clocks, and the process of a node on it: what it has under way, and what it must give up.

use std::{collections::BTreeMap, time::Duration};

use amplinkd::domain::{
    tenure::{
        Beat, Grant, Tenure,
        elapsed::Reading,
        lease::{Lease, Leases},
        member::Incarnation,
        moves::Moves,
        terms::{MARGIN, Terms},
    },
    time::Time,
};

use super::{START, ms, world::Event};

/// The network's ordinary delay, in milliseconds.
pub(super) const FAST: u64 = 40;

pub(super) struct Node {
    /// How far its calendar is ahead of the truth.
    pub(super) calendar_ms: i64,
    /// Milliseconds that its stopwatch has missed.
    pub(super) suspended: u64,
    pub(super) suspended_since: Option<u64>,
    pub(super) is_paused: bool,
    /// Nothing passes between it and the database.
    pub(super) is_cut: bool,
    /// What it says arrives, and no answer does.
    pub(super) loses_answers: bool,
    pub(super) delay: u64,
    pub(super) process: Option<Process>,
    /// How many processes it has had.
    pub(super) life: u32,
    pub(super) name: String,
    /// What happens once it runs again.
    pub(super) put_off: Vec<Event>,
}

/// A beat that has no answer yet.
pub(super) struct OpenBeat {
    pub(super) number: u32,
    pub(super) sent: u64,
    pub(super) beat: Beat,
    pub(super) at: Time,
    pub(super) moves: Option<Moves>,
    /// It is the last one, if nothing is held after it.
    pub(super) leaves: bool,
}

pub(super) struct Call {
    pub(super) grant: Grant,
    pub(super) is_sent: bool,
}

pub(super) struct Process {
    pub(super) tenure: Tenure,
    pub(super) beat: Option<OpenBeat>,
    pub(super) calls: BTreeMap<u32, Call>,
    pub(super) writes: BTreeMap<u32, Lease>,
    /// Calls that were given up, and until when they may still be on their way.
    pub(super) given_up: Vec<(Lease, u64)>,
    /// An operator said `node drain`.
    pub(super) is_draining: bool,
    /// It was told to stop.
    pub(super) leaves: bool,
    /// It has the lock of its name, as every start but that of a stranger.
    pub(super) has_lock: bool,
}

impl Process {
    pub(super) fn new(id: Incarnation, terms: Terms, now: Reading, has_lock: bool) -> Self {
        Self {
            tenure: Tenure::beginning(terms, id, now),
            beat: None,
            calls: BTreeMap::new(),
            writes: BTreeMap::new(),
            given_up: Vec::new(),
            is_draining: false,
            leaves: false,
            has_lock,
        }
    }

    /// What is under way here, by its leases.
    pub(super) fn busy(&self, now: u64) -> Leases {
        let calls = self.calls.values().map(|call| call.grant.lease());
        let given_up = self.given_up.iter().filter(|(_, until)| *until > now).map(|(lease, _)| *lease);
        calls.chain(self.writes.values().copied()).chain(given_up).collect()
    }

    /// Calls without trust end; of one that has left nobody knows for a while whether it arrives.
    pub(super) fn give_up(&mut self, reading: Reading, now: u64, is_remembered: bool) {
        let until = now + ms(MARGIN);
        let Self { tenure, calls, given_up, .. } = self;
        given_up.retain(|(_, until)| *until > now);
        calls.retain(|_, call| {
            let stands = tenure.stands(&call.grant, reading);
            if !stands && call.is_sent && is_remembered {
                given_up.push((call.grant.lease(), until));
            }
            stands
        });
    }
}

impl Node {
    pub(super) fn new(name: String, calendar_ms: i64) -> Self {
        Self {
            calendar_ms,
            suspended: 0,
            suspended_since: None,
            is_paused: false,
            is_cut: false,
            loses_answers: false,
            delay: FAST,
            process: None,
            life: 0,
            name,
            put_off: Vec::new(),
        }
    }

    pub(super) fn reading(&self, now: u64) -> Reading {
        let calendar = START.ms() + i64::try_from(now).expect("a short life") + self.calendar_ms;
        let missed = self.suspended + self.suspended_since.map_or(0, |since| now - since);
        Reading { calendar: Time::from_ms(calendar), stopwatch: Duration::from_millis(now - missed) }
    }

    pub(super) const fn runs(&self) -> bool {
        !self.is_paused && self.suspended_since.is_none()
    }

    /// Whether something of its own keeps it from beating.
    pub(super) const fn is_troubled(&self) -> bool {
        !self.runs() || self.is_cut || self.loses_answers || self.delay > FAST
    }

    /// Whether it is to have leases, when all is well.
    pub(super) fn works(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.is_draining && !process.leaves)
    }

    /// The leases that it believes to be its own at this moment.
    pub(super) fn trusted(&self, now: u64) -> Leases {
        let own = self.process.as_ref().filter(|process| process.tenure.trusts(self.reading(now)));
        own.map_or(Leases::NONE, |process| process.tenure.held())
    }

    /// What its loop does several times a second, whatever else happens.
    pub(super) fn note(&mut self, now: u64) {
        let reading = self.reading(now);
        if let Some(process) = self.process.as_mut().filter(|_| !self.is_paused && self.suspended_since.is_none()) {
            process.tenure.note(reading);
        }
    }
}
