//! The nodes of a database as its rows show them: who lives, who works, and what each may call. Rows are judged by the
//! database's clock alone.

use std::time::Duration;

use uuid::Uuid;

use super::lease::{Lease, Leases};
use crate::domain::time::Time;

/// A calendar may differ by so much from the database's: what is due would come early or late by it, and accounts that
/// are taken over would be taken for ones of another calendar.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(2);

/// One start of a daemon, or one return after it was fenced; a later one is larger. It never comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub Uuid);

/// By how many milliseconds a node's calendar is ahead of the database's; behind it when negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ahead(pub i64);

impl Ahead {
    /// As an answer shows it that arrived at `now` by our calendar and took `round_trip`: the database read its clock
    /// about halfway.
    #[must_use]
    pub fn measured(now: Time, database: Time, round_trip: Duration) -> Self {
        Self(now.ms().saturating_sub((database + round_trip / 2).ms()))
    }

    /// Whether that is too much to work with: the node gives its leases away, and somebody must look at its clock.
    #[must_use]
    pub fn differs(self) -> bool {
        Duration::from_millis(self.0.unsigned_abs()) > CLOCK_DIFFERENCE_MAX
    }
}

/// What may be called at most: by all nodes together, or by one of them as its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Thousandths of a call a second.
    pub per_second_milli: u64,
    /// Calls under way at once.
    pub in_flight: u64,
}

impl Calls {
    /// No more than either.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            per_second_milli: self.per_second_milli.min(other.per_second_milli),
            in_flight: self.in_flight.min(other.in_flight),
        }
    }

    /// What is left of them beside those.
    #[must_use]
    pub const fn beside(self, others: Self) -> Self {
        Self {
            per_second_milli: self.per_second_milli.saturating_sub(others.per_second_milli),
            in_flight: self.in_flight.saturating_sub(others.in_flight),
        }
    }

    /// Both.
    #[must_use]
    pub const fn plus(self, others: Self) -> Self {
        Self {
            per_second_milli: self.per_second_milli.saturating_add(others.per_second_milli),
            in_flight: self.in_flight.saturating_add(others.in_flight),
        }
    }

    /// The part of whoever has this place, from 0, among so many. Calls under way are whole ones: the first have one
    /// more where they cannot be divided.
    pub(super) fn part(self, place: u64, of: u64) -> Self {
        let of = of.max(1);
        let one_more = u64::from(place < self.in_flight % of);
        Self { per_second_milli: self.per_second_milli / of, in_flight: self.in_flight / of + one_more }
    }
}

/// A node's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which start of which daemon.
    pub id: Incarnation,
    /// `[cluster] node`.
    pub name: String,
    /// It was taken over, and writes nothing any more.
    pub is_fenced: bool,
    /// An operator said `node drain`.
    pub is_draining: bool,
    /// Until when its last beat keeps others from taking over, by the database's clock.
    pub until: Time,
    /// By how much its calendar was ahead at its last beat.
    pub ahead: Ahead,
    /// What its configuration allows all nodes together.
    pub limits: Calls,
    /// What it may call of that.
    pub share: Calls,
}

/// What a node is doing, as `v_node` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It beats, and takes its part.
    Active,
    /// It hands over what it has.
    Draining,
    /// It has handed over everything, and takes nothing until `node resume` or its restart.
    Idle,
    /// Its last beat is past, and nobody has taken over yet.
    Silent,
    /// It was taken over.
    Fenced,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Active, Self::Draining, Self::Idle, Self::Silent, Self::Fenced];

    /// The word of `v_node.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Fenced => "fenced",
        }
    }
}

impl Member {
    /// What it is doing at `now` of the database's clock, with these leases in its name.
    #[must_use]
    pub fn state(&self, leases: Leases, now: Time) -> State {
        match (self.is_fenced, self.is_silent(now), self.is_draining) {
            (true, _, _) => State::Fenced,
            (false, true, _) => State::Silent,
            (false, false, true) if leases.is_empty() => State::Idle,
            (false, false, true) => State::Draining,
            (false, false, false) => State::Active,
        }
    }

    /// Whether others may take over, if they are sure that it is not the database that was away.
    #[must_use]
    pub fn is_silent(&self, now: Time) -> bool {
        self.until < now
    }

    /// Whether it is to have leases.
    #[must_use]
    pub fn works(&self, now: Time) -> bool {
        !self.is_fenced && !self.is_silent(now) && !self.is_draining && !self.ahead.differs()
    }
}

/// In whose name each lease is.
#[derive(Debug, Clone, Default)]
pub struct Holders(Vec<(Lease, Incarnation)>);

impl Holders {
    /// The leases in the name of one.
    #[must_use]
    pub fn of(&self, member: Incarnation) -> Leases {
        self.0.iter().filter(|(_, holder)| *holder == member).map(|(lease, _)| *lease).collect()
    }

    /// Those that are in the name of any of these.
    pub(super) fn of_any(&self, is_one: impl Fn(Incarnation) -> bool) -> Leases {
        self.0.iter().filter(|(_, holder)| is_one(*holder)).map(|(lease, _)| *lease).collect()
    }
}

/// Rows that name a node.
impl FromIterator<(Lease, Incarnation)> for Holders {
    fn from_iter<I: IntoIterator<Item = (Lease, Incarnation)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    fn member() -> Member {
        Member {
            id: Incarnation(Uuid::from_u128(1)),
            name: "a".to_owned(),
            is_fenced: false,
            is_draining: false,
            until: NOW,
            ahead: Ahead(0),
            limits: Calls::default(),
            share: Calls::default(),
        }
    }

    #[test]
    fn a_node_is_what_its_row_says() {
        let later = NOW + Duration::from_millis(1);
        let draining = Member { is_draining: true, ..member() };
        let fenced = Member { is_fenced: true, ..draining.clone() };
        let states = [
            member().state(Leases::NONE, NOW),
            draining.state(Leases::ALL, NOW),
            draining.state(Leases::NONE, NOW),
            draining.state(Leases::ALL, later),
            fenced.state(Leases::NONE, later),
        ];
        assert_eq!(states, State::ALL);
        assert_eq!(states.map(State::as_str), ["active", "draining", "idle", "silent", "fenced"]);
        assert_eq!([&member(), &draining, &fenced].map(|member| member.works(NOW)), [true, false, false]);
        assert!(!member().works(later));
    }

    #[test]
    fn a_clock_differs_from_more_than_two_seconds_on_half_the_way_being_the_databases() {
        let measured =
            |ours, round_trip| Ahead::measured(Time::from_ms(NOW.ms() + ours), NOW, Duration::from_millis(round_trip));
        assert_eq!([measured(500, 0), measured(500, 1_000), measured(0, 500)].map(|ahead| ahead.0), [500, 0, -250]);
        assert_eq!([2_000, 2_001, -2_000, -2_001].map(|ms| Ahead(ms).differs()), [false, true, false, true]);
        assert!(!Member { ahead: Ahead(-2_001), ..member() }.works(NOW));
    }

    #[test]
    fn parts_never_sum_up_to_more_than_there_is_and_every_third_call_is_333_thousandths() {
        let limits = Calls { per_second_milli: 1_000, in_flight: 64 };
        let parts = [0, 1, 2].map(|place| limits.part(place, 3));
        assert_eq!(parts.map(|part| part.per_second_milli), [333; 3]);
        assert_eq!(parts.map(|part| part.in_flight), [22, 21, 21]);
    }
}
