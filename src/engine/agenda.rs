//! Which account is due when, in memory and on the stopwatch. A few dozen bytes an account; it must never read a clock,
//! the database or a request.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use crate::domain::{id::AccountId, time::Time};

/// What a poll must know of its account without asking the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Fingerprint of the last listing that was recorded.
    pub listing_hash: Option<i64>,
    /// Since when its youngest waiting state stands.
    pub pace_from: Option<Time>,
    /// From when on an unchanged listing must be read.
    pub reread_at: Option<Time>,
    /// When a listing was last received.
    pub checked_at: Option<Time>,
    /// Polls in a row that failed.
    pub failures: u32,
    /// Whether `WeChat` suspended it: polls are slow probes then.
    pub is_suspended: bool,
    /// The Beijing day of the budget.
    pub budget_day: i64,
    /// `wxamplinkget` calls of that day.
    pub budget_used: i64,
}

/// Where an account is on its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for its time.
    Waiting,
    /// Its next poll is being written down ahead.
    Reserving,
    /// Written down, waits for its time and for a place.
    Reserved,
    /// Its poll is under way.
    Busy,
}

#[derive(Debug)]
struct Slot {
    account: AccountId,
    facts: Facts,
    /// On the stopwatch.
    due: Duration,
    /// When it is due after the poll that was reserved, if nothing changes.
    then: Duration,
    phase: Phase,
    /// Marks entries of the heaps that were overtaken.
    round: u64,
}

/// An entry of a heap: the earliest due first.
type Entry = Reverse<(Duration, i64, u64)>;

/// All accounts with something due.
#[derive(Debug, Default)]
pub struct Agenda {
    slots: HashMap<i64, Slot>,
    waiting: BinaryHeap<Entry>,
    reserved: BinaryHeap<Entry>,
    /// The last round given out. None is given twice: an entry that was overtaken never comes true again.
    last_round: u64,
}

/// How polls are written down together.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// How long before its time the first of a batch is written down.
    pub begin_ahead: Duration,
    /// As many as are written down before there is no hurry with more.
    pub enough: usize,
}

/// An account whose next poll is to be written down.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The row's number.
    pub id: i64,
    /// The account.
    pub account: &'a AccountId,
    /// What is known of it.
    pub facts: &'a mut Facts,
    /// When it is due after the poll, if nothing changes; on the stopwatch.
    pub then: &'a mut Duration,
}

/// An account whose poll is due and written down.
#[derive(Debug, PartialEq, Eq)]
pub struct Next {
    /// The row's number.
    pub id: i64,
    /// The account.
    pub account: AccountId,
    /// What is known of it.
    pub facts: Facts,
    /// How long its time has passed.
    pub late: Duration,
}

impl Agenda {
    /// How many accounts have something due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is due, ever.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Puts an account on the agenda, or moves it there. One whose poll is under way keeps its round.
    pub fn put(&mut self, id: i64, account: AccountId, facts: Facts, due: Duration) {
        if self.is_at_work(id) {
            return;
        }
        let round = next_round(&mut self.last_round);
        self.slots.insert(id, Slot { account, facts, due, then: due, phase: Phase::Waiting, round });
        self.waiting.push(Reverse((due, id, round)));
    }

    /// Whether an account must not be moved now, because it is being worked on.
    #[must_use]
    pub fn is_at_work(&self, id: i64) -> bool {
        self.slots.get(&id).is_some_and(|slot| matches!(slot.phase, Phase::Busy | Phase::Reserving))
    }

    /// Whether an account is here.
    #[must_use]
    pub fn holds(&self, id: i64) -> bool {
        self.slots.contains_key(&id)
    }

    /// Takes an account off the agenda; its name, when it was there.
    pub fn remove(&mut self, id: i64) -> Option<String> {
        self.slots.remove(&id).map(|slot| slot.account.into())
    }

    /// Takes accounts that are due by `horizon`, oldest first, at most `limit`, to have their polls written down.
    /// `prepare` sets when each is due afterwards; where it answers no, the account waits until then instead.
    pub fn reserve(
        &mut self,
        horizon: Duration,
        limit: usize,
        mut prepare: impl FnMut(Candidate<'_>) -> Prepared,
    ) -> Vec<i64> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(Reverse((due, id, round))) = self.waiting.peek().copied()
            && due <= horizon
        {
            self.waiting.pop();
            let slot = self.slots.get_mut(&id).filter(|slot| slot.round == round && slot.phase == Phase::Waiting);
            let Some(slot) = slot else { continue };
            match prepare(Candidate { id, account: &slot.account, facts: &mut slot.facts, then: &mut slot.then }) {
                Prepared::Poll => slot.phase = Phase::Reserving,
                Prepared::Wait => {
                    let then = slot.then;
                    wait(slot, &mut self.waiting, &mut self.last_round, id, then);
                }
            }
            taken.push(id);
        }
        taken
    }

