//! Several daemons on one database: which of them owns which accounts, and until when each may believe it. Pure: readings
//! of clocks and rows of the database go in, what to write and what to believe come out.
//!
//! A daemon is a *node*, each of its starts an *incarnation*. It *beats*: a row of its own says until when, by the
//! database's clock, nobody takes its *leases*. Between beats it *trusts* them for a shorter while by its own clocks, so
//! that it has stopped before anybody else begins. A node whose beat is past is *fenced* by another one: none of its
//! writes is taken any more, its leases are free, and if it still lives, it comes back as a new incarnation.
//!
//! Read [`terms`] for the spans, [`elapsed`] for how they are measured, [`lease`] for what is owned, [`member`] for the
//! rows, [`moves`] for what a beat changes, [`bucket`] for what becomes of a share of the calls. `tests/it/domain/tenure`
//! holds all of it against a random world.
//!
//! What the caller owes:
//! - A beat is one transaction, and no two beats are in theirs at once; the server ends one that idles for
//!   [`BEAT_IDLE_MAX`](terms::BEAT_IDLE_MAX). It begins with its node's row locked against being fenced, and finds it not
//!   fenced; the rows of the view are read after that.
//! - Fencing waits for, or leaves out, a node with a write or a beat under way, and asks again under its lock whether the
//!   node is silent: a beat may have come between.
//! - [`Tenure::let_go`] before the moves are written, [`Tenure::after`] once the commit is acknowledged.
//! - A call asks [`Tenure::stands`] each time before it goes on, and is given up when it does not: a timer alone does not
//!   notice that the machine was suspended.

pub mod bucket;
pub mod elapsed;
pub mod lease;
pub mod member;
pub mod moves;
pub mod terms;

use std::time::Duration;

use self::{
    elapsed::{Elapsed, Reading},
    lease::{Lease, Leases},
    member::{Ahead, Calls, Incarnation},
    moves::{Moves, View},
    terms::Terms,
};
use super::time::Time;

/// What a node knows of itself.
#[derive(Debug, Clone)]
pub struct Tenure {
    terms: Terms,
    id: Incarnation,
    elapsed: Elapsed,
    beats: Option<Beats>,
    seen: Vec<Seen>,
    held: Leases,
    closing: Leases,
    share: Calls,
}

/// Beats in a row that were written, without a gap.
#[derive(Debug, Clone, Copy)]
struct Beats {
    /// When the first of them was sent, on the stopwatch: it never shows more than has passed.
    since: Duration,
    /// When the last one was sent, by whatever shows most.
    sent: Duration,
    /// The database's clock at the last one.
    at: Time,
}

/// Another node's row as it was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    id: Incarnation,
    until: Time,
    /// When it was first seen like this, on the stopwatch.
    since: Duration,
}

/// A beat under way.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    sent: Duration,
    stopwatch: Duration,
}

impl Beat {
    /// By how much our calendar is ahead of the database's, which the first answer of this beat says.
    #[must_use]
    pub fn ahead(&self, now: Reading, database: Time) -> Ahead {
        Ahead::measured(now.calendar, database, now.stopwatch.saturating_sub(self.stopwatch))
    }
}

/// What a beat came to.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It is committed, and the answer says so.
    Renewed {
        /// The database's clock at this beat.
        at: Time,
        /// What was written with it.
        moves: &'a Moves,
    },
    /// Others took over: whatever was held is theirs, and nothing that was begun goes on.
    Fenced {
        /// The incarnation to begin anew as.
        anew: Incarnation,
    },
    /// No answer, or that it failed. What of it was written after all, the next beat finds in the rows.
    Failed,
}

/// What a call, or a look, is made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    by: Incarnation,
    lease: Lease,
}

impl Grant {
    /// The lease that it is made under.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        self.lease
    }
}

impl Tenure {
    /// A node that has not beaten yet and holds nothing.
    #[must_use]
    pub const fn beginning(terms: Terms, id: Incarnation, now: Reading) -> Self {
        Self {
            terms,
            id,
            elapsed: Elapsed::beginning(now),
            beats: None,
            seen: Vec::new(),
            held: Leases::NONE,
            closing: Leases::NONE,
            share: Calls { per_second_milli: 0, in_flight: 0 },
        }
    }

