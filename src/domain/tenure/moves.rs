//! What a beat writes: who is fenced, which leases change hands, which share of the calls is whose. Pure: rows in, rows
//! out. The rows must be read and written in one transaction, and no two beats may be in theirs at once: shares that two
//! nodes count at the same moment would sum up to more than there is.

use super::{
    lease::{Lease, Leases, SHARDS},
    member::{Ahead, Calls, Holders, Incarnation, Member},
};
use crate::domain::time::Time;

/// So many shards a node above its part hands back at one beat: whoever takes one reads all of its accounts.
const HAND_BACK_MAX: u32 = 4;

/// The rows, and what the node knows that reads them.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The database's clock as this beat was written.
    pub now: Time,
    /// By how much our calendar is ahead of it, from this very answer.
    pub ahead: Ahead,
    /// Every node, this one included.
    pub members: &'a [Member],
    /// In whose name the leases are.
    pub holders: &'a Holders,
    /// What our configuration allows all nodes together.
    pub limits: Calls,
    /// Leases under which something is under way here: a look, a call, a write; and for [`MARGIN`](super::terms::MARGIN)
    /// those of a call that was given up when trust ended, since it may have left.
    pub busy: Leases,
}

/// What a node writes at its beat, and becomes when that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    /// Free leases that it takes: those that nobody holds, or somebody who is fenced.
    pub take: Leases,
    /// Leases that it gives away, all of them idle here.
    pub hand_back: Leases,
    /// Leases that it will give away: nothing more is begun under them.
    pub closing: Leases,
    /// All that are in its name afterwards.
    pub held: Leases,
    /// Its share of the calls afterwards.
    pub share: Calls,
}

impl View<'_> {
    /// Silent nodes, other than `me`.
    pub(super) fn silent(&self, me: Incarnation) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.id != me && !member.is_fenced && member.is_silent(self.now))
    }

    /// Earlier starts of the daemon that is `me`. Whoever holds the lock of its name knows that they have ended, and need
    /// not wait until they are silent.
    #[must_use]
    pub fn predecessors(&self, me: Incarnation) -> Vec<Incarnation> {
        let Some(name) = self.member(me).map(|member| member.name.as_str()) else { return Vec::new() };
        let others = self.members.iter().filter(|member| member.id != me && !member.is_fenced);
        others.filter(|member| member.name == name).map(|member| member.id).collect()
    }

    fn member(&self, id: Incarnation) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// What the others' rows say, and of `me` what this beat has found.
    fn works(&self, member: &Member, me: Incarnation) -> bool {
        if member.id == me {
            !member.is_fenced && !member.is_draining && !self.ahead.differs()
        } else {
            member.works(self.now)
        }
    }

    /// Everybody who is to have leases, the oldest first. More than there may be calls under way would leave somebody
    /// with accounts and without a call.
    fn workers(&self, limits: Calls, me: Incarnation) -> Vec<Incarnation> {
        let working = self.members.iter().filter(|member| self.works(member, me));
        let mut workers: Vec<Incarnation> = working.map(|member| member.id).collect();
        workers.sort_unstable();
        workers.truncate(usize::try_from(limits.in_flight.max(1)).unwrap_or(usize::MAX));
        workers
    }

    /// What all nodes may call together: where their configurations differ, what every one of them allows.
    fn limits(&self, me: Incarnation) -> Calls {
        let others = self.members.iter().filter(|member| member.id != me);
        let living = others.filter(|member| !member.is_fenced && !member.is_silent(self.now));
        living.fold(self.limits, |least, member| least.least(member.limits))
    }

    /// What the others may call at this moment: whoever is not fenced may still do it, silent or not.
    fn others_share(&self, me: Incarnation) -> Calls {
        let others = self.members.iter().filter(|member| member.id != me && !member.is_fenced);
        others.fold(Calls::default(), |sum, member| sum.plus(member.share))
    }
}

