//! A beat in a random world: sent, read, decided, committed, answered, with anything going wrong in between.

use amplinkd::domain::tenure::{
    Outcome,
    lease::Leases,
    member::{Ahead, Calls, Holders, Incarnation, Member},
    moves::View,
    terms::{BEAT_MAX, Terms},
};

use super::{
    Flaw,
    database::Beating,
    ms,
    node::OpenBeat,
    promises::Broken,
    world::{Happens, World},
};

impl World {
    pub(super) fn beat_due(&mut self, n: usize) {
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let number = self.number();
        let process = self.process(n);
        let beat = process.tenure.beat(reading);
        process.beat = Some(OpenBeat { number, sent: now, beat, at: super::START, moves: None, leaves: false });
        self.over_network(n, Happens::Reads(number));
        self.then(ms(BEAT_MAX), n, Happens::GivesUp(number));
    }

    fn is_open(&self, n: usize, number: u32) -> bool {
        let process = self.nodes[n].process.as_ref();
        process.and_then(|process| process.beat.as_ref()).is_some_and(|beat| beat.number == number)
    }

    /// One beat at a time has the rows.
    pub(super) fn reads(&mut self, n: usize, number: u32) {
        if !self.database.is_up || self.nodes[n].is_cut || !self.is_open(n, number) {
            return;
        }
        let now = self.now;
        self.database.end_idle(now);
        if self.database.beating.is_some() {
            self.then(20, n, Happens::Reads(number));
            return;
        }
        let process = self.process(n);
        let (id, gives, leaves) = (process.tenure.id(), process.is_draining || process.leaves, process.leaves);
        let (name, limits) = (self.nodes[n].name.clone(), self.limits);
        if self.database.row(id).is_none() {
            self.database.join(id, n, &name, limits, gives, now);
            self.note_faults();
        }
        let at = self.database.clock(now);
        if self.database.row(id).is_some_and(|row| row.member.is_fenced) {
            if !self.nodes[n].loses_answers {
                self.over_network(n, Happens::Fenced(number));
            }
            return;
        }
        let (ahead, fences) = (Ahead(0), Vec::new());
        self.database.beating = Some(Beating { id, number, since: now, at, ahead, fences, moves: None, leaves });
        if !self.nodes[n].loses_answers {
            self.over_network(n, Happens::Decides(number));
        }
    }

    pub(super) fn decides(&mut self, n: usize, number: u32) -> Result<(), Broken> {
        self.database.end_idle(self.now);
        let is_its = self.database.beating.as_ref().is_some_and(|beating| beating.number == number);
        if !is_its || !self.is_open(n, number) || self.nodes[n].is_cut {
            return Ok(());
        }
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let Beating { at, leaves, .. } = *self.database.beating.as_ref().expect("it is its own");
        let process = self.nodes[n].process.as_mut().expect("a process decides");
        let beat = process.beat.as_ref().expect("it is open").beat;
        let (id, has_lock) = (process.tenure.id(), process.has_lock);
        let busy = if self.flaw == Some(Flaw::HandsBackBusy) { Leases::NONE } else { process.busy(now) };
        let ahead = beat.ahead(reading, at);

        let holders: Holders = self.database.holders.iter().map(|(lease, holder)| (*lease, *holder)).collect();
        let mut members: Vec<Member> = self.database.rows.iter().map(|row| row.member.clone()).collect();
        let view = View { now: at, ahead, members: &members, holders: &holders, limits: self.limits, busy };
        let mut whom = process.tenure.whom_to_fence(&beat, &view, reading);
        if self.flaw == Some(Flaw::FencesAfterAGap) {
            whom = members.iter().filter(|member| member.id != id && member.is_silent(at)).map(|m| m.id).collect();
        }
        let dead = if has_lock { view.predecessors(id) } else { Vec::new() };
        let fences = self.fence(whom.into_iter().chain(dead))?;
        for member in &mut members {
            member.is_fenced |= fences.contains(&member.id);
            if self.flaw == Some(Flaw::CountsNoShares) && member.id != id {
                member.share = Calls::default();
            }
        }
        let view = View { now: at, ahead, members: &members, holders: &holders, limits: self.limits, busy };
        let moves = self.process(n).tenure.moves(&view);
        self.check_parts(n, &moves, &view, &holders)?;
        if self.flaw != Some(Flaw::LetsGoLate) {
            self.process(n).tenure.let_go(&moves);
        }
        let open = self.process(n).beat.as_mut().expect("it is open");
        (open.at, open.moves, open.leaves) = (at, Some(moves.clone()), leaves);
        let beating = self.database.beating.as_mut().expect("it is its own");
        (beating.ahead, beating.fences, beating.moves) = (ahead, fences, Some(moves));
        self.over_network(n, Happens::Commits(number));
        Ok(())
    }

