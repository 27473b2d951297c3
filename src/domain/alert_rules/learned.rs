//! From past approval times to the threshold at which a request is late.

use std::time::Duration;

use super::Stage;

/// Approvals from which a threshold is learned. The 95th percentile of fewer than fifty rests on one or two of them.
pub const LEARNED_FROM: u64 = 50;

/// The shortest that is learned. A list is read every few minutes at best, and nobody is to be told of a person who
/// has merely gone to lunch, however quick the others were.
const SHORTEST: Duration = Duration::from_hours(1);

/// The longest that is learned for people: after two weeks somebody must hear of it, however patient the past was.
const LONGEST: Duration = Duration::from_hours(14 * 24);

/// How long ago somebody must have been asked for the answer to teach anything. Of those asked yesterday only the quick
/// have answered: after a large import they alone would be known, and everybody else would soon count as late. As old as
/// the longest that is learned, so that no answer below it can be missing.
pub const RIPE_AFTER: Duration = LONGEST;

/// The longest that is learned for `WeChat` itself, which lists an invitation by machine: where that took days, it was a
/// fault and is no measure.
const LONGEST_OF_A_MACHINE: Duration = Duration::from_hours(24);

/// The threshold that `count` approvals teach whose 95th percentile is `p95`; none while they are too few, and then
/// the fixed one holds ([`super::StuckAfter::fixed`]).
#[must_use]
pub fn learned(stage: Stage, count: u64, p95: Duration) -> Option<Duration> {
    let longest = match stage {
        Stage::AccountAdmin | Stage::ProgramAdmin | Stage::Unlink => LONGEST,
        Stage::Initiated => LONGEST_OF_A_MACHINE,
        // How long we ourselves take is a matter of load and faults: it teaches nothing.
        Stage::Requested => return None,
    };
    (count >= LEARNED_FROM).then(|| p95.clamp(SHORTEST, longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_approvals_teach_nothing() {
        assert_eq!(learned(Stage::Unlink, LEARNED_FROM - 1, Duration::from_hours(9)), None);
        assert_eq!(learned(Stage::Unlink, LEARNED_FROM, Duration::from_hours(9)), Some(Duration::from_hours(9)));
    }

    #[test]
    fn neither_haste_nor_patience_goes_too_far() {
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Requested) {
            assert_eq!(learned(stage, 1_000, Duration::from_secs(3)), Some(SHORTEST), "{stage:?}");
        }
        assert_eq!(learned(Stage::Requested, 1_000, Duration::from_hours(9)), None);
        let patient = |stage| learned(stage, 1_000, Duration::from_hours(24 * 365));
        assert_eq!(patient(Stage::ProgramAdmin), Some(LONGEST));
        assert_eq!(patient(Stage::Initiated), Some(LONGEST_OF_A_MACHINE));
    }
}
