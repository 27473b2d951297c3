//! A random world: some nodes on one database, their beats, calls and writes, and what goes wrong meanwhile. Every
//! moment is the next event of a queue, every choice comes from the seed.

use std::{cmp::Reverse, collections::BinaryHeap};

use amplinkd::domain::tenure::{
    lease::{Lease, Leases, Shard},
    member::{Calls, Incarnation},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use super::{
    Flaw,
    database::Database,
    node::{Call, Node, Process},
    promises::{Broken, Promises},
    trouble::{HEALED_AT, NOTICED, Trouble, troubles},
};

/// How far a clock is off when all is well, in milliseconds.
pub(super) const APART: i64 = 900;

/// When everything has long been settled, if a database's clock that is set back does not keep it waiting.
pub(super) const SETTLED_AFTER: u64 = 60_000;

/// What happens next; of a node, with the process that it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happens {
    /// It looks around: something is given up, something begun.
    Tick,
    BeatDue,
    /// Of the beat with this number: the database reads, the node decides, the database commits, the node hears of it.
    Reads(u32),
    Decides(u32),
    Commits(u32),
    Answers(u32),
    Fenced(u32),
    GivesUp(u32),
    /// Of a call: it is connected and goes on, and it ends.
    Sends(u32),
    Arrives(Lease),
    Ends(u32),
    /// A write transaction is committed.
    Writes(u32),
}

impl Happens {
    /// Whether nothing comes of it while the process stands still.
    const fn is_of_process(self) -> bool {
        !matches!(self, Self::Reads(_) | Self::Commits(_) | Self::Arrives(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) node: usize,
    pub(super) life: u32,
    pub(super) what: Happens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Trouble(usize),
    Event(Event),
    Look,
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) flaw: Option<Flaw>,
    pub(super) rng: StdRng,
    pub(super) database: Database,
    pub(super) nodes: Vec<Node>,
    pub(super) limits: Calls,
    pub(super) promises: Promises,
    queue: BinaryHeap<Reverse<(u64, u64, Next)>>,
    troubles: Vec<(u64, Trouble)>,
    pub(super) is_healed: bool,
    /// How long a call may be on its way, in milliseconds: small steps of the database's clock take of the margin.
    flight_max: u64,
    count: u32,
}

impl World {
    /// A whole schedule: what it counted, or the promise that was broken.
    pub(super) fn live(seed: u64, flaw: Option<Flaw>) -> Result<Promises, Broken> {
        let mut world = Self::begin(seed, flaw);
        while let Some(Reverse((at, _, next))) = world.queue.pop() {
            world.now = at;
            match next {
                Next::Trouble(index) => world.trouble(world.troubles[index].1),
                Next::Event(event) => world.happens(event)?,
                Next::Look => {
                    world.look()?;
                    if world.is_settled() {
                        break;
                    }
                    world.push(500, Next::Look);
                }
            }
        }
        Ok(world.promises)
    }

    fn begin(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(2..=5);
        let nodes: Vec<Node> = ["a", "b", "c", "d", "e"][..count]
            .iter()
            .map(|name| Node::new((*name).to_owned(), rng.random_range(-APART..=APART)))
            .collect();
        let per_second = [1, 10, 200][rng.random_range(0..3)];
        let in_flight = [1, 3, 64][rng.random_range(0..3)];
        let troubles = troubles(count, &mut rng);
        let is_small = |trouble| matches!(trouble, Trouble::StepDatabase(by) if by.abs() <= NOTICED);
        let flight_max = if troubles.iter().any(|(_, trouble)| is_small(*trouble)) { 990 } else { 4_990 };
        let mut world = Self {
            now: 0,
            flaw,
            rng,
            database: Database::new(),
            nodes,
            limits: Calls { per_second_milli: per_second * 1_000, in_flight },
            promises: Promises::default(),
            queue: BinaryHeap::new(),
            troubles,
            is_healed: false,
            flight_max,
            count: 0,
        };
        for (index, (at, _)) in world.troubles.clone().into_iter().enumerate() {
            world.push(at, Next::Trouble(index));
        }
        for node in 0..count {
            world.start(node, true);
        }
        world.push(HEALED_AT + 1, Next::Look);
        world
    }