impl Moves {
    /// What `me` does, once everybody is fenced who could be.
    #[must_use]
    pub(super) fn of(me: Incarnation, view: &View<'_>) -> Self {
        let limits = view.limits(me);
        let workers = view.workers(limits, me);
        let place = workers.iter().position(|worker| *worker == me);
        let mine = view.holders.of(me);
        let part = u32::from(SHARDS).div_ceil(count(workers.len()).max(1));

        let closing = match place {
            Some(_) => above(mine, part, view.busy),
            None => mine,
        };
        let hand_back = closing.without(view.busy);
        let take = match place {
            Some(_) => below(mine, part, free(view)),
            None => Leases::NONE,
        };
        let held = mine.without(hand_back).and(take);
        let wanted = match place {
            Some(place) => limits.part(u64::from(count(place)), u64::from(count(workers.len()))),
            // Until the last of it is drained.
            None if !held.is_empty() => view.member(me).map(|member| member.share.least(limits)).unwrap_or_default(),
            None => Calls::default(),
        };
        let share = wanted.least(limits.beside(view.others_share(me)));
        Self { take, hand_back, closing: closing.without(hand_back), held, share }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// Leases that nobody holds who could still write.
fn free(view: &View<'_>) -> Leases {
    let stands = |id| view.member(id).is_some_and(|member| !member.is_fenced);
    Leases::ALL.without(view.holders.of_any(stands))
}

/// The shards to give away of one that has more than its part: idle ones before those that must be drained first.
fn above(mine: Leases, part: u32, busy: Leases) -> Leases {
    let over = mine.shards().saturating_sub(part).min(HAND_BACK_MAX);
    let last_first = |some: Leases| some.spread().rev().collect::<Vec<Lease>>();
    let accounts = mine.accounts();
    let candidates = last_first(accounts.without(busy)).into_iter().chain(last_first(accounts.common(busy)));
    candidates.take(usize::try_from(over).unwrap_or(usize::MAX)).collect()
}

/// The free leases to take: shards up to the part, and every duty.
fn below(mine: Leases, part: u32, free: Leases) -> Leases {
    let room = part.saturating_sub(mine.shards());
    let shards: Leases = free.spread().take(usize::try_from(room).unwrap_or(usize::MAX)).collect();
    shards.and(free.duties())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::tenure::lease::Shard;

    const NOW: Time = Time::from_ms(1_800_000_000_000);
    const LIMITS: Calls = Calls { per_second_milli: 1_000, in_flight: 64 };

    fn id(number: u128) -> Incarnation {
        Incarnation(Uuid::from_u128(number))
    }

    /// Rows that beats read and write, one after the other.
    struct Rows {
        members: Vec<Member>,
        holders: BTreeMap<Lease, Incarnation>,
        limits: Calls,
        busy: Leases,
    }

    impl Rows {
        fn of(nodes: u128, limits: Calls) -> Self {
            let mut rows = Self { members: Vec::new(), holders: BTreeMap::new(), limits, busy: Leases::NONE };
            (1..=nodes).for_each(|number| rows.join(number));
            rows
        }

        fn join(&mut self, number: u128) {
            let (limits, share, ahead) = (self.limits, Calls::default(), Ahead(0));
            let (is_fenced, is_draining, until) = (false, false, NOW + Duration::from_secs(15));
            let name = number.to_string();
            self.members.push(Member { id: id(number), name, is_fenced, is_draining, until, ahead, limits, share });
        }

        fn member(&mut self, number: u128) -> &mut Member {
            self.members.iter_mut().find(|member| member.id == id(number)).expect("it has joined")
        }

        fn beat(&mut self, number: u128) -> Moves {
            let me = id(number);
            let holders = self.holders.iter().map(|(lease, holder)| (*lease, *holder)).collect();
            let Member { ahead, limits, .. } = *self.member(number);
            let (members, busy) = (&self.members[..], self.busy);
            let moves = Moves::of(me, &View { now: NOW, ahead, members, holders: &holders, limits, busy });
            for lease in moves.hand_back.iter() {
                self.holders.remove(&lease);
            }
            for lease in moves.take.iter() {
                self.holders.insert(lease, me);
            }
            self.member(number).share = moves.share;
            moves
        }

        /// Everybody beats until nothing changes any more.
        fn settle(&mut self) {
            let everybody: Vec<u128> = self.members.iter().map(|member| member.id.0.as_u128()).collect();
            for number in everybody.into_iter().cycle().take(40) {
                self.beat(number);
            }
        }

        fn shards(&self, number: u128) -> u32 {
            self.holders
                .iter()
                .filter(|(_, holder)| **holder == id(number))
                .map(|(lease, _)| *lease)
                .collect::<Leases>()
                .shards()
        }
    }

    #[test]
    fn one_alone_takes_everything_and_a_second_one_has_half_of_it_in_eight_beats() {
        let mut rows = Rows::of(1, LIMITS);
        assert_eq!(rows.beat(1).held, Leases::ALL);
        rows.join(2);
        for beat in 1..=8 {
            assert_eq!(rows.beat(1).hand_back.shards(), 4, "beat {beat}");
            assert_eq!(rows.beat(2).take.shards(), 4, "beat {beat}");
        }
        assert_eq!((rows.beat(1).hand_back, rows.beat(2).take), (Leases::NONE, Leases::NONE));
        let duties = |moves: Moves| moves.held.duties();
        assert_eq!((duties(rows.beat(1)), duties(rows.beat(2))), (Leases::ALL.duties(), Leases::NONE));
    }

    #[test]
    fn few_accounts_spread_over_two_nodes_whichever_came_first() {
        let mut rows = Rows::of(2, LIMITS);
        rows.settle();
        for accounts in [4_i64, 10, 200, 1_000] {
            let of_one = (1..=accounts).filter(|row| rows.holders[&Lease::Accounts(Shard::of_row(*row))] == id(1));
            let part = of_one.count() * 100 / usize::try_from(accounts).unwrap();
            assert!((40..=60).contains(&part), "{part} % of {accounts}");
        }
    }

    #[test]
    fn what_is_busy_is_closed_and_handed_back_once_it_is_idle() {
        let mut rows = Rows::of(1, LIMITS);
        rows.beat(1);
        rows.join(2);
        rows.busy = Leases::ALL;
        let moves = rows.beat(1);
        assert_eq!((moves.hand_back, moves.closing.shards()), (Leases::NONE, 4));
        rows.busy = Leases::ALL.without(moves.closing);
        assert_eq!(rows.beat(1).hand_back, moves.closing);
        // Idle ones go first.
        rows.busy = Leases::ALL.without(["accounts/02"].into_iter().flat_map(str::parse).collect());
        let moves = rows.beat(1);
        assert_eq!((format!("{:?}", moves.hand_back), moves.closing.shards()), (r#"{"accounts/02"}"#.to_owned(), 3));
    }

    #[test]
    fn who_is_drained_gives_everything_at_once_and_takes_it_back_when_it_resumes() {
        let mut rows = Rows::of(2, LIMITS);
        rows.settle();
        rows.member(1).is_draining = true;
        rows.busy = ["accounts/00", "house"].into_iter().flat_map(str::parse).collect();
        let moves = rows.beat(1);
        assert_eq!((moves.held, moves.closing), (rows.busy, rows.busy));
        assert_eq!(moves.share.per_second_milli, 500, "what is under way is finished");
        rows.beat(2);
        rows.busy = Leases::NONE;
        let moves = rows.beat(1);
        assert_eq!((moves.held, moves.share), (Leases::NONE, Calls::default()));
        assert_eq!((rows.beat(2).held, rows.beat(1).take), (Leases::ALL, Leases::NONE));
        rows.member(1).is_draining = false;
        assert_eq!(rows.beat(1).take, Leases::NONE, "nothing is free yet");
        assert_eq!((rows.beat(2).hand_back.shards(), rows.beat(1).take.shards()), (4, 4));
    }

    #[test]
    fn whose_clock_differs_gives_everything_away() {
        let mut rows = Rows::of(2, LIMITS);
        rows.settle();
        rows.member(2).ahead = Ahead(2_001);
        assert_eq!(rows.beat(2).held, Leases::NONE);
        assert_eq!(rows.beat(1).held, Leases::ALL);
    }

    #[test]
    fn leases_of_the_fenced_are_free_and_those_of_the_silent_are_not() {
        let mut rows = Rows::of(2, LIMITS);
        rows.settle();
        rows.member(1).until = NOW - Duration::from_millis(1);
        let moves = rows.beat(2);
        assert_eq!((moves.held.shards(), moves.share.per_second_milli), (32, 500));
        rows.member(1).is_fenced = true;
        let moves = rows.beat(2);
        assert_eq!((moves.held, moves.share), (Leases::ALL, LIMITS));
    }

    #[test]
    fn who_holds_the_lock_of_a_name_knows_its_earlier_starts() {
        let mut rows = Rows::of(3, LIMITS);
        rows.member(1).name = "3".to_owned();
        let (members, holders) = (rows.members, Holders::default());
        let view = View {
            now: NOW,
            ahead: Ahead(0),
            members: &members,
            holders: &holders,
            limits: LIMITS,
            busy: Leases::NONE,
        };
        assert_eq!((view.predecessors(id(3)), view.predecessors(id(2))), (vec![id(1)], vec![]));
    }

    #[test]
    fn one_call_a_second_is_333_thousandths_for_each_of_three() {
        let mut rows = Rows::of(3, LIMITS);
        rows.settle();
        let shares = [1, 2, 3].map(|number| rows.member(number).share);
        assert_eq!(shares.map(|share| share.per_second_milli), [333; 3]);
        assert_eq!(shares.map(|share| share.in_flight), [22, 21, 21]);
    }

    #[test]
    fn more_nodes_than_calls_under_way_leave_the_youngest_without_accounts() {
        let mut rows = Rows::of(3, Calls { in_flight: 2, ..LIMITS });
        rows.settle();
        assert_eq!([1, 2, 3].map(|number| rows.shards(number)), [32, 32, 0]);
        assert_eq!([1, 2, 3].map(|number| rows.member(number).share.in_flight), [1, 1, 0]);
    }

    #[test]
    fn where_limits_differ_everybody_keeps_the_lowest() {
        let mut rows = Rows::of(2, Calls { per_second_milli: 200_000, ..LIMITS });
        rows.member(2).limits.per_second_milli = 100_000;
        rows.settle();
        assert_eq!([1, 2].map(|number| rows.member(number).share.per_second_milli), [50_000; 2]);
    }

    proptest! {
        #[test]
        fn shares_never_sum_up_to_more_and_nobody_takes_above_its_part(
            beats in prop::collection::vec((1..6_u128, 0..4_u8), 1..80), in_flight in 1..9_u64, per_second_milli in 0..9_000_u64,
        ) {
            let limits = Calls { per_second_milli, in_flight };
            let mut rows = Rows::of(5, limits);
            for (number, word) in beats {
                let member = rows.member(number);
                match word {
                    0 => member.is_draining = !member.is_draining,
                    1 => member.ahead = Ahead(if member.ahead.differs() { 0 } else { 9_000 }),
                    _ => {}
                }
                let moves = rows.beat(number);
                let working = rows.members.iter().filter(|member| member.works(NOW)).count();
                let workers = u64::try_from(working).unwrap().min(in_flight).max(1);
                prop_assert!(moves.take.shards() == 0 || u64::from(moves.held.shards()) <= 64_u64.div_ceil(workers));
                let together = rows.members.iter().fold(Calls::default(), |sum, member| sum.plus(member.share));
                prop_assert_eq!(together.least(limits), together);
            }
        }
    }
}