    /// The polls of these accounts are written down.
    pub fn reserved(&mut self, ids: &[i64]) {
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.phase == Phase::Reserving) {
                slot.phase = Phase::Reserved;
                self.reserved.push(Reverse((slot.due, *id, slot.round)));
            }
        }
    }

    /// The polls of these accounts could not be written down: they are due again at `retry`.
    pub fn unreserved(&mut self, ids: &[i64], retry: Duration) {
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id).filter(|slot| slot.phase == Phase::Reserving) {
                slot.facts.budget_used = slot.facts.budget_used.saturating_sub(1);
                let due = slot.due.max(retry);
                wait(slot, &mut self.waiting, &mut self.last_round, *id, due);
            }
        }
    }

    /// The next account whose reserved poll is due at `now`.
    pub fn next(&mut self, now: Duration) -> Option<Next> {
        while let Some(Reverse((due, id, round))) = self.reserved.peek().copied()
            && due <= now
        {
            self.reserved.pop();
            if let Some(slot) =
                self.slots.get_mut(&id).filter(|slot| slot.round == round && slot.phase == Phase::Reserved)
            {
                slot.phase = Phase::Busy;
                let late = now.saturating_sub(due);
                return Some(Next { id, account: slot.account.clone(), facts: slot.facts.clone(), late });
            }
        }
        None
    }

    /// A poll is over: the account waits until `due`, or until the time that was reserved for it.
    pub fn back(&mut self, id: i64, facts: Facts, due: Option<Duration>) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.facts = facts;
            let due = due.unwrap_or(slot.then);
            wait(slot, &mut self.waiting, &mut self.last_round, id, due);
        }
    }

    /// From when on it is time to have more polls written down; `None` while enough of them are. One that is due before
    /// all that are written down never waits for a full batch.
    #[must_use]
    pub fn next_reserve(&self, batching: Batching) -> Option<Duration> {
        let Reverse((due, ..)) = self.waiting.peek()?;
        let is_urgent = self.reserved.peek().is_none_or(|Reverse((first, ..))| due < first);
        (is_urgent || self.reserved.len() < batching.enough).then(|| due.saturating_sub(batching.begin_ahead))
    }

    /// When something is next to be done, on the stopwatch: polls to be written down, or one to be made.
    #[must_use]
    pub fn next_due(&self, batching: Batching) -> Option<Duration> {
        let reserved = self.reserved.peek().map(|Reverse((due, ..))| *due);
        match (self.next_reserve(batching), reserved) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }
}

fn next_round(last: &mut u64) -> u64 {
    *last += 1;
    *last
}

fn wait(slot: &mut Slot, waiting: &mut BinaryHeap<Entry>, last_round: &mut u64, id: i64, due: Duration) {
    slot.phase = Phase::Waiting;
    slot.due = due;
    slot.round = next_round(last_round);
    waiting.push(Reverse((due, id, slot.round)));
}

/// What to do with an account that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// Poll it.
    Poll,
    /// Not before the time that was set.
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: i64) -> AccountId {
        format!("wx{id:016}").parse().unwrap()
    }

    fn facts() -> Facts {
        Facts {
            listing_hash: None,
            pace_from: None,
            reread_at: None,
            checked_at: None,
            failures: 0,
            is_suspended: false,
            budget_day: 0,
            budget_used: 0,
        }
    }

    const S: fn(u64) -> Duration = Duration::from_secs;
    const AT_ONCE: Batching = Batching { begin_ahead: Duration::ZERO, enough: 1 };

    fn agenda(dues: &[(i64, u64)]) -> Agenda {
        let mut agenda = Agenda::default();
        for (id, due) in dues {
            agenda.put(*id, account(*id), facts(), S(*due));
        }
        agenda
    }

    fn poll_all(agenda: &mut Agenda, now: u64) -> Vec<i64> {
        let taken = agenda.reserve(S(now), 10, |candidate| {
            *candidate.then = S(now + 100);
            Prepared::Poll
        });
        agenda.reserved(&taken);
        std::iter::from_fn(|| agenda.next(S(now)).map(|next| next.id)).collect()
    }

    #[test]
    fn the_oldest_goes_first_and_nobody_before_its_time() {
        let mut agenda = agenda(&[(1, 30), (2, 10), (3, 20), (4, 99)]);
        assert_eq!(poll_all(&mut agenda, 30), [2, 3, 1]);
        assert_eq!(agenda.next_due(AT_ONCE), Some(S(99)));
    }

    #[test]
    fn an_unchanged_account_comes_back_at_the_time_that_was_reserved() {
        let mut agenda = agenda(&[(1, 10)]);
        assert_eq!(poll_all(&mut agenda, 10), [1]);
        assert_eq!(agenda.next_due(AT_ONCE), None, "it is busy");
        agenda.back(1, facts(), None);
        assert_eq!(agenda.next_due(AT_ONCE), Some(S(110)));
    }

    #[test]
    fn an_account_that_was_moved_is_polled_once() {
        let mut agenda = agenda(&[(1, 50)]);
        agenda.put(1, account(1), facts(), S(10));
        assert_eq!(poll_all(&mut agenda, 60), [1]);
    }

    #[test]
    fn an_account_that_left_and_came_back_is_never_polled_twice_at_once() {
        let mut agenda = agenda(&[(1, 5)]);
        assert!(agenda.remove(1).is_some());
        agenda.put(1, account(1), facts(), S(0));
        assert_eq!(poll_all(&mut agenda, 0), [1]);
        assert_eq!(poll_all(&mut agenda, 7), [0_i64; 0], "the old entry is dead and the account is busy");
    }

    #[test]
    fn a_poll_that_could_not_be_written_down_is_not_made() {
        let mut agenda = agenda(&[(1, 10)]);
        let taken = agenda.reserve(S(10), 10, |_| Prepared::Poll);
        agenda.unreserved(&taken, S(15));
        assert_eq!(agenda.next(S(12)), None);
        assert_eq!(agenda.next_due(AT_ONCE), Some(S(15)));
    }

    #[test]
    fn polls_are_written_down_in_batches_but_an_urgent_one_at_once() {
        let mut agenda = agenda(&[(1, 10), (2, 20)]);
        let taken = agenda.reserve(S(15), 10, |_| Prepared::Poll);
        agenda.reserved(&taken);
        assert_eq!(agenda.next_reserve(AT_ONCE), None, "one is enough");
        agenda.put(3, account(3), facts(), S(5));
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(5)));
    }
}
