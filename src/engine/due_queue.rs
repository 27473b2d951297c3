//! Which account is due when, in memory and on the monotonic clock, in a few dozen bytes per account.

mod leaving;
mod slot;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

pub use self::leaving::Unmade;
use self::slot::{Moment, NEVER, Phase, Slot};
use crate::domain::{
    account::{AT_ONCE, AccountState},
    id::AccountId,
    pace::Class,
};

/// How far ahead of their time polls are written down, all of that span in one transaction.
pub(super) const AHEAD: Duration = Duration::from_secs(2);

/// An entry of a heap, slot and round behind its time: the earliest due first.
type Entry = Reverse<(Moment, u32, u32)>;

/// A heap for each class, in the order of [`Class::ALL`].
type Heaps = [BinaryHeap<Entry>; Class::ALL.len()];

/// All accounts with something due.
#[derive(Debug, Default)]
pub struct DueQueue {
    slots: Vec<Slot>,
    /// Slots without an account.
    vacant: Vec<u32>,
    /// The slot of every account.
    places: HashMap<i64, u32>,
    waiting: Heaps,
    reserved: Heaps,
    /// Of each class, those that are begun next: their polls are due and written down. By their rows, the first last.
    ready: [Vec<Ready>; Class::ALL.len()],
}

/// A row, its slot and the slot's round.
type Ready = (i64, u32, u32);

/// Of those that are due at about the same time, neighbours on disk go together: what is written of them lies on few pages.
/// Nobody goes before one that has been due for longer by more than this.
const TOGETHER: Duration = Duration::from_secs(1);

/// As many as go together at most: more of them are on other pages anyway.
const TOGETHER_MAX: usize = 256;

/// How polls are written down together.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// How long before its time the first of a batch is written down.
    pub begin_ahead: Duration,
    /// Of each class, as many as are written down before there is no hurry with more.
    pub enough: usize,
    /// Of each class, as many as one batch takes.
    pub most: usize,
}

/// An account whose next poll is to be written down.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// How it stands.
    pub state: &'a mut AccountState,
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
    /// How it stands.
    pub state: AccountState,
    /// How long its time has passed.
    pub late: Duration,
}

impl DueQueue {
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

    /// How every account stands.
    pub fn states(&self) -> impl Iterator<Item = AccountState> {
        self.slots.iter().filter(|slot| slot.phase != Phase::Gone).map(Slot::state)
    }