    /// Which incarnation it is.
    #[must_use]
    pub const fn id(&self) -> Incarnation {
        self.id
    }

    /// Keeps what its clocks show; several times a second.
    pub fn note(&mut self, now: Reading) {
        self.elapsed.note(now);
    }

    /// A beat is about to be sent.
    pub fn beat(&mut self, now: Reading) -> Beat {
        self.note(now);
        Beat { sent: self.elapsed.at(now), stopwatch: now.stopwatch }
    }

    /// Whom to fence at this beat, whose rows were read at `now`: whose beat is past, if it cannot be the database that
    /// was away, nor its clock that was stepped. This node itself must have beaten without a gap for a whole lease, as
    /// everybody else could; and it must have seen the silent one's row unchanged for longer than that one trusts, by a
    /// stopwatch.
    pub fn whom_to_fence(&mut self, beat: &Beat, view: &View<'_>, now: Reading) -> Vec<Incarnation> {
        self.see(view, now);
        let steady = beat.stopwatch.saturating_sub(self.beats_with(beat, view.now).since);
        if steady < self.terms.lease() {
            return Vec::new();
        }
        let stood = |seen: &&Seen| beat.stopwatch.saturating_sub(seen.since) >= self.terms.stood();
        let seen = self.seen.iter().filter(stood).map(|seen| seen.id);
        seen.filter(|id| view.silent(self.id).any(|member| member.id == *id)).collect()
    }

    fn see(&mut self, view: &View<'_>, now: Reading) {
        let before = std::mem::take(&mut self.seen);
        let others = view.members.iter().filter(|member| member.id != self.id && !member.is_fenced);
        self.seen = others
            .map(|member| {
                let (id, until) = (member.id, member.until);
                let same = before.iter().find(|seen| seen.id == id && seen.until == until);
                same.copied().unwrap_or(Seen { id, until, since: now.stopwatch })
            })
            .collect();
    }

    /// What to write at this beat; `view` shows whoever could be fenced as fenced.
    #[must_use]
    pub fn moves(&self, view: &View<'_>) -> Moves {
        Moves::of(self.id, view)
    }

    /// These moves are about to be written: what is to be given away is not used from here on, whatever the answer.
    pub fn let_go(&mut self, moves: &Moves) {
        self.held = self.held.without(moves.hand_back);
        self.closing = moves.closing;
        self.share = self.share.least(moves.share);
    }

    /// What it knows after a beat. One that failed changes nothing: trust ends by itself.
    pub fn after(&mut self, beat: &Beat, outcome: Outcome<'_>, now: Reading) {
        match outcome {
            Outcome::Renewed { at, moves } => {
                self.beats = Some(self.beats_with(beat, at));
                self.held = moves.held;
                self.closing = moves.closing;
                self.share = moves.share;
            }
            Outcome::Fenced { anew } => *self = Self::beginning(self.terms, anew, now),
            Outcome::Failed => {}
        }
    }

    /// How long its leases are still trusted: a call is given up when that is over.
    #[must_use]
    pub fn trust_left(&self, now: Reading) -> Duration {
        let until = self.beats.map(|beats| beats.sent + self.terms.trust());
        until.unwrap_or_default().saturating_sub(self.elapsed.at(now))
    }

    /// Whether its leases are its own, as far as it can know.
    #[must_use]
    pub fn trusts(&self, now: Reading) -> bool {
        !self.trust_left(now).is_zero()
    }

    /// Leave to begin something under a lease; none where it is another's, or about to be.
    #[must_use]
    pub fn grant(&self, lease: Lease, now: Reading) -> Option<Grant> {
        let grant = Grant { by: self.id, lease };
        (!self.closing.contains(lease) && self.stands(&grant, now)).then_some(grant)
    }

    /// Whether what was begun under it may go on.
    #[must_use]
    pub fn stands(&self, grant: &Grant, now: Reading) -> bool {
        grant.by == self.id && self.held.contains(grant.lease) && self.trusts(now)
    }

