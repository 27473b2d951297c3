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
    /// The row's number: neighbours are polled together.
    pub row: i64,
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

/// An account, packed: [`Facts`] without the room that its absences take.
#[derive(Debug)]
struct Slot {
    id: i64,
    due: Moment,
    /// When it is due after the poll that was reserved, if nothing changes.
    then: Moment,
    /// Means nothing unless `has_hash`.
    listing_hash: i64,
    pace_from: i64,
    reread_at: i64,
    checked_at: i64,
    failures: u32,
    budget_day: i32,
    budget_used: u32,
    /// Marks entries of the heaps that were overtaken. It outlives the account, so that nothing said of the last one in
    /// this slot is taken for the next one's.
    round: u32,
    account: AccountId,
    has_hash: bool,
    is_suspended: bool,
    phase: Phase,
}

/// A time of the calendar that is not there.
const NEVER: i64 = i64::MIN;

impl Slot {
    fn facts(&self) -> Facts {
        let time = |ms| (ms != NEVER).then(|| Time::from_ms(ms));
        Facts {
            row: self.id,
            listing_hash: self.has_hash.then_some(self.listing_hash),
            pace_from: time(self.pace_from),
            reread_at: time(self.reread_at),
            checked_at: time(self.checked_at),
            failures: self.failures,
            is_suspended: self.is_suspended,
            budget_day: self.budget_day.into(),
            budget_used: self.budget_used.into(),
        }
    }

    fn keep(&mut self, facts: &Facts) {
        let ms = |time: Option<Time>| time.map_or(NEVER, Time::ms);
        (self.has_hash, self.listing_hash) = (facts.listing_hash.is_some(), facts.listing_hash.unwrap_or_default());
        (self.pace_from, self.reread_at) = (ms(facts.pace_from), ms(facts.reread_at));
        self.checked_at = ms(facts.checked_at);
        (self.failures, self.is_suspended) = (facts.failures, facts.is_suspended);
        // A day or a count that does not fit was never true, and the largest one still forbids what it forbade.
        self.budget_day = i32::try_from(facts.budget_day).unwrap_or(i32::MAX);
        self.budget_used = u32::try_from(facts.budget_used.max(0)).unwrap_or(u32::MAX);
    }
}

/// A moment on the stopwatch, in microseconds: half the room of a [`Duration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

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

/// An entry of a heap, slot and round behind its time: the earliest due first.
type Entry = Reverse<(Moment, u32, u32)>;

