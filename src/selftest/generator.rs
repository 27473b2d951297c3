//! What happens next, drawn by chance: to requests, people, the network, the machine. It must never carry it out.

use std::time::Duration;

use rand::{Rng, RngExt, rngs::StdRng};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Somebody asks for a link, or for several at once.
    AskToLink(usize),
    /// Somebody asks for an unlink.
    AskToUnlink,
    /// Somebody asks again, with the key of an earlier request.
    AskWithTheSameKey,
    /// An operator stops following a request.
    Cancel,
    /// An operator tries a finished request again.
    Retry,
    /// An operator stops all calls for an account.
    Suspend,
    /// And lets them go on.
    Resume,
    /// An administrator agrees or says no by hand.
    AnAdministratorActs,
    /// A person begins a link in the account's console, or another platform does.
    SomebodyElseLinks,
    /// Somebody takes a program out of the list.
    SomebodyRemoves,
    /// The list shows a number that nobody documented, or its own again.
    AnOddStatus,
    /// Every call of an account answers a code, or an answer again.
    AnAccountInTrouble,
    /// Somebody changes an account's row past us to what is not legal, or mends what was changed.
    ARowIsPoisoned,
    /// Other faults from now on.
    TheWeatherChanges,
    /// Tokens die.
    TokensDie,
    /// Somebody makes a copy of the database.
    CopyTheDatabase,
    /// The latest copy is put back in the place of the database.
    PutTheCopyBack,
    /// The process ends in good order and begins again after this long.
    Restart(Duration),
    /// The process dies at its so many-th look at the clock from now on.
    DieAtQuestion(u64),
    /// It dies while the so many-th call from now on is out.
    DieDuringCall(u64),
    /// The process stands still for so long.
    StandStill(Duration),
    /// The machine sleeps for so long: the stopwatch does not see it.
    Sleep(Duration),
    /// Somebody steps the calendar by so many milliseconds.
    StepTheCalendar(i64),
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// Draws what happens next.
pub(super) fn draw(chance: &mut StdRng) -> Turn {
    match chance.random_range(0..100) {
        0..20 => Turn::AskToLink(usize::from(chance.random_ratio(1, 5)) * 4 + 1),
        20..26 => Turn::AskToUnlink,
        26..30 => Turn::AskWithTheSameKey,
        30..34 => Turn::Cancel,
        34..40 => Turn::Retry,
        40..42 => Turn::Suspend,
        42..46 => Turn::Resume,
        46..54 => Turn::AnAdministratorActs,
        54..57 => Turn::SomebodyElseLinks,
        57..60 => Turn::SomebodyRemoves,
        60..62 => Turn::AnOddStatus,
        62..65 => Turn::AnAccountInTrouble,
        65 => Turn::ARowIsPoisoned,
        66..71 => Turn::TheWeatherChanges,
        71..72 => Turn::TokensDie,
        72..74 => Turn::CopyTheDatabase,
        74 => Turn::PutTheCopyBack,
        75..77 => Turn::Restart(rarely_long(chance)),
        77..84 => Turn::DieAtQuestion(up_to(chance, 400)),
        84..92 => Turn::DieDuringCall(up_to(chance, 12)),
        92..95 => Turn::StandStill(rarely_long(chance)),
        95..97 => Turn::Sleep(rarely_long(chance)),
        _ => Turn::StepTheCalendar(a_step(chance)),
    }
}

/// Small numbers are as likely as large ones: what is close together is where it breaks.
pub(super) fn up_to(chance: &mut impl Rng, most: u64) -> u64 {
    let bound = chance.random_range(0..=most);
    chance.random_range(0..=bound)
}

/// Mostly minutes, now and then hours, seldom days.
fn rarely_long(chance: &mut StdRng) -> Duration {
    match chance.random_range(0..10) {
        0..6 => minutes(up_to(chance, 30)),
        6..9 => minutes(up_to(chance, 600)),
        _ => minutes(up_to(chance, 4_000)),
    }
}

/// An hour either way, as daylight saving or a wrong zone brings it, or less.
fn a_step(chance: &mut StdRng) -> i64 {
    let size = if chance.random_ratio(1, 2) { 3_600_000 } else { chance.random_range(1_000..5_400_000) };
    if chance.random_ratio(1, 2) { size } else { -size }
}
