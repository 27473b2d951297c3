//! What goes wrong in a random world, for how long, and how it ends.

use amplinkd::domain::tenure::terms::{MARGIN, Terms};
use rand::{RngExt as _, rngs::StdRng};

use super::{
    Flaw,
    node::{FAST, Node, Process},
    world::{APART, Happens, World},
};

/// When troubles end, in milliseconds from the beginning.
pub(super) const HEALED_AT: u64 = 50_000;

/// Steps of clocks up to this, in milliseconds, are small ones.
pub(super) const NOTICED: i64 = 1_900;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The process is stopped (SIGSTOP); its clocks go on.
    Pause(usize),
    Continue(usize),
    /// The machine is suspended: the stopwatch stands still.
    Suspend(usize),
    Wake(usize),
    /// The calendar of a machine is stepped.
    Step(usize, i64),
    /// A machine and the database do not reach each other.
    Cut(usize),
    Mend(usize),
    /// The database hears a machine, which hears nothing.
    Deafen(usize),
    Undeafen(usize),
    /// Everything between the two takes long.
    Slow(usize),
    Hasten(usize),
    /// The database is away.
    Outage,
    Return,
    /// Another server with another clock.
    StepDatabase(i64),
    /// The process is killed (SIGKILL).
    Kill(usize),
    /// A process begins where there is none; it is the successor of the last one there.
    Start(usize),
    /// The same without the lock of the last one.
    StartAnew(usize),
    /// The process is told to stop.
    Stop(usize),
    /// `node drain` and `node resume`.
    Drain(usize),
    Resume(usize),
    /// Everything that was wrong is well again.
    Heal,
}

/// A few troubles, each with its end, by the time at which they come.
pub(super) fn troubles(nodes: usize, rng: &mut StdRng) -> Vec<(u64, Trouble)> {
    use Trouble as T;
    let mut all = vec![(HEALED_AT, T::Heal)];
    let mut outage_from = 5_000;
    // Many small ones, which nobody may notice, or a large one.
    let (small_steps, mut large_steps) = (rng.random_bool(0.5), 1);
    for _ in 0..rng.random_range(1..9) {
        let at = rng.random_range(4_000..HEALED_AT - 1_000);
        let node = rng.random_range(0..nodes);
        let most = if rng.random_bool(0.5) { 12_000 } else { 40_000 };
        let end = at + rng.random_range(100..most);
        match rng.random_range(0..12) {
            0 | 1 => all.extend([(at, T::Pause(node)), (end, T::Continue(node))]),
            2 => all.extend([(at, T::Suspend(node)), (end, T::Wake(node))]),
            3 => all.push((at, T::Step(node, step(rng)))),
            4 => all.extend([(at, T::Cut(node)), (end, T::Mend(node))]),
            5 => all.extend([(at, T::Deafen(node)), (end, T::Undeafen(node))]),
            6 => all.extend([(at, T::Slow(node)), (end, T::Hasten(node))]),
            // So far apart that everybody beats between two of them.
            7 if outage_from < HEALED_AT - 10_000 => {
                let from = outage_from + rng.random_range(0..8_000);
                let until = from + rng.random_range(200..25_000);
                all.extend([(from, T::Outage), (until, T::Return)]);
                outage_from = until + 20_000;
            }
            7 | 8 if small_steps => all.push((at, T::StepDatabase(rng.random_range(-NOTICED..=NOTICED)))),
            7 | 8 if large_steps > 0 => {
                large_steps -= 1;
                let by = rng.random_range(6_000..30_000);
                all.push((at, T::StepDatabase(if rng.random_bool(0.5) { by } else { -by })));
            }
            7 | 8 => {}
            9 => {
                let start = if rng.random_bool(0.7) { T::Start(node) } else { T::StartAnew(node) };
                all.extend([(at, T::Kill(node)), (end, start)]);
            }
            10 => all.extend([(at, T::Stop(node)), (end, T::Start(node))]),
            _ => all.extend([(at, T::Drain(node)), (end, T::Resume(node))]),
        }
    }
    all
}

/// Milliseconds either way: a little, or a lot.
fn step(rng: &mut StdRng) -> i64 {
    let most = if rng.random_bool(0.5) { NOTICED } else { 30_000 };
    rng.random_range(-most..=most)
}

