//! One account in the due queue, packed into a few dozen bytes.

use std::time::Duration;

use crate::domain::{
    account::{AccountState, Budget, Calls, Status},
    id::AccountId,
    pace::Class,
    time::Time,
};

/// Where an account is on its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not here any more; its slot waits for another account.
    Gone,
    /// Waits for its time.
    Waiting,
    /// Its next poll is being written down ahead.
    Reserving,
    /// Written down, waits for its time and for a place.
    Reserved,
    /// Its poll is under way.
    Busy,
}

/// An account, packed: an [`AccountState`] without the room that its absences take.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: i64,
    pub(super) due: Moment,
    /// When it is due after the poll that was reserved, if nothing changes.
    pub(super) then: Moment,
    /// Means nothing unless `has_hash`.
    pub(super) listing_hash: i64,
    pub(super) pace_from: i64,
    pub(super) reread_at: i64,
    pub(super) read_at: i64,
    /// Seldom there: whatever is not well with it.
    pub(super) ails: Option<Box<Ails>>,
    pub(super) budget_day: i32,
    pub(super) budget_used: u32,
    /// Marks entries of the heaps that were overtaken. It outlives the account, so that nothing said of the last one in
    /// this slot is taken for the next one's.
    pub(super) round: u32,
    pub(super) account: AccountId,
    pub(super) has_hash: bool,
    pub(super) asked: bool,
    pub(super) class: Class,
    pub(super) phase: Phase,
}

/// What is not well with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ails {
    status: Status,
    failures: u32,
    calls: Calls,
}

impl Ails {
    /// Nothing.
    const NONE: Self =
        Self { status: Status::Active, failures: 0, calls: Calls { refused: 0, since: None, after: None } };
}

/// A time of the calendar that is not there.
pub(super) const NEVER: i64 = i64::MIN;

impl Slot {
    pub(super) fn state(&self) -> AccountState {
        let time = |ms| (ms != NEVER).then(|| Time::from_ms(ms));
        let Ails { status, failures, calls } = self.ails.as_deref().copied().unwrap_or(Ails::NONE);
        AccountState {
            row: self.id,
            status,
            failures,
            calls,
            due: None,
            asked: self.asked,
            pace_from: time(self.pace_from),
            reread_at: time(self.reread_at),
            read_at: time(self.read_at),
            listing_hash: self.has_hash.then_some(self.listing_hash),
            budget: Budget { day: self.budget_day.into(), used: self.budget_used.into() },
        }
    }

    pub(super) fn keep(&mut self, state: &AccountState) {
        let ms = |time: Option<Time>| time.map_or(NEVER, Time::ms);
        (self.has_hash, self.listing_hash) = (state.listing_hash.is_some(), state.listing_hash.unwrap_or_default());
        (self.pace_from, self.reread_at) = (ms(state.pace_from), ms(state.reread_at));
        self.read_at = ms(state.read_at);
        self.asked = state.asked;
        let ails = Ails { status: state.status, failures: state.failures, calls: state.calls };
        self.ails = (ails != Ails::NONE).then(|| Box::new(ails));
        // A day or a count that does not fit was never true, and the largest one still forbids what it forbade.
        self.budget_day = i32::try_from(state.budget.day).unwrap_or(i32::MAX);
        self.budget_used = u32::try_from(state.budget.used.max(0)).unwrap_or(u32::MAX);
    }
}

/// A moment on the stopwatch, in microseconds: half the room of a [`Duration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl From<Duration> for Moment {
    fn from(shown: Duration) -> Self {
        Self(u64::try_from(shown.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        Self::from_micros(moment.0)
    }
}
