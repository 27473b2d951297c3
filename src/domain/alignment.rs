//! When an unchanged account is polled again: spread over time, but together with its neighbours on disk, so that a
//! transaction that writes a batch touches few pages. Never early, nor much later: lateness is judged by these
//! intervals.
//!
//! Every block of neighbouring rows has its own moments, one after the other, slightly further apart than the interval
//! between two polls. An account that can meet its block's next moment within its allowed delay waits for it, and meets
//! every later one as well. Any other account is shifted by as little or as much more than its interval as brings it
//! there in the fewest rounds, in steps that it shares with all others of its block, so that they move together. With
//! an interval of a day, of which only five minutes may be added, that takes longer than any such interval lasts: those
//! few stay where they are.

use std::time::Duration;

use super::time::Time;

/// The most that a due time is put off to spread the load; well below what the audit calls overdue.
const PUT_OFF_MAX: Duration = Duration::from_mins(5);

/// Rows that come round together: two or three pages of the table, and no more calls than a moment can take.
const BLOCK_ROWS: i64 = 64;

/// The most by which a wait may grow for the sake of the spread.
#[must_use]
pub fn put_off(wait: Duration) -> Duration {
    (wait / 10).min(PUT_OFF_MAX)
}

/// When the account in `row`, looked at `from` on, is due after a wait of `every`: then, or later by at most a tenth of it.
#[must_use]
pub fn next_round(row: i64, from: Time, every: Duration) -> Time {
    let earliest = from + every;
    // Half of what may be put off is what a whole round is put off by, so that there is time to be won and lost.
    let half = ms(put_off(every)) / 2;
    if half == 0 {
        return earliest;
    }
    let round = ms(every) + half;
    let ahead = (moment(row, round, half) - earliest.ms()).rem_euclid(round);
    let step = ahead % half;
    let put_off = match ahead {
        _ if ahead <= 2 * half => ahead,
        // Its block is ahead: a step longer than a round, once it is in step.
        _ if ahead < round / 2 && step == 0 => 2 * half,
        _ if ahead < round / 2 => half + step,
        // Its block has just gone: a step shorter.
        _ => step,
    };
    earliest + Duration::from_millis(u64::try_from(put_off).unwrap_or(0))
}

/// A moment at which the account comes round, in milliseconds within the round: its block's, and its own place in that.
fn moment(row: i64, round: i64, half: i64) -> i64 {
    // Neighbouring blocks lie far apart, and all of them evenly (Knuth's multiplicative hashing).
    const GOLDEN: i64 = 2_654_435_769;
    let spread = row.div_euclid(BLOCK_ROWS).wrapping_mul(GOLDEN).rem_euclid(1 << 32);
    // A millisecond apart, where there is room for it.
    let own = row.rem_euclid(BLOCK_ROWS) * half.min(BLOCK_ROWS) / BLOCK_ROWS;
    let block = (i128::from(spread) * i128::from(round)) >> 32;
    i64::try_from(block).unwrap_or(0) + own
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As many rounds as are needed to find the block from anywhere, with any wait of [`Steps`] by default.
    ///
    /// [`Steps`]: crate::domain::policy::Steps
    const ROUNDS: usize = 14;

    fn after_some_rounds(row: i64, from: Time, every: Duration) -> Time {
        (0..ROUNDS).fold(from, |from, _| next_round(row, from, every))
    }

    /// The moments at which all rows of a block are due, each begun at another moment of the wait, once `until` has passed.
    fn of_a_block(first: i64, every: Duration) -> Vec<i64> {
        let begun = |row: i64| Time::from_ms(1_700_000_000_000 + (row * 7_919_777).rem_euclid(ms(every)));
        let horizon = Time::from_ms(1_700_000_000_000) + every * 20;
        let due = |row| {
            let mut due = begun(row);
            while due < horizon {
                due = next_round(row, due, every);
            }
            due.ms()
        };
        (first..first + BLOCK_ROWS).map(due).collect()
    }

    proptest! {
        #[test]
        fn nobody_comes_early_or_much_later(row in 0..i64::MAX, from in 0..4_000_000_000_000_i64, ms in 10..86_400_000_u64) {
            let (from, every) = (Time::from_ms(from), Duration::from_millis(ms));
            let due = next_round(row, from, every);
            let latest = from + every + put_off(every);
            prop_assert!(from + every <= due && due <= latest, "{due} is not within {} and {latest}", from + every);
        }

        #[test]
        fn a_block_that_was_found_is_kept(row in 0..1_000_000_000_i64, from in 0..4_000_000_000_000_i64, s in 1..3_600_u64) {
            let every = Duration::from_secs(s);
            let due = after_some_rounds(row, Time::from_ms(from), every);
            let round = next_round(row, due, every).since(due);
            prop_assert_eq!(round, every + put_off(every) / 2);
        }
    }

    #[test]
    fn neighbours_that_began_at_any_time_come_to_be_due_together() {
        for every in [30, 120, 900, 3_600].map(Duration::from_secs) {
            for first in [0, 64 * 7, 64 * 15_624] {
                let dues = of_a_block(first, every);
                let (first, last) = (dues.iter().min().unwrap(), dues.iter().max().unwrap());
                assert!(last - first < BLOCK_ROWS, "{every:?}: {} ms apart", last - first);
            }
        }
    }

    #[test]
    fn blocks_are_spread_over_the_whole_round() {
        let (every, parts) = (Duration::from_hours(1), 20);
        let round = ms(every + put_off(every) / 2);
        let mut counts = vec![0; parts];
        for block in 0..2_000 {
            let due = after_some_rounds(block * BLOCK_ROWS, Time::from_ms(1_700_000_000_000), every).ms();
            let part = due.rem_euclid(round) * i64::try_from(parts).unwrap() / round;
            counts[usize::try_from(part).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (80..=120).contains(count)), "a twentieth of 2,000 is 100: {counts:?}");
    }

    #[test]
    fn a_few_accounts_are_not_due_at_the_very_same_moment() {
        let dues = of_a_block(0, Duration::from_secs(30));
        let mut different = dues.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), dues.len());
    }
}