/// All accounts with something due.
#[derive(Debug, Default)]
pub struct Agenda {
    slots: Vec<Slot>,
    /// Slots without an account.
    vacant: Vec<u32>,
    /// The slot of every account.
    places: HashMap<i64, u32>,
    waiting: BinaryHeap<Entry>,
    reserved: BinaryHeap<Entry>,
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
    /// The account.
    pub account: &'a AccountId,
    /// What is known of it.
    pub facts: &'a mut Facts,
    /// When that poll is due, on the stopwatch.
    pub due: Duration,
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
        self.places.len()
    }

    /// Whether nothing is due, ever.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts an account on the agenda, or moves it there. One whose poll is under way keeps its round.
    pub fn put(&mut self, account: AccountId, facts: &Facts, due: Duration) {
        let id = facts.row;
        if self.is_at_work(id) {
            return;
        }
        let place = self.place_for(id, account);
        if let Some(slot) = self.slots.get_mut(place as usize) {
            slot.keep(facts);
            wait(slot, &mut self.waiting, place, due.into());
        }
    }

    /// The slot that the account has, or gets.
    fn place_for(&mut self, id: i64, account: AccountId) -> u32 {
        if let Some(place) = self.places.get(&id) {
            return *place;
        }
        let mut slot = Slot {
            id,
            due: Moment(0),
            then: Moment(0),
            listing_hash: 0,
            pace_from: NEVER,
            reread_at: NEVER,
            checked_at: NEVER,
            failures: 0,
            budget_day: 0,
            budget_used: 0,
            round: 0,
            account,
            has_hash: false,
            is_suspended: false,
            phase: Phase::Gone,
        };
        let place = if let Some(place) = self.vacant.pop() {
            if let Some(left) = self.slots.get_mut(place as usize) {
                slot.round = left.round;
                *left = slot;
            }
            place
        } else {
            self.slots.push(slot);
            // Four thousand million accounts do not fit into any memory.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.places.insert(id, place);
        place
    }

    fn slot(&self, id: i64) -> Option<&Slot> {
        self.slots.get(*self.places.get(&id)? as usize)
    }

    fn slot_in(&mut self, id: i64, phase: Phase) -> Option<(u32, &mut Slot)> {
        let place = *self.places.get(&id)?;
        self.slots.get_mut(place as usize).filter(|slot| slot.phase == phase).map(|slot| (place, slot))
    }

    /// Whether an account must not be moved now, because it is being worked on.
    #[must_use]
    pub fn is_at_work(&self, id: i64) -> bool {
        self.slot(id).is_some_and(|slot| matches!(slot.phase, Phase::Busy | Phase::Reserving))
    }

    /// Whether an account is here.
    #[must_use]
    pub fn holds(&self, id: i64) -> bool {
        self.places.contains_key(&id)
    }

    /// What is known of an account; of one whose poll is under way, what was known before.
    #[must_use]
    pub fn facts(&self, id: i64) -> Option<Facts> {
        self.slot(id).map(Slot::facts)
    }

    /// Takes an account off the agenda; its name, when it was there.
    pub fn remove(&mut self, id: i64) -> Option<String> {
        let place = self.places.remove(&id)?;
        let slot = self.slots.get_mut(place as usize)?;
        slot.phase = Phase::Gone;
        self.vacant.push(place);
        Some(slot.account.to_string())
    }

    /// Takes accounts that are due by `horizon`, oldest first, at most `limit`, to have their polls written down.
    /// `prepare` sets when each is due afterwards; where it answers no, the account waits until then instead.
    pub fn reserve(
        &mut self,
        horizon: Duration,
        limit: usize,
        mut prepare: impl FnMut(Candidate<'_>) -> Prepared,
    ) -> Vec<i64> {
        let (mut taken, horizon) = (Vec::new(), horizon.into());
        while taken.len() < limit
            && let Some(Reverse((due, place, round))) = self.waiting.peek().copied()
            && due <= horizon
        {
            self.waiting.pop();
            let slot = self.slots.get_mut(place as usize);
            let slot = slot.filter(|slot| slot.round == round && slot.phase == Phase::Waiting);
            let Some(slot) = slot else { continue };
            let (mut facts, mut then) = (slot.facts(), slot.then.into());
            let candidate = Candidate { account: &slot.account, facts: &mut facts, due: due.into(), then: &mut then };
            let prepared = prepare(candidate);
            slot.keep(&facts);
            slot.then = then.into();
            match prepared {
                Prepared::Poll => slot.phase = Phase::Reserving,
                Prepared::Wait => wait(slot, &mut self.waiting, place, then.into()),
            }
            taken.push(slot.id);
        }
        taken
    }

    /// The polls of these accounts are written down.
    pub fn reserved(&mut self, ids: &[i64]) {
        for id in ids {
            if let Some((place, slot)) = self.slot_in(*id, Phase::Reserving) {
                slot.phase = Phase::Reserved;
                let entry = Reverse((slot.due, place, slot.round));
                self.reserved.push(entry);
            }
        }
    }

    /// The polls of these accounts could not be written down: they are due again at `retry`.
    pub fn unreserved(&mut self, ids: &[i64], retry: Duration) {
        for id in ids {
            if let Some((place, _)) = self.slot_in(*id, Phase::Reserving)
                && let Some(slot) = self.slots.get_mut(place as usize)
            {
                slot.budget_used = slot.budget_used.saturating_sub(1);
                let due = slot.due.max(retry.into());
                wait(slot, &mut self.waiting, place, due);
            }
        }
    }

    /// The next account whose reserved poll is due at `now`.
    pub fn next(&mut self, now: Duration) -> Option<Next> {
        while let Some(Reverse((due, place, round))) = self.reserved.peek().copied()
            && due <= now.into()
        {
            self.reserved.pop();
            let slot = self.slots.get_mut(place as usize);
            if let Some(slot) = slot.filter(|slot| slot.round == round && slot.phase == Phase::Reserved) {
                slot.phase = Phase::Busy;
                let late = now.saturating_sub(due.into());
                return Some(Next { id: slot.id, account: slot.account.clone(), facts: slot.facts(), late });
            }
        }
        None
    }

    /// A poll is over: the account waits until `due`, or until the time that was reserved for it.
    pub fn back(&mut self, id: i64, facts: &Facts, due: Option<Duration>) {
        if let Some(place) = self.places.get(&id).copied()
            && let Some(slot) = self.slots.get_mut(place as usize)
        {
            slot.keep(facts);
            let due = due.map_or(slot.then, Moment::from);
            wait(slot, &mut self.waiting, place, due);
        }
    }

    /// From when on it is time to have more polls written down; `None` while enough of them are. One that is due before
    /// all that are written down never waits for a full batch.
    #[must_use]
    pub fn next_reserve(&self, batching: Batching) -> Option<Duration> {
        let Reverse((due, ..)) = *self.waiting.peek()?;
        let is_urgent = self.reserved.peek().is_none_or(|Reverse((first, ..))| due < *first);
        (is_urgent || self.reserved.len() < batching.enough)
            .then(|| Duration::from(due).saturating_sub(batching.begin_ahead))
    }

    /// When something is next to be done, on the stopwatch: polls to be written down, or one to be made.
    #[must_use]
    pub fn next_due(&self, batching: Batching) -> Option<Duration> {
        let reserved = self.reserved.peek().map(|Reverse((due, ..))| Duration::from(*due));
        match (self.next_reserve(batching), reserved) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }
}

/// The slot's account waits until `due`, and whatever its heap entries said before no longer holds.
fn wait(slot: &mut Slot, waiting: &mut BinaryHeap<Entry>, place: u32, due: Moment) {
    slot.phase = Phase::Waiting;
    slot.due = due;
    slot.round = slot.round.wrapping_add(1);
    waiting.push(Reverse((due, place, slot.round)));
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

    fn facts(row: i64) -> Facts {
        Facts {
            row,
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
            agenda.put(account(*id), &facts(*id), S(*due));
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
        agenda.back(1, &facts(1), None);
        assert_eq!(agenda.next_due(AT_ONCE), Some(S(110)));
    }

    #[test]
    fn an_account_that_was_moved_is_polled_once() {
        let mut agenda = agenda(&[(1, 50)]);
        agenda.put(account(1), &facts(1), S(10));
        assert_eq!(poll_all(&mut agenda, 60), [1]);
    }

    #[test]
    fn an_account_that_left_and_came_back_is_never_polled_twice_at_once() {
        let mut agenda = agenda(&[(1, 5)]);
        assert!(agenda.remove(1).is_some());
        agenda.put(account(1), &facts(1), S(0));
        assert_eq!(poll_all(&mut agenda, 0), [1]);
        assert_eq!(poll_all(&mut agenda, 7), [0_i64; 0], "the old entry is dead and the account is busy");
    }

    #[test]
    fn an_entry_of_an_account_that_left_is_not_taken_for_the_next_one_in_its_place() {
        let mut agenda = agenda(&[(1, 5)]);
        agenda.remove(1);
        agenda.put(account(2), &facts(2), S(50));
        assert_eq!((agenda.slots.len(), agenda.len()), (1, 1), "the place is used again");
        assert_eq!(poll_all(&mut agenda, 10), [0_i64; 0]);
        assert_eq!(poll_all(&mut agenda, 50), [2]);
    }

    #[test]
    fn nothing_that_is_known_of_an_account_is_lost_by_packing_it() {
        let time = |ms| Some(Time::from_ms(ms));
        let full = Facts {
            row: i64::MAX,
            listing_hash: Some(-1),
            pace_from: time(0),
            reread_at: time(1_795_000_000_000),
            checked_at: time(-1),
            failures: u32::MAX,
            is_suspended: true,
            budget_day: 20_779,
            budget_used: 500,
        };
        for known in [full.clone(), facts(7), Facts { listing_hash: Some(0), ..facts(8) }] {
            let mut agenda = Agenda::default();
            agenda.put(account(1), &known, S(10));
            assert_eq!(agenda.facts(known.row), Some(known));
        }
        let mut agenda = Agenda::default();
        agenda.put(account(1), &Facts { budget_used: i64::MAX, ..full }, S(10));
        assert_eq!(agenda.facts(i64::MAX).unwrap().budget_used, i64::from(u32::MAX), "still more than any budget");
    }

    #[test]
    fn an_account_takes_a_few_dozen_bytes() {
        assert!(size_of::<Slot>() <= 96, "{}", size_of::<Slot>());
        assert!(size_of::<Entry>() <= 16, "{}", size_of::<Entry>());
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
        agenda.put(account(3), &facts(3), S(5));
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(5)));
    }
}