    /// Fences whoever can be: nobody who is writing, and nobody whom others have fenced.
    fn fence(&mut self, whom: impl Iterator<Item = Incarnation>) -> Result<Vec<Incarnation>, Broken> {
        let (now, flaw) = (self.now, self.flaw);
        let mut fenced = Vec::new();
        for id in whom {
            let Some(row) = self.database.row(id).filter(|row| !row.member.is_fenced && !row.is_being_fenced) else {
                continue;
            };
            if row.is_writing(now) && flaw != Some(Flaw::FencesWriters) {
                self.promises.waited += 1;
                continue;
            }
            if !row.at_fault {
                return Err(Broken::FencedWithoutFault { at: now, node: row.node });
            }
            row.is_being_fenced = true;
            fenced.push(id);
        }
        Ok(fenced)
    }

    pub(super) fn commits(&mut self, n: usize, number: u32) -> Result<(), Broken> {
        if !self.database.is_up {
            return Ok(());
        }
        let Some(beating) = self.database.beating.take_if(|beating| beating.number == number) else { return Ok(()) };
        let moves = beating.moves.clone().expect("it is sent");
        self.promises.fenced += beating.fences.len();
        self.promises.handed_back += moves.hand_back.shards();
        let is_there = self.nodes[n].process.as_ref().is_some_and(|process| process.tenure.id() == beating.id);
        let at_fault = !is_there || self.nodes[n].is_troubled();
        self.database.commit(&beating, &moves, self.limits, at_fault);
        self.check_written_shares()?;
        if !self.nodes[n].loses_answers && !self.nodes[n].is_cut {
            self.over_network(n, Happens::Answers(number));
        }
        Ok(())
    }

    pub(super) fn answers(&mut self, n: usize, number: u32) -> Result<(), Broken> {
        if !self.is_open(n, number) {
            return Ok(());
        }
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let process = self.process(n);
        let open = process.beat.take().expect("it is open");
        let moves = open.moves.expect("it was decided");
        process.tenure.after(&open.beat, Outcome::Renewed { at: open.at, moves: &moves }, reading);
        if open.leaves && moves.held.is_empty() {
            self.nodes[n].process = None;
            self.nodes[n].life += 1;
            return Ok(());
        }
        self.beat_again(n, open.sent, now);
        self.check_trust(n)
    }

    pub(super) fn fenced(&mut self, n: usize, number: u32) {
        if !self.is_open(n, number) {
            return;
        }
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let anew = self.incarnation();
        let goes_on = self.flaw == Some(Flaw::CallsGoOn);
        self.promises.came_back += 1;
        let process = self.process(n);
        let open = process.beat.take().expect("it is open");
        process.tenure.after(&open.beat, Outcome::Fenced { anew }, reading);
        if !goes_on {
            process.calls.clear();
        }
        self.beat_again(n, open.sent, now);
    }

    pub(super) fn gives_up(&mut self, n: usize, number: u32) {
        if !self.is_open(n, number) {
            return;
        }
        let (now, reading) = (self.now, self.nodes[n].reading(self.now));
        let process = self.process(n);
        let open = process.beat.take().expect("it is open");
        process.tenure.after(&open.beat, Outcome::Failed, reading);
        let hears = !self.nodes[n].is_cut;
        // Its connection is closed: the server ends what was not sent to be committed.
        let is_its = |beating: &Beating| beating.number == number && beating.moves.is_none();
        if hears && self.database.beating.as_ref().is_some_and(is_its) {
            self.database.roll_back();
        }
        self.beat_again(n, open.sent, now);
    }

    fn beat_again(&mut self, n: usize, sent: u64, now: u64) {
        let due = sent + ms(Terms::default().beat_every());
        self.then(due.saturating_sub(now), n, Happens::BeatDue);
    }
}