    /// Puts an account on the agenda, or moves it there. One whose poll is under way keeps its round.
    pub fn put(&mut self, account: AccountId, state: &AccountState, due: Duration, class: Class) {
        let id = state.row;
        if self.is_at_work(id) {
            return;
        }
        let place = self.place_for(id, account);
        if let Some(slot) = self.slots.get_mut(place as usize) {
            slot.keep(state);
            slot.class = class;
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
            read_at: NEVER,
            ails: None,
            budget_day: 0,
            budget_used: 0,
            round: 0,
            account,
            has_hash: false,
            asked: false,
            class: Class::Drift,
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

    /// How an account stands; of one whose poll is under way, how it stood before.
    #[must_use]
    pub fn state(&self, id: i64) -> Option<AccountState> {
        self.slot(id).map(Slot::state)
    }

    /// The name of an account.
    #[must_use]
    pub fn name(&self, id: i64) -> Option<&AccountId> {
        self.slot(id).map(|slot| &slot.account)
    }

    /// Takes an account off the agenda; its name, when it was there.
    pub fn remove(&mut self, id: i64) -> Option<String> {
        let place = self.places.remove(&id)?;
        let slot = self.slots.get_mut(place as usize)?;
        slot.phase = Phase::Gone;
        self.vacant.push(place);
        Some(slot.account.to_string())
    }

    /// Takes accounts that are due by `horizon`, of each class the oldest first, to have their polls written down.
    /// `prepare` sets when each is due afterwards; where it answers no, the account waits until then instead.
    pub fn reserve(
        &mut self,
        horizon: Duration,
        batching: Batching,
        mut prepare: impl FnMut(Candidate<'_>) -> Prepared,
    ) -> Vec<i64> {
        let (mut taken, horizon) = (Vec::new(), horizon.into());
        for class in Class::ALL {
            let first = taken.len();
            while taken.len() - first < batching.most
                && let Some(Reverse((due, place, round))) = self.waiting[class as usize].peek().copied()
                && due <= horizon
            {
                self.waiting[class as usize].pop();
                let slot = self.slots.get_mut(place as usize);
                let slot = slot.filter(|slot| slot.round == round && slot.phase == Phase::Waiting);
                let Some(slot) = slot else { continue };
                let (mut state, mut then) = (slot.state(), slot.then.into());
                let candidate =
                    Candidate { account: &slot.account, state: &mut state, due: due.into(), then: &mut then };
                let prepared = prepare(candidate);
                slot.keep(&state);
                slot.then = then.into();
                match prepared {
                    Prepared::Poll => slot.phase = Phase::Reserving,
                    Prepared::Wait => wait(slot, &mut self.waiting, place, then.into()),
                }
                taken.push(slot.id);
            }
        }
        taken
    }

    /// The polls of these accounts are written down.
    pub fn reserved(&mut self, ids: &[i64]) {
        for id in ids {
            if let Some((place, slot)) = self.slot_in(*id, Phase::Reserving) {
                slot.phase = Phase::Reserved;
                let (entry, class) = (Reverse((slot.due, place, slot.round)), slot.class);
                self.reserved[class as usize].push(entry);
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

    /// Whether an account of this class is due and written down.
    pub fn is_ready(&mut self, class: Class, now: Duration) -> bool {
        loop {
            let Some((_, place, round)) = self.ready[class as usize].last().copied() else {
                if self.gather(class, now) {
                    continue;
                }
                return false;
            };
            if self.is_reserved(place, round) {
                return true;
            }
            self.ready[class as usize].pop();
        }
    }

    /// Makes those ready that have been due for longest; answers whether there are any.
    fn gather(&mut self, class: Class, now: Duration) -> bool {
        let heap = &mut self.reserved[class as usize];
        let Some(Reverse((oldest, ..))) = heap.peek().copied() else { return false };
        let latest = now.min(Duration::from(oldest) + TOGETHER).into();
        let ready = &mut self.ready[class as usize];
        while ready.len() < TOGETHER_MAX
            && let Some(Reverse((due, place, round))) = heap.peek().copied()
            && due <= latest
        {
            heap.pop();
            ready.extend(self.slots.get(place as usize).map(|slot| (slot.id, place, round)));
        }
        ready.sort_unstable_by(|one, other| other.cmp(one));
        !ready.is_empty()
    }

    fn is_reserved(&self, place: u32, round: u32) -> bool {
        self.slots.get(place as usize).is_some_and(|slot| slot.round == round && slot.phase == Phase::Reserved)
    }

    /// The next account of this class whose reserved poll is due at `now`.
    pub fn next(&mut self, class: Class, now: Duration) -> Option<Next> {
        if !self.is_ready(class, now) {
            return None;
        }
        let (_, place, _) = self.ready[class as usize].pop()?;
        let slot = self.slots.get_mut(place as usize)?;
        slot.phase = Phase::Busy;
        let late = now.saturating_sub(slot.due.into());
        Some(Next { id: slot.id, account: slot.account.clone(), state: slot.state(), late })
    }

    /// A poll is over: the account waits until `due`, or until the time that was reserved for it.
    pub fn back(&mut self, id: i64, state: &AccountState, due: Option<Duration>, class: Class) {
        if let Some(place) = self.places.get(&id).copied()
            && let Some(slot) = self.slots.get_mut(place as usize)
        {
            slot.keep(state);
            slot.class = class;
            let due = due.map_or(slot.then, Moment::from);
            wait(slot, &mut self.waiting, place, due);
        }
    }

    /// Goes by another policy: `wait_of` says how long an account should wait from `now` on; nothing where it waits for
    /// something else. Nobody waits longer than before, and every list is read again.
    pub fn heed(&mut self, now: Duration, wait_of: impl Fn(&AccountState) -> Option<Duration>) {
        for (place, slot) in (0..).zip(&mut self.slots) {
            let wait_for = wait_of(&slot.state());
            if slot.pace_from != NEVER {
                slot.reread_at = AT_ONCE.ms();
            }
            let Some(due) = wait_for.map(|wait_for| Moment::from(now + wait_for)) else { continue };
            match slot.phase {
                Phase::Waiting if due < slot.due => wait(slot, &mut self.waiting, place, due),
                // It is polled in a moment, and waits anew from then on.
                Phase::Reserving | Phase::Reserved | Phase::Busy => slot.then = slot.then.min(due),
                Phase::Waiting | Phase::Gone => {}
            }
        }
    }

    /// From when on it is time to have more polls written down; `None` while enough of them are. One that is due before
    /// all of its class that are written down never waits for a full batch.
    #[must_use]
    pub fn next_reserve(&self, batching: Batching) -> Option<Duration> {
        let of_class = |class: usize| {
            let (reserved, ready) = (&self.reserved[class], &self.ready[class]);
            let Reverse((due, ..)) = *self.waiting[class].peek()?;
            let is_urgent = ready.is_empty() && reserved.peek().is_none_or(|Reverse((first, ..))| due < *first);
            (is_urgent || reserved.len() + ready.len() < batching.enough)
                .then(|| Duration::from(due).saturating_sub(batching.begin_ahead))
        };
        (0..self.waiting.len()).filter_map(of_class).min()
    }

    /// When a poll that is written down is next due, on the stopwatch.
    #[must_use]
    pub fn next_ready(&self) -> Option<Duration> {
        let reserved = self.reserved.iter().filter_map(BinaryHeap::peek).map(|Reverse((due, ..))| *due);
        let ready = self.ready.iter().filter_map(|ready| self.slots.get(ready.last()?.1 as usize)).map(|slot| slot.due);
        reserved.chain(ready).map(Duration::from).min()
    }
}

/// The slot's account waits until `due`, and whatever its heap entries said before no longer holds.
fn wait(slot: &mut Slot, waiting: &mut Heaps, place: u32, due: Moment) {
    slot.phase = Phase::Waiting;
    slot.due = due;
    slot.round = slot.round.wrapping_add(1);
    waiting[slot.class as usize].push(Reverse((due, place, slot.round)));
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
    use crate::domain::{
        account::{Budget, Calls, Status, SuspendedBy},
        time::Time,
    };

    fn account(id: i64) -> AccountId {
        format!("wx{id:016}").parse().unwrap()
    }

    const fn state(row: i64) -> AccountState {
        AccountState::new(row)
    }

    const S: fn(u64) -> Duration = Duration::from_secs;
    const AT_ONCE: Batching = Batching { begin_ahead: Duration::ZERO, enough: 1, most: 10 };

    fn agenda(dues: &[(i64, u64)]) -> DueQueue {
        let mut agenda = DueQueue::default();
        for (id, due) in dues {
            agenda.put(account(*id), &state(*id), S(*due), Class::Old);
        }
        agenda
    }

    fn poll_all(agenda: &mut DueQueue, now: u64) -> Vec<i64> {
        let taken = agenda.reserve(S(now), AT_ONCE, |candidate| {
            *candidate.then = S(now + 100);
            Prepared::Poll
        });
        agenda.reserved(&taken);
        std::iter::from_fn(|| agenda.next(Class::Old, S(now)).map(|next| next.id)).collect()
    }

    #[test]
    fn shorter_intervals_hasten_whoever_waits_longer_and_nobody_waits_longer_for_them() {
        let mut agenda = DueQueue::default();
        for (id, due) in [(1, 500), (2, 50), (3, 900)] {
            let waits = AccountState { pace_from: Some(Time::from_ms(1)), ..state(id) };
            agenda.put(account(id), &waits, S(due), Class::Old);
        }
        // The third waits for something else than an interval.
        agenda.heed(S(10), |state| (state.row != 3).then_some(S(90)));
        assert_eq!(poll_all(&mut agenda, 99), [2]);
        assert_eq!(poll_all(&mut agenda, 100), [1]);
        assert!(poll_all(&mut agenda, 899).is_empty());
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(900)));
        assert!(
            [1, 2, 3].iter().all(|id| agenda.state(*id).unwrap().reread_at == Some(crate::domain::account::AT_ONCE))
        );
    }

    #[test]
    fn the_oldest_goes_first_and_nobody_before_its_time() {
        let mut agenda = agenda(&[(1, 30), (2, 10), (3, 20), (4, 99)]);
        assert_eq!(poll_all(&mut agenda, 30), [2, 3, 1]);
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(99)));
    }

    #[test]
    fn an_unchanged_account_comes_back_at_the_time_that_was_reserved() {
        let mut agenda = agenda(&[(1, 10)]);
        assert_eq!(poll_all(&mut agenda, 10), [1]);
        assert_eq!(agenda.next_reserve(AT_ONCE), None, "it is busy");
        agenda.back(1, &state(1), None, Class::Old);
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(110)));
    }

