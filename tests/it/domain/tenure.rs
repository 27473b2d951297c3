//! Several nodes on one database, in random worlds: beats that come late or never, answers that are lost, machines that
//! stand still or whose clocks are stepped, a database that is away, and at no moment two owners of anything.

mod beat;
mod database;
mod node;
mod promises;
mod trouble;
mod world;

use std::time::Duration;

use self::{
    promises::{Broken, Promises},
    world::World,
};
use super::START;

/// Random worlds that are lived through; `AMPLINKD_WORLDS` says otherwise.
const WORLDS: u64 = 300;

/// So many are enough for each flaw to be noticed.
const FLAWED: u64 = 2_000;

/// What a caller or a rule could get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// Leases are trusted for longer than others keep away from them.
    TrustsLonger,
    /// Others are fenced right after an outage.
    FencesAfterAGap,
    /// Nobody waits for a write under way.
    FencesWriters,
    /// What is handed back is used until the answer comes.
    LetsGoLate,
    /// What is handed back is in use.
    HandsBackBusy,
    /// A call goes on when trust has ended.
    CallsGoOn,
    /// A call that was given up is forgotten at once.
    ForgetsCalls,
    /// Shares are counted without those of the others.
    CountsNoShares,
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("a short span")
}

fn worlds() -> u64 {
    std::env::var_os("AMPLINKD_WORLDS").and_then(|worlds| worlds.to_str()?.parse().ok()).unwrap_or(WORLDS)
}

#[test]
fn whatever_goes_wrong_nothing_has_two_owners_and_everything_has_one_again() {
    let mut seen = Promises::default();
    let worlds = worlds();
    for seed in 0..worlds {
        let lived = World::live(seed, None).unwrap_or_else(|broken| panic!("world {seed}: {broken:?}"));
        seen.arrived += lived.arrived;
        seen.written += lived.written;
        seen.fenced += lived.fenced;
        seen.came_back += lived.came_back;
        seen.waited += lived.waited;
        seen.handed_back += lived.handed_back;
    }
    let often = usize::try_from(worlds / 10).expect("a few");
    assert!(seen.fenced > often && seen.came_back > 0 && seen.handed_back > 0 && seen.waited > 0, "{seen:?}");
    assert!(seen.arrived > worlds && seen.written > worlds, "{seen:?}");
}

/// Whether this is how a flaw shows.
type Shows = fn(&Broken) -> bool;

/// A guard for the test above: these worlds are bad enough to show what is wrong.
#[test]
fn every_flaw_is_noticed() {
    let noticed: [(Flaw, Shows); 8] = [
        (Flaw::TrustsLonger, |broken| {
            matches!(
                broken,
                Broken::CalledUnderAnother { .. } | Broken::TrustedByTwo { .. } | Broken::TooManyCalls { .. }
            )
        }),
        (Flaw::FencesAfterAGap, |broken| matches!(broken, Broken::FencedWithoutFault { .. })),
        (Flaw::FencesWriters, |broken| {
            matches!(broken, Broken::WrittenThoughFenced { .. } | Broken::WrittenUnderAnother { .. })
        }),
        (Flaw::LetsGoLate, |broken| matches!(broken, Broken::TrustedByTwo { .. })),
        (Flaw::HandsBackBusy, |broken| {
            matches!(broken, Broken::CalledUnderAnother { .. } | Broken::WrittenUnderAnother { .. })
        }),
        (Flaw::CallsGoOn, |broken| matches!(broken, Broken::CalledUnderAnother { .. })),
        (Flaw::ForgetsCalls, |broken| matches!(broken, Broken::CalledUnderAnother { .. })),
        (Flaw::CountsNoShares, |broken| matches!(broken, Broken::TooManyCalls { .. })),
    ];
    for (flaw, shows) in noticed {
        let found = (0..FLAWED).find(|seed| World::live(*seed, Some(flaw)).is_err_and(|broken| shows(&broken)));
        println!("{flaw:?}: {found:?}");
        assert!(found.is_some(), "nobody notices {flaw:?}");
    }
}