    fn push(&mut self, after: u64, next: Next) {
        let number = u64::from(self.number());
        self.queue.push(Reverse((self.now + after, number, next)));
    }

    /// What was put off happens now.
    pub(super) fn catch_up(&mut self, event: Event) {
        let soon = self.rng.random_range(0..30);
        self.push(soon, Next::Event(event));
    }

    pub(super) fn number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// Once this has passed, it happens to the process that is there now.
    pub(super) fn then(&mut self, after: u64, node: usize, what: Happens) {
        let life = self.nodes[node].life;
        self.push(after, Next::Event(Event { node, life, what }));
    }

    /// The same, on its way between a node and the database.
    pub(super) fn over_network(&mut self, node: usize, what: Happens) {
        let delay = self.rng.random_range(1..=self.nodes[node].delay);
        self.then(delay, node, what);
    }

    pub(super) fn incarnation(&mut self) -> Incarnation {
        Incarnation(Uuid::from_u128(u128::from(self.number())))
    }

    /// A few milliseconds; seldom as many as it may take at all.
    pub(super) fn wait(&mut self, most: u64) -> u64 {
        if self.rng.random_bool(0.15) { self.rng.random_range(1..=most) } else { self.rng.random_range(1..=300) }
    }

    fn happens(&mut self, event: Event) -> Result<(), Broken> {
        let node = &mut self.nodes[event.node];
        // What was sent to the database is done there, whatever becomes of its sender.
        let is_sent = matches!(event.what, Happens::Commits(_));
        if !is_sent && (node.life != event.life || event.what.is_of_process() && node.process.is_none()) {
            return Ok(());
        }
        if event.what.is_of_process() && !node.runs() {
            node.put_off.push(event);
            return Ok(());
        }
        if event.what.is_of_process() {
            node.note(self.now);
        }
        let n = event.node;
        match event.what {
            Happens::Tick => self.tick(n),
            Happens::BeatDue => self.beat_due(n),
            Happens::Reads(number) => self.reads(n, number),
            Happens::Decides(number) => return self.decides(n, number),
            Happens::Commits(number) => return self.commits(n, number),
            Happens::Answers(number) => return self.answers(n, number),
            Happens::Fenced(number) => self.fenced(n, number),
            Happens::GivesUp(number) => self.gives_up(n, number),
            Happens::Sends(call) => self.sends(n, call),
            Happens::Arrives(lease) => return self.arrives(n, lease),
            Happens::Ends(call) => self.ends(n, call),
            Happens::Writes(write) => return self.writes(n, write),
        }
        Ok(())
    }

    /// Which process there is, for what is done to it.
    pub(super) fn process(&mut self, node: usize) -> &mut Process {
        self.nodes[node].process.as_mut().expect("what happens to a process happens while there is one")
    }

    fn tick(&mut self, n: usize) {
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let flaw = self.flaw;
        let process = self.process(n);
        if flaw != Some(Flaw::CallsGoOn) {
            process.give_up(reading, now, flaw != Some(Flaw::ForgetsCalls));
        }
        let (id, held) = (process.tenure.id(), process.tenure.held());
        if let Some(lease) = self.any_of(held)
            && let Some(grant) = self.process(n).tenure.grant(lease, reading)
        {
            let (call, connected) = (self.number(), self.wait(5_000));
            self.process(n).calls.insert(call, Call { grant, is_sent: false });
            self.then(connected, n, Happens::Sends(call));
        }
        // What was learned before is still to be written.
        if let Some(lease) = self.any_of(held).filter(|_| self.rng.random_bool(0.5)) {
            self.begin_write(n, id, lease);
        }
        let next = self.rng.random_range(200..800);
        self.then(next, n, Happens::Tick);
    }