    /// The leases in its name as of its last beat, trusted or not.
    #[must_use]
    pub const fn held(&self) -> Leases {
        self.held
    }

    /// What it may call; nothing without trust.
    #[must_use]
    pub fn share(&self, now: Reading) -> Calls {
        if self.trusts(now) { self.share } else { Calls::default() }
    }

    /// The row of beats that this one continues, or begins after a gap. The database's clock tells: it goes on during an
    /// outage, and where it was stepped ahead, everybody's beats must be seen anew.
    fn beats_with(&self, beat: &Beat, at: Time) -> Beats {
        let follows = |last: &Beats| at.since(last.at) <= self.terms.gap();
        let since = self.beats.filter(follows).map_or(beat.stopwatch, |last| last.since);
        Beats { since, sent: beat.sent, at }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::tenure::member::{Holders, Member};

    const NOON: Time = Time::from_ms(1_800_000_000_000);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn id(number: u128) -> Incarnation {
        Incarnation(Uuid::from_u128(number))
    }

    /// Both clocks, so many seconds after the beginning.
    fn at(seconds: u64) -> Reading {
        Reading { calendar: NOON + s(seconds), stopwatch: s(seconds) }
    }

    fn member(number: u128, until: Time) -> Member {
        Member {
            id: id(number),
            name: number.to_string(),
            is_fenced: false,
            is_draining: false,
            until,
            ahead: Ahead(0),
            limits: LIMITS,
            share: Calls::default(),
        }
    }

    const LIMITS: Calls = Calls { per_second_milli: 200_000, in_flight: 64 };

    /// Node 1, alone, and its beats at these seconds.
    fn beaten(seconds: &[u64]) -> Tenure {
        let mut tenure = Tenure::beginning(Terms::default(), id(1), at(0));
        for second in seconds {
            beat(&mut tenure, *second, &[member(1, NOON)]);
        }
        tenure
    }

    fn beat(tenure: &mut Tenure, second: u64, members: &[Member]) {
        let beat = tenure.beat(at(second));
        let moves = tenure.moves(&view(second, members));
        tenure.let_go(&moves);
        tenure.after(&beat, Outcome::Renewed { at: NOON + s(second), moves: &moves }, at(second + 1));
    }

    fn view(second: u64, members: &[Member]) -> View<'_> {
        static NOBODYS: std::sync::LazyLock<Holders> = std::sync::LazyLock::new(Holders::default);
        let (now, busy) = (NOON + s(second), Leases::NONE);
        View { now, ahead: Ahead(0), members, holders: &NOBODYS, limits: LIMITS, busy }
    }

    #[test]
    fn leases_are_trusted_for_ten_seconds_from_when_the_beat_was_sent() {
        let tenure = beaten(&[100]);
        assert_eq!(tenure.held(), Leases::ALL);
        assert_eq!([101, 109, 110].map(|second| tenure.trust_left(at(second))), [s(9), s(1), s(0)]);
        assert_eq!([109, 110].map(|second| tenure.trusts(at(second))), [true, false]);
        assert_eq!([109, 110].map(|second| tenure.share(at(second))), [LIMITS, Calls::default()]);
    }

    #[test]
    fn nothing_is_trusted_before_a_beat_is_answered() {
        let tenure = Tenure::beginning(Terms::default(), id(1), at(0));
        assert!(!tenure.trusts(at(0)));
        assert_eq!(tenure.grant(Lease::House, at(0)), None);
    }

    #[test]
    fn a_suspended_machine_and_a_calendar_stepped_ahead_cost_trust_and_one_stepped_back_wins_none() {
        let mut tenure = beaten(&[100]);
        let shows = |calendar, stopwatch| Reading { calendar: NOON + s(calendar), stopwatch: s(stopwatch) };
        assert!(!tenure.trusts(shows(110, 101)));
        assert!(!tenure.trusts(shows(40, 110)));
        // Suspended for eight seconds, then set back by a minute: nine have passed, and then ten.
        tenure.note(shows(109, 101));
        tenure.note(shows(49, 101));
        assert!(tenure.trusts(shows(49, 101)));
        assert!(!tenure.trusts(shows(50, 102)));
    }