impl World {
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        if self.is_healed {
            return;
        }
        match trouble {
            Trouble::Pause(n) if self.nodes[n].runs() => {
                self.nodes[n].note(self.now);
                self.nodes[n].is_paused = true;
            }
            Trouble::Suspend(n) if self.nodes[n].runs() => {
                self.nodes[n].note(self.now);
                self.nodes[n].suspended_since = Some(self.now);
            }
            Trouble::Pause(_) | Trouble::Suspend(_) => {}
            Trouble::Continue(n) | Trouble::Wake(n) => self.go_on(n),
            // Of both at once neither clock tells.
            Trouble::Step(n, by) if self.nodes[n].suspended_since.is_none() => {
                self.nodes[n].note(self.now);
                self.nodes[n].calendar_ms += by;
                self.nodes[n].note(self.now);
            }
            Trouble::Step(..) => {}
            Trouble::Cut(n) => self.nodes[n].is_cut = true,
            Trouble::Mend(n) => self.nodes[n].is_cut = false,
            Trouble::Deafen(n) => self.nodes[n].loses_answers = true,
            Trouble::Undeafen(n) => self.nodes[n].loses_answers = false,
            Trouble::Slow(n) => self.nodes[n].delay = 1_200,
            Trouble::Hasten(n) => self.nodes[n].delay = FAST,
            Trouble::Outage => self.database.go_down(),
            Trouble::Return => self.database.is_up = true,
            Trouble::StepDatabase(by) => self.step_database(by),
            Trouble::Kill(n) => self.kill(n),
            Trouble::Start(n) => self.start(n, true),
            Trouble::StartAnew(n) => self.start(n, false),
            Trouble::Stop(n) => self.tell(n, |process| process.leaves = true),
            Trouble::Drain(n) => self.tell(n, |process| process.is_draining = true),
            Trouble::Resume(n) => self.tell(n, |process| process.is_draining = false),
            Trouble::Heal => self.heal(),
        }
        self.note_faults();
    }

    /// Whoever has trouble of its own may be taken over for it until its next beat.
    pub(super) fn note_faults(&mut self) {
        for row in &mut self.database.rows {
            row.at_fault |= self.nodes[row.node].is_troubled();
        }
    }

    fn step_database(&mut self, by: i64) {
        self.database.ahead_ms += by;
        let back = u64::try_from(-by).unwrap_or(0);
        self.promises.set_back += back;
    }

    fn go_on(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.suspended += node.suspended_since.take().map_or(0, |since| self.now - since);
        node.is_paused = false;
        node.note(self.now);
        for event in std::mem::take(&mut node.put_off) {
            self.catch_up(event);
        }
    }

    fn tell(&mut self, n: usize, word: impl FnOnce(&mut Process)) {
        let Some(process) = self.nodes[n].process.as_mut() else { return };
        word(process);
        let (id, gives) = (process.tenure.id(), process.is_draining || process.leaves);
        if let Some(row) = self.database.row(id) {
            row.member.is_draining = gives;
        }
    }

    fn kill(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(process) = node.process.take() else { return };
        node.life += 1;
        node.is_paused = false;
        node.put_off.clear();
        let id = process.tenure.id();
        if self.database.beating.as_ref().is_some_and(|beating| beating.id == id && beating.moves.is_none()) {
            self.database.roll_back();
        }
        if let Some(row) = self.database.row(id) {
            row.at_fault = true;
            row.writes.clear();
        }
    }

    pub(super) fn start(&mut self, n: usize, has_lock: bool) {
        if self.nodes[n].process.is_some() {
            return;
        }
        let id = self.incarnation();
        let terms = match self.flaw {
            Some(Flaw::TrustsLonger) if n == 0 => {
                Terms::new(Terms::default().lease() + MARGIN * 2).expect("legal terms")
            }
            Some(_) | None => Terms::default(),
        };
        let node = &mut self.nodes[n];
        if !has_lock {
            node.name.push('+');
        }
        node.life += 1;
        node.process = Some(Process::new(id, terms, node.reading(self.now), has_lock));
        let (first, tick) = (self.rng.random_range(1..400), self.rng.random_range(1..400));
        self.then(first, n, Happens::BeatDue);
        self.then(tick, n, Happens::Tick);
    }

    fn heal(&mut self) {
        self.is_healed = true;
        self.database.is_up = true;
        self.step_database(-self.database.ahead_ms);
        for n in 0..self.nodes.len() {
            let node = &mut self.nodes[n];
            (node.is_cut, node.loses_answers, node.delay) = (false, false, FAST);
            self.go_on(n);
            self.nodes[n].calendar_ms = self.rng.random_range(-APART..=APART);
        }
        self.start(0, true);
        if !self.nodes.iter().any(Node::works) {
            let one = self.rng.random_range(0..self.nodes.len());
            self.tell(one, |process| (process.is_draining, process.leaves) = (false, false));
            self.start(one, true);
        }
    }
}
