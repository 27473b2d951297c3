//! Whether so many accounts have one problem that it is a single alert instead of many.

/// Fewer accounts than this are always named one by one: half of a handful is no sign of a common cause.
pub const CROWD_MIN: u64 = 10;

/// How accounts of one trouble have been told of so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Not at all, or one by one.
    Singly,
    /// As one.
    AsOne,
}

/// Accounts of one trouble at one moment, beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Accounts of this trouble.
    pub troubled: u64,
    /// Accounts of any trouble, these among them.
    pub unread: u64,
    /// Accounts that were read lately; `None` when nobody has counted for long enough.
    pub read: Option<u64>,
}

/// Whether they are told of as one: `many` of them, or half of those that were looked at. Once they are, half as many stay
/// so: a cause whose accounts come and go is not told anew each time.
#[must_use]
pub const fn is_crowd(share: Share, many: u64, spoken: Spoken) -> bool {
    let Share { troubled, unread, read } = share;
    match (spoken, read) {
        (Spoken::Singly, None) => troubled >= many,
        (Spoken::Singly, Some(read)) => troubled >= many || (troubled >= CROWD_MIN && troubled * 2 >= unread + read),
        (Spoken::AsOne, None) => troubled >= CROWD_MIN / 2,
        (Spoken::AsOne, Some(read)) => {
            troubled * 2 >= many || (troubled >= CROWD_MIN / 2 && troubled * 4 >= unread + read)
        }
    }
}

/// The same where only their number counts.
#[must_use]
pub const fn is_many(count: u64, many: u64, spoken: Spoken) -> bool {
    match spoken {
        Spoken::Singly => count >= many,
        Spoken::AsOne => count * 2 >= many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(troubled: u64, read: Option<u64>) -> Share {
        Share { troubled, unread: troubled, read }
    }

    #[test]
    fn a_hundred_are_a_crowd_among_however_many() {
        for read in [None, Some(0), Some(1_000_000)] {
            assert!(is_crowd(share(100, read), 100, Spoken::Singly), "{read:?}");
        }
        assert!(!is_crowd(share(99, Some(1_000_000)), 100, Spoken::Singly));
    }

    #[test]
    fn half_of_those_that_were_looked_at_are_a_crowd_when_they_are_more_than_a_handful() {
        let is = |troubled, read| is_crowd(share(troubled, read), 100, Spoken::Singly);
        assert!(is(10, Some(10)) && is(40, Some(0)));
        assert!(!is(10, Some(11)) && !is(9, Some(0)), "a minority, and a handful");
        assert!(!is(40, None), "nobody knows yet how many are well");
        let two_troubles = Share { troubled: 12, unread: 30, read: Some(0) };
        assert!(!is_crowd(two_troubles, 100, Spoken::Singly), "others have other troubles");
    }

    #[test]
    fn what_is_told_as_one_stays_so_until_half_of_it_is_gone() {
        let is = |troubled, read| is_crowd(share(troubled, read), 100, Spoken::AsOne);
        assert!(is(50, Some(1_000_000)) && !is(49, Some(1_000_000)));
        assert!(is(5, Some(15)) && !is(5, Some(16)) && !is(4, Some(0)));
        assert!(is(5, None) && !is(4, None), "after a restart it stays as it was told");
        assert!(is_many(100, 100, Spoken::Singly) && !is_many(99, 100, Spoken::Singly));
        assert!(is_many(50, 100, Spoken::AsOne) && !is_many(49, 100, Spoken::AsOne));
    }

    proptest::proptest! {
        #[test]
        fn whoever_begins_to_be_told_as_one_goes_on_to_be(
            troubled in 0..300_u64, others in 0..300_u64, read in proptest::option::of(0..300_u64), many in 10..200_u64,
        ) {
            let share = Share { troubled, unread: troubled + others, read };
            proptest::prop_assert!(!is_crowd(share, many, Spoken::Singly) || is_crowd(share, many, Spoken::AsOne));
        }
    }
}