    fn any_of(&mut self, leases: Leases) -> Option<Lease> {
        let mut draws = (0..4).map(|_| match self.rng.random_range(0..66) {
            64 => Lease::House,
            65 => Lease::Tokens,
            row => Lease::Accounts(Shard::of_row(row)),
        });
        draws.find(|lease| leases.contains(*lease))
    }

    fn sends(&mut self, n: usize, number: u32) {
        let reading = self.nodes[n].reading(self.now);
        let goes_on = self.flaw == Some(Flaw::CallsGoOn);
        let process = self.process(n);
        let Some(call) = process.calls.get_mut(&number) else { return };
        if !goes_on && !process.tenure.stands(&call.grant, reading) {
            process.calls.remove(&number);
            return;
        }
        call.is_sent = true;
        let lease = call.grant.lease();
        let arrived = self.wait(self.flight_max);
        let ended = arrived + self.wait(1_000);
        self.then(arrived, n, Happens::Arrives(lease));
        self.then(ended, n, Happens::Ends(number));
    }

    fn arrives(&mut self, n: usize, lease: Lease) -> Result<(), Broken> {
        self.promises.arrived += 1;
        match self.other_owner(n, lease) {
            Some(other) => Err(Broken::CalledUnderAnother { at: self.now, node: n, other, lease }),
            None => Ok(()),
        }
    }

    pub(super) fn other_owner(&self, node: usize, lease: Lease) -> Option<usize> {
        (0..self.nodes.len()).find(|other| *other != node && self.nodes[*other].trusted(self.now).contains(lease))
    }

    /// A call has an answer, which is written: also without trust, as long as nobody has taken over.
    fn ends(&mut self, n: usize, number: u32) {
        let process = self.process(n);
        let Some(call) = process.calls.remove(&number) else { return };
        let (lease, id) = (call.grant.lease(), process.tenure.id());
        self.begin_write(n, id, lease);
    }

    fn begin_write(&mut self, n: usize, id: Incarnation, lease: Lease) {
        let now = self.now;
        let is_cut = self.nodes[n].is_cut || !self.database.is_up;
        let write = self.number();
        let row = self.database.row(id).filter(|row| !is_cut && !row.member.is_fenced && !row.is_being_fenced);
        if let Some(row) = row {
            row.writes.insert(write, now);
            self.process(n).writes.insert(write, lease);
            let committed = self.wait(2_900);
            self.then(committed, n, Happens::Writes(write));
        }
    }

    fn writes(&mut self, n: usize, write: u32) -> Result<(), Broken> {
        let (now, is_cut) = (self.now, self.nodes[n].is_cut);
        let Some(lease) = self.process(n).writes.remove(&write) else { return Ok(()) };
        let Some(row) = self.database.rows.iter_mut().find(|row| row.writes.contains_key(&write)) else {
            return Ok(());
        };
        let ended = row.writes.remove(&write).is_some_and(|began| began + super::database::WRITE_IDLE_MAX <= now);
        if ended || is_cut || !self.database.is_up {
            return Ok(());
        }
        self.promises.written += 1;
        if row.member.is_fenced {
            return Err(Broken::WrittenThoughFenced { at: now, node: n });
        }
        match self.other_owner(n, lease) {
            Some(other) => Err(Broken::WrittenUnderAnother { at: now, node: n, other, lease }),
            None => Ok(()),
        }
    }

    fn is_settled(&self) -> bool {
        self.now > HEALED_AT + SETTLED_AFTER + self.promises.set_back
    }

    /// What all nodes believe together.
    pub(super) fn trusted(&self) -> Leases {
        self.nodes.iter().fold(Leases::NONE, |all, node| all.and(node.trusted(self.now)))
    }
}