    #[test]
    fn an_account_that_was_moved_is_polled_once() {
        let mut agenda = agenda(&[(1, 50)]);
        agenda.put(account(1), &state(1), S(10), Class::Old);
        assert_eq!(poll_all(&mut agenda, 60), [1]);
    }

    #[test]
    fn an_account_that_left_and_came_back_is_never_polled_twice_at_once() {
        let mut agenda = agenda(&[(1, 5)]);
        assert!(agenda.remove(1).is_some());
        agenda.put(account(1), &state(1), S(0), Class::Old);
        assert_eq!(poll_all(&mut agenda, 0), [1]);
        assert_eq!(poll_all(&mut agenda, 7), [0_i64; 0], "the old entry is dead and the account is busy");
    }

    #[test]
    fn an_entry_of_an_account_that_left_is_not_taken_for_the_next_one_in_its_place() {
        let mut agenda = agenda(&[(1, 5)]);
        agenda.remove(1);
        agenda.put(account(2), &state(2), S(50), Class::Old);
        assert_eq!((agenda.slots.len(), agenda.len()), (1, 1), "the place is used again");
        assert_eq!(poll_all(&mut agenda, 10), [0_i64; 0]);
        assert_eq!(poll_all(&mut agenda, 50), [2]);
    }

    #[test]
    fn nothing_that_is_known_of_an_account_is_lost_by_packing_it() {
        let time = |ms| Some(Time::from_ms(ms));
        let full = AccountState {
            row: i64::MAX,
            status: Status::Suspended(SuspendedBy::Wechat),
            failures: u32::MAX,
            calls: Calls { refused: 3, since: time(5), after: time(7) },
            due: None,
            asked: true,
            listing_hash: Some(-1),
            pace_from: time(0),
            reread_at: time(1_795_000_000_000),
            read_at: time(-1),
            budget: Budget { day: 20_779, used: 500 },
        };
        for known in [full.clone(), state(7), AccountState { listing_hash: Some(0), ..state(8) }] {
            let mut agenda = DueQueue::default();
            agenda.put(account(1), &known, S(10), Class::Old);
            assert_eq!(agenda.state(known.row), Some(known));
        }
        let mut agenda = DueQueue::default();
        agenda.put(account(1), &AccountState { budget: Budget { day: 0, used: i64::MAX }, ..full }, S(10), Class::Old);
        assert_eq!(agenda.state(i64::MAX).unwrap().budget.used, i64::from(u32::MAX), "still more than any budget");
    }