    #[test]
    fn what_was_begun_goes_on_as_long_as_its_lease_is_trusted_and_never_after_a_fence() {
        let mut tenure = beaten(&[100]);
        let grant = tenure.grant(Lease::House, at(101)).expect("it holds the house");
        assert_eq!([109, 110].map(|second| tenure.stands(&grant, at(second))), [true, false]);
        let lost = tenure.beat(at(111));
        tenure.after(&lost, Outcome::Failed, at(113));
        assert!(!tenure.stands(&grant, at(113)));
        beat(&mut tenure, 114, &[member(1, NOON)]);
        assert!(tenure.stands(&grant, at(115)), "nobody took over");

        let fenced = tenure.beat(at(117));
        tenure.after(&fenced, Outcome::Fenced { anew: id(2) }, at(117));
        beat(&mut tenure, 120, &[member(2, NOON)]);
        assert!(tenure.grant(Lease::House, at(121)).is_some() && !tenure.stands(&grant, at(121)));
    }

    #[test]
    fn what_is_handed_back_is_let_go_before_it_is_written() {
        let mut tenure = beaten(&[100]);
        let house: Leases = [Lease::House].into_iter().collect();
        let tokens: Leases = [Lease::Tokens].into_iter().collect();
        let share = Calls { per_second_milli: 5_000, in_flight: 3 };
        let held = tenure.held().without(house);
        tenure.let_go(&Moves { take: Leases::NONE, hand_back: house, closing: tokens, held, share });
        assert!(!tenure.held().contains(Lease::House));
        assert_eq!(tenure.share(at(101)), share);
        assert_eq!(tenure.grant(Lease::Tokens, at(101)), None, "nothing more is begun");
        assert!(tenure.stands(&Grant { by: id(1), lease: Lease::Tokens }, at(101)), "what was begun is finished");
    }

    /// Whom the node fences at this beat, of one that fell silent long ago; at each of the seconds before, it has seen
    /// its row.
    fn fences(seconds: &[u64], second: u64, database: Time) -> Vec<Incarnation> {
        let members = [member(1, NOON), member(2, NOON)];
        let mut tenure = beaten(&[]);
        for second in seconds {
            tenure.see(&view(*second, &members), at(*second));
            beat(&mut tenure, *second, &members);
        }
        let beat = tenure.beat(at(second));
        tenure.whom_to_fence(&beat, &View { now: database, ..view(second, &members) }, at(second))
    }

    #[test]
    fn the_silent_are_fenced_after_a_whole_lease_of_own_beats() {
        let beats = [100, 103, 106, 109, 112];
        assert_eq!(fences(&beats, 114, NOON + s(114)), []);
        assert_eq!(fences(&beats, 115, NOON + s(115)), [id(2)]);
    }

    #[test]
    fn nobody_is_fenced_after_an_outage_or_a_step_of_the_databases_clock() {
        let beats = [100, 103, 106, 109, 112, 115];
        assert_eq!(fences(&beats, 118, NOON + s(118)), [id(2)]);
        assert_eq!(fences(&beats, 123, NOON + s(123)), [], "an outage");
        assert_eq!(fences(&beats, 118, NOON + s(123)), [], "a step ahead");
    }

    #[test]
    fn who_beat_a_moment_ago_is_not_fenced_whatever_the_databases_clock_says() {
        let mut tenure = beaten(&[100, 103, 106, 109, 112]);
        let fences = |tenure: &mut Tenure, second, until| {
            let beat = tenure.beat(at(second));
            let members = [member(1, NOON), member(2, until)];
            tenure.whom_to_fence(&beat, &view(second, &members), at(second))
        };
        assert_eq!(fences(&mut tenure, 112, NOON + s(125)), []);
        // It wrote this while the clock was behind by half a minute.
        assert_eq!([115, 118].map(|second| fences(&mut tenure, second, NOON + s(99))), [[], []]);
    }

    #[test]
    fn how_far_our_calendar_is_ahead_counts_half_the_way() {
        let mut tenure = beaten(&[]);
        let beat = tenure.beat(at(10));
        assert_eq!(beat.ahead(at(11), NOON + s(10)), Ahead(500));
    }
}
