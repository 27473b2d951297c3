//! What must hold in every random world, and what was seen of it.

use std::collections::BTreeMap;

use amplinkd::domain::tenure::{
    lease::{Lease, Leases},
    member::{Calls, Holders},
    moves::{Moves, View},
};

use super::{
    trouble::HEALED_AT,
    world::{SETTLED_AFTER, World},
};

/// By then every lease has an owner again, in milliseconds after the last trouble.
const OWNED_AFTER: u64 = 20_000;

/// So long a lease is nobody's while it changes hands: until the next beat of whoever takes it.
const CHANGES_HANDS: u64 = 4_000;

/// What happened, so that promises over worlds in which nothing does are not believed.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) arrived: u64,
    pub(super) written: u64,
    pub(super) fenced: usize,
    pub(super) came_back: u64,
    pub(super) waited: u64,
    pub(super) handed_back: u32,
    /// By how much the database's clock was set back in all: leases last so much longer.
    pub(super) set_back: u64,
    nobodys_since: BTreeMap<Lease, u64>,
}

/// A promise that was not kept, and when, in milliseconds.
#[derive(Debug)]
#[expect(dead_code, reason = "read by whoever reads a failed test")]
pub(super) enum Broken {
    TrustedByTwo { at: u64, node: usize, other: usize, leases: Leases },
    CalledUnderAnother { at: u64, node: usize, other: usize, lease: Lease },
    WrittenUnderAnother { at: u64, node: usize, other: usize, lease: Lease },
    WrittenThoughFenced { at: u64, node: usize },
    FencedWithoutFault { at: u64, node: usize },
    TooManyCalls { at: u64, together: Calls },
    MoreThanItsPart { at: u64, node: usize, moves: Moves },
    HandsBackTooFew { at: u64, node: usize, moves: Moves },
    Nobodys { at: u64, lease: Lease },
    Unbalanced { at: u64, node: usize, shards: u32, share: Calls },
}

impl World {
    /// After `node` has come to trust what it holds: nobody else does, and together they call no more than they may.
    pub(super) fn check_trust(&self, node: usize) -> Result<(), Broken> {
        let at = self.now;
        let own = self.nodes[node].trusted(at);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let leases = own.common(self.nodes[other].trusted(at));
            if !leases.is_empty() {
                return Err(Broken::TrustedByTwo { at, node, other, leases });
            }
        }
        let processes = self.nodes.iter().filter_map(|node| Some((node, node.process.as_ref()?)));
        let shares = processes.map(|(node, process)| process.tenure.share(node.reading(at)));
        self.check_calls(shares.fold(Calls::default(), Calls::plus))
    }

    pub(super) fn check_written_shares(&self) -> Result<(), Broken> {
        let rows = self.database.rows.iter().filter(|row| !row.member.is_fenced);
        self.check_calls(rows.fold(Calls::default(), |sum, row| sum.plus(row.member.share)))
    }

    fn check_calls(&self, together: Calls) -> Result<(), Broken> {
        if together.least(self.limits) == together {
            Ok(())
        } else {
            Err(Broken::TooManyCalls { at: self.now, together })
        }
    }

    /// Nobody takes more than its part, and whoever has more gives it away, as fast as it may.
    pub(super) fn check_parts(
        &self,
        node: usize,
        moves: &Moves,
        view: &View<'_>,
        holders: &Holders,
    ) -> Result<(), Broken> {
        let process = self.nodes[node].process.as_ref().expect("a process decides");
        let me = process.tenure.id();
        let had = holders.of(me);
        let idle = had.without(view.busy);
        let works = !process.is_draining && !process.leaves && !view.ahead.differs();
        let others = view.members.iter().filter(|member| member.id != me && member.works(view.now)).count();
        let workers = u64::try_from(others).expect("a few") + u64::from(works);
        let part = u32::try_from(64_u64.div_ceil(workers.min(self.limits.in_flight).max(1))).expect("at most 64");
        if moves.take.shards() > 0 && (!works || moves.held.shards() > part) {
            return Err(Broken::MoreThanItsPart { at: self.now, node, moves: moves.clone() });
        }
        let least = if works { had.shards().saturating_sub(part).min(4).min(idle.shards()) } else { idle.shards() };
        if moves.hand_back.shards() < least || !moves.hand_back.without(idle).is_empty() {
            return Err(Broken::HandsBackTooFew { at: self.now, node, moves: moves.clone() });
        }
        Ok(())
    }

    /// Once all is well: everything is owned, and at last everybody has its part of it.
    pub(super) fn look(&mut self) -> Result<(), Broken> {
        let (now, owned) = (self.now, self.trusted());
        let from = HEALED_AT + OWNED_AFTER - CHANGES_HANDS + self.promises.set_back;
        if now < from {
            return Ok(());
        }
        self.promises.nobodys_since.retain(|lease, _| !owned.contains(*lease));
        if owned != Leases::ALL {
            self.check_owned(now, owned)?;
        }
        if now > HEALED_AT + SETTLED_AFTER + self.promises.set_back { self.check_balance() } else { Ok(()) }
    }

    fn check_owned(&mut self, now: u64, owned: Leases) -> Result<(), Broken> {
        for lease in Leases::ALL.without(owned).iter() {
            let since = *self.promises.nobodys_since.entry(lease).or_insert(now);
            if now - since > CHANGES_HANDS {
                return Err(Broken::Nobodys { at: now, lease });
            }
        }
        Ok(())
    }

    fn check_balance(&self) -> Result<(), Broken> {
        let at = self.now;
        let count = self.nodes.iter().filter(|node| node.works()).count();
        let workers = u64::try_from(count).expect("a few").min(self.limits.in_flight);
        let (part, rate) = (64_u64.div_ceil(workers), self.limits.per_second_milli / workers);
        let mut idle = 0;
        for (node, process) in self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.process.as_ref()?))) {
            let (shards, share) = (process.tenure.held().shards(), process.tenure.share(self.nodes[node].reading(at)));
            let is_idle = shards == 0 && share == Calls::default();
            idle += usize::from(is_idle);
            let has_part = u64::from(shards) <= part && share.per_second_milli == rate && share.in_flight > 0;
            if !is_idle && !has_part {
                return Err(Broken::Unbalanced { at, node, shards, share });
            }
        }
        let processes = self.nodes.iter().filter(|node| node.process.is_some()).count();
        assert_eq!(u64::try_from(processes - idle).expect("a few"), workers, "everybody who may work does");
        Ok(())
    }
}
