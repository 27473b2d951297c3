//! What daemons share among each other: the shards of accounts and the duties that one of them does for all. Names and
//! sets alone, no rule of who gets what.

use std::{fmt, str::FromStr};

/// Into so many shards accounts are divided.
pub const SHARDS: u8 = 64;

/// A shard's number has so many bits.
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// The duties beside them.
const DUTIES: [Lease; 2] = [Lease::House, Lease::Tokens];

/// All of them together.
const LEASES: u8 = SHARDS + 2;

/// A part of the accounts: those whose row has this number, counted round and round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard of the account in this row. Neighbours are in different shards, so that a few accounts spread, too.
    #[must_use]
    pub const fn of_row(row: i64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "it lies between 0 and 63")]
        Self(row.rem_euclid(SHARDS as i64) as u8)
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// All of them, in an order of which every beginning lies evenly among the rest (bits reversed): what is taken from
    /// its beginning and handed back from its end spreads neighbouring accounts.
    fn spread() -> impl DoubleEndedIterator<Item = Self> {
        (0..SHARDS).map(|place| Self(place.reverse_bits() >> (u8::BITS - SHARD_BITS)))
    }
}

/// What exactly one node owns at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lease {
    /// The accounts of a shard.
    Accounts(Shard),
    /// Everything that is done once: alerts, deliveries, what cron starts.
    House,
    /// Refreshing the platform's tokens.
    Tokens,
}

/// Why a text names no lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no lease: they are accounts/00 to accounts/63, house and tokens")]
pub struct BadLease(String);

impl Lease {
    /// That of the account in this row.
    #[must_use]
    pub const fn of_row(row: i64) -> Self {
        Self::Accounts(Shard::of_row(row))
    }

    /// The one at this place of [`Leases::ALL`].
    const fn at(place: u8) -> Self {
        match place {
            0..SHARDS => Self::Accounts(Shard(place)),
            SHARDS => Self::House,
            _ => Self::Tokens,
        }
    }

    const fn place(self) -> u8 {
        match self {
            Self::Accounts(shard) => shard.0,
            Self::House => SHARDS,
            Self::Tokens => SHARDS + 1,
        }
    }

    const fn bit(self) -> u128 {
        1 << self.place()
    }
}

/// The name of its row.
impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts(shard) => write!(f, "accounts/{:02}", shard.0),
            Self::House => f.write_str("house"),
            Self::Tokens => f.write_str("tokens"),
        }
    }
}

impl FromStr for Lease {
    type Err = BadLease;

    fn from_str(name: &str) -> Result<Self, BadLease> {
        Leases::ALL.iter().find(|lease| lease.to_string() == name).ok_or_else(|| BadLease(name.to_owned()))
    }
}

/// Some of the leases.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Leases(u128);

impl Leases {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that there are.
    pub const ALL: Self = Self((1 << LEASES) - 1);

    /// Whether this one is among them.
    #[must_use]
    pub const fn contains(self, lease: Lease) -> bool {
        self.0 & lease.bit() != 0
    }

    /// Those of either.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are not among `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn common(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Shards of accounts among them.
    #[must_use]
    pub const fn shards(self) -> u32 {
        self.accounts().0.count_ones()
    }

    /// Only the shards of accounts.
    #[must_use]
    pub const fn accounts(self) -> Self {
        Self(self.0 & ((1 << SHARDS) - 1))
    }

    /// The shards of accounts among them, a bit for each, as statements take them.
    #[must_use]
    pub const fn shard_bits(self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "the duties are above")]
        (self.0 as u64).cast_signed()
    }

    /// Whether the shard of the account in this row is among them.
    #[must_use]
    pub fn holds_row(self, row: i64) -> bool {
        self.contains(Lease::of_row(row))
    }

    /// All but the shards of accounts.
    #[must_use]
    pub fn duties(self) -> Self {
        self.common(DUTIES.into_iter().collect())
    }

    /// Each of them, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Lease> {
        (0..LEASES).map(Lease::at).filter(move |lease| self.contains(*lease))
    }

    /// Shards of accounts, in the order of [`Shard::spread`].
    pub(super) fn spread(self) -> impl DoubleEndedIterator<Item = Lease> {
        Shard::spread().map(Lease::Accounts).filter(move |lease| self.contains(*lease))
    }
}

impl FromIterator<Lease> for Leases {
    fn from_iter<I: IntoIterator<Item = Lease>>(leases: I) -> Self {
        Self(leases.into_iter().fold(0, |bits, lease| bits | lease.bit()))
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|lease| lease.to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_lease_has_a_name_of_its_own_and_is_found_by_it() {
        let names: BTreeSet<String> = Leases::ALL.iter().map(|lease| lease.to_string()).collect();
        assert_eq!((names.len(), names.first().map(String::as_str)), (66, Some("accounts/00")));
        assert!(Leases::ALL.iter().all(|lease| lease.to_string().parse() == Ok(lease)));
        assert_eq!("accounts/64".parse::<Lease>(), Err(BadLease("accounts/64".to_owned())));
    }

    #[test]
    fn shards_are_bits_by_their_numbers() {
        let some: Leases = ["accounts/00", "accounts/63", "house"].into_iter().flat_map(str::parse).collect();
        assert_eq!((some.shard_bits(), Leases::ALL.shard_bits()), (i64::MIN | 1, -1));
        assert!(some.holds_row(64) && some.holds_row(-1) && !some.holds_row(65));
    }

    #[test]
    fn sets_are_made_of_shards_and_duties() {
        let some: Leases = ["accounts/07", "house"].into_iter().flat_map(str::parse).collect();
        assert_eq!((some.shards(), some.duties()), (1, [Lease::House].into_iter().collect()));
        assert_eq!(Leases::ALL.without(some).shards(), 63);
        assert_eq!(Leases::ALL.without(some).and(some), Leases::ALL);
        assert!(Leases::ALL.without(some).common(some).is_empty());
        assert_eq!(format!("{some:?}"), r#"{"accounts/07", "house"}"#);
    }

    #[test]
    fn the_spread_order_has_every_shard_once_and_its_halves_are_even_and_odd() {
        let order: Vec<u8> = Shard::spread().map(Shard::number).collect();
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 64);
        assert_eq!(order[..4], [0, 32, 16, 48]);
        assert!(order[..32].iter().all(|number| number % 2 == 0));
    }

    #[test]
    fn rows_come_round_through_all_shards() {
        assert_eq!([0, 1, 63, 64, 65, -1].map(|row| Shard::of_row(row).number()), [0, 1, 63, 0, 1, 63]);
    }
}