    #[test]
    fn a_class_is_never_behind_another_one() {
        let mut agenda = DueQueue::default();
        for id in 1..=50 {
            agenda.put(account(id), &state(id), S(1), Class::Young);
        }
        agenda.put(account(99), &state(99), S(9), Class::Asked);
        let taken = agenda.reserve(S(10), AT_ONCE, |_| Prepared::Poll);
        agenda.reserved(&taken);
        assert_eq!(agenda.next(Class::Asked, S(10)).map(|next| next.id), Some(99));
        assert!(agenda.is_ready(Class::Young, S(10)) && !agenda.is_ready(Class::Old, S(10)));
    }

    #[test]
    fn polls_that_will_not_be_made_are_given_back() {
        let mut agenda = DueQueue::default();
        agenda.put(account(1), &state(1), S(10), Class::Old);
        let taken = agenda.reserve(S(10), AT_ONCE, |candidate| {
            candidate.state.budget = candidate.state.budget.taken();
            *candidate.then = S(99);
            Prepared::Poll
        });
        agenda.reserved(&taken);
        assert_eq!(agenda.unmade(|_| true), [Unmade { state: state(1), due: S(10) }]);
        assert_eq!(agenda.unmade(|_| true), []);
    }

    #[test]
    fn an_account_takes_a_few_dozen_bytes() {
        assert!(size_of::<Slot>() <= 104, "{}", size_of::<Slot>());
        assert!(size_of::<Entry>() <= 16, "{}", size_of::<Entry>());
    }

    #[test]
    fn a_poll_that_could_not_be_written_down_is_not_made() {
        let mut agenda = agenda(&[(1, 10)]);
        let taken = agenda.reserve(S(10), AT_ONCE, |_| Prepared::Poll);
        agenda.unreserved(&taken, S(15));
        assert_eq!(agenda.next(Class::Old, S(12)), None);
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(15)));
    }

    #[test]
    fn polls_are_written_down_in_batches_but_an_urgent_one_at_once() {
        let mut agenda = agenda(&[(1, 10), (2, 20)]);
        let taken = agenda.reserve(S(15), AT_ONCE, |_| Prepared::Poll);
        agenda.reserved(&taken);
        assert_eq!(agenda.next_reserve(AT_ONCE), None, "one is enough");
        agenda.put(account(3), &state(3), S(5), Class::Old);
        assert_eq!(agenda.next_reserve(AT_ONCE), Some(S(5)));
    }
}
